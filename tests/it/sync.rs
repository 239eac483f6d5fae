//! What syncing means, seen at the hub and by kubectl.

use hubtwin::local_hub::knobs::Effect;
use serde_json::{Value, json};

use super::support::{Ack, Manifest, SimulatedDevice, Stage, TWIN, eventually, is_true, twin};

const SYNCED: &str = "Ready=True Synced";

/// Tags and desired as the hub has them.
async fn content(stage: &Stage, id: &str) -> Value {
    let twin = stage.at_hub(id).await;
    json!({"tags": twin.tags, "desired": twin.desired})
}

/// How often the hub was patched about a twin.
async fn patches(stage: &Stage, id: &str) -> usize {
    let calls = stage.calls(0).await;
    calls.iter().filter(|call| call.operation == "twin.patch" && call.subject == id).count()
}

fn pump() -> Manifest {
    twin("pump").tags(json!({"location": {"plant": "Redmond43"}})).desired(json!({"telemetry": {"intervalSec": 30}}))
}

#[tokio::test]
async fn tags_and_desired_go_in_one_patch_and_nothing_equal_follows() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&pump()).await;
    let status = stage.sees(TWIN, "pump", SYNCED).await;
    let counters = stage.counters().await;
    assert_eq!(counters.get("twin.patch.200"), Some(&1), "{counters:?}");
    assert_eq!(counters.get("twin.patch"), Some(&1), "{counters:?}");
    let expected = json!({"tags": {"location": {"plant": "Redmond43"}}, "desired": {"telemetry": {"intervalSec": 30}}});
    assert_eq!(status["applied"], expected);
    assert_eq!(content(&stage, "pump").await, expected);
    assert_eq!(status["hub"], json!({"host": stage.host(), "deviceId": "pump"}));
    assert_eq!(status["twin"]["etag"], stage.at_hub("pump").await.etag.as_str());

    // The same again by another way of writing it, and a new generation that asks for the same.
    let again = stage.kubectl_apply(&pump(), &["--server-side", "--force-conflicts"]).await;
    assert!(again.done, "{again:?}");
    stage
        .apply(
            &pump().desired(json!({"telemetry": {"intervalSec": 30.0}})).set("spec.convergence.timeout", json!("1h")),
        )
        .await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(patches(&stage, "pump").await, 1);

    let listed = stage.kubectl(&["get", "dt", "pump", "--no-headers"]).await;
    let columns: Vec<&str> = listed.stdout.split_whitespace().take(7).collect();
    assert_eq!(columns, ["pump", "plant-hub", "pump", "True", "Unknown", "2", "1"], "{listed:?}");
    stage.end().await;
}

