//! The limits of a tier over real TLS.

use serde_json::{Value, json};

use crate::local_hub::testing::{Answer, Stage};

/// Limits without burst and queue: the first call passes, the next is refused.
async fn strict(stage: &Stage, more: Value) {
    let mut limits = json!({"tier": "S1", "percent": 1, "burstMs": 0, "queueMs": 0});
    for (name, value) in more.as_object().unwrap() {
        limits[name] = value.clone();
    }
    stage.hub.set_knobs(serde_json::from_value(json!({"limits": limits})).unwrap());
}

fn told(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("iothub-errorcode"))
}

const TOO_OFTEN: (u16, Option<&str>) = (429, Some("ThrottlingException"));

#[tokio::test]
async fn bursts_pass_and_what_comes_after_is_refused() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let query = || Some(json!({"query": "SELECT * FROM devices"}));
    let calls = [
        ("GET", "/twins/d1", None),
        ("PATCH", "/twins/d1", Some(json!({"tags": {"a": 1}}))),
        ("POST", "/devices/query", query()),
        ("GET", "/devices/d1", None),
    ];
    for (method, path, body) in calls {
        // The burst of a whole hour holds for one call of each class at least, and no burst for none.
        strict(&stage, json!({"burstMs": 3_600_000})).await;
        assert_eq!(stage.call(method, path, body.clone()).await.status, 200, "{method} {path}");
        strict(&stage, json!({})).await;
        let refused = stage.call(method, path, body).await;
        assert_eq!(told(&refused), TOO_OFTEN, "{method} {path}");
        assert_eq!(refused.header("retry-after"), None);
    }
    strict(&stage, json!({"retryAfterS": 7})).await;
    assert_eq!(stage.call("GET", "/twins/d1", None).await.header("retry-after"), Some("7"));
    strict(&stage, json!({"queueMs": 3_600_000, "backlog": 0})).await;
    let full = stage.call("GET", "/twins/d1", None).await;
    assert_eq!(told(&full), (429, Some("ThrottleBacklogLimitExceeded")));
}

#[tokio::test]
async fn bulk_calls_count_item_by_item() {
    let stage = Stage::start().await;
    // 100 identities in a minute, 1% of them, for an hour: 60.
    strict(&stage, json!({"burstMs": 3_600_000})).await;
    let items = |from: usize| -> Value {
        (from..from + 40).map(|index| json!({"id": format!("d{index}"), "importMode": "create"})).collect()
    };
    assert_eq!(stage.call("POST", "/devices", Some(items(0))).await.status, 200);
    assert_eq!(told(&stage.call("POST", "/devices", Some(items(40))).await), TOO_OFTEN);
    assert_eq!(stage.call("GET", "/devices/d40", None).await.status, 404);
}

#[tokio::test]
async fn messages_of_a_day_come_to_an_end_and_begin_anew() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let used = async || -> Value {
        let url = format!("{}/limits", stage.hub.admin_url());
        reqwest::get(url).await.unwrap().json::<Value>().await.unwrap()["usedMessages"].clone()
    };
    let day = |offset: i64, doubts: Value| {
        let limits = json!({"tier": "F1", "dailyMessages": 8});
        let knobs = json!({"limits": limits, "clockOffsetMs": offset, "doubts": doubts});
        stage.hub.set_knobs(serde_json::from_value(knobs).unwrap());
    };
    day(0, json!({}));
    // A block of the free tier has 512 bytes: the twin has two, the patch one, an empty result one.
    assert_eq!(stage.call("GET", "/twins/d1", None).await.status, 200);
    assert_eq!(used().await, 2);
    stage.call("PATCH", "/twins/d1", Some(json!({"tags": {"a": "x".repeat(600)}}))).await;
    assert_eq!(used().await, 4);
    let none = || Some(json!({"query": "SELECT * FROM devices WHERE tags.a = 1"}));
    stage.call("POST", "/devices/query", none()).await;
    assert_eq!(used().await, 5);
    day(0, json!({"emptyResult": "free"}));
    stage.call("POST", "/devices/query", none()).await;
    assert_eq!(used().await, 5);
    stage.call("GET", "/twins/d1", None).await;
    let spent = stage.call("GET", "/twins/d1", None).await;
    assert_eq!(told(&spent), (403, Some("IotHubQuotaExceeded")));
    assert!(
        spent.body["Message"].as_str().unwrap().contains("Max allowed message count: '8', current message count: '8'"),
        "{spent:?}"
    );
    // Identities are not metered.
    assert_eq!(stage.call("GET", "/devices/d1", None).await.status, 200);
    // The next day is there by the hub's clock; tokens of an hour are over then.
    day(86_400_000, json!({}));
    assert_eq!(used().await, 0);
}

#[tokio::test]
async fn further_pages_count_or_not() {
    let stage = Stage::start().await;
    for id in ["d1", "d2"] {
        stage.device(id).await;
    }
    let ask = async |token: &str| {
        let headers = [("x-ms-max-item-count", "1"), ("x-ms-continuation", token)];
        stage.call_with("POST", "/devices/query", Some(json!({"query": "SELECT * FROM devices"})), &headers).await
    };
    for (pages, expected) in [("each", 429), ("first", 200)] {
        strict(&stage, json!({"burstMs": 3_600_000})).await;
        let token = ask("").await.header("x-ms-continuation").unwrap().to_owned();
        let limits = json!({"tier": "S1", "percent": 1, "burstMs": 0, "queueMs": 0});
        let knobs = json!({"limits": limits, "doubts": {"queryPages": pages}});
        stage.hub.set_knobs(serde_json::from_value(knobs).unwrap());
        assert_eq!(ask(&token).await.status, expected, "{pages}");
    }
}

#[tokio::test]
async fn basic_tiers_have_no_twins() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    strict(&stage, json!({"tier": "B1", "burstMs": 3_600_000})).await;
    for (method, path, body) in
        [("GET", "/twins/d1", None), ("POST", "/devices/query", Some(json!({"query": "SELECT * FROM devices"})))]
    {
        let refused = stage.call(method, path, body).await;
        assert_eq!(told(&refused), (403, Some("OperationNotAvailableInCurrentTier")), "{path}");
    }
    assert_eq!(stage.call("GET", "/devices/d1", None).await.status, 200);
}
