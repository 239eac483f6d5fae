//! Bad input and broken parts: each has its own reason, and repaired, the object recovers with no edit of its own.

use serde_json::{Value, json};

use super::support::{
    CONNECTION, Gate, Manifest, QUERY, SECRET, Stage, TWIN, connection, eventually, is_true, query, secret, twin,
};

const SYNCED: &str = "Ready=True Synced";

/// A key that no hub has.
const WRONG_KEY: &str = "d3JvbmcgaHVudGVyMiB3cm9uZyBodW50ZXIyIHdyb25nISE=";

#[tokio::test]
async fn an_invalid_twin_never_reaches_the_hub() {
    let stage = Stage::new().await;
    let cases = [
        ("dotted", twin("dotted").tags(json!({"a": {"b.c": 1}})), "/tags/a/b.c: the key holds"),
        (
            "long",
            twin("long").desired(json!({"a": "x".repeat(4097)})),
            "/properties/desired/a: the string has 4097 bytes; at most 4096 are allowed",
        ),
        ("array", twin("array").desired(json!({"a": {"b": [1, 2]}})), "/properties/desired/a/b: an array of 2"),
        (
            "null",
            twin("null").desired(json!({"a": {"b": 4_503_599_627_370_496_i64}})),
            "/properties/desired/a/b: 4503599627370496 is out of range",
        ),
    ];
    stage.register("valid").await;
    for (name, manifest, _) in &cases {
        stage.register(name).await;
        stage.apply(manifest).await;
    }
    stage.apply(&twin("valid").tags(json!({"a": 1}))).await;
    stage.sees(TWIN, "valid", SYNCED).await;
    for (name, _, message) in cases {
        let status = stage.sees(TWIN, name, "Ready=False InvalidTwin").await;
        assert!(Stage::message(&status, "Ready").contains(message), "{status}");
        Stage::message(&status, "Stalled");
        let calls = stage.calls(0).await;
        let about: Vec<_> = calls.iter().filter(|call| call.subject == name).map(|call| &call.operation).collect();
        assert_eq!(about, ["identity.put"], "only the test's own call");
        stage.apply(&twin(name).tags(json!({"a": 1}))).await;
        stage.sees(TWIN, name, SYNCED).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn what_others_hold_is_never_destroyed_nor_outgrown() {
    let stage = Stage::with(|connection| connection.set("spec.allowArrays", json!(true))).await;
    for id in ["shape", "size", "array"] {
        stage.register(id).await;
    }
    stage.foreign_patch("shape", json!({"tags": {"location": {"floor": 2}}})).await;
    stage.foreign_patch("size", json!({"tags": {"foreign": "x".repeat(4096), "more": "x".repeat(3000)}})).await;
    stage.apply(&twin("shape").tags(json!({"location": "US", "line": 4}))).await;
    stage.apply(&twin("size").tags(json!({"ours": "y".repeat(2000)}))).await;
    stage.apply(&twin("array").tags(json!({"lines": [1, {"a": 2}]}))).await;

    let status = stage.sees(TWIN, "shape", "Ready=False Conflict").await;
    let message = Stage::message(&status, "Ready");
    assert!(message.contains("/tags/location: setting it would destroy /tags/location/floor"), "{message}");
    let status = stage.sees(TWIN, "size", "Ready=False TooLarge").await;
    let message = Stage::message(&status, "Ready");
    assert!(message.contains("9111 bytes") && message.contains("2004 ours") && message.contains("8192"), "{message}");
    stage.sees(TWIN, "array", SYNCED).await;
    assert_eq!(Value::Object(stage.at_hub("array").await.tags), json!({"lines": [1, {"a": 2}]}));
    assert_eq!(Value::Object(stage.at_hub("shape").await.tags), json!({"location": {"floor": 2}}));

    stage.apply(&twin("shape").tags(json!({"location": {"region": "US"}}))).await;
    stage.apply(&twin("size").tags(json!({"ours": "y".repeat(1000)}))).await;
    stage.sees(TWIN, "shape", SYNCED).await;
    stage.sees(TWIN, "size", SYNCED).await;
    stage.end().await;
}

/// A connection of its own name, with a Secret of that name, and a twin that uses it.
struct Case {
    name: &'static str,
    reason: &'static str,
    message: String,
    /// What is there before the repair.
    broken: Vec<Manifest>,
    /// What is put right, but for the twin itself.
    repaired: Vec<Manifest>,
    /// Whether the connection has to go first, for its host cannot change.
    replaced: bool,
}

fn named(manifest: Manifest, name: &str) -> Manifest {
    manifest.set("metadata.name", json!(name))
}

fn connection_named(host: &str, name: &str) -> Manifest {
    named(connection(host), name)
        .set("spec.auth.connectionString.secretKeyRef.name", json!(name))
        .set("spec.caBundle.secretKeyRef.name", json!(name))
}

/// A string that was not copied to its end.
fn cut_off(text: &str) -> &str {
    &text[..text.len() - 10]
}

fn cases(stage: &Stage) -> Vec<Case> {
    let host = stage.host();
    let good = || named(stage.secret(), "");
    let string = |text: &str| secret(text, stage.hub.ca_pem());
    let of = |host: &str, key: &str| format!("HostName={host};SharedAccessKeyName=iothubowner;SharedAccessKey={key}");
    let case = |name: &'static str, reason: &'static str, message: &str, broken: Option<Manifest>| Case {
        name,
        reason,
        message: message.to_owned(),
        broken: broken.map(|secret| named(secret, name)).into_iter().chain([connection_named(&host, name)]).collect(),
        repaired: vec![named(good(), name)],
        replaced: false,
    };
    let other_host = |name: &'static str, reason: &'static str, message: &str, host: &str| Case {
        broken: vec![named(string(&of(host, WRONG_KEY)), name), connection_named(host, name)],
        repaired: vec![named(good(), name), connection_named(&stage.host(), name)],
        replaced: true,
        ..case(name, reason, message, None)
    };
    let mut no_key = good();
    no_key.0["stringData"] = json!({"ca.crt": stage.hub.ca_pem()});
    let whole = of(&host, WRONG_KEY);
    let device = format!("HostName={host};DeviceId=pump;SharedAccessKey={WRONG_KEY}");
    let untrusting = |mut manifest: Manifest| {
        manifest.0["spec"].as_object_mut().expect("every connection has a spec").remove("caBundle");
        manifest
    };
    vec![
        Case {
            broken: Vec::new(),
            repaired: vec![named(good(), "no-connection"), connection_named(&host, "no-connection")],
            ..case("no-connection", "HubNotFound", "there is no HubConnection no-connection", None)
        },
        case("no-secret", "SecretMissing", "there is no Secret no-secret", None),
        case("no-key", "SecretMissing", "Secret no-key has no key connectionString", Some(no_key)),
        case("no-string", "SecretInvalid", "key connectionString of Secret no-string", Some(string("hunter2"))),
        case("a-devices", "SecretInvalid", "a device's connection string", Some(string(&device))),
        case("cut-off", "SecretInvalid", "key connectionString of Secret cut-off", Some(string(cut_off(&whole)))),
        case("wrong-key", "Unauthorized", "Unauthorized", Some(string(&of(&host, WRONG_KEY)))),
        case("elsewhere", "HostRefused", "names the host h.example", Some(string(&of("h.example", WRONG_KEY)))),
        Case {
            broken: vec![named(good(), "untrusted"), untrusting(connection_named(&host, "untrusted"))],
            repaired: vec![connection_named(&host, "untrusted")],
            ..case("untrusted", "TlsFailed", "certificate", None)
        },
        other_host("not-allowed", "HostRefused", "does not allow the host localhost:1", "localhost:1"),
        other_host("unknown-host", "HubUnreachable", "nohost.invalid", "nohost.invalid"),
    ]
}

#[tokio::test]
async fn each_trouble_of_a_connection_has_its_reason_and_mends_by_itself() {
    let stage = Stage::bare(&["nohost.invalid".to_owned()]).await;
    let cases = cases(&stage);
    for case in &cases {
        stage.register(case.name).await;
        for manifest in &case.broken {
            stage.apply(manifest).await;
        }
        let mine = twin(case.name).tags(json!({"line": 4})).set("spec.hubRef.name", json!(case.name));
        stage.apply(&mine).await;
        let asks = query(case.name, "SELECT * FROM devices").set("spec.hubRef.name", json!(case.name));
        stage.apply(&asks).await;
    }
    for case in &cases {
        let not_ready = format!("Ready=False {}", case.reason);
        for kind in [TWIN, QUERY, CONNECTION] {
            if kind == CONNECTION && case.broken.is_empty() {
                continue;
            }
            let status = stage.sees(kind, case.name, &not_ready).await;
            let message = Stage::message(&status, "Ready");
            assert!(message.contains(&case.message), "{kind} {}: {message}", case.name);
        }
    }
    let calls = stage.calls(0).await;
    assert!(calls.iter().all(|call| !call.operation.starts_with("twin.")), "no twin was touched: {calls:?}");
    shows_no_keys(&stage).await;
    let before: Vec<Value> = generations(&stage, &cases).await;
    for case in &cases {
        if case.replaced {
            stage.delete(CONNECTION, case.name).await;
        }
        for manifest in &case.repaired {
            stage.apply(manifest).await;
        }
    }
    for case in &cases {
        stage.sees(TWIN, case.name, SYNCED).await;
        stage.sees(QUERY, case.name, "Ready=True Fresh").await;
        stage.sees(CONNECTION, case.name, "Ready=True Connected").await;
    }
    assert_eq!(generations(&stage, &cases).await, before, "no object was edited");
    shows_no_keys(&stage).await;
    stage.end().await;
}

async fn generations(stage: &Stage, cases: &[Case]) -> Vec<Value> {
    let mut generations = Vec::new();
    for case in cases {
        generations.push(stage.get(TWIN, case.name).await["metadata"]["generation"].clone());
    }
    generations
}

/// Neither our kinds nor Events show a key, whole or cut.
async fn shows_no_keys(stage: &Stage) {
    let shown = stage.kubectl(&["get", "twins,events", "-o", "yaml", "--show-managed-fields"]).await;
    assert!(shown.done && shown.stdout.contains("kind: DeviceTwin"), "{}", shown.stderr);
    let string = stage.hub.service_connection_string();
    let (_, key) = string.split_once("SharedAccessKey=").expect("the hub's own string");
    for secret in [key, WRONG_KEY, "hunter2"] {
        assert!(!shown.stdout.contains(&secret[..secret.len().min(12)]), "a key is shown");
    }
}

#[tokio::test]
async fn a_hub_that_is_down_stops_nothing_that_was_synced() {
    let stage = Stage::bare(&[]).await;
    let mut gate = Gate::to(stage.hub.https_port()).await;
    let stage = stage.allowing(&format!("localhost:{}", gate.port)).await;
    let host = format!("localhost:{}", gate.port);
    let string = stage.hub.service_connection_string().replace(&stage.host(), &host);
    stage.apply(&secret(&string, stage.hub.ca_pem())).await;
    stage.apply(&connection(&host)).await;
    for id in ["synced", "new"] {
        stage.register(id).await;
    }
    stage.apply(&twin("synced").tags(json!({"a": 1}))).await;
    stage.sees(TWIN, "synced", SYNCED).await;
    let version = stage.get(TWIN, "synced").await["metadata"]["resourceVersion"].clone();

    gate.shut().await;
    stage.apply(&twin("new").tags(json!({"a": 1}))).await;
    stage.sees(CONNECTION, "plant-hub", "Ready=False HubUnreachable").await;
    let status = stage.sees(TWIN, "new", "Ready=False HubUnreachable").await;
    Stage::message(&status, "Reconciling");
    assert_eq!(stage.get(TWIN, "synced").await["metadata"]["resourceVersion"], version, "nothing is written to it");

    gate.open().await;
    stage.sees(TWIN, "new", SYNCED).await;
    stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
    assert_eq!(stage.get(TWIN, "synced").await["metadata"]["resourceVersion"], version);
    stage.end().await;
}

#[tokio::test]
async fn a_key_that_is_taken_back_and_given_again() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    let good = stage.hub.service_connection_string();
    let (start, _) = good.split_once("SharedAccessKey=").unwrap();
    stage.apply(&secret(&format!("{start}SharedAccessKey={WRONG_KEY}"), stage.hub.ca_pem())).await;
    stage.sees(CONNECTION, "plant-hub", "Ready=False Unauthorized").await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.delete(SECRET, "plant-hub").await;
    stage.sees(CONNECTION, "plant-hub", "Ready=False SecretMissing").await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.apply(&stage.secret()).await;
    stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
    stage.apply(&twin("pump").tags(json!({"a": 2}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(Value::Object(stage.at_hub("pump").await.tags), json!({"a": 2}));
    stage.end().await;
}

#[tokio::test]
async fn an_unknown_device_is_synced_when_it_appears() {
    let stage = Stage::with(|connection| connection.set("spec.sweepInterval", json!("10s"))).await;
    stage.apply(&twin("pump").tags(json!({"a": 1}))).await;
    let status = stage.sees(TWIN, "pump", "Ready=False DeviceNotFound").await;
    assert!(Stage::message(&status, "Ready").contains("knows no device pump"), "{status}");
    stage.register("pump").await;
    stage.sees(TWIN, "pump", SYNCED).await;
    stage.back_end.delete_identity(&Stage::id("pump")).await.unwrap();
    stage.sees(TWIN, "pump", "Ready=False DeviceNotFound").await;
    stage.register("pump").await;
    stage.sees(TWIN, "pump", SYNCED).await;
    eventually("the device that was made again has its tags", || async {
        let tags = stage.at_hub("pump").await.tags;
        is_true(Value::Object(tags.clone()) == json!({"a": 1}), tags)
    })
    .await;
    stage.end().await;
}
