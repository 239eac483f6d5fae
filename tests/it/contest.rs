//! Somebody keeps undoing our corrections; versions that go back.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{CONNECTION, Stage, TWIN, eventually, is_true, twin};

const SYNCED: &str = "Ready=True Synced";

/// Has the operator look at a twin now, and waits until it did.
async fn look(stage: &Stage, name: &str) {
    let asked = stage.nudge(TWIN, name).await;
    eventually(&format!("a look at {name}"), || async {
        let status = stage.get(TWIN, name).await["status"].clone();
        is_true(status["lastHandledReconcileAt"] == asked.as_str(), status)
    })
    .await;
}

async fn tag(stage: &Stage) -> Value {
    stage.content("pump").await["tags"]["a"].clone()
}

async fn undo(stage: &Stage) {
    stage.foreign_patch("pump", json!({"tags": {"a": "theirs"}})).await;
    look(stage, "pump").await;
}

#[tokio::test]
async fn a_contested_leaf_is_set_back_more_and_more_rarely_until_nobody_undoes_it() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"a": "ours", "b": 1}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    for _ in 0..3 {
        undo(&stage).await;
        assert_eq!(tag(&stage).await, "ours");
        stage.sees(TWIN, "pump", SYNCED).await;
    }
    assert!(stage.sees_event("pump", "DriftCorrected").await.contains("/tags/a"));
    undo(&stage).await;
    assert_eq!(tag(&stage).await, "theirs", "held back");
    let status = stage.sees(TWIN, "pump", "Ready=False Contested").await;
    assert!(Stage::message(&status, "Stalled").contains("/tags/a"), "{status}");
    assert_eq!(status["drift"], json!({"count": 1, "paths": ["/tags/a"]}));
    assert!(stage.sees_event("pump", "Contested").await.contains("/tags/a"));

    // A change of the spec is written all the same.
    stage.apply(&twin("pump").tags(json!({"a": "ours", "b": 2}))).await;
    stage.sees(TWIN, "pump", "Ready=False Contested").await;
    assert_eq!(stage.content("pump").await["tags"], json!({"a": "theirs", "b": 2}));
    // A minute later, and then two.
    stage.clock.advance(Duration::from_secs(61));
    look(&stage, "pump").await;
    assert_eq!(tag(&stage).await, "ours");
    undo(&stage).await;
    stage.clock.advance(Duration::from_secs(61));
    look(&stage, "pump").await;
    assert_eq!(tag(&stage).await, "theirs");
    stage.clock.advance(Duration::from_secs(61));
    look(&stage, "pump").await;
    assert_eq!(tag(&stage).await, "ours");
    let status = stage.sees(TWIN, "pump", "Ready=False Contested").await;
    assert_eq!(status["drift"], json!({"count": 1, "paths": ["/tags/a"]}), "also while our value is there");
    // An edit of the leaf ends it at once: the new value is contested by nobody yet.
    stage.apply(&twin("pump").tags(json!({"a": "new", "b": 2}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    for _ in 0..4 {
        undo(&stage).await;
    }
    stage.sees(TWIN, "pump", "Ready=False Contested").await;
    // The window passes, the value is set back, and it takes another one without a flip.
    stage.clock.advance(Duration::from_secs(3601));
    look(&stage, "pump").await;
    assert_eq!(tag(&stage).await, "new");
    stage.sees(TWIN, "pump", "Ready=False Contested").await;
    // An hour without a flip ends it.
    stage.clock.advance(Duration::from_secs(3601));
    look(&stage, "pump").await;
    let status = stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(status["drift"], Value::Null);
    stage.end().await;
}

#[tokio::test]
async fn a_configuration_that_sets_a_leaf_of_ours_is_named_until_it_stops() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&twin("pump").desired(json!({"rate": 5, "mode": "auto"}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    let desired = async || stage.content("pump").await["desired"].clone();
    let (ours, theirs) = (json!({"rate": 5, "mode": "auto"}), json!({"rate": 9, "mode": "auto", "extra": 1}));

    // Once is enough, for a configuration comes again; the first correction is made all the same.
    let written = stage.patches("pump", None).await;
    stage.configure("pump", "rollout-7", json!({"rate": 9, "extra": 1})).await;
    look(&stage, "pump").await;
    assert_eq!(desired().await, json!({"rate": 5, "mode": "auto", "extra": 1}), "its own leaf stays");
    let status = stage.sees(TWIN, "pump", "Ready=False Contested").await;
    let told = "/properties/desired/rate: the automatic configuration rollout-7 keeps setting it";
    assert!(Stage::message(&status, "Ready").contains(told), "{status}");
    assert!(Stage::message(&status, "Stalled").contains(told), "{status}");
    assert_eq!(status["drift"], json!({"count": 1, "paths": ["/properties/desired/rate"]}));
    assert!(stage.sees_event("pump", "Contested").await.contains("rollout-7"));
    assert_eq!(stage.patches("pump", None).await, written + 1);

    // It comes again, and has its way for a minute.
    stage.configure("pump", "rollout-7", json!({"rate": 9, "extra": 1})).await;
    look(&stage, "pump").await;
    assert_eq!(desired().await, theirs, "held back");
    assert_eq!(stage.patches("pump", None).await, written + 1);
    stage.clock.advance(Duration::from_secs(61));
    look(&stage, "pump").await;
    assert_eq!(desired().await["rate"], ours["rate"]);
    stage.sees(TWIN, "pump", "Ready=False Contested").await;

    // It comes no more: an hour later that is believed.
    stage.clock.advance(Duration::from_secs(3601));
    look(&stage, "pump").await;
    let status = stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(status["drift"], Value::Null);
    assert_eq!(stage.patches("pump", None).await, written + 2);
    stage.end().await;
}

#[tokio::test]
async fn a_device_that_was_made_again_gets_its_leaves_again() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    let old = twin("pump").tags(json!({"a": 1, "old": 1})).desired(json!({"rate": 1}));
    stage.apply(&old.clone().desired(json!({"rate": 0}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.apply(&old).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    let before = stage.get(TWIN, "pump").await["status"]["twin"]["version"].as_i64().unwrap();

    let stage = stage.stop().await;
    stage.back_end.delete_identity(&Stage::id("pump")).await.unwrap();
    stage.register("pump").await;
    // Whatever it holds now is not ours, though it may look so.
    stage.foreign_patch("pump", json!({"tags": {"a": 2, "old": 2}})).await;
    assert!(stage.at_hub("pump").await.version < before);
    stage.apply(&twin("pump").tags(json!({"a": 1})).desired(json!({"rate": 1}))).await;
    let stage = stage.start().await;
    stage.sees(TWIN, "pump", SYNCED).await;
    let status = stage
        .sees_status(TWIN, "pump", "its leaves again", |status| status["applied"]["tags"] == json!({"a": 1}))
        .await;
    assert_eq!(stage.content("pump").await, json!({"tags": {"a": 1, "old": 2}, "desired": {"rate": 1}}), "{status}");
    stage.sees_event("pump", "VersionsWentBack").await;
    let told = stage.events_about("pump").await;
    assert!(told.iter().all(|(reason, _)| reason != "DriftCorrected" && reason != "Released"), "{told:?}");
    stage.end().await;
}

#[tokio::test]
async fn many_devices_that_were_made_again_are_one_event_at_the_connection() {
    let stage = Stage::with(|connection| connection.set("spec.sweepInterval", json!("10s"))).await;
    let names: Vec<String> = (0..8).map(|number| format!("pump-{number}")).collect();
    for name in &names {
        stage.register(name).await;
        stage.apply(&twin(name).tags(json!({"a": 1})).desired(json!({"rate": 1}))).await;
    }
    for name in &names {
        stage.sees(TWIN, name, SYNCED).await;
    }
    let stage = stage.stop().await;
    for name in &names {
        stage.back_end.delete_identity(&Stage::id(name)).await.unwrap();
        stage.register(name).await;
    }
    let stage = stage.start().await;
    for name in &names {
        eventually(&format!("{name} has its tags again"), || async {
            let content = stage.content(name).await;
            is_true(content == json!({"tags": {"a": 1}, "desired": {"rate": 1}}), content)
        })
        .await;
        stage.sees(TWIN, name, SYNCED).await;
    }
    stage.sees_event("plant-hub", "VersionsWentBack").await;
    let mut told = 0;
    for name in &names {
        told += stage.events_about(name).await.iter().filter(|(reason, _)| reason == "VersionsWentBack").count();
    }
    assert_eq!(told, 5, "the first few tell of themselves");
    stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
    stage.end().await;
}

#[tokio::test]
async fn a_hub_that_failed_over_is_believed_once_no_index_can_be_that_late() {
    let stage = Stage::with(|connection| connection.set("spec.sweepInterval", json!("10s"))).await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.set(reqwest::Method::PUT, "/snapshots/before", &Value::Null).await;
    stage.apply(&twin("pump").tags(json!({"a": 2, "b": 2}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.set(reqwest::Method::POST, "/failover", &json!({"snapshot": "before"})).await;
    let since = stage.last_call().await;
    eventually("polls and a sweep", || async {
        let queries = stage.calls(since).await.iter().filter(|call| call.operation == "query").count();
        is_true(queries >= 6, queries)
    })
    .await;
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 1}), "rows of an older twin may be late ones");
    stage.clock.advance(Duration::from_secs(31 * 60));
    eventually("the hub has our tags again", || async {
        let tags = stage.content("pump").await["tags"].clone();
        is_true(tags == json!({"a": 2, "b": 2}), tags)
    })
    .await;
    stage.sees_event("pump", "VersionsWentBack").await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.end().await;
}
