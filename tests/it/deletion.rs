//! What deletion leaves at the hub, and that nothing ever hangs.

use std::time::Duration;

use hubtwin::local_hub::knobs::Effect;
use serde_json::{Value, json};

use super::support::{CONNECTION, Manifest, SECRET, Stage, TWIN, eventually, is_true, twin};

const SYNCED: &str = "Ready=True Synced";
const FINALIZER: &str = "hubtwin.dev/remove-keys";

fn removing(name: &str) -> Manifest {
    twin(name).set("spec.deletionPolicy", json!("RemoveKeys")).tags(json!({"a": {"x": 1}, "b": 2}))
}

async fn finalizers(stage: &Stage, name: &str) -> Value {
    stage.get(TWIN, name).await["metadata"]["finalizers"].clone()
}

/// A registered device with a foreign tag, and a synced object that removes its keys.
async fn synced(stage: &Stage, name: &str) {
    stage.register(name).await;
    stage.foreign_patch(name, json!({"tags": {"a": {"foreign": true}}})).await;
    stage.apply(&removing(name)).await;
    stage.sees(TWIN, name, SYNCED).await;
}

async fn tags(stage: &Stage, id: &str) -> Value {
    stage.content(id).await["tags"].clone()
}

fn kept() -> Value {
    json!({"a": {"foreign": true, "x": 1}, "b": 2})
}

#[tokio::test]
async fn remove_keys_takes_ours_and_leaves_the_rest() {
    let stage = Stage::new().await;
    synced(&stage, "pump").await;
    assert_eq!(finalizers(&stage, "pump").await, json!([FINALIZER]));
    stage.fault("twin.patch", Some("pump"), Some(2), Effect::Status(412));
    stage.delete(TWIN, "pump").await;
    stage.sees_gone(TWIN, "pump").await;
    assert_eq!(tags(&stage, "pump").await, json!({"a": {"foreign": true}}));
    assert_eq!(stage.patches("pump", Some(412)).await, 2);
    let told = stage.events_about("pump").await;
    assert!(told.iter().all(|(reason, _)| reason != "KeysLeft"), "{told:?}");
    stage.end().await;
}

#[tokio::test]
async fn the_finalizer_is_there_before_the_first_write_and_follows_the_policy() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    // No finalizer, no write.
    stage.api.refuse(http::Method::PATCH, "/devicetwins/pump");
    stage.apply(&removing("pump")).await;
    eventually("a look at the twin is due", || async {
        let queries = stage.calls(0).await.iter().filter(|call| call.operation == "query").count();
        is_true(queries >= 2, queries)
    })
    .await;
    assert_eq!(stage.patches("pump", None).await, 0);
    stage.api.mend();
    stage.sees(TWIN, "pump", SYNCED).await;

    stage.patch(TWIN, "pump", json!({"metadata": {"finalizers": [FINALIZER, "example.com/mine"]}})).await;
    stage.apply(&removing("pump").set("spec.deletionPolicy", json!("Retain"))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(finalizers(&stage, "pump").await, json!(["example.com/mine"]), "only our own goes");
    stage.apply(&removing("pump")).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(finalizers(&stage, "pump").await, json!(["example.com/mine", FINALIZER]));

    // Edited while it is being deleted, and invalid at that: the policy of the moment counts.
    stage.fault("twin.patch", Some("pump"), None, Effect::Status(503));
    stage.delete(TWIN, "pump").await;
    let invalid = removing("pump").tags(json!({"a.b": 1})).set("spec.deletionPolicy", json!("Retain"));
    stage.apply(&invalid).await;
    eventually("our finalizer is gone", || async {
        let found = finalizers(&stage, "pump").await;
        is_true(found == json!(["example.com/mine"]), found)
    })
    .await;
    stage.patch(TWIN, "pump", json!({"metadata": {"finalizers": null}})).await;
    stage.sees_gone(TWIN, "pump").await;
    stage.clear_faults().await;
    assert_eq!(tags(&stage, "pump").await, json!({"a": {"x": 1}, "b": 2}));
    stage.end().await;
}

