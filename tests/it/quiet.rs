//! An idle stage: one query a poll interval, and no writes at all.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Ack, QUERY, SimulatedDevice, Stage, TWIN, eventually, is_true, query, twin};

/// Poll intervals of 5 s, give or take a fifth, that are looked at.
const POLLS: usize = 4;
const SHORTEST: Duration = Duration::from_secs(4);

async fn queries(stage: &Stage, since: u64) -> usize {
    stage.calls(since).await.iter().filter(|call| call.operation == "query").count()
}

async fn polls(stage: &Stage, since: u64, count: usize) {
    eventually("polls", || async {
        let seen = queries(stage, since).await;
        is_true(seen >= count, seen)
    })
    .await;
}

/// Names and resourceVersions of all objects of our kinds, and of Events.
async fn versions(stage: &Stage) -> BTreeSet<String> {
    let listed = stage.kubectl(&["get", "twins,events", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&listed.stdout).expect("kubectl prints JSON");
    let items = list["items"].as_array().expect("a list has items");
    items
        .iter()
        .map(|item| format!("{} {} {}", item["kind"], item["metadata"]["name"], item["metadata"]["resourceVersion"]))
        .collect()
}

#[tokio::test]
async fn an_idle_stage_asks_once_a_poll_and_writes_nothing() {
    let stage = Stage::new().await;
    let ids = ["silent", "echoing", "acknowledging"];
    let mut devices = Vec::new();
    for (id, ack) in ids.into_iter().zip([Ack::Silent, Ack::Echo, Ack::PlugAndPlay]) {
        stage.register(id).await;
        stage.apply(&twin(id).tags(json!({"line": 4})).desired(json!({"rate": 1.5}))).await;
        devices.push(SimulatedDevice::connect(&stage, id, json!({"up": true}), ack).await);
    }
    stage.apply(&query("all", "SELECT * FROM devices").set("spec.interval", json!("24h"))).await;
    stage.sees(QUERY, "all", "Ready=True Fresh").await;
    stage.sees(TWIN, "silent", "Converged=Unknown WaitingForDevice").await;
    for id in &ids[1..] {
        stage.sees(TWIN, id, "Converged=True Confirmed").await;
    }
    for id in ids {
        stage.sees_status(TWIN, id, "up", |status| status["properties"]["reported"]["up"] == true).await;
    }
    // What was under way comes to rest within a poll.
    polls(&stage, stage.last_call().await, 2).await;

    let (before, since, began) = (versions(&stage).await, stage.last_call().await, Instant::now());
    polls(&stage, since, POLLS).await;
    let (calls, took) = (stage.calls(since).await, began.elapsed());
    let other: Vec<_> = calls.iter().filter(|call| call.operation != "query").collect();
    assert!(other.is_empty(), "{other:?}");
    let most = u32::try_from(POLLS).expect("a small number") - 1;
    assert!(took >= SHORTEST * most, "{} queries in {took:?}", calls.len());
    assert_eq!(versions(&stage).await, before);
    drop(devices);
    stage.end().await;
}
