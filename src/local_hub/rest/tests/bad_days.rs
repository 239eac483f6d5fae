//! Faults, lags, doubts and failover over real TLS.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::local_hub::Config;
use crate::local_hub::knobs::{Effect, Fault, Knobs, WrongToken};
use crate::local_hub::testing::Stage;

fn fault(operation: &str, effect: Effect) -> Fault {
    let operation = Some(operation.to_owned());
    Fault { operation, subject: None, after: 0, times: Some(1), delay_ms: 0, effect }
}

/// A call to the admin server: status and body.
async fn admin(stage: &Stage, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let url = format!("{}{path}", stage.hub.admin_url());
    let mut request = reqwest::Client::new().request(method.parse().unwrap(), url);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn raw_get(stage: &Stage) -> reqwest::Result<reqwest::Response> {
    let headers = [("authorization", stage.token.as_str())];
    stage.try_raw("GET", "/twins/d1?api-version=2021-04-12", None, &headers).await
}

#[tokio::test]
async fn answers_are_spoiled_as_asked() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let whole = raw_get(&stage).await.unwrap().text().await.unwrap();

    stage.hub.add_fault(fault("twin.get", Effect::SlowBody(300)));
    let began = Instant::now();
    let slow = raw_get(&stage).await.unwrap();
    assert_eq!(slow.text().await.unwrap(), whole);
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());

    stage.hub.add_fault(fault("twin.get", Effect::TruncatedBody));
    let cut = raw_get(&stage).await.unwrap();
    assert_eq!((cut.status().as_u16(), cut.content_length()), (200, Some(whole.len() as u64)));
    assert!(cut.text().await.is_err());

    stage.hub.add_fault(fault("twin.get", Effect::NotJson));
    let odd = raw_get(&stage).await.unwrap();
    assert_eq!(odd.headers()["content-type"], "application/json; charset=utf-8");
    assert!(serde_json::from_str::<Value>(&odd.text().await.unwrap()).is_err());

    stage.hub.add_fault(fault("twin.get", Effect::Html(502)));
    let page = raw_get(&stage).await.unwrap();
    assert_eq!((page.status().as_u16(), &page.headers()["content-type"]), (502, &"text/html".parse().unwrap()));
    assert!(page.headers().get("iothub-errorcode").is_none());
    assert!(page.text().await.unwrap().starts_with("<html>"));

    stage.hub.add_fault(fault("twin.get", Effect::Code(429_002)));
    let full = stage.call("GET", "/twins/d1", None).await;
    assert_eq!((full.status, full.header("iothub-errorcode")), (429, Some("ThrottleBacklogLimitExceeded")));
    assert_eq!(stage.call("GET", "/twins/d1", None).await.status, 200);
}

#[tokio::test]
async fn continuation_tokens_lead_nowhere_when_asked() {
    let stage = Stage::start().await;
    for id in ["d1", "d2", "d3"] {
        stage.device(id).await;
    }
    let page = async |token: &str| {
        let headers = [("x-ms-max-item-count", "1"), ("x-ms-continuation", token)];
        stage.call_with("POST", "/devices/query", Some(json!({"query": "SELECT * FROM devices"})), &headers).await
    };
    let first = page("").await;
    stage.hub.add_fault(fault("query", Effect::Continuation(WrongToken::Loops)));
    let second = page(first.header("x-ms-continuation").unwrap()).await;
    assert_eq!(second.header("x-ms-continuation"), first.header("x-ms-continuation"));
    stage.hub.add_fault(fault("query", Effect::Continuation(WrongToken::Loops)));
    let looping = page("").await;
    assert_eq!(page(looping.header("x-ms-continuation").unwrap()).await.body, first.body);

    let mut tokens = vec![String::new()];
    for _ in 0..3 {
        stage.hub.add_fault(fault("query", Effect::Continuation(WrongToken::Endless)));
        let endless = page(tokens.last().unwrap()).await;
        assert_eq!(endless.body, first.body);
        let token = endless.header("x-ms-continuation").unwrap().to_owned();
        assert!(!tokens.contains(&token), "never the same token");
        tokens.push(token);
    }

    stage.hub.add_fault(fault("query", Effect::Continuation(WrongToken::Garbage)));
    let garbage = page("").await;
    assert_eq!((garbage.status, &garbage.body), (200, &first.body));
    let refused = page(garbage.header("x-ms-continuation").unwrap()).await;
    assert_eq!((refused.status, refused.header("iothub-errorcode")), (400, Some("ArgumentInvalid")));
}

