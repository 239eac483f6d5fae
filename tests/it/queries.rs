//! TwinQuery: what the hub answers, kept in status.

use std::time::{Duration, Instant};

use hubtwin::local_hub::knobs::{Effect, Fault, WrongToken};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::support::{CONNECTION, QUERY, Stage, eventually, is_true, query};

const FRESH: &str = "Ready=True Fresh";

/// A stage with three devices in two plants, whose feed asks once and is then silent: further queries are TwinQueries'.
async fn stage_with_devices() -> Stage {
    let stage = Stage::with(|connection| connection.set("spec.pollInterval", json!("24h"))).await;
    for (id, plant) in [("c", "north"), ("a", "north"), ("b", "south")] {
        stage.register(id).await;
        stage.foreign_patch(id, json!({"tags": {"plant": plant}, "properties": {"desired": {"on": true}}})).await;
    }
    stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
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
    assert_eq!(north["effectiveInterval"], "10s");
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

#[tokio::test]
async fn the_same_question_is_asked_once_for_all() {
    let stage = stage_with_devices().await;
    let since = stage.last_call().await;
    for n in 0..100 {
        let text = format!("SELECT * FROM devices WHERE tags.line != {}", n % 20);
        stage.apply(&query(&format!("q{n}"), &text)).await;
    }
    for n in 0..100 {
        stage.sees(QUERY, &format!("q{n}"), FRESH).await;
    }
    let asked = || async { stage.calls(since).await.iter().filter(|call| call.operation == "query").count() };
    let (at_first, began) = (asked().await, Instant::now());
    // One that comes when half of the interval has passed asks anew, and so begins another round for its text.
    assert!((20..100).contains(&at_first), "{at_first}");
    let asked = eventually("two further rounds", || async {
        let count = asked().await - at_first;
        if count >= 40 { Ok(count) } else { Err(count.to_string()) }
    })
    .await;
    // From one question to the next of the same text, nine tenths of the interval pass.
    let rounds = began.elapsed().as_secs_f64() / 9.0 + 1.0;
    assert!(f64::from(u32::try_from(asked).unwrap()) <= 20.0 * rounds, "{asked} in {rounds} rounds");
    stage.end().await;
}

#[tokio::test]
async fn an_edit_is_not_kept_waiting_by_a_run_that_is_under_way() {
    let stage = stage_with_devices().await;
    let slow = Fault { delay_ms: 3_600_000, ..Stage::fault_of("query", Effect::Delay) };
    stage.hub.add_fault(Fault { times: Some(1), ..slow });
    stage.apply(&query("mine", "SELECT * FROM devices WHERE tags.plant = 'north'")).await;
    eventually("the run is under way", || async {
        let faults = stage.admin("/faults").await;
        is_true(faults.as_array().is_some_and(Vec::is_empty), faults)
    })
    .await;
    let seen = stage.watch_reasons(QUERY, "mine");
    stage.apply(&query("mine", "SELECT * FROM devices WHERE tags.plant = 'south'")).await;
    assert_eq!(ids(&stage.sees(QUERY, "mine", FRESH).await), ["b"]);
    assert_eq!(seen.await.expect("the watch ends"), ["Fresh"], "no result and no trouble of the first text is shown");
    stage.end().await;
}

#[tokio::test]
async fn rows_that_are_shown_stay_while_they_are_read() {
    let stage = stage_with_devices().await;
    stage.apply(&query("two", "SELECT * FROM devices").set("spec.limit", json!(2))).await;
    assert_eq!(ids(&stage.sees(QUERY, "two", FRESH).await), ["a", "b"]);
    let before = stage.get(QUERY, "two").await;
    // The hub gives it first.
    stage.register("Z").await;
    let value = stage.nudge(QUERY, "two").await;
    let status =
        stage.sees_status(QUERY, "two", "a run", |status| status["lastHandledReconcileAt"] == value.as_str()).await;
    assert_eq!((ids(&status), &status["count"]), (vec!["a", "b"], &json!(2)));
    assert_eq!(status["resultsTime"], before["status"]["resultsTime"]);
    stage.end().await;
}

#[tokio::test]
async fn the_rows_of_another_text_are_not_shown_beside_a_text_that_the_hub_rejects() {
    let stage = stage_with_devices().await;
    stage.apply(&query("mine", "SELECT * FROM devices")).await;
    stage.sees(QUERY, "mine", FRESH).await;
    stage.apply(&query("mine", "SELECT * FROM nowhere")).await;
    let status = stage.sees(QUERY, "mine", "Ready=False QueryRejected").await;
    assert_eq!((&status["results"], &status["count"]), (&Value::Null, &Value::Null));
    let since = stage.last_call().await;
    // Neither the hub's recovery nor time, but an hour or an edit, has it asked again.
    stage.apply(&query("other", "SELECT * FROM devices")).await;
    stage.sees(QUERY, "other", FRESH).await;
    assert_eq!(stage.calls(since).await.iter().filter(|call| call.outcome >= 400).count(), 0);
    stage.later(Duration::from_secs(3 * 3600), QUERY, "mine").await;
    eventually("it is asked again", || async {
        let calls = stage.calls(since).await;
        is_true(calls.iter().any(|call| call.outcome == 400), calls)
    })
    .await;
    stage.end().await;
}

#[tokio::test]
async fn rows_and_their_age_are_metrics_that_go_with_the_query() {
    let stage = stage_with_devices().await;
    stage.apply(&query("all", "SELECT * FROM devices")).await;
    stage.sees(QUERY, "all", FRESH).await;
    let labels = format!("{{namespace=\"{}\",name=\"all\"}}", stage.namespace);
    let metrics = stage.metrics().await;
    assert!(metrics.contains(&format!("hubtwin_twinquery_rows{labels} 3\n")), "{metrics}");
    assert!(metrics.contains(&format!("hubtwin_twinquery_last_success_timestamp_seconds{labels} 1")), "{metrics}");
    stage.delete(QUERY, "all").await;
    eventually("the metrics are gone", || async {
        let metrics = stage.metrics().await;
        is_true(!metrics.contains(&labels), metrics)
    })
    .await;
    stage.end().await;
}

#[tokio::test]
async fn a_token_that_leads_nowhere_is_no_rejected_query() {
    let stage = stage_with_devices().await;
    for (name, token, told) in [
        ("loops", WrongToken::Loops, "a page that leads back to itself: reading was given up"),
        ("garbage", WrongToken::Garbage, "the continuation token is damaged"),
    ] {
        stage.fault("query", None, None, Effect::Continuation(token));
        stage.apply(&query(name, "SELECT * FROM devices")).await;
        let status = stage.sees(QUERY, name, "Ready=False HubUnreachable").await;
        assert!(Stage::message(&status, "Ready").contains(told), "{status}");
        Stage::message(&status, "Reconciling");
        stage.clear_faults().await;
        stage.nudge(QUERY, name).await;
        assert_eq!(ids(&stage.sees(QUERY, name, FRESH).await), ["a", "b", "c"]);
    }
    stage.end().await;
}

#[tokio::test]
async fn a_status_that_keeps_its_rows_has_them_after_a_restart_too() {
    let stage = stage_with_devices().await;
    stage.apply(&query("all", "SELECT * FROM devices").set("spec.interval", json!("24h"))).await;
    let fresh = stage.sees(QUERY, "all", FRESH).await;
    let version = stage.get(QUERY, "all").await["metadata"]["resourceVersion"].clone();
    let since = stage.last_call().await;
    let stage = stage.stop().await.start().await;
    eventually("it is asked again", || async {
        let calls = stage.calls(since).await;
        is_true(calls.iter().any(|call| call.operation == "query" && call.outcome == 200), calls)
    })
    .await;
    stage.apply(&query("other", "SELECT * FROM devices")).await;
    stage.sees(QUERY, "other", FRESH).await;
    assert_eq!(stage.get(QUERY, "all").await["metadata"]["resourceVersion"], version, "equal results write nothing");
    let suspended = query("all", "SELECT * FROM devices").set("spec.suspend", json!(true));
    stage.apply(&suspended.set("spec.interval", json!("24h"))).await;
    let status = stage.sees(QUERY, "all", "Ready=True Suspended").await;
    assert_eq!((&status["results"], &status["resultsTime"]), (&fresh["results"], &fresh["resultsTime"]));
    stage.end().await;
}

#[tokio::test]
async fn the_interval_is_stretched_when_the_messages_of_the_day_run_short() {
    let stage = Stage::with(|connection| {
        connection.set("spec.pollInterval", json!("24h")).set("spec.tier", json!("F1")).set("spec.units", json!(1))
    })
    .await;
    for n in 0..20 {
        let id = format!("d{n}");
        stage.register(&id).await;
        let long = "x".repeat(3900);
        stage.foreign_patch(&id, json!({"tags": {"a": long, "b": long}})).await;
    }
    stage.sees(CONNECTION, "plant-hub", "Ready=True Connected").await;
    // Early in a day: what is left has to last long.
    let second = u64::try_from(Timestamp::now().as_second()).unwrap();
    stage.clock.advance(Duration::from_secs(86_400 - second % 86_400 + 60));
    stage.apply(&query("all", "SELECT * FROM devices")).await;
    let status = stage.sees(QUERY, "all", FRESH).await;
    assert_eq!(status["effectiveInterval"], "10s");
    // 160 KB are 320 of the 800 messages that a tenth of the smallest hub's day allows.
    stage.later(Duration::from_secs(600), QUERY, "all").await;
    let stretched = |status: &Value| status["effectiveInterval"].as_str().is_some_and(|interval| interval != "10s");
    let status = stage.sees_status(QUERY, "all", "a longer interval", stretched).await;
    let seconds: SignedDuration = status["effectiveInterval"].as_str().unwrap().parse().unwrap();
    assert!(seconds.as_secs() >= 40 && (seconds.as_secs() / 10).count_ones() == 1, "{status}");
    stage.sees(QUERY, "all", FRESH).await;
    stage.end().await;
}
