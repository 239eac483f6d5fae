//! `hubtwin plan`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use futures::stream::{self, StreamExt as _};

use super::check::Report;
use super::connect::HubArgs;
use super::manifests::{self, Files};
use super::patient::patiently;
use super::print;
use super::progress::Progress;
use crate::api::device_twin::TwinAt;
use crate::controller::device_twin::Wanted;
use crate::hub::{Client, Host, Kind};
use crate::manifest::check::Kinds;
use crate::manifest::preview::{Change, changes};
use crate::twin::claims::Claims;
use crate::twin::document::Object;
use crate::twin::plan::{self, Ledger, Plan, Sections};

mod ledgers;
mod show;
mod subject;

use ledgers::{Known, Ledgers};
use subject::{Acts, Subject};

/// Twins read at once.
const AT_ONCE: usize = 8;
/// The exit code of `--exit-code` when something would be written.
const CHANGES: u8 = 3;

/// Arguments of `hubtwin plan`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Nothing is written, neither to the hub nor to Kubernetes. Without a cluster (--kubeconfig) nothing is \
                        known of what was applied before: every twin is planned as a first contact, which sets and never \
                        removes.\n\nExit codes: 0 done, 1 a manifest is wrong or a twin cannot be planned, 2 wrong usage or a \
                        file that cannot be read, 3 with --exit-code: there is something to write."
)]
pub(super) struct Args {
    /// Manifests: files, folders (all *.yaml, *.yml and *.json below), or - for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Read what was applied before from this cluster's DeviceTwins
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; none: its current one
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    context: Option<String>,
    /// The namespace of manifests that name none; none: the context's
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Exit with 3 when there is something to write
    #[arg(long)]
    exit_code: bool,
    /// How to print the plan
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    #[command(flatten)]
    hub: HubArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// What applying one manifest would do.
struct Planned {
    subject: Subject,
    ledger: Known,
    outcome: Outcome,
}

/// What came of planning.
enum Outcome {
    /// The manifest breaks rules, or does not fit this hub: one line each.
    Wrong(Vec<String>),
    /// The cluster or the hub did not answer, or not well.
    Failed(String),
    /// The hub does not know it; it would be created, and then this set.
    Missing { created: bool, changes: Vec<Change> },
    /// The plan, leaf by leaf.
    Plan { plan: Box<Plan>, changes: Vec<Change> },
}

impl Planned {
    /// Whether applying would write.
    fn writes(&self) -> bool {
        let something = match &self.outcome {
            Outcome::Wrong(_) | Outcome::Failed(_) => false,
            Outcome::Missing { created, .. } => *created,
            Outcome::Plan { changes, .. } => !changes.is_empty(),
        };
        something && self.subject.acts == Acts::Writes
    }

    /// Whether somebody has to look.
    fn is_trouble(&self) -> bool {
        match &self.outcome {
            Outcome::Wrong(_) | Outcome::Failed(_) => true,
            Outcome::Missing { created, .. } => !created,
            Outcome::Plan { plan, .. } => !plan.blocked.is_empty(),
        }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let files = match manifests::read(&args.files) {
        Ok(files) => files,
        Err(error) => return Ok(print::unusable(&error)),
    };
    let client = args.hub.client()?;
    let ledgers = Ledgers::of(&args).await?;
    let kinds = Kinds::new();
    let report = Report::make(&files, &kinds);
    let subjects = subject::subjects(&files, &report, client.host());
    let planned = plan_all(&client, &ledgers, subjects).await;
    let unread = unread(&files);
    match args.output {
        Output::Text => show::text(&planned, &unread, client.host(), &ledgers)?,
        Output::Json => print::json(&show::json(&planned, &unread, client.host(), &ledgers))?,
    }
    if !unread.is_empty() || planned.iter().any(Planned::is_trouble) {
        return Ok(ExitCode::FAILURE);
    }
    let changes = args.exit_code && planned.iter().any(Planned::writes);
    Ok(if changes { ExitCode::from(CHANGES) } else { ExitCode::SUCCESS })
}

/// The parts of files that could not be read: whatever twins they hold are not planned.
fn unread(files: &Files) -> Vec<String> {
    let in_file = |file: &manifests::File| -> Vec<String> {
        let wrong = file.troubles.iter().filter(|(severity, _)| *severity == crate::manifest::check::Severity::Error);
        wrong.map(|(_, trouble)| format!("{}:{}: {}", file.name, trouble.at.line, trouble.message)).collect()
    };
    files.0.iter().flat_map(in_file).collect()
}

/// Plans all, a few at once; the trouble of one does not stop the others.
async fn plan_all(client: &Client, ledgers: &Ledgers, subjects: Vec<Subject>) -> Vec<Planned> {
    let mut progress = Progress::begin("twins planned", Some(subjects.len()));
    let claims: Vec<Claims> = subject::claims(&subjects);
    let plans = subjects.into_iter().zip(claims).map(|(subject, claims)| plan_one(client, ledgers, subject, claims));
    let mut plans = stream::iter(plans).buffered(AT_ONCE);
    let mut planned = Vec::new();
    while let Some(one) = plans.next().await {
        planned.push(one);
        progress.step(1);
    }
    progress.end();
    planned
}

async fn plan_one(client: &Client, ledgers: &Ledgers, subject: Subject, claims: Claims) -> Planned {
    let wanted = match &subject.wanted {
        Ok(wanted) => wanted.clone(),
        Err(wrong) => {
            let outcome = Outcome::Wrong(wrong.clone());
            return Planned { subject, ledger: Known::Nothing, outcome };
        }
    };
    let at = TwinAt {
        host: client.host().to_string(),
        device_id: wanted.id.device_id.as_str().to_owned(),
        module_id: wanted.id.module().map(ToOwned::to_owned),
    };
    let ledger = match ledgers.get(&subject, &at).await {
        Ok(ledger) => ledger,
        Err(error) => {
            let outcome = Outcome::Failed(format!("{error:#}"));
            return Planned { subject, ledger: Known::Nothing, outcome };
        }
    };
    let base = ledger.base();
    let outcome = match patiently(|| client.get_twin(&wanted.id)).await {
        Ok(twin) => {
            let theirs = Sections { tags: &twin.tags, desired: &twin.desired };
            let plan = made(&wanted, base, &claims, &theirs);
            Outcome::Plan { changes: changes(&plan, &theirs), plan: Box::new(plan) }
        }
        Err(error) if matches!(error.kind(), Kind::DeviceNotFound | Kind::ModuleNotFound) => {
            // A device that this object saw and that was removed is not brought back.
            let created = subject.creates && !ledger.saw_the_twin();
            let nothing = Object::new();
            let theirs = Sections { tags: &nothing, desired: &nothing };
            let plan = made(&wanted, None, &claims, &theirs);
            Outcome::Missing { created, changes: if created { changes(&plan, &theirs) } else { Vec::new() } }
        }
        Err(error) => Outcome::Failed(error.to_string()),
    };
    Planned { subject, ledger, outcome }
}

fn made(wanted: &Wanted, base: Option<&Ledger>, claims: &Claims, theirs: &Sections<&Object>) -> Plan {
    plan::plan(&plan::Inputs {
        ours: &wanted.ours,
        base,
        theirs: theirs.clone(),
        claims,
        held: &Sections::default(),
        policies: wanted.policies,
    })
}

/// Whether two hosts are one: the same name, and the same port where both say one.
fn same_host(a: &Host, b: &Host) -> bool {
    let ports = a.port().zip(b.port());
    a.name() == b.name() && ports.is_none_or(|(a, b)| a == b)
}
