//! `hubtwin crds`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

/// Arguments of `hubtwin crds`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write one file a kind into this folder instead of printing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    for crd in crate::api::crds() {
        let text = serde_saphyr::to_string(&crd)?;
        match &args.out {
            None => writeln!(std::io::stdout(), "---\n{}", text.trim_end())?,
            Some(folder) => {
                let file = folder.join(format!("{}.yaml", crd.spec.names.plural));
                std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
            }
        }
    }
    Ok(())
}
