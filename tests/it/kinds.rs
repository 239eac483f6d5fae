//! The kinds as the API server takes them: schema, defaults, refusals, and free-form JSON kept whole.

use std::process::Command;

use hubtwin::twin::value::equal;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use super::support::{CONNECTION, Cluster, Manifest, QUERY, TWIN, connection, crd_warnings, query, root, twin};

#[test]
fn the_folder_holds_what_the_program_prints() {
    let printed = Command::new(env!("CARGO_BIN_EXE_hubtwin")).arg("crds").output().expect("the program runs");
    let printed = String::from_utf8(printed.stdout).expect("it prints text");
    let mut together = String::new();
    for crd in hubtwin::api::crds() {
        let file = root().join("crds").join(format!("{}.yaml", crd.spec.names.plural));
        let text = std::fs::read_to_string(&file).expect("every kind has a file");
        let stored: CustomResourceDefinition = serde_saphyr::from_str(&text).expect("the file is a CRD");
        assert_eq!(json!(stored), json!(crd), "{}: write it anew by `hubtwin crds --out crds`", file.display());
        together.push_str(&format!("---\n{}\n", text.trim_end()));
    }
    assert_eq!(printed, together, "write crds/ anew by `hubtwin crds --out crds`");
}

#[tokio::test]
async fn the_api_server_takes_them_without_a_warning() {
    let cluster = Cluster::new().await;
    assert_eq!(crd_warnings(), "");
    let crds = root().join("crds").display().to_string();
    let again = cluster.kubectl(&["apply", "--dry-run=server", "-f", &crds]).await;
    assert!(again.done && again.stderr.is_empty(), "{again:?}");
    let served = cluster.kubectl(&["api-resources", "--categories=twins", "-o=name"]).await;
    let mut names: Vec<&str> = served.stdout.lines().collect();
    names.sort_unstable();
    let ours = ["clusterhubconnections", "devicetwins", "hubconnections", "twinqueries"];
    assert_eq!(names, ours.map(|name| format!("{name}.hubtwin.dev")));
}

#[tokio::test]
async fn every_field_is_explained() {
    let cluster = Cluster::new().await;
    for kind in ["dt", "tq", "hub"] {
        let explained = cluster.kubectl(&["explain", kind, "--recursive=false"]).await;
        assert!(explained.done && !explained.stdout.contains("<no description>"), "{explained:?}");
    }
    for crd in hubtwin::api::crds() {
        let whole = json!(crd);
        let schema = &whole["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for (at, field) in fields("", schema) {
            assert!(field["description"].is_string(), "{} {at}: no description", crd.spec.names.kind);
        }
    }
}

#[tokio::test]
async fn the_examples_are_accepted() {
    let cluster = Cluster::new().await;
    let examples = root().join("crds/examples").display().to_string();
    let applied = cluster.kubectl(&["apply", "--validate=strict", "-f", &examples]).await;
    assert!(applied.done && applied.stderr.is_empty(), "{applied:?}");
}

/// Every field below the root's own (`apiVersion`, `kind`, `metadata` are Kubernetes').
fn fields<'a>(at: &str, schema: &'a Value) -> Vec<(String, &'a Value)> {
    let own = schema["properties"].as_object().into_iter().flatten();
    let own = own.filter(|(name, _)| !(at.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str())));
    let mut all = Vec::new();
    for (name, field) in own {
        let at = format!("{at}/{name}");
        all.extend(fields(&at, field));
        all.extend(fields(&at, &field["items"]));
        all.push((at, field));
    }
    all
}

#[tokio::test]
async fn a_status_starts_before_the_first_look() {
    let cluster = Cluster::new().await;
    for manifest in [twin("pump"), query("all", "SELECT * FROM devices"), connection("plant.azure-devices.net")] {
        cluster.apply(&manifest).await;
        let kind = manifest.0["kind"].as_str().unwrap();
        let status = cluster.get(kind, &manifest.name()).await["status"].clone();
        assert_eq!(status, json!({"observedGeneration": -1, "conditions": []}), "{kind}");
    }
    let twin = cluster.get(TWIN, "pump").await;
    assert_eq!((&twin["spec"]["mode"], &twin["spec"]["convergence"]["timeout"]), (&json!("Manage"), &json!("24h")));
    assert_eq!(cluster.get(QUERY, "all").await["spec"]["limit"], 100);
    let hub = cluster.get(CONNECTION, "plant-hub").await["spec"].clone();
    assert_eq!(hub["allowArrays"], false);
    assert_eq!(hub["budget"], json!({"percent": 50, "burstPercent": 80, "dailyPercent": 10}));
}

/// The values that trip others.
fn difficult() -> Value {
    json!({
        "scalars": {"nested": {"text": "on", "yes": true, "no": false, "one": 1.0, "third": 0.333_333_333_333_333_3, "large": 4_503_599_627_370_496_i64, "small": -4_503_599_627_370_496_i64}},
        "empty": {},
        "deep": {"empty": {}},
        "größe/Maß~0 😀": {"ключ": "値"},
        "a/b": {"c~d": 1, "~1": 2, "~0": 3},
        "k".repeat(1000): "long",
    })
}

#[tokio::test]
async fn free_form_json_is_kept_whole_by_both_ways_to_apply() {
    let cluster = Cluster::new().await;
    for (name, how) in [("client", &[][..]), ("server", &["--server-side"][..])] {
        for content in [difficult(), json!({}), difficult(), json!({"deep": {}}), json!({"deep": 1})] {
            let manifest = twin(name).tags(content.clone()).desired(content.clone());
            let applied = cluster.kubectl_apply(&manifest, how).await;
            assert!(applied.done && applied.stderr.is_empty(), "{content}: {applied:?}");
            let spec = cluster.get(TWIN, name).await["spec"].clone();
            for kept in [&spec["tags"], &spec["properties"]["desired"]] {
                // Numbers by value: 1.0 comes back as 1.
                assert!(equal(kept, &content), "by {name}: {kept}");
            }
        }
        let fields = cluster.get(TWIN, name).await["metadata"]["managedFields"].to_string();
        assert!(!fields.contains("f:deep"), "atomic objects have no managed fields inside: {fields}");
    }
}