#[tokio::test]
async fn queries_see_changes_late_and_devices_that_are_gone() {
    let stage = Stage::start().await;
    stage.device("old").await;
    let set = |offset: i64| {
        let knobs = Knobs { query_lag_ms: 60_000, clock_offset_ms: offset, ..Knobs::default() };
        stage.hub.set_knobs(knobs);
    };
    let found = async || -> Vec<String> {
        let query = json!({"query": "SELECT deviceId FROM devices"});
        let rows = stage.call("POST", "/devices/query", Some(query)).await.body;
        rows.as_array().unwrap().iter().map(|row| row["deviceId"].as_str().unwrap().to_owned()).collect()
    };
    set(0);
    stage.device("new").await;
    stage.call("DELETE", "/devices/old", None).await;
    assert_eq!(found().await, ["old"]);
    assert_eq!(stage.call("GET", "/twins/old", None).await.status, 404);
    set(61_000);
    assert_eq!(found().await, ["new"]);
}

#[tokio::test]
async fn a_failover_goes_back_to_what_was_kept() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let before = stage.call("GET", "/twins/d1", None).await.body;
    let (status, kept) = admin(&stage, "PUT", "/snapshots/before", None).await;
    assert_eq!((status, &kept["name"], &kept["identities"]), (200, &json!("before"), &json!(1)));
    stage.call("PATCH", "/twins/d1", Some(json!({"tags": {"a": 1}}))).await;
    stage.device("d2").await;
    assert_eq!(admin(&stage, "POST", "/failover", Some(json!({"snapshot": "before"}))).await.0, 200);
    assert_eq!(stage.call("GET", "/twins/d1", None).await.body, before);
    assert_eq!(stage.call("GET", "/twins/d2", None).await.status, 404);

    let (status, told) = admin(&stage, "POST", "/failover", Some(json!({"snapshot": "other"}))).await;
    let problem = json!({"error": {"field": "snapshot", "message": "there is no snapshot of this name"}});
    assert_eq!((status, told), (404, problem));
    assert_eq!(admin(&stage, "DELETE", "/snapshots/before", None).await, (200, json!([])));
    let (_, events) = admin(&stage, "GET", "/events?operation=failover", None).await;
    assert_eq!((&events[0]["outcome"], &events[1]["outcome"]), (&json!(200), &json!(404)));
}

#[tokio::test]
async fn what_is_set_wrongly_is_told_and_changes_nothing() {
    let stage = Stage::start().await;
    assert_eq!(admin(&stage, "PUT", "/knobs", Some(json!({"pageSize": 7}))).await.0, 200);
    let (status, told) = admin(&stage, "PUT", "/knobs", Some(json!({"pageSize": 1001}))).await;
    let problem = json!({"error": {"field": "pageSize", "message": "1001 rows; 1 to 1000"}});
    assert_eq!((status, told), (400, problem));
    let (status, told) = admin(&stage, "POST", "/faults", Some(json!({"effect": {"status": 1}}))).await;
    assert_eq!((status, &told["error"]["field"]), (400, &json!("effect.status")));
    // A change leaves the rest.
    let (_, knobs) = admin(&stage, "PATCH", "/knobs", Some(json!({"queryLagMs": 5}))).await;
    assert_eq!((&knobs["pageSize"], &knobs["queryLagMs"]), (&json!(7), &json!(5)));
    let (status, told) = admin(&stage, "PATCH", "/knobs", Some(json!({"limits": {"tier": "Z9"}}))).await;
    assert_eq!((status, &told["error"]["field"]), (400, &json!("limits.tier")));
    assert_eq!(admin(&stage, "GET", "/knobs", None).await.1, knobs);
    assert_eq!(admin(&stage, "GET", "/events?outcome=x", None).await.0, 400);

    let url = format!("{}/knobs", stage.hub.admin_url());
    let bare = reqwest::Client::new().put(url).body("{}").send().await.unwrap();
    assert_eq!(bare.status(), 415);
}

