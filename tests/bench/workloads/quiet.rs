//! `idle` and `chatty`: what a fleet at rest costs, and one with a few devices that never rest.

use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::report::{Figure, float};
use super::stage::Stage;
use crate::back_end::name;
use crate::client::{Client, Ways};

const POLL: f64 = 15.0;
const LOOK_BACK: f64 = 600.0;
const SWEEP: f64 = 3600.0;
const PAGE: f64 = 100.0;
/// At most one status write in so many seconds.
const STATUS_INTERVAL: f64 = 5.0;
const CHATTY: usize = 10;
/// Between two reports of a chatty device.
const EVERY: Duration = Duration::from_millis(200);
/// How long the last value may take: poll, statusInterval, index delay, a second.
const SETTLE: Duration = Duration::from_secs(23);

/// Nothing happens.
pub async fn idle(stage: &Stage, window: Duration) -> anyhow::Result<Vec<Figure>> {
    let (before, statuses) = (stage.samples.now().await?, stage.watch.writes(|_| true));
    let used = stage.running()?.processor_time()?;
    sleep(window).await;
    let after = stage.samples.now().await?;
    let (seconds, twins) = (window.as_secs_f64(), float(stage.twins as u64));
    let polls = (seconds / POLL).ceil() + (seconds / LOOK_BACK).ceil() + 1.0;
    let sweep = (twins / PAGE * seconds / SWEEP).ceil() + 1.0;
    let used = (stage.running()?.processor_time()? - used).as_secs_f64();
    Ok(vec![
        Figure::count("PATCHes", after.since(&before, "twin.patch")).at_most(0.0),
        Figure::count("statuses changed", stage.watch.writes(|_| true) - statuses).at_most(0.0),
        Figure::count("GETs", after.since(&before, "twin.get")).at_most(0.0),
        // Polls do not grow with the fleet; the sweep is the part of it that is due in this time.
        Figure::count("query pages", after.since(&before, "query")).at_most(polls + sweep).beside(polls),
        Figure::new("processor time, of one core", used / seconds * 100.0, "%"),
        Figure::new("resident memory", float(stage.running()?.memory()?.resident) / 1024.0, "MiB"),
    ])
}

/// The first ten devices report five times a second.
pub async fn chatty(stage: &Stage, window: Duration) -> anyhow::Result<Vec<Figure>> {
    let is_chatty = |number: &str| (0..CHATTY).any(|chatty| name(chatty) == number);
    let ways = Ways::new(&stage.hub, false)?;
    let clients = try_join_all((0..CHATTY).map(|number| Client::connect(&ways, number))).await?;
    // That they are connected now is news of its own.
    sleep(Duration::from_secs(2)).await;
    let writes = |chatty: bool| stage.watch.writes(|name| is_chatty(name) == chatty);
    let (noisy, quiet, before) = (writes(true), writes(false), stage.samples.now().await?);
    let until = Instant::now() + window;
    let last = try_join_all(clients.into_iter().map(|client| talk(client, until))).await?;
    sleep(SETTLE).await;
    let arrived =
        last.iter().enumerate().filter(|(number, count)| stage.watch.shown(&name(*number), **count).is_some());
    let missing = CHATTY - arrived.count();
    let after = stage.samples.now().await?;
    let most = (window + SETTLE).as_secs_f64() / STATUS_INTERVAL + 1.0;
    Ok(vec![
        Figure::count("reports", last.iter().sum()),
        Figure::new("status writes a chatty device", float(writes(true) - noisy) / float(CHATTY as u64), "")
            .at_most(most),
        Figure::count("statuses changed of quiet twins", writes(false) - quiet).at_most(0.0),
        Figure::count("last values that did not arrive", missing as u64).at_most(0.0),
        Figure::count("GETs", after.since(&before, "twin.get")),
        Figure::count("query pages", after.since(&before, "query")),
    ])
}

/// Reports until then; answers how often it did.
async fn talk(mut client: Client, until: Instant) -> anyhow::Result<u64> {
    let mut due = Instant::now();
    for count in 1.. {
        client.report(count, due).await?;
        due += EVERY;
        if due >= until {
            client.leave().await?;
            return Ok(count);
        }
        sleep_until(due).await;
    }
    Ok(0)
}
