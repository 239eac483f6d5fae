//! The model test: random sequences of what users, other back ends, devices, networks and crashes do, played through the
//! real controllers against the local hub and a real API server; and an independent model that says what must hold once
//! things are calm, and what may be written on the way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;

use super::support::{eventually, is_true};
use ground::Ground;
use play::Play;
use step::{Step, Timed, everything, sequence};

mod api;
mod back_end;
mod chance;
mod claims;
mod converged;
mod device;
mod ground;
mod history;
mod judge;
mod left;
mod log;
mod narrow;
mod play;
mod replay;
mod rules;
mod step;
mod tree;
mod wire;

/// Sequences at a time on one ground: one operator and one hub serve them all, and a crash hits them all.
const ABREAST: usize = 18;
const GROUNDS: usize = 3;
const STEPS: usize = 40;
/// The variable that plays one sequence again.
const SEED: &str = "HUBTWIN_MODEL_SEED";

/// Beside the steps: what must have happened in a run.
const FAULTS: [&str; 22] = [
    "hub: CrashBefore",
    "hub: CrashAfter",
    "hub: CutBefore",
    "hub: CutAfter",
    "hub: Truncated",
    "hub: Late",
    "hub: Slow",
    "hub: 412",
    "hub: 429",
    "hub: 500",
    "hub: 503",
    "hub: another back end writes between read and write (412)",
    "PATCH 412",
    "API server: CrashBefore",
    "API server: CrashAfter",
    "API server: LostBefore",
    "API server: LostAfter",
    "API server: Refused",
    "API server: Conflict",
    "status write 409",
    "operator: crash",
    "operator: restart",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_the_rules_hold() {
    let replayed = std::env::var(SEED).ok().map(|text| text.parse().expect("a seed is a number"));
    let first: u64 = replayed.unwrap_or_else(|| fastrand::u64(..1 << 48));
    println!("the same sequences again: {SEED}={first}");
    let grounds = if replayed.is_some() { 1 } else { GROUNDS };
    let seeds = |ground: usize| -> Vec<u64> {
        let nth = |n: usize| first + if replayed.is_some() { 0 } else { (ground * ABREAST + n) as u64 };
        (0..ABREAST).map(nth).collect()
    };
    let whole = |ground: usize| ground == 0 && replayed.is_none();
    let played = join_all((0..grounds).map(|ground| on_a_ground(seeds(ground), whole(ground)))).await;
    let mut hits = BTreeMap::new();
    let mut failures = Vec::new();
    for Played { hits: some, failures: more } in played {
        failures.extend(more);
        for (name, count) in some {
            *hits.entry(name).or_insert(0) += count;
        }
    }
    hits.iter().for_each(|(name, count)| println!("{count:>6} {name}"));
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n\n"));
    if replayed.is_none() {
        let missed: Vec<&str> =
            Step::NAMES.into_iter().chain(FAULTS).filter(|name| !hits.contains_key(*name)).collect();
        assert!(missed.is_empty(), "never happened: {missed:?}");
    }
}

/// What became of the sequences on one ground.
struct Played {
    hits: BTreeMap<String, u64>,
    failures: Vec<String>,
}

/// `whole`: also the sequence that has everything in it.
async fn on_a_ground(seeds: Vec<u64>, whole: bool) -> Played {
    let ground = Ground::new().await;
    let mut sequences: Vec<(u64, Vec<Timed>)> = seeds.into_iter().map(|seed| (seed, sequence(seed, STEPS))).collect();
    if whole {
        sequences.push((0, everything()));
    }
    let play = |(nth, (seed, steps)): (usize, (u64, Vec<Timed>))| {
        let ground = ground.clone();
        async move {
            let about = if nth % 6 == 5 { format!("d{nth}/m") } else { format!("d{nth}") };
            let mut play = Play::new(ground, seed, &about).await;
            let ended = play.run(&steps).await;
            (play, ended)
        }
    };
    let played = join_all(sequences.into_iter().enumerate().map(play)).await;
    let mut failures: Vec<String> = Vec::new();
    let mut calm = Vec::new();
    for (play, ended) in played {
        match ended {
            Ok(()) => calm.push(play),
            Err(why) => failures.push(failure(&play, &why)),
        }
    }
    ground.wire.clear("");
    if failures.is_empty() {
        failures.extend(stays_calm(&ground, &calm).await);
    }
    ground.stop().await;
    let mut records = ground.log.records();
    failures.append(&mut records.wrong);
    let hits = std::mem::take(&mut records.hits);
    Played { hits, failures }
}

fn failure(play: &Play, why: &str) -> String {
    format!(
        "{} of {}: {why}\nthe same again: {SEED}={}\n{}\nwritten:\n{}",
        play.about,
        play.ground.cluster.namespace,
        play.seed,
        play.told.join("\n"),
        play.writes().join("\n")
    )
}

/// Nothing is written over a further poll and sweep.
async fn stays_calm(ground: &Arc<Ground>, plays: &[Play]) -> Vec<String> {
    // What is under way comes to rest, and a sweep that looks at the calm begins after it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (writes, before) = (ground.log.writes(), versions(ground).await);
    for (what, count) in [(wire::SWEEP, 1), (wire::POLL, 1)] {
        let asked = || ground.log.records().hits.get(what).copied().unwrap_or_default();
        let since = asked();
        eventually(what, || async { is_true(asked() >= since + count, asked()) }).await;
    }
    // What they find is acted upon in a moment, or never.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut failures = Vec::new();
    if ground.log.writes() != writes {
        failures.push(format!("{} writes while nothing happened", ground.log.writes() - writes));
    }
    let after = versions(ground).await;
    if after != before {
        failures.push(format!("objects moved while nothing happened: {before:?} to {after:?}"));
    }
    for play in plays {
        if let Err((object, why)) = play.judged(None).await {
            failures.push(failure(play, &format!("after calm: {why}\nthe object: {object}")));
        }
    }
    failures
}

/// Names and resourceVersions of all objects of our kinds, and of Events.
async fn versions(ground: &Ground) -> BTreeMap<String, String> {
    let listed = ground.cluster.kubectl(&["get", "twins,events", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&listed.stdout).expect("kubectl prints JSON");
    let items = list["items"].as_array().expect("a list has items");
    let text = |item: &Value, key: &str| item["metadata"][key].as_str().unwrap_or_default().to_owned();
    items
        .iter()
        .map(|item| (format!("{} {}", item["kind"], text(item, "name")), text(item, "resourceVersion")))
        .collect()
}