#[tokio::test]
async fn what_others_hold_stays_and_what_leaves_the_spec_goes() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    let foreign = json!({"tags": {"owner": "x", "location": {"floor": 2}}, "properties": {"desired": {"debug": true}}});
    stage.foreign_patch("pump", foreign).await;
    let location = json!({"plant": "Redmond43", "region": "US"});
    stage.apply(&pump().tags(json!({"location": location}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    let merged = json!({"floor": 2, "plant": "Redmond43", "region": "US"});
    let expected = json!({
        "tags": {"owner": "x", "location": merged},
        "desired": {"debug": true, "telemetry": {"intervalSec": 30}},
    });
    assert_eq!(content(&stage, "pump").await, expected);

    stage.apply(&twin("pump").tags(json!({"location": {"plant": "Redmond43"}}))).await;
    stage.sees(TWIN, "pump", "Converged=True NothingDesired").await;
    let left =
        json!({"tags": {"owner": "x", "location": {"floor": 2, "plant": "Redmond43"}}, "desired": {"debug": true}});
    assert_eq!(content(&stage, "pump").await, left);

    stage.delete(TWIN, "pump").await;
    stage.apply(&twin("pump")).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(content(&stage, "pump").await, left, "deletion keeps the keys, and a new object owns none of them");
    assert_eq!(patches(&stage, "pump").await, 3, "one of them by another back end");
    stage.end().await;
}

#[tokio::test]
async fn the_sweep_finds_a_changed_tag_and_it_is_put_right() {
    let stage = Stage::with(|connection| connection.set("spec.sweepInterval", json!("10s"))).await;
    stage.register("pump").await;
    stage.register("watched").await;
    stage.apply(&pump()).await;
    let reporting = twin("watched").tags(json!({"line": 4})).set("spec.driftPolicy", json!("Report"));
    stage.apply(&reporting).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.sees(TWIN, "watched", SYNCED).await;
    stage.foreign_patch("pump", json!({"tags": {"location": {"plant": "Elsewhere"}, "owner": "maintenance"}})).await;
    stage.foreign_patch("watched", json!({"tags": {"line": 5}})).await;

    eventually("the hub has our tag again, and the other one still", || async {
        let tags = content(&stage, "pump").await["tags"].clone();
        is_true(tags == json!({"location": {"plant": "Redmond43"}, "owner": "maintenance"}), tags)
    })
    .await;
    let text = stage.sees_event("pump", "DriftCorrected").await;
    assert!(text.contains("/tags/location/plant"), "{text}");

    let status = stage.sees(TWIN, "watched", "Ready=False Drifted").await;
    assert_eq!(status["drift"], json!({"count": 1, "paths": ["/tags/line"]}));
    assert!(Stage::message(&status, "Ready").contains("/tags/line"), "{status}");
    Stage::message(&status, "Stalled");
    assert_eq!(content(&stage, "watched").await["tags"], json!({"line": 5}), "Report leaves it");
    stage.apply(&reporting.tags(json!({"line": 6}))).await;
    stage.sees(TWIN, "watched", SYNCED).await;
    assert_eq!(content(&stage, "watched").await["tags"], json!({"line": 6}), "a change of the spec is written");
    stage.end().await;
}

#[tokio::test]
async fn observe_and_suspend_write_nothing() {
    let stage = Stage::new().await;
    for id in ["observed", "asleep"] {
        stage.register(id).await;
    }
    let observed = twin("observed").tags(json!({"a": 1})).desired(json!({"b": {"c": 2}}));
    stage.apply(&observed.clone().set("spec.mode", json!("Observe"))).await;
    let status = stage.sees(TWIN, "observed", "Ready=True Observing").await;
    assert_eq!(status["plan"], json!({"count": 2, "paths": ["/tags/a", "/properties/desired/b/c"]}));
    assert_eq!(status["applied"], Value::Null, "what was never written is in no ledger");

    let asleep = twin("asleep").tags(json!({"a": 1}));
    stage.apply(&asleep.clone().set("spec.suspend", json!(true))).await;
    stage.sees(TWIN, "asleep", "Ready=False Suspended").await;
    let counters = stage.counters().await;
    assert_eq!(counters.get("twin.patch"), None, "{counters:?}");

    stage.apply(&observed).await;
    stage.apply(&asleep).await;
    let status = stage.sees(TWIN, "observed", SYNCED).await;
    assert_eq!(status["plan"], Value::Null);
    stage.sees(TWIN, "asleep", SYNCED).await;
    stage.apply(&asleep.clone().set("spec.suspend", json!(true))).await;
    stage.sees(TWIN, "asleep", "Ready=True Suspended").await;
    stage.apply(&asleep.tags(json!({"a": 2})).set("spec.suspend", json!(true))).await;
    stage.sees(TWIN, "asleep", "Ready=False Suspended").await;
    assert_eq!(content(&stage, "asleep").await["tags"], json!({"a": 1}));
    stage.end().await;
}

#[tokio::test]
async fn a_modules_twin_is_a_twin() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.register("pump/flow").await;
    let flow = twin("pump-flow").set("spec.deviceId", json!("pump")).set("spec.moduleId", json!("flow"));
    stage.apply(&flow.tags(json!({"line": 4})).desired(json!({"rate": 1.5}))).await;
    let status = stage.sees(TWIN, "pump-flow", SYNCED).await;
    assert_eq!(status["hub"], json!({"host": stage.host(), "deviceId": "pump", "moduleId": "flow"}));
    assert_eq!(content(&stage, "pump/flow").await, json!({"tags": {"line": 4}, "desired": {"rate": 1.5}}));
    assert_eq!(content(&stage, "pump").await, json!({"tags": {}, "desired": {}}));
    let _device = SimulatedDevice::connect(&stage, "pump/flow", json!({"ready": true}), Ack::Echo).await;
    let status = stage.sees(TWIN, "pump-flow", "Converged=True Confirmed").await;
    assert_eq!(status["properties"]["reported"], json!({"ready": true, "rate": 1.5}));
    stage.end().await;
}

#[tokio::test]
async fn what_a_device_reports_comes_back_and_its_echo_converges() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&pump()).await;
    let status = stage.sees(TWIN, "pump", "Converged=Unknown WaitingForDevice").await;
    assert_eq!(status["pending"], json!({"count": 1, "paths": ["/properties/desired/telemetry/intervalSec"]}));
    let report = json!({"connectivity": {"type": "cellular"}});
    let _device = SimulatedDevice::connect(&stage, "pump", report, Ack::Echo).await;
    let status = stage.sees(TWIN, "pump", "Converged=True Confirmed").await;
    let reported = json!({"connectivity": {"type": "cellular"}, "telemetry": {"intervalSec": 30}});
    assert_eq!(status["properties"]["reported"], reported);
    assert_eq!((&status["pending"], &status["connection"]["state"]), (&Value::Null, &json!("Connected")));
    assert!(status["reportedTime"].is_string(), "{status}");

    stage.apply(&pump().desired(json!({"telemetry": {"intervalSec": 60}}))).await;
    let status = stage.sees(TWIN, "pump", "Converged=True Confirmed").await;
    assert_eq!(status["properties"]["reported"]["telemetry"]["intervalSec"], 60);
    let waited = stage.kubectl(&["wait", "--for=condition=Converged", "--timeout=5s", "dt/pump"]).await;
    assert!(waited.done, "{waited:?}");
    assert_eq!(patches(&stage, "pump").await, 2);
    stage.end().await;
}

