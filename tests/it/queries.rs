//! TwinQuery: what the hub answers, kept in status.

use serde_json::{Value, json};

use super::support::{QUERY, Stage, eventually, is_true, query};

const FRESH: &str = "Ready=True Fresh";

/// A stage with three devices in two plants, whose feed asks once and is then silent: further queries are TwinQueries'.
async fn stage_with_devices() -> Stage {
    let stage = Stage::with(|connection| connection.set("spec.pollInterval", json!("24h"))).await;
    for (id, plant) in [("c", "north"), ("a", "north"), ("b", "south")] {
        stage.register(id).await;
        stage.foreign_patch(id, json!({"tags": {"plant": plant}, "properties": {"desired": {"on": true}}})).await;
    }
    stage
}

fn ids(status: &Value) -> Vec<&str> {
    let rows = status["results"].as_array().into_iter().flatten();
    rows.map(|row| row["deviceId"].as_str().unwrap_or("?")).collect()
}

#[tokio::test]
async fn results_are_shown_sorted_without_what_moves() {
    let stage = stage_with_devices().await;
    stage.apply(&query("north", "SELECT * FROM devices WHERE tags.plant = 'north'")).await;
    stage.apply(&query("none", "SELECT * FROM devices WHERE tags.plant = 'west'")).await;
    stage.apply(&query("two", "SELECT * FROM devices").set("spec.limit", json!(2))).await;
    stage.apply(&query("raw", "SELECT deviceId, tags.plant FROM devices WHERE deviceId = 'b'")).await;
    stage.apply(&query("count", "SELECT COUNT() AS n FROM devices")).await;

    let north = stage.sees(QUERY, "north", FRESH).await;
    assert_eq!((ids(&north), &north["count"], &north["truncated"]), (vec!["a", "c"], &json!(2), &json!(false)));
    assert_eq!(north["itemType"], "Twin");
    let row = &north["results"][0];
    assert_eq!(row["properties"]["desired"], json!({"on": true, "$version": 2}));
    assert_eq!((&row["etag"], &row["version"], &row["lastActivityTime"]), (&Value::Null, &Value::Null, &Value::Null));

    let none = stage.sees(QUERY, "none", FRESH).await;
    assert_eq!((&none["results"], &none["count"], &none["truncated"]), (&json!([]), &json!(0), &json!(false)));
    let two = stage.sees(QUERY, "two", FRESH).await;
    assert_eq!((ids(&two).len(), &two["count"], &two["truncated"]), (2, &json!(2), &json!(true)));
    let raw = stage.sees(QUERY, "raw", FRESH).await;
    assert_eq!((&raw["itemType"], &raw["results"]), (&json!("Raw"), &json!([{"deviceId": "b", "plant": "south"}])));
    let count = stage.sees(QUERY, "count", FRESH).await;
    assert_eq!(count["results"], json!([{"n": 3}]));

    let listed = stage.kubectl(&["get", "tq", "two", "--no-headers"]).await;
    let columns: Vec<&str> = listed.stdout.split_whitespace().take(6).collect();
    assert_eq!(columns, ["two", "plant-hub", "2", "true", "True", "Fresh"], "{listed:?}");
    stage.end().await;
}

#[tokio::test]
async fn equal_results_write_nothing_and_other_results_do() {
    let stage = stage_with_devices().await;
    stage.apply(&query("north", "SELECT * FROM devices WHERE tags.plant = 'north'")).await;
    let first = stage.sees(QUERY, "north", FRESH).await;
    let before = stage.get(QUERY, "north").await;
    let since = stage.last_call().await;
    // What moves by itself is no difference: a write of the same value moves etag and version.
    stage.foreign_patch("a", json!({"tags": {"plant": "north"}})).await;
    eventually("two more runs", || async {
        let runs = stage.calls(since).await.iter().filter(|call| call.operation == "query").count();
        is_true(runs >= 2, runs)
    })
    .await;
    assert_eq!(stage.get(QUERY, "north").await, before);
    stage.foreign_patch("b", json!({"tags": {"plant": "north"}})).await;
    let then = stage.sees_status(QUERY, "north", "three devices", |status| status["count"] == 3).await;
    assert_eq!(ids(&then), ["a", "b", "c"]);
    assert!(then["resultsTime"].as_str() > first["resultsTime"].as_str(), "{then}");
    stage.end().await;
}

#[tokio::test]
async fn a_rejected_query_says_where_and_an_edit_counts_at_once() {
    let stage = stage_with_devices().await;
    let asked = |text: &str| query("mine", text).set("spec.interval", json!("24h"));
    stage.apply(&asked("SELECT * FROM devices WHERE")).await;
    let status = stage.sees(QUERY, "mine", "Ready=False QueryRejected").await;
    let message = Stage::message(&status, "Ready");
    assert!(message.contains("line 1, column 28"), "{message}");
    Stage::message(&status, "Stalled");
    stage.apply(&asked("SELECT * FROM devices WHERE tags.plant = 'south'")).await;
    assert_eq!(ids(&stage.sees(QUERY, "mine", FRESH).await), ["b"]);
    stage.apply(&asked("SELECT * FROM devices WHERE tags.plant = 'north'")).await;
    assert_eq!(ids(&stage.sees(QUERY, "mine", FRESH).await), ["a", "c"]);

    // The annotation asks for a run now; a suspended query keeps its results.
    stage.foreign_patch("b", json!({"tags": {"plant": "north"}})).await;
    let now = stage.kubectl(&["annotate", "tq", "mine", "hubtwin.dev/reconcile-requested-at=one"]).await;
    assert!(now.done, "{now:?}");
    let status = stage.sees_status(QUERY, "mine", "a run", |status| status["lastHandledReconcileAt"] == "one").await;
    assert_eq!(ids(&status), ["a", "b", "c"]);
    stage.apply(&asked("SELECT * FROM devices").set("spec.suspend", json!(true))).await;
    let status = stage.sees(QUERY, "mine", "Ready=True Suspended").await;
    assert_eq!(ids(&status), ["a", "b", "c"]);
    stage.end().await;
}
