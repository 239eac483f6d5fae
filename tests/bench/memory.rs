//! What the operator's memory grows by with each DeviceTwin: a fleet in sync, at a local hub that has all its twins, shown
//! by an API server that replays it. The operator is a process of its own.
//!
//! Each size is measured twice: at rest after the start, and the peak while a new list of everything is taken in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::objects::{CONNECTION, NAMESPACE};
use self::replay::Replay;
use self::subject::Operator;
use crate::back_end::BackEnd;
use crate::figures::keep;
use crate::hub::{HubProcess, Memory};
use crate::query::fleet::registered;
use crate::workloads::report::{Figure, Report};

mod objects;
#[allow(dead_code, reason = "the integration tests use the rest")]
#[path = "../replay/server.rs"]
mod replay;
mod subject;

const FILE: &str = "memory.jsonl";
const TWINS: &str = "hubtwin.dev/v1alpha1/devicetwins";
const CONNECTIONS: &str = "hubtwin.dev/v1alpha1/hubconnections";
/// At rest is who made no call for so long.
const QUIET: Duration = Duration::from_secs(8);
/// The most that a fleet may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(900);
/// Bytes a twin, at most.
const TARGET: f64 = 2048.0;
/// What a new list may take at its peak, as a multiple of what is there at rest.
const PEAK: f64 = 1.3;

/// What was measured of one size.
struct Figures {
    twins: usize,
    rest: Memory,
    list: Memory,
    /// From the start until the first rest, and what it used of the processors.
    took: Duration,
    used: Duration,
    calls: BTreeMap<String, u64>,
    hub: BTreeMap<String, u64>,
}

/// Whether the memory is within its targets. `TWINS` names the sizes: `TWINS=10000,100000`.
pub fn main() -> anyhow::Result<bool> {
    let sizes = std::env::var("TWINS").unwrap_or_else(|_| "10000,100000".to_owned());
    let sizes = sizes.split(',').map(|size| size.trim().parse().context("TWINS is a list of numbers"));
    let sizes: Vec<usize> = sizes.collect::<anyhow::Result<_>>()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&sizes))
}

async fn run(sizes: &[usize]) -> anyhow::Result<bool> {
    let none = measure(0).await?;
    let mut table = String::from(
        "  twins  at rest (KiB)  a twin (B)  peak of a list (KiB)  times rest  start (s)  processor (s)\n",
    );
    none.tell(&none, &mut table)?;
    let (mut holds, mut report) = (true, Report::default());
    for size in sizes {
        let figures = measure(*size).await?;
        figures.tell(&none, &mut table)?;
        keep(FILE, &figures.line(&none))?;
        report.add("memory", &figures.results(&none), &[])?;
        holds &= figures.a_twin(&none) <= TARGET && figures.peak() <= PEAK;
    }
    std::io::stdout().write_all(table.as_bytes())?;
    Ok(holds)
}

async fn measure(twins: usize) -> anyhow::Result<Figures> {
    let hub = HubProcess::start(false).await?;
    let back_end = BackEnd::new(&hub)?;
    // The devices were made yesterday: none of them is news.
    set_clock(&hub, &back_end, -86_400_000).await?;
    back_end.register(twins, registered).await?;
    set_clock(&hub, &back_end, 0).await?;
    let replay = Replay::start().await?;
    let host = format!("localhost:{}", hub.setting("HUB_HTTPS_PORT")?);
    let mut number = 0;
    back_end
        .each_row("SELECT * FROM devices", |row| {
            replay.put(TWINS, objects::twin(number, &host, row));
            number += 1;
        })
        .await?;
    anyhow::ensure!(number == twins, "{number} of {twins} twins");
    replay.put("v1/secrets", objects::secret(hub.setting("HUB_SERVICE_CONNECTION_STRING")?, &hub.ca_pem));
    replay.put(CONNECTIONS, objects::connection(&host));
    let kubeconfig = std::env::temp_dir().join(format!("hubtwin-bench-{:012x}.kubeconfig", fastrand::u64(..1 << 48)));
    replay.write_kubeconfig(&kubeconfig)?;
    let (before, began) = (counters(&hub, &back_end).await?, Instant::now());
    let mut operator = Operator::start(&kubeconfig, &host, &[]).await?;
    let rested = rest(&mut operator, &replay, &hub, &back_end).await?;
    let (took, used, at_rest) = (rested - began, operator.processor_time()?, operator.memory()?);
    let calls = replay.calls();
    let after = counters(&hub, &back_end).await?;
    operator.forget_peak()?;
    replay.cut();
    rest(&mut operator, &replay, &hub, &back_end).await?;
    let list = operator.memory()?;
    let _ = std::fs::remove_file(kubeconfig);
    let connection = replay.get(CONNECTIONS, NAMESPACE, CONNECTION).unwrap_or_default();
    let ready = connection.pointer("/status/conditions/0/status");
    anyhow::ensure!(ready == Some(&json!("True")), "the connection is not ready: {}", connection["status"]);
    let hub = after.into_iter().map(|(name, count)| (name.clone(), count - before.get(&name).unwrap_or(&0)));
    let hub = hub.filter(|(_, count)| *count > 0).collect();
    Ok(Figures { twins, rest: at_rest, list, took, used, calls, hub })
}