#[tokio::test]
async fn plug_and_play_acknowledgements_converge_too() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    let mirrored = pump().set("spec.mirror.reportedPaths", json!(["/telemetry/ac"]));
    stage.apply(&mirrored).await;
    let _device = SimulatedDevice::connect(&stage, "pump", json!({}), Ack::PlugAndPlay).await;
    let status = stage.sees(TWIN, "pump", "Converged=True Confirmed").await;
    assert_eq!(status["properties"]["reported"], json!({"telemetry": {"ac": 200}}), "only what is mirrored");
    stage.end().await;
}

#[tokio::test]
async fn a_foreign_write_between_read_and_write_is_not_lost() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&pump()).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    // While the operator still reads: it writes with an etag that is old by then.
    for round in 1..=3 {
        stage.fault("twin.get", Some("pump"), Some(1), Effect::SlowBody(1000));
        let before = stage.hub.count("twin.get");
        stage.apply(&pump().tags(json!({"location": {"plant": format!("plant{round}")}}))).await;
        eventually("a read", || async { is_true(stage.hub.count("twin.get") > before, before) }).await;
        stage.foreign_patch("pump", json!({"tags": {"location": {(format!("floor{round}")): round}}})).await;
        stage.sees(TWIN, "pump", SYNCED).await;
        let calls = stage.calls(0).await;
        let refused = calls.iter().filter(|call| call.operation == "twin.patch" && call.outcome == 412).count();
        assert_eq!(refused, round, "{calls:?}");
    }
    let location = json!({"floor1": 1, "floor2": 2, "floor3": 3, "plant": "plant3"});
    assert_eq!(content(&stage, "pump").await["tags"], json!({"location": location}));
    stage.end().await;
}

#[tokio::test]
async fn first_contact_may_ask_for_equal_values() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.foreign_patch("pump", json!({"tags": {"location": {"plant": "Elsewhere"}}})).await;
    let careful = pump().set("spec.adoption", json!("RequireEqual"));
    stage.apply(&careful).await;
    let status = stage.sees(TWIN, "pump", "Ready=False Conflict").await;
    assert!(Stage::message(&status, "Ready").contains("/tags/location/plant"), "{status}");
    assert_eq!(patches(&stage, "pump").await, 1, "nothing of the object is written");
    stage.apply(&pump()).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(content(&stage, "pump").await["tags"], json!({"location": {"plant": "Redmond43"}}));
    stage.end().await;
}
