//! Two DeviceTwins for one twin.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Manifest, Stage, TWIN, eventually, is_true, twin};

const SYNCED: &str = "Ready=True Synced";
const CONFLICT: &str = "Ready=False Conflict";

/// A DeviceTwin of the device `pump`, whatever its name.
fn pump(name: &str, tags: Value) -> Manifest {
    twin(name).set("spec.deviceId", json!("pump")).tags(tags)
}

#[tokio::test]
async fn two_objects_share_a_twin_when_their_leaves_differ() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&pump("one", json!({"a": {"x": 1}, "c": {"__t": "c"}}))).await;
    stage.apply(&pump("two", json!({"a": {"y": 2}, "c": {"__t": "c"}}))).await;
    let one = stage.sees(TWIN, "one", SYNCED).await;
    let two = stage.sees(TWIN, "two", SYNCED).await;
    assert_eq!((&one["applied"]["tags"]["a"], &two["applied"]["tags"]["a"]), (&json!({"x": 1}), &json!({"y": 2})));
    let both = json!({"a": {"x": 1, "y": 2}, "c": {"__t": "c"}});
    assert_eq!(stage.content("pump").await["tags"], both);
    // What one gives up, the other keeps.
    stage.apply(&pump("one", json!({}))).await;
    let one = stage.sees(TWIN, "one", SYNCED).await;
    assert_eq!(one["applied"]["tags"], json!({}));
    assert_eq!(stage.content("pump").await["tags"], json!({"a": {"y": 2}, "c": {"__t": "c"}}));
    stage.end().await;
}

#[tokio::test]
async fn who_holds_a_leaf_wins_and_the_other_is_not_written_at_all() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&pump("zero", json!({"a": {"x": 1}}))).await;
    stage.sees(TWIN, "zero", SYNCED).await;
    // By name it would come first; but the other one holds the leaf.
    stage.apply(&pump("another", json!({"a": 2, "b": 3}))).await;
    let status = stage.sees(TWIN, "another", CONFLICT).await;
    let message = Stage::message(&status, "Ready");
    assert!(message.contains("/tags/a: DeviceTwin zero has /tags/a/x"), "{message}");
    Stage::message(&status, "Stalled");
    assert!(stage.sees_event("another", "Conflict").await.contains("zero"));
    assert_eq!(status["applied"], Value::Null);
    assert_eq!(stage.content("pump").await["tags"], json!({"a": {"x": 1}}));
    stage.sees(TWIN, "zero", SYNCED).await;

    // The winner gives the leaf up: the other one takes it at once.
    stage.apply(&pump("zero", json!({"c": 4}))).await;
    stage.sees(TWIN, "another", SYNCED).await;
    stage.sees(TWIN, "zero", SYNCED).await;
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 2, "b": 3, "c": 4}));

    // And back, when the new winner goes.
    stage.apply(&pump("zero", json!({"a": 5, "c": 4}))).await;
    stage.sees(TWIN, "zero", CONFLICT).await;
    stage.delete(TWIN, "another").await;
    stage.sees(TWIN, "zero", SYNCED).await;
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 5, "b": 3, "c": 4}), "Retain leaves b");
    stage.end().await;
}

#[tokio::test]
async fn only_objects_that_may_write_take_part_and_a_suspended_one_keeps_what_it_holds() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&pump("holder", json!({"a": 1}))).await;
    stage.sees(TWIN, "holder", SYNCED).await;
    let asleep = pump("holder", json!({"a": 1, "b": 1})).set("spec.suspend", json!(true));
    stage.apply(&asleep).await;
    stage.sees(TWIN, "holder", "Ready=False Suspended").await;
    stage.apply(&pump("observer", json!({"c": 1})).set("spec.mode", json!("Observe"))).await;
    stage.apply(&pump("invalid", json!({"c": 1, "a.b": 1}))).await;
    stage.sees(TWIN, "observer", "Ready=True Observing").await;
    stage.sees(TWIN, "invalid", "Ready=False InvalidTwin").await;
    // Neither what a suspended object only asks for, nor what the others name, is in the way.
    stage.apply(&pump("writer", json!({"b": 2, "c": 2}))).await;
    stage.sees(TWIN, "writer", SYNCED).await;
    stage.apply(&pump("writer", json!({"a": 2, "b": 2, "c": 2}))).await;
    stage.sees(TWIN, "writer", CONFLICT).await;
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 1, "b": 2, "c": 2}));
    let status = stage.sees(TWIN, "observer", "Ready=True Observing").await;
    assert_eq!(status["plan"], Value::Null);
    stage.end().await;
}

#[tokio::test]
async fn a_rename_hands_the_leaves_over_and_writes_nothing() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    let leaves = json!({"a": {"x": 1, "y": {}}, "b": 2});
    let named = |name: &str| pump(name, leaves.clone()).set("spec.deletionPolicy", json!("RemoveKeys"));
    stage.apply(&named("old")).await;
    stage.sees(TWIN, "old", SYNCED).await;
    let before = stage.at_hub("pump").await;
    stage.apply(&named("new")).await;
    stage.sees(TWIN, "new", CONFLICT).await;
    stage.delete(TWIN, "old").await;
    let status = stage.sees(TWIN, "new", SYNCED).await;
    stage.sees_gone(TWIN, "old").await;
    assert_eq!(status["applied"]["tags"], leaves);
    assert_eq!(stage.at_hub("pump").await, before, "nothing was written");
    stage.end().await;
}

#[tokio::test]
async fn after_a_restore_the_older_object_wins() {
    let stage = Stage::new().await.stop().await;
    stage.register("pump").await;
    let created = |object: Value| object["metadata"]["creationTimestamp"].clone();
    stage.apply(&pump("zero", json!({"a": 1}))).await;
    let first = created(stage.get(TWIN, "zero").await);
    // The time of creation has whole seconds.
    eventually("a later second", || async {
        stage.apply(&pump("another", json!({"a": 2}))).await;
        let then = created(stage.get(TWIN, "another").await);
        if then == first {
            stage.delete(TWIN, "another").await;
        }
        is_true(then != first, then)
    })
    .await;
    let stage = stage.start().await;
    stage.sees(TWIN, "zero", SYNCED).await;
    stage.sees(TWIN, "another", CONFLICT).await;
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 1}));
    let stage = stage.stop().await.start().await;
    stage.later(Duration::from_secs(1), TWIN, "another").await;
    stage.sees_status(TWIN, "another", "a look", |status| status["lastHandledReconcileAt"].is_string()).await;
    stage.sees(TWIN, "another", CONFLICT).await;
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 1}), "nor does a restart turn it around");
    stage.end().await;
}
