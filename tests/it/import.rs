//! `hubtwin import`: what is imported changes nothing, neither by `hubtwin plan` nor by the operator.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::support::{Ran, Stage, TWIN, hubtwin, settings_of};

async fn run(stage: &Stage, arguments: &[&str], input: &str) -> Ran {
    let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
    let (settings, input) = (settings_of(stage), input.to_owned());
    let run = move || hubtwin(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &settings, &input);
    tokio::task::spawn_blocking(run).await.expect("no panic")
}

/// Ids of every legal character, of several lengths, and some that differ only in case.
fn hostile_ids() -> Vec<String> {
    let long = "x".repeat(128);
    [
        "pump",
        "Pump",
        "PUMP",
        "-.:+%_#*?!(),=@;$'",
        "...",
        "a.-b",
        "on",
        "123",
        "3.10",
        "~".replace('~', "_").as_str(),
        &long,
    ]
    .map(ToOwned::to_owned)
    .into()
}

fn hostile_text() -> String {
    let words = [
        "on",
        "No",
        "3.10",
        "010",
        "1e3",
        "null",
        "~",
        "",
        " ",
        "a: b",
        "# x",
        "- a",
        "'",
        "\"",
        "\\",
        "\n",
        "\t",
        "\u{85}",
        "\u{2028}",
        "\u{feff}x",
        "é",
        "😀",
        "2001-01-01",
        "1:30",
        "!x",
        "&a",
        "*a",
        "<<",
        "---",
        "%x",
        "@x",
    ];
    words[fastrand::usize(..words.len())].to_owned()
}

fn hostile_key() -> String {
    let words = [
        "on", "010", "a", "b", "null", "~", "", "é", "x/y", "x~y", "#k", "<<", "-", "?", "😀", "true", "a:b", "[", "{",
        "\"", "'",
    ];
    words[fastrand::usize(..words.len())].to_owned()
}

fn hostile_value(depth: u32) -> Value {
    match fastrand::u32(..if depth == 0 { 8 } else { 11 }) {
        0 => json!(fastrand::bool()),
        1 => json!(fastrand::i64(-(1 << 52)..1 << 52)),
        2 => json!(fastrand::f64() * 1e-9),
        3 => json!(fastrand::f64() * 1e9),
        4 => json!(1.0),
        5 => json!({}),
        6 => json!([1, hostile_text(), {"k": [true]}]),
        7 => json!(hostile_text()),
        _ => hostile_members(depth - 1),
    }
}

fn hostile_members(depth: u32) -> Value {
    let members = (0..fastrand::usize(1..5)).map(|_| (hostile_key(), hostile_value(depth)));
    Value::Object(members.collect::<Map<_, _>>())
}

#[tokio::test]
async fn what_is_imported_changes_nothing() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let stage = Stage::with(|connection| connection.set("spec.allowArrays", json!(true))).await;
    fastrand::seed(seed);
    let mut twins: Vec<(String, Value)> = Vec::new();
    for id in hostile_ids() {
        stage.register(&id).await;
        twins.push((id.clone(), json!({"tags": hostile_members(3), "properties": {"desired": hostile_members(3)}})));
    }
    for module in ["pump/on", "Pump/on", "pump/$x"] {
        stage.register(module).await;
        twins.push((module.to_owned(), json!({"tags": {}, "properties": {"desired": hostile_members(3)}})));
    }
    for (id, content) in &twins {
        stage.foreign_patch(id, content.clone()).await;
    }
    let imported = run(&stage, &["import", "--hub-ref", "plant-hub", "--modules"], "").await;
    let text = imported.printed(0).to_owned();
    let plan = run(&stage, &["plan", "--exit-code", "-o", "json", "-"], &text).await;
    let report: Value = serde_json::from_str(plan.printed(0)).expect("it prints JSON");
    let planned = report["twins"].as_array().expect("twins are a list");
    assert_eq!(planned.len(), twins.len(), "{text}");
    assert!(planned.iter().all(|twin| twin["outcome"] == "NoChange"), "{plan:?}\n{text}");
    let names: BTreeSet<&str> = planned.iter().filter_map(|twin| twin["name"].as_str()).collect();
    assert_eq!(names.len(), twins.len(), "each has a name of its own: {names:?}");
    run(&stage, &["check", "-"], &text).await.printed(0);

    // kubectl and the operator think so too.
    let before = stage.last_call().await;
    let applied = stage.kubectl_with(&text, &["apply", "-f", "-"]).await;
    assert!(applied.done, "{applied:?}\n{text}");
    for name in names {
        stage.sees(TWIN, name, "Ready=True Synced").await;
    }
    let calls = stage.calls(before).await;
    let writes: Vec<_> = calls.iter().filter(|call| call.operation == "twin.patch").collect();
    assert!(writes.is_empty(), "{writes:?}\n{text}");
    stage.end().await;
}

