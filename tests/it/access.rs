//! ClusterHubConnections: who may use one for what.

use hubtwin::local_hub::knobs::Effect;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::support::{
    CLUSTER_CONNECTION, Cluster, Manifest, QUERY, Stage, TWIN, alone, cluster_connection, eventually, is_true, query,
    twin,
};

const SYNCED: &str = "Ready=True Synced";
const NOT_ALLOWED: &str = "Ready=False NotAllowed";

#[test]
fn access_entries_open_a_connection_at_once() {
    alone("access::access_entries_open_a_connection_at_once", entries());
}

#[test]
fn rights_are_needed_to_create_identities_and_to_remove_keys() {
    alone("access::rights_are_needed_to_create_identities_and_to_remove_keys", rights());
}

#[tokio::test]
async fn an_operator_of_one_namespace_reads_no_kinds_of_the_cluster() {
    let stage = Stage::bare(&[]).await;
    stage.apply(&shared(twin("pump"))).await;
    let status = stage.sees(TWIN, "pump", "Ready=False HubNotFound").await;
    assert!(Stage::message(&status, "Ready").contains("no kinds of the cluster"), "{status}");
    stage.end().await;
}

/// A stage whose operator watches everything, with a ClusterHubConnection that is open to nobody.
async fn stage() -> Stage {
    let stage = Stage::bare(&[]).await.everywhere().await;
    stage.apply(&stage.secret()).await;
    stage.apply(&cluster_connection("shared", &stage.host(), &stage.namespace)).await;
    stage.sees(CLUSTER_CONNECTION, "shared", "Ready=True Connected").await;
    stage
}

fn shared(object: Manifest) -> Manifest {
    object.set("spec.hubRef", json!({"kind": CLUSTER_CONNECTION, "name": "shared"}))
}

async fn open(stage: &Stage, access: Value) {
    stage.patch(CLUSTER_CONNECTION, "shared", json!({"spec": {"access": access}})).await;
}

async fn entries() {
    let stage = stage().await;
    for device in ["plant-1", "other-1"] {
        stage.register(device).await;
        stage.apply(&shared(twin(device)).tags(json!({"a": 1}))).await;
        let status = stage.sees(TWIN, device, NOT_ALLOWED).await;
        let (message, wanted) = (Stage::message(&status, "Ready"), format!("namespaces: [{}]", stage.namespace));
        assert!(message.contains(&wanted) && message.contains("kinds: [DeviceTwin]"), "{message}");
        assert_eq!(status["conditions"][2]["type"], "Stalled", "{status}");
    }
    stage.apply(&shared(query("all", "SELECT * FROM devices"))).await;
    stage.sees(QUERY, "all", NOT_ALLOWED).await;
    let calls = stage.calls(0).await;
    let touched = calls.iter().filter(|call| call.operation.starts_with("twin.")).count();
    assert_eq!(touched, 0, "nothing is read or written for who is not allowed: {calls:?}");

    // An entry opens it at once, for its devices only.
    let own = json!({"namespaces": [stage.namespace], "deviceIdPrefixes": ["plant-"]});
    open(&stage, json!([own])).await;
    stage.sees(TWIN, "plant-1", SYNCED).await;
    let status = stage.sees_status(TWIN, "other-1", "the prefix is missing", |status| {
        Stage::message(status, "Ready").contains("deviceIdPrefixes")
    });
    assert!(Stage::message(&status.await, "Ready").contains("device other-1"));
    assert_eq!(stage.content("other-1").await["tags"], json!({}));
    let status = stage.get(QUERY, "all").await["status"].clone();
    assert!(Stage::message(&status, "Ready").contains("kinds: [TwinQuery]"), "{status}");
    let queries = json!({"namespaces": [stage.namespace], "kinds": ["TwinQuery"]});
    open(&stage, json!([own, queries])).await;
    stage.sees(QUERY, "all", "Ready=True Fresh").await;

    labels(&stage, &own).await;

    // What was synced is told, too, when the entry goes; nothing at the hub changes by that.
    open(&stage, json!([])).await;
    stage.sees(TWIN, "plant-1", NOT_ALLOWED).await;
    stage.apply(&shared(twin("plant-1")).tags(json!({"a": 2}))).await;
    stage.sees(TWIN, "plant-1", NOT_ALLOWED).await;
    assert_eq!(stage.content("plant-1").await["tags"], json!({"a": 1}));
    stage.end().await;
}

