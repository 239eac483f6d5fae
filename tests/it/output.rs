//! TwinQuery with `output`: all rows in ConfigMaps.

use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::support::{CONFIG_MAP, CONNECTION, Manifest, QUERY, Stage, eventually, is_true, query};

const FRESH: &str = "Ready=True Fresh";
const REFUSED: &str = "Ready=False OutputRefused";

/// A query for everything that shows one row, asked when it is told to, with an output.
fn all(name: &str, output: &str) -> Manifest {
    let query = query(name, "SELECT * FROM devices").set("spec.limit", json!(1)).set("spec.interval", json!("24h"));
    query.set("spec.output.configMap.name", json!(output))
}

async fn stage_with(devices: &[&str]) -> Stage {
    let stage = Stage::with(|connection| connection.set("spec.pollInterval", json!("24h"))).await;
    for id in devices {
        stage.register(id).await;
    }
    stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
    stage
}

/// Has the query run now, and answers its status.
async fn run(stage: &Stage, name: &str) -> Value {
    let value = stage.nudge(QUERY, name).await;
    stage.sees_status(QUERY, name, "a run", |status| status["lastHandledReconcileAt"] == value.as_str()).await
}

async fn index(stage: &Stage, name: &str) -> Value {
    let index = stage.get(CONFIG_MAP, name).await;
    serde_json::from_str(index["data"]["index.json"].as_str().expect("it is an index")).expect("the index is JSON")
}

/// The rows that an index names; each shard is as long as it says, and has its digest.
async fn rows(stage: &Stage, name: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    for shard in index(stage, name).await["shards"].as_array().expect("shards are a list") {
        let found = stage.get(CONFIG_MAP, shard["name"].as_str().expect("a shard has a name")).await;
        let text = found["data"]["rows.ndjson"].as_str().expect("it is a shard");
        let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((&shard["sha256"], &shard["bytes"]), (&json!(digest), &json!(text.len())));
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a row is JSON")).collect();
        assert_eq!(shard["rows"], json!(lines.len()));
        rows.extend(lines);
    }
    rows
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["deviceId"].as_str().unwrap_or("?")).collect()
}

async fn config_maps(stage: &Stage) -> Vec<String> {
    let listed = stage.list(CONFIG_MAP).await;
    let names = listed.iter().map(|found| found["metadata"]["name"].as_str().unwrap_or_default().to_owned());
    names.filter(|name| name != "kube-root-ca.crt").collect()
}

#[tokio::test]
async fn all_rows_are_written_and_equal_ones_are_not_written_again() {
    let stage = stage_with(&["c", "a", "b"]).await;
    stage.apply(&all("all", "fleet")).await;
    let status = stage.sees(QUERY, "all", FRESH).await;
    assert_eq!((&status["count"], &status["truncated"], &status["results"]), (&json!(3), &json!(false), &Value::Null));
    assert_eq!(status["output"], json!({"configMap": "fleet", "shards": 1}));
    assert_eq!(ids(&rows(&stage, "fleet").await), ["a", "b", "c"]);
    assert_eq!(index(&stage, "fleet").await["rows"], 3);
    let made = stage.get(CONFIG_MAP, "fleet-0").await;
    let owner = &made["metadata"]["ownerReferences"][0];
    let uid = stage.get(QUERY, "all").await["metadata"]["uid"].clone();
    assert_eq!((&owner["kind"], &owner["uid"], &owner["controller"]), (&json!("TwinQuery"), &uid, &json!(true)));

    let first = run(&stage, "all").await;
    assert_eq!(first["resultsTime"], status["resultsTime"]);
    assert_eq!(stage.get(CONFIG_MAP, "fleet-0").await, made, "equal rows write nothing");
    // Somebody else wrote to a shard: it is put right.
    stage.patch(CONFIG_MAP, "fleet-0", json!({"data": {"rows.ndjson": "{}\n"}})).await;
    run(&stage, "all").await;
    assert_eq!(ids(&rows(&stage, "fleet").await), ["a", "b", "c"]);
    stage.register("d").await;
    let status = run(&stage, "all").await;
    assert_eq!((&status["count"], ids(&rows(&stage, "fleet").await)), (&json!(4), vec!["a", "b", "c", "d"]));
    stage.end().await;
}