#[tokio::test]
async fn bad_days_can_begin_with_the_hub() {
    let knobs = Knobs { page_size: Some(1), ..Knobs::default() };
    let faults = vec![fault("twin.get", Effect::Status(503))];
    let stage = Stage::with(Config { knobs, faults, ..Config::default() }).await;
    stage.device("d1").await;
    assert_eq!(stage.call("GET", "/twins/d1", None).await.status, 503);
    assert_eq!(admin(&stage, "GET", "/knobs", None).await.1["pageSize"], 1);
}

#[tokio::test]
async fn a_missing_twin_can_be_told_in_another_form() {
    let stage = Stage::start().await;
    stage.hub.set_knobs(serde_json::from_value(json!({"doubts": {"missingTwin": "B"}})).unwrap());
    let missing = stage.call("GET", "/twins/nope", None).await;
    assert_eq!((missing.status, missing.header("iothub-errorcode")), (404, Some("DeviceNotFound")));
    let inner: Value = serde_json::from_str(missing.body["Message"].as_str().unwrap()).unwrap();
    assert_eq!((&inner["errorCode"], &inner["message"]), (&json!(404_001), &json!("nope")));
    assert_eq!(missing.body["ExceptionMessage"], "");
    let other = stage.call("GET", "/devices/nope", None).await;
    assert_eq!(other.body["Message"], "ErrorCode:DeviceNotFound;nope");
}

#[tokio::test]
async fn conditions_on_the_metadata_of_a_section_are_in_doubt() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let root = "properties.reported.$metadata.$lastUpdated >= '2000-01-01'";
    let ask = async |text: String| stage.call("POST", "/devices/query", Some(json!({"query": text}))).await;
    let cases = [("served", 200, 1), ("empty", 200, 0), ("refused", 400, 0)];
    for (answer, status, rows) in cases {
        stage.hub.set_knobs(serde_json::from_value(json!({"doubts": {"rootMetadata": answer}})).unwrap());
        let found = ask(format!("SELECT * FROM devices WHERE {root}")).await;
        assert_eq!(found.status, status, "{answer}");
        assert_eq!(found.body.as_array().map_or(0, Vec::len), rows, "{answer}");
        let counted = ask(format!("SELECT COUNT() AS n FROM devices WHERE {root}")).await;
        assert_eq!(counted.body[0]["n"], if status == 200 { json!(rows) } else { Value::Null }, "{answer}");
        // Metadata of single properties, and its projection, are not in doubt.
        let other = ask("SELECT properties.reported.$metadata.$lastUpdated FROM devices".to_owned()).await;
        assert_eq!(other.body.as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn the_log_shows_what_was_written() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let patch = json!({"tags": {"b": 1, "a": [null, 2.5]}});
    stage.call("PATCH", "/twins/d1", Some(patch.clone())).await;
    stage.call("PUT", "/twins/d1", Some(json!({"tags": {"a": "x".repeat(2100)}}))).await;
    stage.call("GET", "/twins/d1", None).await;
    let (_, events) = admin(&stage, "GET", "/events?subject=d1&since=1", None).await;
    let bodies: Vec<_> = events.as_array().unwrap().iter().map(|entry| entry.get("body")).collect();
    assert_eq!(bodies, [Some(&patch), None, None]);
    assert_eq!((&events[0]["outcome"], &events[0]["who"]), (&json!(400), &json!("iothubowner")));
}

#[tokio::test]
async fn a_hub_ends_in_the_middle_of_a_bad_day() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    stage.hub.add_fault(Fault { delay_ms: 3_600_000, ..fault("twin.get", Effect::Delay) });
    let (hub, client) = stage.apart();
    let waiting = tokio::spawn(client);
    // The fault is gone from the list once the call waits for it.
    while !hub.hub.faults().waiting().is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_secs(20), hub.shutdown()).await.expect("it ends");
    assert!(waiting.await.unwrap().is_err());
}
