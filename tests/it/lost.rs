//! Answers and writes that get lost on the way, at the hub and at the API server.

use http::Method;
use hubtwin::local_hub::knobs::{Effect, Fault, Knobs};
use serde_json::{Value, json};

use super::support::{Ack, CONNECTION, SimulatedDevice, Stage, TWIN, connection, eventually, is_true, twin};

const SYNCED: &str = "Ready=True Synced";
const STATUS: &str = "/devicetwins/pump/status";

async fn has_tags(stage: &Stage, tags: Value) {
    eventually("the hub has the tags", || async {
        let found = stage.content("pump").await["tags"].clone();
        is_true(found == tags, found)
    })
    .await;
}

#[tokio::test]
async fn a_status_that_could_not_be_written_loses_no_leaf() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.api.refuse(Method::PATCH, STATUS);
    stage.apply(&twin("pump").tags(json!({"a": 1, "b": 2}))).await;
    has_tags(&stage, json!({"a": 1, "b": 2})).await;
    // The object does not say yet that `b` is ours.
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    has_tags(&stage, json!({"a": 1})).await;
    stage.api.mend();
    let status = stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(status["applied"]["tags"], json!({"a": 1}));
    stage.end().await;
}

#[tokio::test]
async fn the_one_hole_in_the_ledger_is_a_lost_status_a_restart_and_an_edit() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.api.refuse(Method::PATCH, STATUS);
    stage.apply(&twin("pump").tags(json!({"a": 1, "b": 2}))).await;
    has_tags(&stage, json!({"a": 1, "b": 2})).await;
    let stage = stage.stop().await;
    stage.api.mend();
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    let stage = stage.start().await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 1, "b": 2}), "nobody knows any more that b was ours");
    stage.end().await;
}

