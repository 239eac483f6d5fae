//! `spec-edits` and `reported`: how long a change takes, in both directions.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use futures::future::try_join_all;
use hubtwin::hub::{IfMatch, TwinId, TwinPatch};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use super::report::{Figure, float};
use super::stage::Stage;
use crate::back_end::name;
use crate::client::{Client, Ways};
use crate::figures::{at, sorted};

/// Between two edits.
const EDIT: Duration = Duration::from_millis(100);
/// What an edit may take above the hub's own answer time.
const MARGIN: f64 = 30.0;
const PATIENCE: Duration = Duration::from_secs(90);
/// Reports a second.
const REPORTS: usize = 50;
/// Between two reports of one device.
const EVERY: Duration = Duration::from_secs(10);
/// What a report may take: the poll interval, the index delay, a second.
const SHOWN: f64 = 15.0 + LAG / 1e3 + 1.0;
/// Of the hub's index.
const LAG: f64 = 2000.0;

/// Edits specs, one after the other, first while nothing else happens, then while the whole fleet is swept every ten
/// seconds (as fast as its limit of queries lets it).
pub async fn edits(stage: &Stage, window: Duration) -> anyhow::Result<Vec<Figure>> {
    let edits = usize::try_from((window.as_millis() / EDIT.as_millis()).max(1))?.min(stage.twins / 4);
    let mut figures = some_edits(stage, 0..edits, "", MARGIN).await?;
    stage.connect_with(json!({"sweepInterval": "10s"})).await?;
    sleep(Duration::from_secs(2)).await;
    let before = stage.samples.now().await?;
    figures.extend(some_edits(stage, edits..2 * edits, " while swept", 2.0 * MARGIN).await?);
    let after = stage.samples.now().await?;
    figures.push(Figure::count("query pages while swept", after.since(&before, "query")));
    figures.push(Figure::count("GETs while swept", after.since(&before, "twin.get")));
    stage.connect_with(json!({"sweepInterval": null})).await?;
    Ok(figures)
}

async fn some_edits(
    stage: &Stage,
    numbers: std::ops::Range<usize>,
    when: &str,
    margin: f64,
) -> anyhow::Result<Vec<Figure>> {
    let edit = fastrand::u64(1..1 << 40);
    let (mut applied, mut answers, mut due) = (HashMap::new(), Vec::new(), Instant::now());
    let mut log = Log::default();
    for number in numbers {
        if number % 50 == 0 {
            log.read(stage).await?;
        }
        sleep_until(due).await;
        due = Instant::now().max(due + EDIT);
        let sent = SystemTime::now();
        stage.apply_twins(std::iter::once(number), edit).await?;
        applied.insert(name(number), (sent, SystemTime::now()));
        answers.push(own_answer(stage, stage.twins - 1 - number % 50).await?);
    }
    let seen = log.first_after(stage, &applied).await?;
    let times = |from: fn(&(SystemTime, SystemTime)) -> SystemTime| {
        let taken = |(name, at): (&String, &SystemTime)| at.duration_since(from(applied.get(name)?)).ok();
        // Who was faster than the API server's own answer took no time after it.
        sorted(applied.keys().map(|name| seen.get_key_value(name).and_then(taken).unwrap_or_default()).collect())
    };
    let (from_answer, from_sending, own) = (times(|times| times.1), times(|times| times.0), sorted(answers));
    let ms = |times: &[Duration], percent| at(times, percent).as_secs_f64() * 1e3;
    let own_p99 = ms(&own, 99.0);
    Ok(vec![
        Figure::count(format!("edits{when}"), applied.len() as u64),
        Figure::count(format!("edits that did not arrive{when}"), (applied.len() - seen.len()) as u64).at_most(0.0),
        Figure::new(format!("applied to PATCH, p50{when}"), ms(&from_answer, 50.0), "ms").beside(ms(&own, 50.0)),
        Figure::new(format!("applied to PATCH, p99{when}"), ms(&from_answer, 99.0), "ms")
            .at_most(own_p99 + margin)
            .beside(own_p99),
        Figure::new(format!("sent to PATCH, p99{when}"), ms(&from_sending, 99.0), "ms").beside(own_p99),
    ])
}

/// How long the hub takes for a write of another back end, to a key that is nobody's.
async fn own_answer(stage: &Stage, number: usize) -> anyhow::Result<Duration> {
    let id = TwinId::parse(&name(number), None)?;
    let tags = json!({"foreign": fastrand::u32(..)}).as_object().cloned();
    let began = Instant::now();
    stage.rival.patch_twin(&id, &TwinPatch { tags, desired: None }, IfMatch::Any).await?;
    Ok(began.elapsed())
}

