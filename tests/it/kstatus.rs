//! Status as other tools read it: real objects from the real API server, judged by the library that Flux uses.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::support::{
    Ack, CONNECTION, Cluster, Gate, Manifest, QUERY, SimulatedDevice, Stage, TWIN, connection, eventually, query, root,
    secret, twin,
};

/// The program of `tests/kstatus`, built once.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let built = Command::new(root().join("tests/kstatus/build")).stderr(Stdio::inherit()).output();
        let built = built.expect("the script is there");
        assert!(built.status.success(), "tests/kstatus/build failed; its own words stand above");
        String::from_utf8(built.stdout).expect("a path is text").trim().to_owned()
    })
}

/// What kstatus says of an object: `STATUS: message`. Argo CD's health check, as the chart has it, has to agree.
fn judged(object: &Value) -> String {
    let health = root().join("charts/hubtwin/files/argocd/health.lua");
    let child = Command::new(program()).arg(health).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("the program is built");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    stdin.write_all(object.to_string().as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
    let verdict: Value = serde_json::from_slice(&output.stdout).expect("it prints JSON");
    agrees(object, &verdict);
    format!("{}: {}", verdict["status"].as_str().unwrap_or_default(), verdict["message"].as_str().unwrap_or_default())
}

/// Healthy is what kstatus calls Current, and so on; a suspended object is Suspended to Argo CD, whatever it holds, and
/// what is being deleted is Argo CD's own to see.
fn agrees(object: &Value, verdict: &Value) {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    let ready = conditions.find(|condition| condition["type"] == "Ready");
    let suspended = ready.is_some_and(|ready| ready["reason"] == "Suspended");
    let expected = match verdict["status"].as_str() {
        Some("Terminating") => return,
        _ if suspended => "Suspended",
        Some("Current") => "Healthy",
        Some("Failed") => "Degraded",
        _ => "Progressing",
    };
    assert_eq!(verdict["health"], expected, "{verdict}");
    let seen = object["status"]["observedGeneration"] == object["metadata"]["generation"];
    if let Some(ready) = ready.filter(|_| seen) {
        let said = verdict["healthMessage"].as_str().unwrap_or_default();
        assert!(said.starts_with(ready["reason"].as_str().unwrap_or_default()), "{verdict}");
    }
}

/// Waits for a condition, and then for what kstatus says of the object; its message carries the reason's own words.
async fn is(cluster: &Stage, kind: &str, name: &str, condition: &str, expected: &str) {
    cluster.sees(kind, name, condition).await;
    let verdict = judged(&cluster.get(kind, name).await);
    assert!(
        verdict.starts_with(&format!("{expected}:")),
        "{kind} {name} with {condition} is {expected}, not {verdict}"
    );
    if expected == "Failed" {
        assert!(verdict.len() > expected.len() + 10, "a failure says what is wrong: {verdict}");
    }
}

#[tokio::test]
async fn what_nobody_has_looked_at_is_in_progress_and_what_goes_is_terminating() {
    let cluster = Cluster::new().await;
    for manifest in [twin("pump"), query("all", "SELECT * FROM devices"), connection("plant.azure-devices.net")] {
        cluster.apply(&manifest).await;
        let (kind, name) = (manifest.resource().kind, manifest.name());
        let verdict = judged(&cluster.get(&kind, &name).await);
        assert!(verdict.starts_with("InProgress: "), "{kind}: {verdict}");
    }
    let held = twin("held").set("metadata.finalizers", json!(["example.com/held"]));
    cluster.apply(&held).await;
    cluster.delete(TWIN, "held").await;
    let verdict = judged(&cluster.get(TWIN, "held").await);
    assert!(verdict.starts_with("Terminating: "), "{verdict}");
    cluster.apply(&held.set("metadata.finalizers", json!([]))).await;
}

#[tokio::test]
async fn twins_are_current_in_progress_or_failed() {
    let stage = Stage::new().await;
    for id in ["synced", "observed", "asleep", "conflict", "large", "drifted", "gated", "refused", "unseen"] {
        stage.register(id).await;
    }
    let tags = |name: &str| twin(name).tags(json!({"line": 4}));
    stage.foreign_patch("conflict", json!({"tags": {"line": {"x": 1}}})).await;
    stage.foreign_patch("large", json!({"tags": {"x": "x".repeat(4090), "y": "y".repeat(4050)}})).await;
    let gated = |name: &str| twin(name).desired(json!({"rate": 1})).set("spec.convergence.gate", json!("Ready"));
    for manifest in [
        tags("synced"),
        tags("observed").set("spec.mode", json!("Observe")),
        tags("asleep").set("spec.suspend", json!(true)),
        tags("missing"),
        twin("invalid").tags(json!({"a.b": 1})),
        tags("conflict"),
        tags("large").tags(json!({"z": "z".repeat(100)})),
        tags("drifted").set("spec.driftPolicy", json!("Report")),
        tags("nowhere").set("spec.hubRef.name", json!("no-such-hub")),
        gated("gated"),
        gated("refused"),
        gated("unseen").set("spec.convergence.timeout", json!("5s")),
    ] {
        stage.apply(&manifest).await;
    }
    is(&stage, TWIN, "synced", "Ready=True Synced", "Current").await;
    is(&stage, TWIN, "observed", "Ready=True Observing", "Current").await;
    is(&stage, TWIN, "asleep", "Ready=False Suspended", "InProgress").await;
    is(&stage, TWIN, "missing", "Ready=False DeviceNotFound", "InProgress").await;
    is(&stage, TWIN, "invalid", "Ready=False InvalidTwin", "Failed").await;
    is(&stage, TWIN, "conflict", "Ready=False Conflict", "Failed").await;
    is(&stage, TWIN, "large", "Ready=False TooLarge", "Failed").await;
    is(&stage, TWIN, "nowhere", "Ready=False HubNotFound", "InProgress").await;
    is(&stage, TWIN, "gated", "Ready=False WaitingForDevice", "InProgress").await;
    is(&stage, TWIN, "unseen", "Ready=False DeviceOffline", "InProgress").await;
    let refusal = json!({"rate": {"value": 0, "ac": 400, "av": 9, "ad": "no"}});
    let _device = SimulatedDevice::connect(&stage, "refused", refusal, Ack::Silent).await;
    is(&stage, TWIN, "refused", "Ready=False DeviceRefused", "Failed").await;
    let _device = SimulatedDevice::connect(&stage, "unseen", json!({"other": 1}), Ack::Silent).await;
    is(&stage, TWIN, "unseen", "Ready=False AckTimeout", "Failed").await;
    let _device = SimulatedDevice::connect(&stage, "gated", json!({"rate": 1}), Ack::Silent).await;
    is(&stage, TWIN, "gated", "Ready=True Synced", "Current").await;

    stage.sees(TWIN, "drifted", "Ready=True Synced").await;
    stage.foreign_patch("drifted", json!({"tags": {"line": 5}})).await;
    stage.ask_to_look(TWIN, "drifted", "1").await;
    is(&stage, TWIN, "drifted", "Ready=False Drifted", "Failed").await;
    stage.apply(&tags("synced").set("spec.suspend", json!(true))).await;
    is(&stage, TWIN, "synced", "Ready=True Suspended", "Current").await;
    stage.end().await;
}

#[tokio::test]
async fn connections_and_queries_are_current_in_progress_or_failed() {
    let stage = Stage::new().await;
    let all = |name: &str| query(name, "SELECT deviceId FROM devices");
    stage.apply(&all("fresh")).await;
    stage.apply(&query("rejected", "SELECT * FROM nothing")).await;
    stage.apply(&all("asleep").set("spec.suspend", json!(true))).await;
    is(&stage, CONNECTION, "plant-hub", "Ready=True Connected", "Current").await;
    is(&stage, QUERY, "fresh", "Ready=True Fresh", "Current").await;
    is(&stage, QUERY, "rejected", "Ready=False QueryRejected", "Failed").await;
    is(&stage, QUERY, "asleep", "Ready=False Suspended", "InProgress").await;

    let named = |manifest: Manifest, name: &str| manifest.set("metadata.name", json!(name));
    let of = |host: &str, name: &str| {
        named(connection(host), name).set("spec.auth.connectionString.secretKeyRef.name", json!(name))
    };
    let string =
        |host: &str, key: &str| format!("HostName={host};SharedAccessKeyName=iothubowner;SharedAccessKey={key}");
    let wrong_key = "d3JvbmcgaHVudGVyMiB3cm9uZyBodW50ZXIyIHdyb25nISE=";
    let host = stage.host();
    for (name, text) in [
        ("nonsense", "nonsense".to_owned()),
        ("unauthorized", string(&host, wrong_key)),
        ("refused", string("elsewhere.example", wrong_key)),
    ] {
        stage.apply(&named(secret(&text, stage.hub.ca_pem()), name)).await;
        stage.apply(&of(&host, name)).await;
    }
    stage.apply(&of(&host, "missing")).await;
    is(&stage, CONNECTION, "missing", "Ready=False SecretMissing", "Failed").await;
    is(&stage, CONNECTION, "nonsense", "Ready=False SecretInvalid", "Failed").await;
    is(&stage, CONNECTION, "unauthorized", "Ready=False Unauthorized", "Failed").await;
    is(&stage, CONNECTION, "refused", "Ready=False HostRefused", "Failed").await;
    stage.end().await;
}

#[tokio::test]
async fn a_hub_that_cannot_be_reached_is_in_progress() {
    let bare = Stage::bare(&[]).await;
    let mut gate = Gate::to(bare.hub.https_port()).await;
    let host = format!("{}:{}", bare.hub.host(), gate.port);
    let stage = bare.allowing(&host).await;
    let string = stage.hub.service_connection_string().replace(&stage.host(), &host);
    stage.apply(&secret(&string, stage.hub.ca_pem())).await;
    stage.register("before").await;
    stage.register("after").await;
    stage.apply(&connection(&host)).await;
    stage.apply(&twin("before").tags(json!({"line": 4}))).await;
    is(&stage, TWIN, "before", "Ready=True Synced", "Current").await;
    gate.shut().await;
    is(&stage, CONNECTION, "plant-hub", "Ready=False HubUnreachable", "InProgress").await;
    stage.apply(&twin("after").tags(json!({"line": 4}))).await;
    is(&stage, TWIN, "after", "Ready=False HubUnreachable", "InProgress").await;
    let verdict = judged(&stage.get(TWIN, "before").await);
    assert!(verdict.starts_with("Current: "), "what was in sync stays so: {verdict}");
    stage.apply(&twin("before").tags(json!({"line": 5}))).await;
    eventually("a new generation is not in sync", || async {
        let verdict = judged(&stage.get(TWIN, "before").await);
        if verdict.starts_with("InProgress: ") { Ok(()) } else { Err(verdict) }
    })
    .await;
    is(&stage, TWIN, "before", "Ready=False HubUnreachable", "InProgress").await;
    gate.open().await;
    is(&stage, TWIN, "before", "Ready=True Synced", "Current").await;
    stage.end().await;
}