#[tokio::test]
async fn a_status_whose_answer_is_lost_is_written_all_the_same() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.api.lose_answers(Method::PATCH, STATUS);
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.api.mend();
    stage.apply(&twin("pump").tags(json!({"a": 2}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(stage.patches("pump", None).await, 2);
    stage.end().await;
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_never_sent_again() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.fault("twin.patch", Some("pump"), Some(1), Effect::CutAfter);
    stage.apply(&twin("pump").tags(json!({"a": 1, "b": 2}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(stage.patches("pump", None).await, 1, "read, and found done");

    // The same, and the leaf leaves the spec before anybody could read.
    stage.fault("twin.patch", Some("pump"), Some(1), Effect::CutAfter);
    // The read before the write is the last one that works.
    let (operation, subject) = (Some("twin.get".to_owned()), Some("pump".to_owned()));
    stage.hub.add_fault(Fault { operation, subject, times: None, after: 1, delay_ms: 0, effect: Effect::Status(503) });
    stage.apply(&twin("pump").tags(json!({"a": 1, "b": 3, "c": 4}))).await;
    has_tags_without_reading(&stage).await;
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    stage.clear_faults().await;
    has_tags(&stage, json!({"a": 1})).await;
    let status = stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(status["applied"]["tags"], json!({"a": 1}));
    stage.end().await;
}

/// The second write has landed; reads of the twin fail for the test, too.
async fn has_tags_without_reading(stage: &Stage) {
    eventually("two writes", || async {
        let patches = stage.patches("pump", None).await;
        is_true(patches == 2, patches)
    })
    .await;
}

#[tokio::test]
async fn a_write_that_the_hub_refuses_waits_for_an_edit() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.fault("twin.patch", Some("pump"), Some(1), Effect::Status(400));
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    let status = stage.sees(TWIN, "pump", "Ready=False InvalidTwin").await;
    Stage::message(&status, "Stalled");
    assert_eq!(status["plan"], json!({"count": 1, "paths": ["/tags/a"]}));
    // Another back end writes, the feed shows it, an annotation that asks for nothing comes: no second try.
    stage.foreign_patch("pump", json!({"properties": {"desired": {"theirs": 1}}})).await;
    let version = stage.at_hub("pump").await.version;
    stage.sees_status(TWIN, "pump", "polled", |status| status["twin"]["version"] == version).await;
    stage.patch(TWIN, "pump", json!({"metadata": {"annotations": {"example.com/note": "x"}}})).await;
    stage.sees(TWIN, "pump", "Ready=False InvalidTwin").await;
    assert_eq!(stage.patches("pump", None).await, 2, "ours and that of the other back end");
    stage.apply(&twin("pump").tags(json!({"a": 2}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.end().await;
}

#[tokio::test]
async fn a_twin_that_always_moved_is_pending_and_then_synced() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.fault("twin.patch", Some("pump"), None, Effect::Status(412));
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    let status = stage.sees(TWIN, "pump", "Ready=False Pending").await;
    Stage::message(&status, "Reconciling");
    assert!(stage.patches("pump", Some(412)).await >= 5);
    stage.clear_faults().await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.end().await;
}

#[tokio::test]
async fn an_api_server_that_does_not_show_the_secret_takes_nothing_away() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
    let before = stage.get(CONNECTION, "plant-hub").await;
    stage.api.refuse(Method::GET, "/secrets/");
    let asked = stage.nudge(CONNECTION, "plant-hub").await;
    let after = stage
        .sees_status(CONNECTION, "plant-hub", "looked at", |status| status["lastHandledReconcileAt"] == asked.as_str())
        .await;
    assert_eq!(after["conditions"], before["status"]["conditions"]);
    stage.apply(&twin("pump").tags(json!({"a": 2}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.end().await;
}

#[tokio::test]
async fn a_chatty_device_is_written_at_its_interval_and_the_last_value_arrives() {
    let stage = Stage::with(|connection| connection.set("spec.statusInterval", json!("24h"))).await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    let before = stage.get(TWIN, "pump").await["metadata"]["resourceVersion"].clone();
    let _device = SimulatedDevice::connect(&stage, "pump", json!({"n": 1}), Ack::Echo).await;
    let since = stage.last_call().await;
    eventually("three polls", || async {
        let polls = stage.calls(since).await.iter().filter(|call| call.operation == "query").count();
        is_true(polls >= 3, polls)
    })
    .await;
    assert_eq!(stage.get(TWIN, "pump").await["metadata"]["resourceVersion"], before, "a report alone waits");
    // What concerns the spec does not, and takes along what waited.
    stage.apply(&twin("pump").tags(json!({"a": 2}))).await;
    let status = stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(status["properties"]["reported"]["n"], 1);
    stage.end().await;
}

#[tokio::test]
async fn an_object_that_cannot_be_read_stops_nobody() {
    let stage = Stage::new().await.stop().await;
    for name in ["odd", "pump"] {
        stage.register(name).await;
        stage.apply(&twin(name).tags(json!({"a": 1}))).await;
    }
    // The API server takes this time, and no clock shows it.
    let status = json!({"status": {"observedGeneration": 1, "reportedTime": "2026-02-20T00:00:00+99:99"}});
    let patch = ["patch", "dt", "odd", "--subresource=status", "--type=merge", "-p", &status.to_string()];
    let patched = stage.kubectl(&patch).await;
    assert!(patched.done, "{patched:?}");
    let stage = stage.start().await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(stage.patches("odd", None).await, 0);
    stage.end().await;
}

#[tokio::test]
async fn a_poll_of_many_pages_finds_everything() {
    let stage = Stage::bare(&[]).await;
    stage.hub.set_knobs(Knobs { page_size: Some(2), ..Default::default() });
    let names: Vec<String> = (0..9).map(|number| format!("pump-{number}")).collect();
    for name in &names {
        stage.register(name).await;
        stage.apply(&twin(name).tags(json!({"a": 1}))).await;
    }
    stage.apply(&stage.secret()).await;
    stage.apply(&connection(&stage.host())).await;
    for name in &names {
        stage.sees(TWIN, name, SYNCED).await;
    }
    for name in &names {
        stage.foreign_patch(name, json!({"properties": {"desired": {"theirs": 1}}})).await;
    }
    for name in &names {
        let version = stage.at_hub(name).await.version;
        stage.sees_status(TWIN, name, "polled", |status| status["twin"]["version"] == version).await;
    }
    stage.end().await;
}
