//! Whether the device follows, and when Ready waits for it.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{Ack, Manifest, SimulatedDevice, Stage, TWIN, twin};

const DAY: Duration = Duration::from_secs(24 * 3600 + 1);

fn gated(name: &str) -> Manifest {
    twin(name).desired(json!({"rate": 1})).set("spec.convergence.gate", json!("Ready"))
}

#[tokio::test]
async fn ready_waits_for_the_device_where_it_is_asked_to() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&gated("pump")).await;
    let status = stage.sees(TWIN, "pump", "Ready=False WaitingForDevice").await;
    assert!(Stage::message(&status, "Reconciling").contains("/properties/desired/rate"), "{status}");
    stage.sees(TWIN, "pump", "Converged=Unknown WaitingForDevice").await;
    assert_eq!(stage.content("pump").await["desired"], json!({"rate": 1}));

    stage.later(DAY, TWIN, "pump").await;
    let status = stage.sees(TWIN, "pump", "Ready=False DeviceOffline").await;
    Stage::message(&status, "Reconciling");
    stage.sees(TWIN, "pump", "Converged=Unknown DeviceOffline").await;

    let _device = SimulatedDevice::connect(&stage, "pump", json!({"up": true}), Ack::Echo).await;
    stage.sees(TWIN, "pump", "Converged=True Confirmed").await;
    stage.sees(TWIN, "pump", "Ready=True Synced").await;
    stage.end().await;
}

#[tokio::test]
async fn a_device_that_is_there_and_silent_runs_out_of_time() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&gated("pump")).await;
    stage.sees(TWIN, "pump", "Ready=False WaitingForDevice").await;
    let _device = SimulatedDevice::connect(&stage, "pump", json!({"up": true}), Ack::Silent).await;
    stage.sees_status(TWIN, "pump", "seen", |status| status["properties"]["reported"]["up"] == true).await;
    stage.later(DAY, TWIN, "pump").await;
    let status = stage.sees(TWIN, "pump", "Ready=False AckTimeout").await;
    Stage::message(&status, "Stalled");
    stage.sees(TWIN, "pump", "Converged=False AckTimeout").await;
    // What need not be confirmed is not waited for.
    stage.apply(&gated("pump").set("spec.convergence.ignore", json!(["/rate"]))).await;
    stage.sees(TWIN, "pump", "Ready=True Synced").await;
    stage.end().await;
}

#[tokio::test]
async fn a_device_that_refuses_is_told_of() {
    let stage = Stage::new().await;
    for name in ["gated", "open"] {
        stage.register(name).await;
    }
    stage.apply(&gated("gated")).await;
    stage.apply(&twin("open").desired(json!({"rate": 1}))).await;
    let refusal = json!({"rate": {"value": 1, "ac": 406, "av": 2, "ad": "too fast"}});
    let mut devices = Vec::new();
    for name in ["gated", "open"] {
        stage.sees(TWIN, name, "Converged=Unknown WaitingForDevice").await;
        devices.push(SimulatedDevice::connect(&stage, name, refusal.clone(), Ack::Silent).await);
        stage.sees(TWIN, name, "Converged=False DeviceRefused").await;
        assert!(stage.sees_event(name, "RefusedByDevice").await.contains("too fast"));
    }
    let status = stage.sees(TWIN, "gated", "Ready=False DeviceRefused").await;
    assert!(Stage::message(&status, "Stalled").contains("ac 406 too fast"), "{status}");
    stage.sees(TWIN, "open", "Ready=True Synced").await;
    stage.end().await;
}

#[tokio::test]
async fn long_lists_are_cut_and_count_true() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    let long = "k".repeat(600);
    let mut leaves: serde_json::Map<String, Value> =
        (0..30).map(|number| (format!("leaf{number:02}"), json!(number))).collect();
    leaves.insert(long, json!(1));
    stage.apply(&twin("pump").desired(Value::Object(leaves))).await;
    let status = stage.sees(TWIN, "pump", "Converged=Unknown WaitingForDevice").await;
    assert_eq!(status["pending"]["count"], 31);
    let paths = status["pending"]["paths"].as_array().unwrap();
    assert!(paths.len() == 20 && paths.iter().all(|path| path.as_str().unwrap().len() <= 256), "{paths:?}");
    stage.end().await;
}
