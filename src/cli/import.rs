//! `hubtwin import`.

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _};

use super::connect::HubArgs;
use super::patient::patiently;
use super::print;
use super::progress::Progress;
use crate::hub::{Client, Kind, Twin, TwinId};
use crate::manifest::export::{Common, Names, export};

/// Twins read at once.
const AT_ONCE: usize = 8;
/// Rows of a page.
const PAGE: u32 = 100;

/// Arguments of `hubtwin import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Applying what was imported changes nothing at the hub: `hubtwin plan` on it says so. What automatic \
                        configurations wrote, and what the rules of a DeviceTwin forbid, is left out and told in comments."
)]
pub(super) struct Args {
    /// The connection that the manifests name: NAME, or KIND/NAME
    #[arg(long, value_name = "NAME")]
    hub_ref: String,
    /// The namespace that the manifests name; none: whichever they are applied to
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Import what this query finds: SELECT * FROM devices, or devices.modules, WHERE ...
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// Import module twins too
    #[arg(long, conflicts_with = "query")]
    modules: bool,
    /// Write one file a twin into this folder instead of printing
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// Replace files that are there
    #[arg(long, requires = "output_dir")]
    force: bool,
    #[command(flatten)]
    hub: HubArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let common = common(&args)?;
    let client = args.hub.client()?;
    if let Some(folder) = &args.output_dir {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    let mut queries = vec![args.query.clone().unwrap_or_else(|| "SELECT * FROM devices".to_owned())];
    if args.modules {
        queries.push("SELECT * FROM devices.modules".to_owned());
    }
    let mut ids = Vec::new();
    for query in &queries {
        list(&client, query, &mut ids).await?;
    }
    let mut names = Names::default();
    let mut progress = Progress::begin("twins imported", Some(ids.len()));
    if args.output_dir.is_none() && std::io::stdout().is_terminal() {
        // The manifests themselves scroll by; a line that is rewritten between them would spoil both.
        progress.hide();
    }
    let mut written = 0;
    // A query's rows may be old, and a manifest made of an old row would undo what came after it.
    let reads = ids.into_iter().map(|id| {
        let client = &client;
        async move { (patiently(|| client.get_twin(&id)).await, id) }
    });
    let mut reads = stream::iter(reads).buffered(AT_ONCE);
    while let Some((answer, id)) = reads.next().await {
        match answer {
            Ok(twin) => {
                let name = names.take(&id);
                put(&args, &twin, &name, &common)?;
                written += 1;
            }
            Err(error) if matches!(error.kind(), Kind::DeviceNotFound | Kind::ModuleNotFound) => {
                note(&id, "gone since the query");
            }
            Err(error) => {
                progress.end();
                return Err(anyhow::Error::new(error).context(format!("{written} were imported before")));
            }
        }
        progress.step(1);
    }
    progress.end();
    if let Some(folder) = &args.output_dir {
        print::lines(&[format!("wrote {} into {}", print::count(written, "manifest"), folder.display())])?;
    }
    Ok(())
}

fn common(args: &Args) -> anyhow::Result<Common> {
    let (kind, name) = match args.hub_ref.split_once('/') {
        None => (None, args.hub_ref.as_str()),
        Some((kind, name)) => (Some(kind.to_owned()), name),
    };
    anyhow::ensure!(!name.is_empty(), "--hub-ref names no connection");
    Ok(Common { hub_kind: kind, hub_name: name.to_owned(), namespace: args.namespace.clone() })
}

/// The ids of a query's rows, each once.
async fn list(client: &Client, query: &str, ids: &mut Vec<TwinId>) -> anyhow::Result<()> {
    let mut known: HashSet<TwinId> = ids.iter().cloned().collect();
    let mut progress = Progress::begin("twins found", None);
    let mut next = None;
    loop {
        let page = patiently(|| client.query(query, PAGE, next.as_ref())).await?;
        for row in page.rows {
            let twin = Twin::from_row(row).map_err(|_| {
                anyhow::anyhow!("the query answers rows of type {}: SELECT * is needed to import twins", page.item_type)
            })?;
            if known.insert(twin.id.clone()) {
                ids.push(twin.id);
                progress.step(1);
            }
        }
        match page.continuation {
            Some(token) => next = Some(token),
            None => break,
        }
    }
    progress.end();
    Ok(())
}

fn put(args: &Args, twin: &Twin, name: &str, common: &Common) -> anyhow::Result<()> {
    let exported = export(twin, name, common);
    for text in &exported.notes {
        note(&twin.id, text);
    }
    match &args.output_dir {
        None => print::lines(&["---", exported.text.trim_end()]),
        Some(folder) => save(&folder.join(format!("{name}.yaml")), &exported.text, args.force),
    }
}

fn save(file: &Path, text: &str, replace: bool) -> anyhow::Result<()> {
    if !replace && file.exists() {
        anyhow::bail!("{} is there: give another folder, or --force to replace it", file.display());
    }
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

#[expect(clippy::print_stderr, reason = "notes are for people; standard output holds the manifests")]
fn note(id: &TwinId, text: &str) {
    eprintln!("{id}: {}", print::plain(text));
}