/// Waits until the operator asks nobody for anything but what it asks at rest: polls, and the Secret. Answers since when.
async fn rest(
    operator: &mut Operator,
    replay: &Replay,
    hub: &HubProcess,
    back_end: &BackEnd,
) -> anyhow::Result<Instant> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = (Value::Null, Duration::ZERO);
    let mut since = Instant::now();
    while since.elapsed() < QUIET {
        anyhow::ensure!(Instant::now() < deadline, "no rest: {}; {}", last.0, operator.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
        operator.alive()?;
        let mut calls = replay.calls();
        calls.retain(|name, _| !["secrets", "leases", "GET"].iter().any(|usual| name.contains(usual)));
        let mut at_hub = counters(hub, back_end).await?;
        at_hub.retain(|name, _| name.starts_with("twin."));
        let (now, used) = (json!([calls, at_hub]), operator.processor_time()?);
        // A poll costs next to nothing.
        if now != last.0 || used > last.1 + Duration::from_millis(20) {
            since = Instant::now();
        }
        last = (now, used);
    }
    Ok(since)
}

async fn counters(hub: &HubProcess, back_end: &BackEnd) -> anyhow::Result<BTreeMap<String, u64>> {
    let url = format!("{}/counters", hub.setting("HUB_ADMIN_URL")?);
    Ok(back_end.client.get(url).send().await?.json().await?)
}

async fn set_clock(hub: &HubProcess, back_end: &BackEnd, offset: i64) -> anyhow::Result<()> {
    let url = format!("{}/knobs", hub.setting("HUB_ADMIN_URL")?);
    let knobs = json!({"clockOffsetMs": offset, "pageSize": 1000});
    back_end.client.put(url).json(&knobs).send().await?.error_for_status()?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "no process is that large")]
impl Figures {
    /// Bytes a twin, at rest.
    fn a_twin(&self, none: &Self) -> f64 {
        self.rest.resident.saturating_sub(none.rest.resident) as f64 * 1024.0 / self.twins.max(1) as f64
    }

    /// The peak of a new list, as a multiple of the memory at rest.
    fn peak(&self) -> f64 {
        self.list.peak as f64 / self.rest.resident as f64
    }

    fn tell(&self, none: &Self, table: &mut String) -> std::fmt::Result {
        let Self { twins, rest, list, took, used, .. } = self;
        let (took, used) = (took.as_secs_f64(), used.as_secs_f64());
        let (resident, peak) = (rest.resident, list.peak);
        let (a_twin, times) = (self.a_twin(none), self.peak());
        writeln!(
            table,
            "{twins:>7}  {resident:>13}  {a_twin:>10.0}  {peak:>20}  {times:>10.2}  {took:>9.1}  {used:>13.1}"
        )?;
        writeln!(table, "         API server, until at rest: {:?}", self.calls)?;
        writeln!(table, "         hub, until at rest: {:?}", self.hub)
    }

    /// What counts of it, beside its targets.
    fn results(&self, none: &Self) -> [Figure; 2] {
        let twins = self.twins;
        [
            Figure::new(format!("bytes a twin, of {twins}"), self.a_twin(none), "B").at_most(TARGET),
            Figure::new(format!("peak of a new list, of {twins}"), self.peak(), "x").at_most(PEAK),
        ]
    }

    fn line(&self, none: &Self) -> Value {
        json!({
            "build": if cfg!(debug_assertions) { "debug" } else { "release" },
            "twins": self.twins,
            "resident at 0 (KiB)": none.rest.resident,
            "resident (KiB)": self.rest.resident,
            "a twin (B)": self.a_twin(none).round(),
            "peak of a new list (KiB)": self.list.peak,
            "resident after it (KiB)": self.list.resident,
            "start until at rest (s)": self.took.as_secs_f64(),
            "processor (s)": self.used.as_secs_f64(),
            "calls at the API server": self.calls,
            "calls at the hub": self.hub,
        })
    }
}
