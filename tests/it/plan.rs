//! `hubtwin plan`: what applying would do, against a hub and, for what was applied before, a cluster.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::support::{Ran, Stage, TWIN, hubtwin, kubeconfig, settings_of, twin};

const SYNCED: &str = "Ready=True Synced";

/// Runs it without holding up the hub, which lives in this process.
async fn plan(stage: &Stage, arguments: &[&str], input: &str) -> Ran {
    let arguments: Vec<String> = ["plan"].iter().chain(arguments).map(|text| (*text).to_owned()).collect();
    let (settings, input) = (settings_of(stage), input.to_owned());
    let run = move || hubtwin(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &settings, &input);
    tokio::task::spawn_blocking(run).await.expect("no panic")
}

fn manifest(name: &str, spec: Value) -> String {
    let mut object = twin(name).0;
    for (key, value) in spec.as_object().expect("a spec is an object") {
        object["spec"][key] = value.clone();
    }
    object.to_string()
}

#[tokio::test]
async fn without_a_cluster_every_twin_is_a_first_contact() {
    let stage = Stage::bare(&[]).await;
    for device in ["pump", "same"] {
        stage.register(device).await;
    }
    stage
        .foreign_patch(
            "pump",
            json!({"tags": {"plant": "Elsewhere", "foreign": 1}, "properties": {"desired": {"b": {"c": 1}}}}),
        )
        .await;
    let writes = stage.last_call().await;
    let input = [
        manifest("pump", json!({"tags": {"plant": "Redmond43", "new": "on"}})),
        manifest("same", json!({})),
        manifest("nobody", json!({"tags": {"a": 1}})),
        manifest("made", json!({"tags": {"a": 1}, "identity": {"policy": "CreateIfMissing"}})),
        manifest("meets", json!({"deviceId": "pump", "properties": {"desired": {"b": 5}}})),
        manifest("bad", json!({"tags": {"a.b": 1}})),
        manifest("looks", json!({"deviceId": "pump", "mode": "Observe", "tags": {"plant": "Redmond43"}})),
    ]
    .join("\n");
    let ran = plan(&stage, &["-"], &input).await;
    let host = stage.host();
    let expected = format!(
        "\
~ pump: twin pump (standard input:1)
    + /tags/new: \"on\" (first contact)
    ~ /tags/plant: \"Elsewhere\" -> \"Redmond43\" (first contact)
! nobody: twin nobody (standard input:3)
    ! the hub knows no such device or module
+ made: twin made (standard input:4)
    + the identity would be created: the hub does not know it
    + /tags/a: 1 (first contact)
! meets: twin pump (standard input:5)
    ! /properties/desired/b: setting it would destroy /properties/desired/b/c, which belongs to somebody else
! bad (standard input:6)
    ! line 6: /spec/tags/a.b: the key holds '.'; keys hold no control characters, \".\", \"$\" or space: give it another name
~ looks: twin pump (standard input:7), mode Observe: nothing would be written
    ~ /tags/plant: \"Elsewhere\" -> \"Redmond43\" (first contact)
No cluster was asked what was applied before (--kubeconfig): planned as first contacts, without removals.
7 twins at {host}: 2 to write, 1 without change, 3 in trouble. Nothing was written.
"
    );
    assert_eq!(ran.printed(1), expected);
    let calls = stage.calls(writes).await;
    assert!(calls.iter().all(|call| call.operation == "twin.get"), "{calls:?}");

    let one = manifest("pump", json!({"tags": {"plant": "Redmond43"}}));
    plan(&stage, &["-"], &one).await.printed(0);
    plan(&stage, &["--exit-code", "-"], &one).await.printed(3);
    plan(&stage, &["--exit-code", "-"], &manifest("same", json!({}))).await.printed(0);
    let ran = plan(&stage, &["-o", "json", "-"], &one).await;
    let report: Value = serde_json::from_str(ran.printed(0)).expect("it prints JSON");
    let twin = &report["twins"][0];
    assert_eq!(twin["patch"], json!({"tags": {"plant": "Redmond43"}}), "{report}");
    let change = json!({"path": "/tags/plant", "from": "Elsewhere", "to": "Redmond43", "reason": "FirstContact"});
    assert_eq!((&twin["changes"], &twin["firstContact"]), (&json!([change]), &json!(true)));
    assert_eq!(report["summary"], json!({"twins": 1, "toWrite": 1, "inTrouble": 0}));
    stage.end().await;
}