#[tokio::test]
async fn what_cannot_change_does_not_change() {
    let cluster = Cluster::new().await;
    let with_id = |id: &str| twin("pump").set("spec.deviceId", json!(id));
    cluster.apply(&twin("pump")).await;
    cluster.apply(&with_id("pump")).await;
    refused(&cluster, &with_id("other"), "spec.deviceId cannot change").await;
    refused(&cluster, &twin("pump").set("spec.moduleId", json!("flow")), "spec.moduleId cannot change").await;
    refused(&cluster, &twin("pump").set("spec.hubRef.name", json!("other")), "spec.hubRef cannot change").await;
    let module = |id: &str| twin("module").set("spec.moduleId", json!(id));
    cluster.apply(&module("flow")).await;
    refused(&cluster, &module("heat"), "spec.moduleId cannot change").await;
    let taken_out =
        cluster.kubectl(&["patch", "dt", "module", "--type=merge", "-p", r#"{"spec":{"moduleId":null}}"#]).await;
    assert!(!taken_out.done && taken_out.stderr.contains("spec.moduleId cannot change"), "{taken_out:?}");
    cluster.apply(&query("all", "SELECT * FROM devices")).await;
    let other_hub = query("all", "SELECT * FROM devices").set("spec.hubRef.name", json!("other"));
    refused(&cluster, &other_hub, "spec.hubRef cannot change").await;
    cluster.apply(&connection("plant.azure-devices.net")).await;
    refused(&cluster, &connection("other.azure-devices.net"), "spec.host cannot change").await;
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_a_clear_message() {
    let cluster = Cluster::new().await;
    let id = |id: &str| twin("pump").set("spec.deviceId", json!(id));
    let hub = || connection("plant.azure-devices.net");
    let both = json!({"secretKeyRef": {"name": "a", "key": "b"}, "configMapKeyRef": {"name": "a", "key": "b"}});
    let cases = [
        (id(&"x".repeat(129)), "spec.deviceId: Too long"),
        (id(".."), "\".\" and \"..\" are no ids"),
        (id("a b"), "spec.deviceId in body should match"),
        (twin(&"x".repeat(129)), "a device id has at most 128 characters"),
        (twin("pump").set("spec.convergence.timeout", json!("soon")), "spec.convergence.timeout in body should match"),
        (twin("pump").set("spec.convergence.timeout", json!("1s")), "timeout lies between 5s and 720h"),
        (twin("pump").set("spec.mode", json!("Watch")), "supported values: \"Manage\", \"Observe\""),
        (twin("pump").set("spec.tagz", json!({})), ".spec.tagz: field not declared in schema"),
        (twin("pump").tags(json!(["a"])), ".spec.tags: expected map"),
        (twin("pump").set("spec.hubRef", json!({})), "spec.hubRef.name: Required value"),
        (hub().set("spec.pollInterval", json!("1s")), "pollInterval lies between 5s and 24h"),
        (hub().set("spec.sweepInterval", json!("25h")), "sweepInterval lies between 10s and 24h"),
        (hub().set("spec.caBundle", both), "caBundle needs exactly one of: secretKeyRef, configMapKeyRef"),
        (hub().set("spec.caBundle", json!({})), "caBundle needs exactly one of"),
        (hub().set("spec.auth", json!({})), "auth needs exactly one of"),
        (hub().set("spec.tier", json!("B1")), "supported values: \"F1\""),
        (hub().set("spec.units", json!(0)), "spec.units in body should be greater than or equal to 1"),
        (hub().set("spec.units", json!(201)), "spec.units in body should be less than or equal to 200"),
        (hub().set("spec.tier", json!("F1")).set("spec.units", json!(2)), "a hub of tier F1 has one unit"),
        (hub().set("spec.tier", json!("S3")).set("spec.units", json!(11)), "one of tier S3 at most 10"),
        (
            hub().set("spec.budget.percent", json!(0)),
            "spec.budget.percent in body should be greater than or equal to 1",
        ),
        (hub().set("spec.budget.burstPercent", json!(101)), "spec.budget.burstPercent in body should be less than"),
        (hub().set("spec.budget.dailyPercent", json!(0)), "spec.budget.dailyPercent in body should be greater than"),
        (query("all", &"x".repeat(8193)), "spec.query: Too long"),
        (query("all", ""), "spec.query in body should be at least 1 chars long"),
        (query("all", "SELECT * FROM devices").set("spec.interval", json!("9s")), "interval lies between 10s and 24h"),
        (query("all", "SELECT * FROM devices").set("spec.limit", json!(1001)), "should be less than or equal to 1000"),
    ];
    for (manifest, message) in &cases {
        refused(&cluster, manifest, message).await;
    }
    let applied = cluster.kubectl_apply(&twin("pump").set("spec.tagz", json!({})), &[]).await;
    assert!(!applied.done && applied.stderr.contains("unknown field \"spec.tagz\""), "{applied:?}");
}

async fn refused(cluster: &Cluster, manifest: &Manifest, message: &str) {
    let applied = cluster.kubectl_apply(manifest, &["--server-side", "--force-conflicts"]).await;
    assert!(!applied.done && applied.stderr.contains(message), "{message}: {applied:?}");
}
