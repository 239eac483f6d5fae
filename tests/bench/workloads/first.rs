//! `first-sync`, `restart`, `start`: what a fleet costs before it is at rest.

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::report::{Figure, float};
use super::side::program;
use super::stage::Stage;

/// What no count may be above, of throttled answers among all.
pub const REFUSED: f64 = 0.001;
/// How long a restarted operator is watched: two polls, and the look-back at the start.
const AFTER_RESTART: Duration = Duration::from_secs(35);
/// Pages of one poll and one look-back; and one that the sweep asks for meanwhile.
const RESTART_PAGES: f64 = 3.0;
const STARTS: usize = 5;

/// Every twin is written for the first time.
pub async fn first_sync(stage: &mut Stage, cluster: &Cluster) -> anyhow::Result<Vec<Figure>> {
    let twins = float(stage.twins as u64);
    let (before, began) = (stage.samples.now().await?, Instant::now());
    let api_before = cluster.written().await?;
    stage.start().await?;
    stage.in_sync(stage.patience()).await?;
    let took = began.elapsed().as_secs_f64();
    let after = stage.samples.now().await?;
    let written = cluster.written().await? - api_before;
    let bound = stage.tier.bound(twins, cluster.status_writes);
    let process = stage.running()?;
    Ok(vec![
        Figure::new("PATCHes a twin", float(after.since(&before, "twin.patch")) / twins, "").at_most(1.0),
        Figure::new("GETs a twin", float(after.since(&before, "twin.get")) / twins, "").at_most(1.0),
        Figure::count("query pages", after.since(&before, "query")),
        // The connection's own few are among them.
        Figure::new("status writes a twin", float(stage.watch.writes(|_| true)) / twins, "").at_most(1.0),
        Figure::new("writes at the API server a twin", float(written) / twins, ""),
        refused(&after.refused(&before), after.calls(&before)),
        Figure::new("time", took, "s").beside(bound),
        Figure::new("time over the bound", took / bound, "").at_most(1.10).beside(1.0),
        Figure::new("processor time a twin", process.processor_time()?.as_secs_f64() * 1e3 / twins, "ms"),
        Figure::new("resident memory", float(process.memory()?.resident) / 1024.0, "MiB"),
    ])
}

pub fn refused(refused: &u64, calls: u64) -> Figure {
    Figure::new("throttled answers, of all calls", float(*refused) / float(calls.max(1)), "").at_most(REFUSED)
}

/// A fleet in sync gets a new process.
pub async fn restart(stage: &mut Stage, cluster: &Cluster) -> anyhow::Result<Vec<Figure>> {
    stage.stop();
    stage.next_day().await?;
    let (before, statuses) = (stage.samples.now().await?, stage.watch.writes(|_| true));
    let api_before = cluster.written().await?;
    let began = Instant::now();
    stage.start().await?;
    let ready = began.elapsed();
    sleep(AFTER_RESTART).await;
    let after = stage.samples.now().await?;
    let process = stage.running()?;
    Ok(vec![
        Figure::count("GETs", after.since(&before, "twin.get")).at_most(0.0),
        Figure::count("PATCHes", after.since(&before, "twin.patch")).at_most(0.0),
        Figure::count("query pages", after.since(&before, "query")).at_most(RESTART_PAGES),
        Figure::count("statuses changed", stage.watch.writes(|_| true) - statuses).at_most(0.0),
        // At most the connection's.
        Figure::count("writes at the API server", cluster.written().await? - api_before).at_most(2.0),
        Figure::new("time to ready", ready.as_secs_f64() * 1e3, "ms"),
        Figure::new("processor time", process.processor_time()?.as_secs_f64(), "s"),
        Figure::new("resident memory", float(process.memory()?.resident) / 1024.0, "MiB"),
    ])
}

/// From the start of the process to ready, the median of some.
pub async fn start(stage: &mut Stage) -> anyhow::Result<Vec<Figure>> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        stage.stop();
        let began = Instant::now();
        stage.start().await?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let median = times.get(STARTS / 2).context("a time")?;
    let size = std::fs::metadata(program())?.len();
    Ok(vec![
        Figure::new("time to ready, 1,000 objects", median.as_secs_f64() * 1e3, "ms").at_most(200.0),
        Figure::new("size of the program", float(size) / 1e6, "MB").at_most(20.0),
    ])
}