/// Writes in the hub's log, which holds the newest ten thousand calls only.
#[derive(Default)]
struct Log {
    read: u64,
    writes: HashMap<String, Vec<SystemTime>>,
}

impl Log {
    async fn read(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let path = format!("/events?since={}&operation=twin.patch&outcome=200", self.read);
        for entry in stage.admin(&path).await?.as_array().context("a list of events")? {
            self.read = self.read.max(entry["seq"].as_u64().unwrap_or_default());
            let subject = entry["subject"].as_str().unwrap_or_default();
            let time: jiff::Timestamp = entry["time"].as_str().unwrap_or_default().parse()?;
            self.writes.entry(subject.to_owned()).or_default().push(time.into());
        }
        Ok(())
    }

    /// When the hub saw the first write to each of the twins after its edit was sent; waits for all of them.
    async fn first_after(
        &mut self,
        stage: &Stage,
        applied: &HashMap<String, (SystemTime, SystemTime)>,
    ) -> anyhow::Result<HashMap<String, SystemTime>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.read(stage).await?;
            let first = |(name, (sent, _)): (&String, &(SystemTime, SystemTime))| {
                let time = self.writes.get(name)?.iter().find(|time| *time >= sent)?;
                Some((name.clone(), *time))
            };
            let seen: HashMap<String, SystemTime> = applied.iter().filter_map(first).collect();
            if seen.len() == applied.len() || Instant::now() >= deadline {
                return Ok(seen);
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Five hundred devices report 50 times a second.
pub async fn reported(stage: &Stage, window: Duration) -> anyhow::Result<Vec<Figure>> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a constant")]
    stage.knobs(json!({"queryLagMs": LAG as u64})).await?;
    let devices = (REPORTS * usize::try_from(EVERY.as_secs())?).min(stage.twins / 2);
    // From the end of the fleet: other workloads have the beginning.
    let numbers: Vec<usize> = (stage.twins - devices..stage.twins).collect();
    let ways = Ways::new(&stage.hub, false)?;
    let mut clients = Vec::new();
    for some in numbers.chunks(32) {
        clients.extend(try_join_all(some.iter().map(|number| Client::connect(&ways, *number))).await?);
    }
    let (before, writes) = (stage.samples.now().await?, stage.watch.writes(|_| true));
    let (began, rounds) = (Instant::now(), (window.as_secs() / EVERY.as_secs()).max(1));
    let spread = |nth: usize| EVERY * u32::try_from(nth).unwrap_or(0) / u32::try_from(devices).unwrap_or(1);
    let told = clients.into_iter().enumerate().map(|(nth, client)| report(client, began + spread(nth), rounds));
    let told = try_join_all(told).await?;
    let (mut times, mut missing, deadline) = (Vec::new(), 0, Instant::now() + PATIENCE);
    for (number, reports) in numbers.iter().zip(&told) {
        for (count, at) in (1..).zip(reports) {
            let shown = wait_for(stage, &name(*number), count, deadline).await;
            missing += u64::from(shown.is_none());
            times.extend(shown.map(|shown| shown.saturating_duration_since(*at)));
        }
    }
    let (times, after) = (sorted(times), stage.samples.now().await?);
    let seconds = |percent| at(&times, percent).as_secs_f64();
    stage.knobs(json!({"queryLagMs": 0})).await?;
    Ok(vec![
        Figure::count("reports", told.iter().map(|reports| reports.len() as u64).sum()),
        Figure::count("reports that did not arrive", missing).at_most(0.0),
        Figure::count("versions that went back", stage.watch.went_back()).at_most(0.0),
        Figure::new("report to status, p50", seconds(50.0), "s"),
        Figure::new("report to status, p99", seconds(99.0), "s").at_most(SHOWN),
        Figure::count("GETs", after.since(&before, "twin.get")),
        Figure::count("query pages", after.since(&before, "query")),
        Figure::new(
            "statuses changed a second",
            float(stage.watch.writes(|_| true) - writes) / (after.at - before.at).as_secs_f64(),
            "",
        ),
    ])
}

/// When the status showed the value, or a newer one that took its place.
async fn wait_for(stage: &Stage, name: &str, count: u64, deadline: Instant) -> Option<Instant> {
    loop {
        match stage.watch.shown(name, count) {
            None if Instant::now() < deadline => sleep(Duration::from_millis(100)).await,
            shown => return shown,
        }
    }
}

/// Reports so often; answers when the hub had taken each.
async fn report(mut client: Client, mut due: Instant, rounds: u64) -> anyhow::Result<Vec<Instant>> {
    let mut taken = Vec::new();
    for round in 1..=rounds {
        sleep_until(due).await;
        client.report(round, due).await?;
        taken.push(Instant::now());
        due += EVERY;
    }
    client.leave().await?;
    Ok(taken)
}
