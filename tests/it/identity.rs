//! Devices and modules that the hub does not know.

use hubtwin::local_hub::knobs::Effect;
use serde_json::{Value, json};

use super::support::{CONNECTION, Manifest, Stage, TWIN, twin};

const SYNCED: &str = "Ready=True Synced";
const NOT_FOUND: &str = "Ready=False DeviceNotFound";

fn creating(name: &str) -> Manifest {
    twin(name).set("spec.identity.policy", json!("CreateIfMissing")).tags(json!({"a": 1}))
}

#[tokio::test]
async fn a_missing_device_is_created_once_and_not_brought_back() {
    let stage = Stage::new().await;
    stage.apply(&creating("pump")).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert!(stage.sees_event("pump", "IdentityCreated").await.contains("pump"));
    let identity = stage.back_end.get_identity(&Stage::id("pump")).await.unwrap();
    assert!(identity.primary_key.is_some(), "the hub made keys");
    assert_eq!(stage.content("pump").await["tags"], json!({"a": 1}));
    stage.back_end.delete_identity(&Stage::id("pump")).await.unwrap();
    stage.nudge(TWIN, "pump").await;
    stage.sees(TWIN, "pump", NOT_FOUND).await;
    let status =
        stage.sees_status(TWIN, "pump", "looked at", |status| status["lastHandledReconcileAt"].is_string()).await;
    assert!(Stage::message(&status, "Reconciling").contains("knows no device pump"), "{status}");
    assert!(stage.back_end.get_identity(&Stage::id("pump")).await.is_err(), "what was removed on purpose stays so");
    // Nor is one created that the policy asks to be there.
    stage.apply(&twin("absent")).await;
    stage.sees(TWIN, "absent", NOT_FOUND).await;
    assert!(stage.back_end.get_identity(&Stage::id("absent")).await.is_err());
    stage.end().await;
}

#[tokio::test]
async fn a_module_needs_its_device() {
    let stage = Stage::new().await;
    let flow = creating("flow").set("spec.deviceId", json!("pump")).set("spec.moduleId", json!("flow"));
    stage.apply(&flow).await;
    let status = stage.sees(TWIN, "flow", NOT_FOUND).await;
    assert!(Stage::message(&status, "Ready").contains("no device pump, which module flow needs"), "{status}");
    stage.register("pump").await;
    stage.sees(TWIN, "flow", SYNCED).await;
    assert_eq!(stage.content("pump/flow").await["tags"], json!({"a": 1}));
    assert_eq!(stage.content("pump").await["tags"], json!({}));
    // A module that must be there, of a device that is.
    let heat = twin("heat").set("spec.deviceId", json!("pump")).set("spec.moduleId", json!("heat"));
    stage.apply(&heat).await;
    let status = stage.sees(TWIN, "heat", NOT_FOUND).await;
    assert!(Stage::message(&status, "Ready").contains("no module heat of device pump"), "{status}");
    stage.register("pump/heat").await;
    stage.sees(TWIN, "heat", SYNCED).await;
    stage.end().await;
}

#[tokio::test]
async fn a_credential_that_may_not_create_is_this_objects_trouble() {
    let stage = Stage::new().await;
    stage.fault("identity.put", Some("pump"), None, Effect::Status(401));
    stage.apply(&creating("pump")).await;
    stage.sees(TWIN, "pump", "Ready=False Unauthorized").await;
    stage.register("valve").await;
    stage.apply(&twin("valve").tags(json!({"a": 1}))).await;
    stage.sees(TWIN, "valve", SYNCED).await;
    stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
    stage.clear_faults().await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.end().await;
}

#[tokio::test]
async fn only_the_hubs_own_words_say_that_a_device_is_gone() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"a": 1, "b": 2}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    // The first poll shows it; but a removal is made from a read only.
    let stage = stage.stop().await;
    stage.fault("twin.get", Some("pump"), None, Effect::Status(404));
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    let stage = stage.start().await;
    let status = stage.sees(TWIN, "pump", "Ready=False HubUnreachable").await;
    Stage::message(&status, "Reconciling");
    stage.clear_faults().await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.end().await;
}

#[tokio::test]
async fn ids_may_hold_every_character_that_the_hub_allows() {
    let stage = Stage::new().await;
    let every = "Az09-:.+%_#*?!(),=@;$'";
    stage.apply(&creating("device").set("spec.deviceId", json!(every))).await;
    stage.sees(TWIN, "device", SYNCED).await;
    let module = creating("module").set("spec.deviceId", json!(every)).set("spec.moduleId", json!(every));
    stage.apply(&module.set("spec.deletionPolicy", json!("RemoveKeys"))).await;
    let status = stage.sees(TWIN, "module", SYNCED).await;
    assert_eq!((&status["hub"]["deviceId"], &status["hub"]["moduleId"]), (&json!(every), &json!(every)));
    let read = stage.content(&format!("{every}/{every}")).await;
    assert_eq!(read["tags"], json!({"a": 1}));
    // The feed finds it, too.
    stage.foreign_patch(every, json!({"properties": {"desired": {"theirs": 1}}})).await;
    let version = stage.at_hub(every).await.version;
    stage.sees_status(TWIN, "device", "polled", |status| status["twin"]["version"] == version).await;
    stage.delete(TWIN, "module").await;
    stage.sees_gone(TWIN, "module").await;
    assert_eq!(stage.content(&format!("{every}/{every}")).await["tags"], Value::Object(serde_json::Map::new()));
    stage.end().await;
}
