//! Many devices at one local hub: what a connection costs in memory, how long a reported update takes, and whether any
//! is lost. The referees are the hub's counters and the twins.
//!
//! | setting (environment) | default | meaning |
//! | --- | --- | --- |
//! | `DEVICES` | 2000 | devices that are connected at once |
//! | `INTERVAL` | 10 | seconds between two reports of a device |
//! | `SECONDS` | 60 | how long they report |
//! | `WEBSOCKET` | 0 | 1: over WebSocket in place of plain TLS |
//! | `DATA` | 0 | 1: the hub keeps everything in a data folder |
//!
//! Latencies run from the moment at which a device means to send, so that waiting counts. A ping between two reports is
//! the floor of the same run: the same sockets, TLS and scheduling, and no twin.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::figures::Figures;
use self::referee::Referee;
use crate::client::{Client, Ways};
use crate::figures::setting;
use crate::hub::{self, HubProcess};

mod figures;
mod referee;

/// Connects under way at once: as many as keep two cores busy without a crowd at the door.
const CONNECTING: usize = 32;
/// How long the hub is left alone before its memory is read.
const REST: Duration = Duration::from_secs(3);

/// What is measured.
struct Plan {
    devices: usize,
    interval: Duration,
    seconds: u64,
    websocket: bool,
    data: bool,
}

impl Plan {
    fn read() -> anyhow::Result<Self> {
        Ok(Self {
            devices: usize::try_from(setting("DEVICES", 2000)?)?,
            interval: Duration::from_secs(setting("INTERVAL", 10)?),
            seconds: setting("SECONDS", 60)?,
            websocket: setting("WEBSOCKET", 0)? == 1,
            data: setting("DATA", 0)? == 1,
        })
    }

    /// How often each device reports.
    fn rounds(&self) -> u64 {
        (self.seconds / self.interval.as_secs().max(1)).max(1)
    }
}

/// Whether nothing was lost.
pub fn main() -> anyhow::Result<bool> {
    hub::enough_files()?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(&Plan::read()?))
}

async fn run(plan: &Plan) -> anyhow::Result<bool> {
    let hub = HubProcess::start(plan.data).await?;
    let referee = Referee::new(&hub)?;
    referee.register(plan.devices).await?;
    tokio::time::sleep(REST).await;
    let empty = hub.memory()?;

    let ways = Arc::new(Ways::new(&hub, plan.websocket)?);
    let began = Instant::now();
    let clients = connect(plan, &ways).await?;
    let connecting = began.elapsed();
    let mut figures = Figures::new(plan, connecting);
    figures.connects(clients.iter().map(|client| client.connect_time));
    tokio::time::sleep(REST).await;
    figures.memory(&empty, &hub.memory()?);

    let before = hub.processor_time()?;
    let clients = report(plan, clients).await?;
    figures.processor(hub.processor_time()? - before, plan);
    for client in &clients {
        figures.reports(client.reports.iter().copied());
        figures.pings(client.pings.iter().copied());
    }
    figures.peak(&hub.memory()?);

    let mut leaving = JoinSet::new();
    for client in clients {
        leaving.spawn(client.leave());
    }
    while let Some(left) = leaving.join_next().await {
        left??;
    }
    let losses = referee.losses(plan.devices, plan.rounds()).await?;
    figures.write(&losses)?;
    Ok(losses.is_empty())
}

/// Connects every device, a few at a time.
async fn connect(plan: &Plan, ways: &Arc<Ways>) -> anyhow::Result<Vec<Client>> {
    let door = Arc::new(Semaphore::new(CONNECTING));
    let mut connecting = JoinSet::new();
    for number in 0..plan.devices {
        let (door, ways) = (Arc::clone(&door), Arc::clone(ways));
        connecting.spawn(async move {
            let _turn = door.acquire_owned().await?;
            Client::connect(&ways, number).await.with_context(|| format!("connect device {number}"))
        });
    }
    let mut clients = Vec::with_capacity(plan.devices);
    while let Some(connected) = connecting.join_next().await {
        clients.push(connected??);
    }
    Ok(clients)
}

/// Every device reports at its own moments, spread over the interval, with a ping half-way between.
async fn report(plan: &Plan, clients: Vec<Client>) -> anyhow::Result<Vec<Client>> {
    let (start, count) = (Instant::now() + Duration::from_secs(1), u32::try_from(clients.len())?);
    let (interval, rounds) = (plan.interval, plan.rounds());
    let mut reporting = JoinSet::new();
    for (mut client, nth) in clients.into_iter().zip(0_u32..) {
        reporting.spawn(async move {
            let mut at = start + interval * nth / count.max(1);
            for round in 1..=rounds {
                tokio::time::sleep_until(at).await;
                client.report(round, at).await.with_context(|| format!("report {round} of device {nth}"))?;
                let half = at + interval / 2;
                tokio::time::sleep_until(half).await;
                client.ping(half).await.with_context(|| format!("ping of device {nth}"))?;
                at += interval;
            }
            anyhow::Ok(client)
        });
    }
    let mut clients = Vec::new();
    while let Some(reported) = reporting.join_next().await {
        clients.push(reported??);
    }
    Ok(clients)
}
