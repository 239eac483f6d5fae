//! An operator that starts where another one stopped: the ledger in status is all that it needs.

use serde_json::{Value, json};

use super::support::{Stage, TWIN, eventually, is_true, twin};

const SYNCED: &str = "Ready=True Synced";

#[tokio::test]
async fn a_restart_of_what_is_in_sync_writes_nothing() {
    let stage = Stage::new().await;
    let ids = ["a", "b", "c"];
    for id in ids {
        stage.register(id).await;
        stage.apply(&twin(id).tags(json!({"line": 4})).desired(json!({"rate": 1.5}))).await;
    }
    stage.register("a/flow").await;
    stage.apply(&twin("flow").set("spec.deviceId", json!("a")).set("spec.moduleId", json!("flow"))).await;
    let ids = ["a", "b", "c", "flow"];
    for id in ids {
        stage.sees(TWIN, id, SYNCED).await;
    }
    let stage = stage.stop().await;
    let mut before = Vec::new();
    for id in ids {
        before.push(stage.get(TWIN, id).await);
    }
    let since = stage.last_call().await;
    let stage = stage.start().await;
    // Each of two queries: devices and modules.
    eventually("two polls", || async {
        let queries = stage.calls(since).await.iter().filter(|call| call.operation == "query").count();
        is_true(queries >= 4, queries)
    })
    .await;
    let calls = stage.calls(since).await;
    assert!(calls.iter().all(|call| call.operation == "query"), "no point reads and no writes: {calls:?}");
    for (id, before) in ids.iter().zip(before) {
        assert_eq!(stage.get(TWIN, id).await, before);
    }
    stage.end().await;
}

#[tokio::test]
async fn what_happened_meanwhile_is_made_up_for() {
    let stage = Stage::new().await;
    for id in ["pump", "valve"] {
        stage.register(id).await;
    }
    let both = json!({"line": 4, "old": {"a": 1}});
    stage.apply(&twin("pump").tags(both.clone())).await;
    stage.apply(&twin("valve").tags(both)).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.sees(TWIN, "valve", SYNCED).await;

    let stage = stage.stop().await;
    stage.apply(&twin("pump").tags(json!({"line": 5}))).await;
    stage.apply(&twin("valve").tags(json!({"line": 4}))).await;
    stage.foreign_patch("pump", json!({"tags": {"old": {"foreign": true}}})).await;
    stage.foreign_patch("valve", json!({"tags": {"old": {"a": 2}, "line": 6}})).await;
    let stage = stage.start().await;

    stage.sees(TWIN, "pump", SYNCED).await;
    stage.sees(TWIN, "valve", SYNCED).await;
    let tags = |twin: hubtwin::hub::Twin| Value::Object(twin.tags);
    assert_eq!(tags(stage.at_hub("pump").await), json!({"line": 5, "old": {"foreign": true}}), "our leaf goes alone");
    let released = json!({"line": 4, "old": {"a": 2}});
    assert_eq!(tags(stage.at_hub("valve").await), released, "drift is corrected; what others changed is released");
    assert!(stage.sees_event("valve", "Released").await.contains("/tags/old/a"));
    stage.end().await;
}

#[tokio::test]
async fn the_annotation_asks_for_a_look_now() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"line": 4}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    // Nobody else would look at tags for an hour.
    stage.foreign_patch("pump", json!({"tags": {"line": 5}})).await;
    let asked = stage.kubectl(&["annotate", "dt", "pump", "hubtwin.dev/reconcile-requested-at=now"]).await;
    assert!(asked.done, "{asked:?}");
    stage.sees_status(TWIN, "pump", "a look", |status| status["lastHandledReconcileAt"] == "now").await;
    assert_eq!(Value::Object(stage.at_hub("pump").await.tags), json!({"line": 4}));
    stage.end().await;
}
