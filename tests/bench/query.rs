//! How long a query takes that has to look at every twin: three predicates over 10,000 twins (`TWINS`), over HTTPS.
//!
//! `make bench-query` holds driver and hub on one core together, so that the time of both, of TLS and of JSON counts; what
//! the hub's process used of it is told beside. Reading one twin, and a query that needs one twin, are the floor.
//! Each answer must have the rows that the same condition, written in Rust, finds, on one page, within a second.

use std::fmt::Write as _;
use std::io::Write as _;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::cases::{CASES, Call, Case};
use crate::back_end::BackEnd;
use crate::client::{Client, Ways};
use crate::figures::{at, keep, milliseconds, setting, sorted};
use crate::hub::HubProcess;

mod cases;
pub mod fleet;

/// Where the lines of JSON go.
const FILE: &str = "query.jsonl";
const HEAD: &str = "                                             rows, n    bytes median (ms) longest (ms)  hub (ms)";
/// How often each case is measured.
const RUNS: u32 = 20;
/// How many devices connect at once to report.
const CONNECTING: usize = 8;
/// What no answer may take.
const LIMIT: Duration = Duration::from_secs(1);

/// What was measured of one case.
struct Figures {
    /// Rows, or what the one row counts.
    rows: u64,
    bytes: usize,
    median: Duration,
    longest: Duration,
    /// Of the hub, for one answer.
    processor: Duration,
}

impl Figures {
    /// Adds its lines to the table.
    fn tell(&self, case: &Case, table: &mut String) -> std::fmt::Result {
        let Self { rows, bytes, .. } = self;
        let [median, longest, processor] =
            [self.median, self.longest, self.processor].map(|time| time.as_secs_f64() * 1e3);
        writeln!(table, "{:<44} {rows:>7} {bytes:>8} {median:>11.2} {longest:>12.2} {processor:>9.2}", case.name)?;
        if let Call::Query(text) = case.call {
            writeln!(table, "    {text}")?;
        }
        if self.longest >= LIMIT {
            writeln!(table, "    TOO SLOW: over {LIMIT:?}")?;
        }
        Ok(())
    }

    /// The line for programs.
    fn line(&self, case: &Case, setting: &Value) -> Value {
        let mut line = setting.clone();
        line["case"] = json!(case.name);
        line["rows"] = json!(self.rows);
        line["bytes"] = json!(self.bytes);
        line["median (ms)"] = milliseconds(self.median);
        line["longest (ms)"] = milliseconds(self.longest);
        line["processor time of the hub (ms)"] = milliseconds(self.processor);
        line
    }
}

/// Whether every answer was right and came in time.
pub fn main() -> anyhow::Result<bool> {
    let twins = usize::try_from(setting("TWINS", 10_000)?)?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(twins))
}

async fn run(twins: usize) -> anyhow::Result<bool> {
    let hub = HubProcess::start(false).await?;
    let back_end = BackEnd::new(&hub)?;
    let began = Instant::now();
    fill(&hub, &back_end, twins).await?;
    let (filled, cores, size) = (began.elapsed(), available_parallelism()?, back_end.twin(twins / 2).await?.len());
    let memory = hub.memory()?.resident / 1024;
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let setting = json!({"build": build, "twins": twins, "bytes of a twin": size, "cores": cores.get(), "runs": RUNS});
    let mut table = format!(
        "{twins} twins (one has {size} bytes), filled in {filled:.0?}; the hub has {memory} MiB; \
         cores for hub and driver: {cores}; {build} build\n\n{HEAD}\n"
    );
    let mut right = true;
    for case in &CASES {
        let figures = measure(&hub, &back_end, case, twins).await.context(case.name)?;
        figures.tell(case, &mut table)?;
        right &= figures.longest < LIMIT;
        keep(FILE, &figures.line(case, &setting))?;
    }
    std::io::stdout().write_all(table.as_bytes())?;
    Ok(right)
}

/// Registers the devices, and lets each report once.
async fn fill(hub: &HubProcess, back_end: &BackEnd, twins: usize) -> anyhow::Result<()> {
    back_end.register(twins, fleet::registered).await?;
    let ways = &Ways::new(hub, false)?;
    let report = |number| async move {
        let mut client = Client::connect(ways, number).await?;
        client.send(1, fleet::reported(number).to_string(), Instant::now()).await?;
        client.leave().await
    };
    stream::iter((0..twins).map(report)).buffer_unordered(CONNECTING).try_collect().await
}

async fn measure(hub: &HubProcess, back_end: &BackEnd, case: &Case, twins: usize) -> anyhow::Result<Figures> {
    let mut times = Vec::new();
    let mut text = String::new();
    let before = hub.processor_time()?;
    for _ in 0..RUNS {
        let began = Instant::now();
        text = match case.call {
            Call::Get => back_end.twin(twins / 2).await?,
            Call::Query(text) => back_end.query(text).await?,
        };
        times.push(began.elapsed());
    }
    let processor = (hub.processor_time()? - before) / RUNS;
    let (times, answer) = (sorted(times), serde_json::from_str::<Value>(&text)?);
    let rows = case.found(&answer)?;
    let wanted = case.wanted(twins);
    anyhow::ensure!(rows == wanted, "{rows} rows in place of {wanted}");
    let (median, longest) = (at(&times, 50.0), at(&times, 100.0));
    Ok(Figures { rows, bytes: text.len(), median, longest, processor })
}