#[tokio::test]
async fn with_a_cluster_the_ledger_tells_drift_edits_and_removals_apart() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"a": 1, "b": {"c": 1, "d": 2}, "e": 1, "f": 1}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    // The operator would correct it while we look.
    let stage = stage.stop().await;
    stage.foreign_patch("pump", json!({"tags": {"a": 2, "f": 7}})).await;
    let edited = manifest("pump", json!({"tags": {"a": 1, "e": 9}}));
    let (file, namespace) = (kubeconfig(), stage.namespace.clone());
    let with_cluster = ["--kubeconfig", &file, "--namespace", &namespace, "-"];
    let ran = plan(&stage, &with_cluster, &edited).await;
    let expected = format!(
        "\
~ pump: twin pump (standard input:1)
    ~ /tags/a: 2 -> 1 (drift: somebody else changed it)
    ~ /tags/e: 1 -> 9 (changed in the manifest)
    - /tags/b/c: 1 (no longer in the manifest)
    - /tags/b/d: 2 (no longer in the manifest)
    = /tags/f: no longer in the manifest, but somebody else changed it: left
1 twin at {}: 1 to write, 0 without change, 0 in trouble. Nothing was written.
",
        stage.host()
    );
    assert_eq!(ran.printed(0), expected);
    // Another name is another object: the cluster knows nothing of it.
    let other = plan(&stage, &with_cluster, &manifest("other", json!({"deviceId": "pump", "tags": {"a": 1}}))).await;
    assert!(other.printed(0).contains("(not in the cluster yet: a first contact)"), "{other:?}");
    // What the plan said is what happens.
    let report = plan(&stage, &["-o", "json", "--kubeconfig", &file, "--namespace", &namespace, "-"], &edited).await;
    let report: Value = serde_json::from_str(report.printed(0)).expect("it prints JSON");
    assert_eq!(report["twins"][0]["patch"], json!({"tags": {"a": 1, "b": null, "e": 9}}));
    let stage = stage.start().await;
    stage.apply(&twin("pump").tags(json!({"a": 1, "e": 9}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    assert_eq!(json!(stage.at_hub("pump").await.tags), json!({"a": 1, "e": 9, "f": 7}));
    plan(&stage, &["--exit-code", "--kubeconfig", &file, "--namespace", &namespace, "-"], &edited).await.printed(0);
    stage.end().await;
}

#[tokio::test]
async fn a_leaf_that_moves_to_another_manifest_is_handed_over() {
    let stage = Stage::new().await;
    stage.register("pump").await;
    stage.apply(&twin("pump").tags(json!({"a": 1, "b": 2}))).await;
    stage.sees(TWIN, "pump", SYNCED).await;
    let (file, namespace) = (kubeconfig(), stage.namespace.clone());
    let with_cluster = ["--exit-code", "--kubeconfig", &file, "--namespace", &namespace, "-"];
    let first = manifest("pump", json!({"tags": {"a": 1}}));
    let second = manifest("second", json!({"deviceId": "pump", "tags": {"b": 2}}));
    let alone = plan(&stage, &with_cluster, &first).await;
    assert!(alone.printed(3).contains("- /tags/b: 2 (no longer in the manifest)"), "{alone:?}");
    plan(&stage, &with_cluster, &format!("{first}\n{second}")).await.printed(0);
    stage.end().await;
}

#[tokio::test]
async fn a_connection_of_another_hub_is_refused() {
    let stage = Stage::bare(&[]).await;
    stage.register("pump").await;
    let elsewhere = super::support::connection("elsewhere.azure-devices.net").0;
    let input = format!("{elsewhere}\n{}", manifest("pump", json!({"tags": {"a": 1}})));
    let ran = plan(&stage, &["-"], &input).await;
    assert!(ran.printed(1).contains("names the hub elsewhere.azure-devices.net"), "{ran:?}");
    let here = super::support::connection(&stage.host()).0;
    let input = format!("{here}\n{}", manifest("pump", json!({"tags": {"a": 1}})));
    plan(&stage, &["-"], &input).await.printed(0);
    stage.end().await;
}

#[test]
fn what_is_missing_is_named() {
    let nothing = BTreeMap::new();
    let ran = hubtwin(&["plan", "-"], &nothing, "");
    assert!(ran.code == Some(1) && ran.stderr.contains("HUB_SERVICE_CONNECTION_STRING is not set"), "{ran:?}");
    assert_eq!(hubtwin(&["plan", "/nonexistent"], &nothing, "").code, Some(2));
    let device = BTreeMap::from([(
        "HUB_SERVICE_CONNECTION_STRING".to_owned(),
        "HostName=localhost:1;SharedAccessKeyName=service;SharedAccessKey=aHVudGVyMg==".to_owned(),
    )]);
    let ran = hubtwin(&["plan", "-"], &device, &manifest("pump", json!({})));
    assert!(ran.printed(1).contains("! pump: twin pump") && !ran.stdout.contains("aHVudGVyMg"), "{ran:?}");
}
