//! Reasons whose cause is the hub as a whole: limits, quota, tier, and results that grow old.

use std::time::Duration;

use hubtwin::local_hub::knobs::Effect;
use serde_json::json;

use super::support::{CONNECTION, QUERY, Stage, TWIN, query, twin};

const SYNCED: &str = "Ready=True Synced";

/// A hub that answers everything with this code: who is new is told why, who was synced is left alone unless only people
/// can mend it, and all mends by itself.
async fn troubled(stage: &Stage, code: u32, reason: &str, beside: &str) {
    let before = stage.get(TWIN, "synced").await["metadata"]["resourceVersion"].clone();
    for operation in ["query", "twin.get", "twin.patch"] {
        stage.fault(operation, None, None, Effect::Code(code));
    }
    stage.nudge(CONNECTION, "plant-hub").await;
    let status = stage.sees(CONNECTION, "plant-hub", reason).await;
    Stage::message(&status, beside);
    let name = format!("new-{code}");
    stage.apply(&twin(&name).tags(json!({"a": 1}))).await;
    let status = stage.sees(TWIN, &name, reason).await;
    Stage::message(&status, beside);
    stage.sees(TWIN, &name, "Converged=Unknown NotSynced").await;
    stage.apply(&query(&name, "SELECT * FROM devices")).await;
    stage.sees(QUERY, &name, reason).await;
    if beside == "Reconciling" {
        let now = stage.get(TWIN, "synced").await["metadata"]["resourceVersion"].clone();
        assert_eq!(now, before, "{reason}: nothing is written to it");
    } else {
        stage.sees(TWIN, "synced", reason).await;
    }
    stage.clear_faults().await;
    stage.register(&name).await;
    stage.nudge(CONNECTION, "plant-hub").await;
    stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
    stage.sees(TWIN, &name, SYNCED).await;
    stage.sees(TWIN, "synced", SYNCED).await;
    stage.sees(QUERY, &name, "Ready=True Fresh").await;
}

#[tokio::test]
async fn what_the_whole_hub_says_has_its_reason_and_mends_by_itself() {
    let stage = Stage::new().await;
    stage.register("synced").await;
    stage.apply(&twin("synced").tags(json!({"a": 1}))).await;
    stage.sees(TWIN, "synced", SYNCED).await;
    assert!(stage.sees_event("synced", "Synced").await.contains("set /tags/a"));
    stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
    troubled(&stage, 429_001, "Ready=False Throttled", "Reconciling").await;
    troubled(&stage, 403_002, "Ready=False QuotaExceeded", "Reconciling").await;
    troubled(&stage, 403_010, "Ready=False WrongTier", "Stalled").await;
    stage.end().await;
}

#[tokio::test]
async fn results_grow_stale_and_stay() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&query("all", "SELECT * FROM devices")).await;
    let fresh = stage.sees(QUERY, "all", "Ready=True Fresh").await;
    stage.fault("query", None, None, Effect::Status(503));
    stage.later(Duration::from_secs(31), QUERY, "all").await;
    let status = stage.sees(QUERY, "all", "Ready=False Stale").await;
    Stage::message(&status, "Reconciling");
    assert_eq!(status["results"], fresh["results"]);
    stage.clear_faults().await;
    stage.nudge(CONNECTION, "plant-hub").await;
    stage.sees(QUERY, "all", "Ready=True Fresh").await;
    stage.end().await;
}

#[tokio::test]
async fn a_missing_connection_is_on_its_way_for_two_minutes() {
    let stage = Stage::bare(&[]).await;
    stage.apply(&twin("pump")).await;
    let status = stage.sees(TWIN, "pump", "Ready=False HubNotFound").await;
    Stage::message(&status, "Reconciling");
    stage.later(Duration::from_secs(121), TWIN, "pump").await;
    let status = stage.sees(TWIN, "pump", "Stalled=True HubNotFound").await;
    assert!(Stage::message(&status, "Ready").contains("there is no HubConnection plant-hub"), "{status}");
    stage.end().await;
}

#[tokio::test]
async fn a_connection_made_in_the_same_breath_is_never_missed() {
    let stage = Stage::bare(&[]).await;
    stage.register("pump").await;
    let seen = stage.watch_reasons(TWIN, "pump");
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    stage.apply(&stage.secret()).await;
    stage.apply(&super::support::connection(&stage.host())).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(seen.await.expect("the watch ends"), ["Synced"]);
    stage.end().await;
}