#[tokio::test]
async fn what_a_configuration_wrote_is_left_out_and_told() {
    let stage = Stage::bare(&[]).await;
    stage.register("pump").await;
    stage
        .foreign_patch("pump", json!({"tags": {"line": 4}, "properties": {"desired": {"rate": 5, "mode": "auto"}}}))
        .await;
    stage.configure("pump", "rollout-7", json!({"rate": 9, "firmware": {"version": "1.2"}})).await;
    let import = async || run(&stage, &["import", "--hub-ref", "h"], "").await.printed(0).to_owned();
    let text = import().await;
    assert!(text.contains("# left out: 2 desired that configurations wrote (rollout-7)\n"), "{text}");
    assert!(text.contains("mode: auto") && text.contains("line: 4"), "{text}");
    assert!(!text.contains("rate") && !text.contains("firmware"), "{text}");
    // A back end that writes the leaf makes it its own.
    stage.foreign_patch("pump", json!({"properties": {"desired": {"rate": 9}}})).await;
    let text = import().await;
    assert!(text.contains("# left out: 1 desired") && text.contains("rate: 9"), "{text}");
    stage.end().await;
}

#[tokio::test]
async fn a_query_chooses_and_a_folder_takes_one_file_a_twin() {
    let stage = Stage::bare(&[]).await;
    for (id, plant) in [("one", "a"), ("Two", "a"), ("three", "b")] {
        stage.register(id).await;
        stage.foreign_patch(id, json!({"tags": {"plant": plant}})).await;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("import-{:012x}", fastrand::u64(..1 << 48)));
    let folder = folder.display().to_string();
    let query = "SELECT * FROM devices WHERE tags.plant = 'a'";
    let arguments = [
        "import",
        "--hub-ref",
        "ClusterHubConnection/h",
        "--namespace",
        "plant",
        "--query",
        query,
        "--output-dir",
        &folder,
    ];
    let ran = run(&stage, &arguments, "").await;
    assert_eq!(ran.printed(0), format!("wrote 2 manifests into {folder}\n"));
    let mut files: Vec<String> = std::fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("it is read").file_name().into_string().expect("names are text"))
        .collect();
    files.sort();
    assert!(files.len() == 2 && files[0] == "one.yaml" && files[1].starts_with("two-"), "{files:?}");
    let text = std::fs::read_to_string(format!("{folder}/{}", files[1])).expect("it is read");
    let name = files[1].trim_end_matches(".yaml");
    let expected = format!(
        "apiVersion: hubtwin.dev/v1alpha1\nkind: DeviceTwin\nmetadata:\n  name: {name}\n  namespace: plant\nspec:\n  hubRef:\n    kind: \
         ClusterHubConnection\n    name: h\n  deviceId: Two\n  tags:\n    plant: a\n"
    );
    assert_eq!(text, expected);
    let again = run(&stage, &arguments, "").await;
    assert!(again.code == Some(1) && again.stderr.contains("--force"), "{again:?}");
    let forced: Vec<&str> = arguments.iter().chain(&["--force"]).copied().collect();
    run(&stage, &forced, "").await.printed(0);
    for query in ["SELECT deviceId FROM devices", "SELECT COUNT() FROM devices", "no query"] {
        let ran = run(&stage, &["import", "--hub-ref", "h", "--query", query], "").await;
        assert!(ran.code == Some(1) && ran.stdout.is_empty() && !ran.stderr.is_empty(), "{query}: {ran:?}");
    }
    stage.end().await;
}
