//! Days on which something else is broken: answers without end or sense, a clock that jumps, an API server that is gone, bad
//! objects among good ones. The good ones are served as always, each bad one says why, and nothing is written twice.

use std::time::Duration;

use http::Method;
use hubtwin::local_hub::knobs::{Effect, WrongToken};
use serde_json::{Value, json};

use super::support::{CONFIG_MAP, CONNECTION, QUERY, Stage, TWIN, connection, eventually, is_true, query, twin};

const SYNCED: &str = "Ready=True Synced";
const FRESH: &str = "Ready=True Fresh";
const CONNECTED: &str = "Ready=True Connected";

/// A stage whose feed asks once, with so many devices.
async fn stage_with(devices: usize) -> Stage {
    let stage = Stage::with(|connection| connection.set("spec.pollInterval", json!("24h"))).await;
    for n in 0..devices {
        stage.register(&format!("d{n}")).await;
    }
    stage.sees(CONNECTION, "plant-hub", CONNECTED).await;
    stage
}

#[tokio::test]
async fn a_result_without_end_is_cut() {
    let stage = stage_with(100).await;
    stage.fault("query", None, None, Effect::Continuation(WrongToken::Endless));
    let since = stage.last_call().await;
    stage.apply(&query("shown", "SELECT deviceId FROM devices").set("spec.interval", json!("24h"))).await;
    let status = stage.sees(QUERY, "shown", FRESH).await;
    assert_eq!((&status["count"], &status["truncated"]), (&json!(100), &json!(true)));
    let pages = stage.calls(since).await.iter().filter(|call| call.operation == "query").count();
    assert_eq!(pages, 2, "reading stops one row after the limit");
    let all = query("written", "SELECT deviceId FROM devices").set("spec.output.configMap.name", json!("all"));
    stage.apply(&all.set("spec.interval", json!("24h"))).await;
    let status = stage.sees(QUERY, "written", FRESH).await;
    assert_eq!((&status["count"], &status["truncated"]), (&json!(100_000), &json!(true)));
    assert!(Stage::message(&status, "Ready").contains("the hub has more than fit"), "{status}");
    let index = stage.get(CONFIG_MAP, "all").await;
    let index: Value = serde_json::from_str(index["data"]["index.json"].as_str().unwrap()).unwrap();
    assert_eq!((&index["rows"], &index["truncated"]), (&json!(100_000), &json!(true)));
    stage.end().await;
}

#[tokio::test]
async fn large_rows_are_shown_as_far_as_they_fit() {
    let stage = stage_with(10).await;
    let long = |size: usize| -> serde_json::Map<String, Value> {
        (0..size).map(|key| (format!("k{key}"), json!("x".repeat(4000)))).collect()
    };
    for n in 0..10 {
        let patch = json!({"tags": long(1), "properties": {"desired": long(8)}});
        stage.foreign_patch(&format!("d{n}"), patch).await;
    }
    stage.apply(&query("wide", "SELECT * FROM devices")).await;
    let status = stage.sees(QUERY, "wide", FRESH).await;
    let size = status["results"].to_string().len();
    assert!(size <= 256 * 1024, "{size}");
    assert_eq!((&status["count"], &status["truncated"]), (&json!(7), &json!(true)));
    stage.end().await;
}

#[tokio::test]
async fn a_hub_that_answers_garbage_for_an_hour_loses_nothing_and_nothing_is_written_twice() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"line": 4}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.apply(&query("all", "SELECT deviceId FROM devices")).await;
    let fresh = stage.sees(QUERY, "all", FRESH).await;
    let before = stage.get(TWIN, "pump").await["metadata"]["resourceVersion"].clone();
    for (effect, code) in [(Effect::NotJson, "garbage"), (Effect::Html(200), "a page"), (Effect::TruncatedBody, "half")]
    {
        for operation in ["query", "twin.get", "twin.patch"] {
            stage.fault(operation, None, None, effect.clone());
        }
        stage.nudge(CONNECTION, "plant-hub").await;
        stage.sees(CONNECTION, "plant-hub", "Ready=False HubUnreachable").await;
        stage.later(Duration::from_secs(20 * 60), QUERY, "all").await;
        let stale = stage.sees(QUERY, "all", "Ready=False Stale").await;
        assert_eq!(stale["results"], fresh["results"], "{code}");
        stage.ask_to_look(TWIN, "pump", code).await;
        assert_eq!(stage.patches("pump", None).await, 1, "{code}");
        stage.clear_faults().await;
    }
    stage.sees(CONNECTION, "plant-hub", CONNECTED).await;
    stage.sees(QUERY, "all", FRESH).await;
    let status = stage
        .sees_status(TWIN, "pump", "the look that was asked for", |status| status["lastHandledReconcileAt"] == "half")
        .await;
    assert_eq!(status["twin"]["desiredVersion"], 1);
    assert_ne!(stage.get(TWIN, "pump").await["metadata"]["resourceVersion"], before);
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(stage.patches("pump", None).await, 1);
    stage.end().await;
}