#[tokio::test]
async fn an_object_that_may_not_write_leaves_its_keys_and_says_so() {
    let stage = Stage::new().await;
    for (name, path, value) in [("asleep", "spec.suspend", json!(true)), ("observed", "spec.mode", json!("Observe"))] {
        synced(&stage, name).await;
        stage.apply(&removing(name).set(path, value)).await;
        stage.sees_status(TWIN, name, "observed", |status| status["observedGeneration"] == 2).await;
        stage.delete(TWIN, name).await;
        stage.sees_gone(TWIN, name).await;
        assert!(stage.sees_event(name, "KeysLeft").await.contains(path), "{name}");
        assert_eq!(tags(&stage, name).await, kept());
    }
    // What is wrong with the spec does not keep the object, nor its keys.
    synced(&stage, "invalid").await;
    stage.apply(&removing("invalid").tags(json!({"a.b": 1}))).await;
    stage.sees(TWIN, "invalid", "Ready=False InvalidTwin").await;
    stage.delete(TWIN, "invalid").await;
    stage.sees_gone(TWIN, "invalid").await;
    assert_eq!(tags(&stage, "invalid").await, json!({"a": {"foreign": true}}));
    // A device that is gone has no keys.
    synced(&stage, "removed").await;
    stage.back_end.delete_identity(&Stage::id("removed")).await.unwrap();
    stage.delete(TWIN, "removed").await;
    stage.sees_gone(TWIN, "removed").await;
    let told = stage.events_about("removed").await;
    assert!(told.iter().all(|(reason, _)| reason != "KeysLeft"), "{told:?}");
    stage.end().await;
}

#[tokio::test]
async fn a_connection_that_went_with_its_secret_still_finishes_deletions() {
    let stage = Stage::new().await;
    synced(&stage, "pump").await;
    // A namespace that is being deleted takes no Events, and the order in which it is emptied is nobody's to choose.
    let namespace = stage.namespace.clone();
    let ending = stage.kubectl(&["delete", "namespace", &namespace, "--wait=false"]).await;
    assert!(ending.done, "{ending:?}");
    stage.delete(SECRET, "plant-hub").await;
    stage.delete(CONNECTION, "plant-hub").await;
    stage.delete(TWIN, "pump").await;
    stage.sees_gone(TWIN, "pump").await;
    assert_eq!(tags(&stage, "pump").await, json!({"a": {"foreign": true}}));
    stage.end().await;
}

#[tokio::test]
async fn nothing_waits_longer_than_ten_minutes() {
    let stage = Stage::new().await;
    for name in ["down", "refused", "lost"] {
        synced(&stage, name).await;
    }
    stage.fault("twin.patch", Some("down"), None, Effect::Status(503));
    stage.fault("twin.patch", Some("refused"), None, Effect::Status(400));
    for name in ["down", "refused"] {
        stage.delete(TWIN, name).await;
    }
    eventually("the write was refused", || async {
        let refused = stage.patches("refused", Some(400)).await;
        is_true(refused > 0, refused)
    })
    .await;
    for name in ["down", "refused"] {
        assert!(stage.find(TWIN, name).await.is_some(), "{name} waits");
    }
    stage.clock.advance(Duration::from_secs(601));
    for name in ["down", "refused"] {
        stage.sees_gone(TWIN, name).await;
        stage.sees_event(name, "KeysLeft").await;
    }
    stage.clear_faults().await;
    assert_eq!(tags(&stage, "down").await, kept());

    // A restart knows no credential of a connection that is gone.
    stage.delete(CONNECTION, "plant-hub").await;
    let stage = stage.stop().await.start().await;
    stage.apply(&twin("running")).await;
    stage.sees(TWIN, "running", "Ready=False HubNotFound").await;
    stage.delete(TWIN, "lost").await;
    stage.later(Duration::from_secs(300), TWIN, "lost").await;
    assert!(stage.find(TWIN, "lost").await.is_some());
    stage.later(Duration::from_secs(301), TWIN, "lost").await;
    stage.sees_gone(TWIN, "lost").await;
    assert!(stage.sees_event("lost", "KeysLeft").await.contains("there is no HubConnection"));
    assert_eq!(tags(&stage, "lost").await, kept());
    stage.end().await;
}