#[tokio::test]
async fn shards_come_and_go_and_another_name_or_none_takes_the_old_ones_away() {
    let stage = stage_with(&[]).await;
    for n in 10..40 {
        let id = format!("d{n}");
        stage.register(&id).await;
        let long: serde_json::Map<String, Value> =
            (0..8).map(|key| (format!("k{key}"), json!("x".repeat(3900)))).collect();
        stage.foreign_patch(&id, json!({"properties": {"desired": long}})).await;
    }
    stage.apply(&all("all", "fleet")).await;
    let status = stage.sees(QUERY, "all", FRESH).await;
    assert_eq!((&status["count"], &status["output"]["shards"]), (&json!(30), &json!(2)));
    assert_eq!(rows(&stage, "fleet").await.len(), 30);
    assert_eq!(config_maps(&stage).await, ["fleet", "fleet-0", "fleet-1"]);

    let few = all("all", "fleet").set("spec.query", json!("SELECT * FROM devices WHERE deviceId = 'd10'"));
    stage.apply(&few).await;
    stage.sees_status(QUERY, "all", "one row", |status| status["count"] == 1).await;
    assert_eq!(
        (rows(&stage, "fleet").await.len(), config_maps(&stage).await),
        (1, vec!["fleet".into(), "fleet-0".into()])
    );

    stage.apply(&few.clone().set("spec.output.configMap.name", json!("other"))).await;
    stage.sees_status(QUERY, "all", "the other output", |status| status["output"]["configMap"] == "other").await;
    stage.sees(QUERY, "all", FRESH).await;
    assert_eq!(config_maps(&stage).await, ["other", "other-0"]);

    let mut none = few;
    none.0["spec"].as_object_mut().unwrap().remove("output");
    stage.apply(&none).await;
    let status = stage.sees(QUERY, "all", FRESH).await;
    assert_eq!((&status["output"], &status["results"][0]["deviceId"]), (&Value::Null, &json!("d10")));
    assert!(config_maps(&stage).await.is_empty());
    stage.end().await;
}

#[tokio::test]
async fn what_this_query_did_not_make_is_never_written() {
    let stage = stage_with(&["a"]).await;
    for name in ["index", "rows-0"] {
        let theirs =
            json!({"apiVersion": "v1", "kind": CONFIG_MAP, "metadata": {"name": name}, "data": {"k": "theirs"}});
        stage.apply(&Manifest(theirs)).await;
    }
    for (query, output, named) in [("one", "index", "index"), ("two", "rows", "rows-0")] {
        stage.apply(&all(query, output)).await;
        let status = stage.sees(QUERY, query, REFUSED).await;
        let told = Stage::message(&status, "Ready");
        assert!(told.contains(&format!("there is a ConfigMap {named} that this query did not make")), "{told}");
        Stage::message(&status, "Stalled");
    }
    let kept = stage.get(CONFIG_MAP, "index").await["data"].clone();
    assert_eq!(kept, json!({"k": "theirs"}));
    assert_eq!(config_maps(&stage).await, ["index", "rows-0"]);
    let since = stage.last_call().await;
    for (name, theirs) in [("one", "index"), ("two", "rows-0")] {
        stage.delete(CONFIG_MAP, theirs).await;
        stage.nudge(QUERY, name).await;
        stage.sees(QUERY, name, FRESH).await;
    }
    assert_eq!(config_maps(&stage).await, ["index", "index-0", "rows", "rows-0"]);
    assert!(stage.calls(since).await.iter().filter(|call| call.operation == "query").count() <= 4);
    // A second query of the same output finds it taken.
    stage.apply(&all("third", "rows")).await;
    stage.sees(QUERY, "third", REFUSED).await;
    stage.end().await;
}

#[tokio::test]
async fn an_operator_that_may_not_write_says_verb_and_resource() {
    let stage = stage_with(&["a"]).await;
    stage.apply(&all("all", "fleet")).await;
    stage.sees(QUERY, "all", FRESH).await;
    stage.register("b").await;
    for (method, verb) in [(Method::GET, "list"), (Method::PUT, "update"), (Method::POST, "create")] {
        if method == Method::POST {
            stage.delete(CONFIG_MAP, "fleet-0").await;
        }
        stage.api.forbid(method, "/configmaps");
        stage.nudge(QUERY, "all").await;
        let status = stage.sees(QUERY, "all", REFUSED).await;
        let told = Stage::message(&status, "Ready");
        assert!(told.contains(&format!("the operator may not {verb} configmaps")), "{told}");
        assert!(told.contains("configmaps\" in API group"), "the API server's own words: {told}");
        stage.api.mend();
        stage.nudge(QUERY, "all").await;
        stage.sees(QUERY, "all", FRESH).await;
        assert_eq!(ids(&rows(&stage, "fleet").await), ["a", "b"]);
        stage.register("c").await;
        stage.back_end.delete_identity(&Stage::id("c")).await.unwrap();
        stage.foreign_patch("b", json!({"tags": {"verb": verb}})).await;
    }
    stage.end().await;
}

#[tokio::test]
async fn an_operator_that_dies_before_the_index_leaves_the_old_one_and_the_next_repairs_it() {
    let stage = stage_with(&["a"]).await;
    stage.apply(&all("all", "fleet")).await;
    stage.sees(QUERY, "all", FRESH).await;
    let old = index(&stage, "fleet").await;
    stage.register("b").await;
    stage.api.refuse(Method::PUT, "/configmaps/fleet$");
    stage.nudge(QUERY, "all").await;
    eventually("the shard is written", || async {
        let shard = stage.get(CONFIG_MAP, "fleet-0").await;
        is_true(shard["data"]["rows.ndjson"].as_str().is_some_and(|text| text.lines().count() == 2), shard)
    })
    .await;
    let stage = stage.stop().await;
    assert_eq!(index(&stage, "fleet").await, old);
    stage.api.mend();
    let stage = stage.start().await;
    stage.sees_status(QUERY, "all", "two rows", |status| status["count"] == 2).await;
    assert_eq!(ids(&rows(&stage, "fleet").await), ["a", "b"]);
    stage.end().await;
}
