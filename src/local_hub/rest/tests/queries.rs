//! What the service answers to queries and their paging headers.

use serde_json::{Value, json};

use super::super::super::testing::{Answer, Stage};

async fn ask(stage: &Stage, query: &str, headers: &[(&str, &str)]) -> Answer {
    stage.call_with("POST", "/devices/query", Some(json!({"query": query})), headers).await
}

fn message(answer: &Answer) -> &str {
    answer.body["Message"].as_str().unwrap_or_else(|| panic!("{answer:?}"))
}

async fn refused(stage: &Stage, query: &str, headers: &[(&str, &str)], expected: &str) {
    let answer = ask(stage, query, headers).await;
    assert_eq!((answer.status, answer.header("iothub-errorcode")), (400, Some("ArgumentInvalid")), "{answer:?}");
    assert!(message(&answer).contains(expected), "{answer:?}");
}

async fn set_knobs(stage: &Stage, knobs: Value) {
    let url = format!("{}/knobs", stage.hub.admin_url());
    let answer = reqwest::Client::new().put(url).json(&knobs).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn mistakes_are_told_with_their_place() {
    let stage = Stage::start().await;
    let cases = [
        ("SELECT * FROM devices WHERE", "line 1, column 28: expected a path"),
        ("SELECT *\nFROM devices\nWHERE tags.a = = 1", "line 3, column 16: expected a path"),
        ("SELECT * FROM devices.jobs", "there are no jobs at this hub"),
        ("SELECT COUNT() FROM devices.modules GROUP BY moduleId", "GROUP BY is available only FROM devices"),
        ("SELECT * FROM devices WHERE IS_NUMBER(tags.a)", "IS_NUMBER is not available in queries of twins"),
    ];
    for (query, expected) in cases {
        refused(&stage, query, &[], expected).await;
    }
    let no_query = stage.call("POST", "/devices/query", Some(json!({"query": 1}))).await;
    assert_eq!((no_query.status, message(&no_query)), (400, "ErrorCode:ArgumentInvalid;the body has no query"));
}

#[tokio::test]
async fn pages_are_asked_for_in_numbers_and_go_on_with_the_same_question() {
    let stage = Stage::start().await;
    for index in 0..3 {
        stage.device(&format!("d{index}")).await;
    }
    let all = "SELECT * FROM devices";
    for count in ["0", "-1", "many", "1.5", "99999999999999999999"] {
        refused(&stage, all, &[("x-ms-max-item-count", count)], "x-ms-max-item-count is a number from 1 on").await;
    }
    for (count, rows) in [("", 3), (" 2 ", 2), ("100000", 3)] {
        let page = ask(&stage, all, &[("x-ms-max-item-count", count)]).await;
        assert_eq!(page.body.as_array().map(Vec::len), Some(rows), "{count:?}");
    }
    let first = ask(&stage, all, &[("x-ms-max-item-count", "2")]).await;
    let token = first.header("x-ms-continuation").unwrap();
    let with = |count| [("x-ms-max-item-count", count), ("x-ms-continuation", token)];
    // Whoever has the token can go on, as often as they like: the hub keeps nothing.
    for _ in 0..2 {
        let second = ask(&stage, all, &with("2")).await;
        assert_eq!((second.body[0]["deviceId"].as_str(), second.header("x-ms-continuation")), (Some("d2"), None));
    }
    // As Java's SDK goes on.
    assert_eq!(ask(&stage, all, &with("100")).await.body[0]["deviceId"], "d2");
    refused(&stage, "SELECT * FROM devices.modules", &with("2"), "belongs to another query").await;
    for damaged in ["%", "e30", &token[1..]] {
        refused(&stage, all, &[("x-ms-continuation", damaged)], "the continuation token is damaged").await;
    }
}

#[tokio::test]
async fn documented_functions_answer_when_the_knob_says_so() {
    let stage = Stage::start().await;
    stage.device("pump-1").await;
    stage.device("fan-1").await;
    set_knobs(&stage, json!({"doubts": {"queryFunctions": "documented"}})).await;
    let query = "SELECT deviceId FROM devices WHERE ENDS_WITH(deviceId, '-1') AND INDEX_OF(deviceId, 'p') = 0";
    assert_eq!(ask(&stage, query, &[]).await.body, json!([{"deviceId": "pump-1"}]));
    set_knobs(&stage, json!({})).await;
    refused(&stage, query, &[], "ENDS_WITH is not available in queries of twins").await;
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes() {
    let stage = Stage::start().await;
    // 8 strings of 4,000 bytes are 32 KB; many small keys make more metadata than content.
    let keys: serde_json::Map<String, Value> = (0..2500).map(|key| (format!("k{key}"), json!(1))).collect();
    for index in 0..20 {
        let id = format!("d{index:02}");
        stage.device(&id).await;
        let patch = json!({"properties": {"desired": keys}});
        assert_eq!(stage.call("PATCH", &format!("/twins/{id}"), Some(patch)).await.status, 200);
    }
    let (mut token, mut ids, mut pages) = (String::new(), Vec::new(), 0);
    loop {
        let page = ask(&stage, "SELECT * FROM devices", &[("x-ms-continuation", &token)]).await;
        let bytes = page.body.to_string().len();
        assert!(bytes < 5 * 1024 * 1024, "{bytes}");
        ids.extend(page.body.as_array().unwrap().iter().map(|twin| twin["deviceId"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(next) = page.header("x-ms-continuation") else { break };
        token = next.to_owned();
    }
    assert!(pages > 1, "one page holds all");
    assert_eq!(ids, (0..20).map(|index| format!("d{index:02}")).collect::<Vec<_>>());
}