/// The labels of a namespace open the connection, and close it.
async fn labels(stage: &Stage, own: &Value) {
    let neighbour = Cluster::new().await;
    stage.register("valve").await;
    neighbour.apply(&shared(twin("valve")).tags(json!({"b": 1}))).await;
    ready(&neighbour, "valve", "NotAllowed").await;
    open(stage, json!([own, {"namespaceSelector": {"matchLabels": {"team": "plant"}}}])).await;
    label(&neighbour, json!("other")).await;
    ready(&neighbour, "valve", "NotAllowed").await;
    let (before, began) = (reads(stage, "plant-1").await, std::time::Instant::now());
    label(&neighbour, json!("plant")).await;
    ready(&neighbour, "valve", "Synced").await;
    assert!(began.elapsed().as_secs() < 5, "a label counts at once, and took {:?}", began.elapsed());
    label(&neighbour, Value::Null).await;
    ready(&neighbour, "valve", "NotAllowed").await;
    assert_eq!(reads(stage, "plant-1").await, before, "a change of access reads nobody's twin again");
}

async fn reads(stage: &Stage, device: &str) -> usize {
    let calls = stage.calls(0).await;
    calls.iter().filter(|call| call.operation == "twin.get" && call.subject == device).count()
}

async fn label(cluster: &Cluster, team: Value) {
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let patch = Patch::Merge(json!({"metadata": {"labels": {"team": team}}}));
    api.patch_metadata(&cluster.namespace, &PatchParams::default(), &patch).await.expect("the namespace is labelled");
}

async fn rights() {
    let stage = stage().await;
    let entry = |allow: Value| json!([{"namespaces": [stage.namespace], "allow": allow}]);
    open(&stage, entry(json!([]))).await;

    // Who may not create waits for the device, and says what would help.
    let new = |name: &str| shared(twin(name)).set("spec.identity.policy", json!("CreateIfMissing"));
    stage.apply(&new("new").tags(json!({"a": 1}))).await;
    let status = stage.sees(TWIN, "new", "Ready=False DeviceNotFound").await;
    assert!(Stage::message(&status, "Ready").contains("add CreateIdentity"), "{status}");
    open(&stage, entry(json!(["CreateIdentity"]))).await;
    stage.sees(TWIN, "new", SYNCED).await;

    // Who may not remove keys leaves them, at once and with an Event.
    let removed = |name: &str| new(name).set("spec.deletionPolicy", json!("RemoveKeys")).tags(json!({"a": 1}));
    stage.apply(&removed("kept")).await;
    stage.sees(TWIN, "kept", SYNCED).await;
    stage.delete(TWIN, "kept").await;
    stage.sees_gone(TWIN, "kept").await;
    assert!(stage.sees_event("kept", "KeysLeft").await.contains("does not allow RemoveKeys"));
    assert_eq!(stage.content("kept").await["tags"], json!({"a": 1}));
    open(&stage, entry(json!(["CreateIdentity", "RemoveKeys"]))).await;
    stage.apply(&removed("cleared")).await;
    stage.sees(TWIN, "cleared", SYNCED).await;
    stage.delete(TWIN, "cleared").await;
    stage.sees_gone(TWIN, "cleared").await;
    assert_eq!(stage.content("cleared").await["tags"], json!({}));

    // A connection that went is remembered with its rights, to finish deletions.
    stage.apply(&removed("late")).await;
    stage.sees(TWIN, "late", SYNCED).await;
    stage.fault("twin.get", Some("late"), None, Effect::Code(503_000));
    stage.delete(TWIN, "late").await;
    stage.delete(CLUSTER_CONNECTION, "shared").await;
    stage.clear_faults().await;
    stage.sees_gone(TWIN, "late").await;
    assert_eq!(stage.content("late").await["tags"], json!({}));
    stage.end().await;
}

/// Waits for a reason of Ready at the object's generation.
async fn ready(cluster: &Cluster, name: &str, reason: &str) {
    eventually(&format!("{name} is {reason}"), || async {
        let object = cluster.get(TWIN, name).await;
        let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        let generation = &object["metadata"]["generation"];
        let found = conditions.any(|found| {
            found["type"] == "Ready" && found["reason"] == reason && found["observedGeneration"] == *generation
        });
        is_true(found, &object["status"])
    })
    .await;
}