#[tokio::test]
async fn a_clock_that_jumps_forwards_and_back_stops_nothing() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"line": 4}))).await;
    stage.apply(&query("all", "SELECT * FROM devices WHERE IS_DEFINED(tags.line)")).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.sees_status(QUERY, "all", "the device", |status| status["count"] == 1).await;
    let day = Duration::from_secs(24 * 3600);
    for (value, line) in [("forwards", 5), ("back", 6), ("far back", 7)] {
        match value {
            "forwards" => stage.clock.advance(day),
            "back" => stage.clock.set_back(day),
            _ => stage.clock.set_back(day),
        }
        stage.apply(&twin("pump").tags(json!({"line": line}))).await;
        stage.sees(TWIN, "pump", SYNCED).await;
        assert_eq!(Value::Object(stage.at_hub("pump").await.tags), json!({"line": line}), "{value}");
        stage.sees_status(QUERY, "all", value, |status| status["results"][0]["tags"]["line"] == line).await;
        stage.sees(QUERY, "all", FRESH).await;
        // What somebody else changes is found by the feed, whatever the clock says.
        stage.foreign_patch("pump", json!({"properties": {"desired": {"moved": value}}})).await;
        let version = stage.at_hub("pump").await.desired_version;
        stage.sees_status(TWIN, "pump", value, |status| status["twin"]["desiredVersion"] == version).await;
    }
    let own = stage.calls(0).await.iter().filter(|call| call.operation == "twin.patch").count();
    assert_eq!(own, 4 + 3, "one write an edit, and the three of somebody else");
    stage.end().await;
}

#[tokio::test]
async fn an_api_server_that_is_gone_for_ten_minutes_is_caught_up_with() {
    let stage = Stage::new().await;
    for id in ["edited", "drifted", "moved"] {
        stage.register(id).await;
        stage.apply(&twin(id).tags(json!({"line": 4}))).await;
        stage.sees(TWIN, id, SYNCED).await;
    }
    stage.apply(&query("all", "SELECT deviceId, tags.line FROM devices WHERE tags.line = 5")).await;
    stage.sees(QUERY, "all", FRESH).await;
    for method in [Method::GET, Method::PATCH, Method::POST, Method::PUT, Method::DELETE] {
        stage.api.refuse(method, "/");
    }
    // What the operator still hears: the watch that is open, and the hub.
    stage.apply(&twin("edited").tags(json!({"line": 5}))).await;
    stage.foreign_patch("drifted", json!({"tags": {"line": 9}, "properties": {"desired": {"theirs": 1}}})).await;
    stage.foreign_patch("moved", json!({"properties": {"desired": {"theirs": 1}}})).await;
    eventually("the hub has what the edit asks", || async {
        let tags = Value::Object(stage.at_hub("edited").await.tags);
        is_true(tags == json!({"line": 5}), tags)
    })
    .await;
    for _ in 0..10 {
        stage.clock.advance(Duration::from_secs(60));
    }
    let moved = stage.at_hub("moved").await.desired_version;
    assert_ne!(stage.get(TWIN, "moved").await["status"]["twin"]["desiredVersion"], moved);
    stage.api.mend();
    let status = stage.sees(TWIN, "edited", SYNCED).await;
    assert_eq!(status["applied"]["tags"], json!({"line": 5}));
    stage.sees(TWIN, "drifted", SYNCED).await;
    eventually("the drift is corrected", || async {
        let tags = Value::Object(stage.at_hub("drifted").await.tags);
        is_true(tags == json!({"line": 4}), tags)
    })
    .await;
    stage.sees_status(TWIN, "moved", "the other's write", |status| status["twin"]["desiredVersion"] == moved).await;
    stage.sees_status(QUERY, "all", "the edited device", |status| status["count"] == 1).await;
    assert_eq!(stage.patches("edited", None).await, 2, "the first sync and the edit, each once");
    assert_eq!(stage.patches("drifted", None).await, 3, "the first sync, theirs, and one correction");
    stage.end().await;
}

#[tokio::test]
async fn two_connections_to_one_host_see_the_same_claims() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&connection(&stage.host()).set("metadata.name", json!("second"))).await;
    stage.sees(CONNECTION, "second", CONNECTED).await;
    let by = |name: &str, hub: &str, tags: Value| {
        twin(name).set("spec.deviceId", json!("pump")).set("spec.hubRef.name", json!(hub)).tags(tags)
    };
    stage.apply(&by("first", "plant-hub", json!({"line": 4}))).await;
    stage.sees(TWIN, "first", SYNCED).await;
    stage.apply(&by("other-leaf", "second", json!({"site": "north"}))).await;
    stage.sees(TWIN, "other-leaf", SYNCED).await;
    stage.apply(&by("same-leaf", "second", json!({"line": 5}))).await;
    let status = stage.sees(TWIN, "same-leaf", "Ready=False Conflict").await;
    assert!(Stage::message(&status, "Ready").contains("/tags/line"), "{status}");
    assert_eq!(Value::Object(stage.at_hub("pump").await.tags), json!({"line": 4, "site": "north"}));
    assert_eq!(stage.patches("pump", None).await, 2);
    stage.end().await;
}

#[tokio::test]
async fn invalid_twins_among_good_ones_cost_the_good_ones_nothing() {
    let stage = stage_with(300).await;
    let since = stage.last_call().await;
    let good = |n: usize| !n.is_multiple_of(3);
    for n in 0..300 {
        let tags = if good(n) { json!({"line": n}) } else { json!({"a.b": n}) };
        stage.apply(&twin(&format!("d{n}")).tags(tags)).await;
    }
    for n in 0..300 {
        let name = format!("d{n}");
        if good(n) {
            stage.sees(TWIN, &name, SYNCED).await;
        } else {
            let status = stage.sees(TWIN, &name, "Ready=False InvalidTwin").await;
            assert!(Stage::message(&status, "Ready").contains("/tags/a.b: the key holds"), "{status}");
        }
    }
    let calls = stage.calls(since).await;
    let bad = |subject: &str| subject.strip_prefix('d').and_then(|n| n.parse().ok()).is_some_and(|n| !good(n));
    assert!(calls.iter().all(|call| !bad(&call.subject)), "no call is about a bad one");
    let patches = calls.iter().filter(|call| call.operation == "twin.patch").count();
    let reads = calls.iter().filter(|call| call.operation == "twin.get").count();
    assert_eq!(patches, 200);
    assert!(reads <= 200, "{reads}");
    stage.end().await;
}
