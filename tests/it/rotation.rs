//! A credential that changes while the operator writes.

use serde_json::json;

use super::support::{CONNECTION, SECRET, Stage, TWIN, twin};

/// How often each twin is edited.
const EDITS: i64 = 12;

#[tokio::test]
async fn a_new_credential_costs_no_failed_call_and_reads_nothing_again() {
    let stage = Stage::new().await;
    let names = ["a", "b", "c", "d"];
    for name in names {
        stage.register(name).await;
        stage.apply(&twin(name).tags(json!({"edit": 0}))).await;
        stage.sees(TWIN, name, "Ready=True Synced").await;
    }
    let first = stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
    let (before, reads) = (stage.last_call().await, stage.counters().await["twin.get"]);
    let other = stage.hub.policy_connection_string("service").expect("every hub has this policy");
    for edit in 1..=EDITS {
        if edit == EDITS / 3 {
            stage.patch(SECRET, "plant-hub", json!({"stringData": {"connectionString": other}})).await;
            stage.nudge(CONNECTION, "plant-hub").await;
        }
        for name in names {
            stage.apply(&twin(name).tags(json!({"edit": edit}))).await;
        }
    }
    for name in names {
        stage.sees(TWIN, name, "Ready=True Synced").await;
    }
    let now = stage.get(SECRET, "plant-hub").await["metadata"]["resourceVersion"].clone();
    assert_ne!(first["credential"]["secretResourceVersion"], now);
    stage
        .sees_status(CONNECTION, "plant-hub", "the new credential is in use", |status| {
            status["credential"]["secretResourceVersion"] == now
        })
        .await;
    // One more write, by the new credential for sure.
    for name in names {
        stage.apply(&twin(name).tags(json!({"edit": "last"}))).await;
        stage.sees(TWIN, name, "Ready=True Synced").await;
    }
    let calls = stage.calls(before).await;
    let failed: Vec<_> = calls.iter().filter(|call| call.outcome >= 400).collect();
    assert!(failed.is_empty(), "{failed:?}");
    // An edit is planned from a read of its own; nothing else is read again.
    let writes = calls.iter().filter(|call| call.operation == "twin.patch").count() as u64;
    let read = stage.counters().await["twin.get"] - reads;
    assert!(writes > 0 && read <= writes, "{read} reads for {writes} writes: what was known stays known");
    for name in names {
        assert_eq!(stage.content(name).await["tags"], json!({"edit": "last"}));
    }
    stage.end().await;
}
