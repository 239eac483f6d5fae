//! The service API over real TLS.

use serde_json::json;

use super::super::testing::{Stage, policy_token};

mod bad_days;
mod contract;
mod limits;
mod queries;
mod switches;

#[tokio::test]
async fn the_tutorial_works() {
    let stage = Stage::start().await;
    stage.device("thermostat-01").await;
    let fresh = stage.call("GET", "/twins/thermostat-01", None).await;
    assert_eq!(fresh.status, 200);
    assert_eq!(fresh.header("content-type"), Some("application/json; charset=utf-8"));
    assert!(fresh.header("x-ms-request-id").is_some());
    assert_eq!(fresh.body["etag"], "AAAAAAAAAAE=");
    assert_eq!(fresh.body["version"], 2);
    assert_eq!(fresh.body.get("tags"), None);
    assert_eq!(fresh.body["properties"]["desired"]["$version"], 1);

    let patch = json!({"tags": {"location": {"region": "US", "plant": "Redmond43"}}});
    let patched =
        stage.call_with("PATCH", "/twins/thermostat-01", Some(patch), &[("if-match", "\"AAAAAAAAAAE=\"")]).await;
    assert_eq!((patched.status, &patched.body["etag"]), (200, &json!("AAAAAAAAAAI=")));

    let query = json!({"query": "SELECT * FROM devices WHERE tags.location.plant = 'Redmond43'"});
    let found = stage.call("POST", "/devices/query", Some(query)).await;
    assert_eq!((found.status, found.header("x-ms-item-type")), (200, Some("Twin")));
    assert_eq!(found.header("x-ms-continuation"), None);
    assert_eq!(found.body[0]["deviceId"], "thermostat-01");

    let counters: serde_json::Value =
        reqwest::get(format!("{}/counters", stage.hub.admin_url())).await.unwrap().json().await.unwrap();
    assert_eq!(counters["twin.get"], 1);
    assert_eq!(counters["twin.patch.200"], 1);
    stage.hub.shutdown().await;
}

#[tokio::test]
async fn refusals_have_code_header_and_message() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let stale = [("if-match", "\"AAAAAAAAAAk=\"")];
    let service = policy_token(&stage.hub, "service");
    let cases = [
        (stage.call("GET", "/twins/nope", None).await, 404, "DeviceNotFound", "ErrorCode:DeviceNotFound;nope"),
        (
            stage.call_with("PATCH", "/twins/d1", Some(json!({"tags": {"a": 1}})), &stale).await,
            412,
            "PreconditionFailed",
            "ErrorCode:PreconditionFailed;ETag mismatch for device ID 'd1'",
        ),
        (
            stage.call("PUT", "/twins/d1", Some(json!({"tags": {"my-tag": null}}))).await,
            400,
            "ArgumentInvalid",
            "ErrorCode:ArgumentInvalid;Value of Property or Tag cannot be null. Error in Property/Tag my-tag",
        ),
        (
            stage.raw("GET", "/twins/d1", None, &[("authorization", &service)]).await,
            400,
            "InvalidProtocolVersion",
            "ErrorCode:InvalidProtocolVersion;BadRequest",
        ),
        (
            stage.raw("GET", "/devices/d1?api-version=2021-04-12", None, &[("authorization", &service)]).await,
            401,
            "IotHubUnauthorizedAccess",
            "ErrorCode:IotHubUnauthorizedAccess;Unauthorized",
        ),
        (
            stage.raw("GET", "/twins/d1?api-version=2021-04-12", None, &[]).await,
            401,
            "IotHubUnauthorizedAccess",
            "ErrorCode:IotHubUnauthorizedAccess;Unauthorized",
        ),
        (
            stage.call("PUT", "/devices/d1", Some(json!({"deviceId": "d1"}))).await,
            409,
            "DeviceAlreadyExists",
            "ErrorCode:DeviceAlreadyExists;A device with ID 'd1' is already registered.",
        ),
        (
            stage.call("GET", "/jobs/v2/job-1", None).await,
            404,
            "FeatureNotSupported",
            "ErrorCode:FeatureNotSupported;this local hub has no jobs",
        ),
    ];
    for (answer, status, name, message) in cases {
        assert_eq!((answer.status, answer.header("iothub-errorcode")), (status, Some(name)), "{answer:?}");
        assert_eq!(answer.body["Message"], message);
        assert!(answer.body["ExceptionMessage"].as_str().unwrap().starts_with("Tracking ID:"));
    }
}

#[tokio::test]
async fn patch_can_be_named_in_a_header() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let patch = || Some(json!({"tags": {"a": 1}}));
    let meant = [("x-http-method-override", "PATCH")];
    assert_eq!(stage.call_with("POST", "/twins/d1", patch(), &meant).await.body["tags"], json!({"a": 1}));
    assert_eq!(stage.call_with("POST", "/twins/d1", patch(), &[]).await.status, 405);
    assert_eq!(stage.call_with("POST", "/twins/d1", patch(), &[("x-http-method-override", "PUT")]).await.status, 405);
}

#[tokio::test]
async fn queries_come_in_pages() {
    let stage = Stage::start().await;
    for index in 0..5 {
        stage.device(&format!("d{index}")).await;
    }
    let pages = async |query: &str| {
        let mut pages = Vec::new();
        let mut token = String::new();
        loop {
            let headers = [("x-ms-max-item-count", "2"), ("x-ms-continuation", token.as_str())];
            let page = stage.call_with("POST", "/devices/query", Some(json!({"query": query})), &headers).await;
            assert_eq!(page.status, 200, "{page:?}");
            pages.push(page.body.as_array().unwrap().len());
            match page.header("x-ms-continuation") {
                Some(next) => token = next.to_owned(),
                None => return pages,
            }
        }
    };
    assert_eq!(pages("SELECT * FROM devices").await, [2, 2, 1]);
    assert_eq!(pages("SELECT TOP 4 * FROM devices").await, [2, 2]);
    assert_eq!(pages("SELECT TOP 3 deviceId FROM devices").await, [2, 1]);
    assert_eq!(pages("SELECT COUNT() AS n FROM devices").await, [1]);
    assert_eq!(pages("SELECT deviceId, COUNT() AS n FROM devices GROUP BY deviceId").await, [2, 2, 1]);
    assert_eq!(pages("SELECT * FROM devices.modules").await, [0]);
}

#[tokio::test]
async fn identities_follow_the_sdks() {
    let stage = Stage::start().await;
    let empty_keys = json!({"deviceId": "a#b", "authentication": {"type": "sas", "symmetricKey": {"primaryKey": "", "secondaryKey": ""}}});
    let made = stage.call("PUT", "/devices/a%23b", Some(empty_keys)).await;
    assert_eq!((made.status, &made.body["deviceId"]), (200, &json!("a#b")), "{made:?}");
    assert_eq!(made.header("etag").unwrap(), format!("\"{}\"", made.body["etag"].as_str().unwrap()));
    assert_eq!(made.body["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap().len(), 44);

    let body = json!({"deviceId": "a#b", "status": "disabled", "statusReason": "lost"});
    let updated = stage.call_with("PUT", "/devices/a%23b", Some(body), &[("if-match", "\"*\"")]).await;
    assert_eq!((updated.status, &updated.body["status"]), (200, &json!("disabled")));
    assert_eq!(updated.body["authentication"], made.body["authentication"]);
    assert_eq!(stage.call("GET", "/devices/", None).await.body.as_array().unwrap().len(), 1);
    assert_eq!(stage.call("GET", "/devices?top=10", None).await.body.as_array().unwrap().len(), 1);

    let module = stage.call("PUT", "/devices/a%23b/modules/m", Some(json!({"deviceId": "a#b", "moduleId": "m"}))).await;
    assert_eq!((module.status, &module.body["moduleId"]), (200, &json!("m")));
    assert_eq!(stage.call("GET", "/devices/a%23b/modules", None).await.body[0]["moduleId"], "m");
    assert_eq!(stage.call("GET", "/twins/a%23b/modules/m", None).await.body["moduleId"], "m");
    assert_eq!(
        stage.call("GET", "/twins/a%23b/modules/x", None).await.header("iothub-errorcode"),
        Some("ModuleNotFound")
    );

    let statistics = stage.call("GET", "/statistics/devices", None).await.body;
    assert_eq!(statistics, json!({"totalDeviceCount": 1, "enabledDeviceCount": 0, "disabledDeviceCount": 1}));
    let gone = stage.call_with("DELETE", "/devices/a%23b", None, &[("if-match", "\"*\"")]).await;
    assert_eq!((gone.status, gone.body), (204, serde_json::Value::Null));
    assert_eq!(stage.call("GET", "/twins/a%23b/modules/m", None).await.status, 404);
}

#[tokio::test]
async fn bulk_answers_item_by_item() {
    let stage = Stage::start().await;
    stage.device("b0").await;
    let items = json!([
        {"id": "b0", "importMode": "create"},
        {"id": "b1", "importMode": "create", "tags": {"a": 1}, "properties": {"desired": {"d": 1}}},
        {"id": "b2", "importMode": "Create", "authentication": {"type": "sas"}},
        {"id": "b2", "importMode": "create"},
        {"id": "b3", "importMode": "Delete"},
    ]);
    let answer = stage.call("POST", "/devices", Some(items)).await;
    assert_eq!((answer.status, &answer.body["isSuccessful"]), (400, &json!(false)));
    let codes: Vec<_> = answer.body["errors"].as_array().unwrap().iter().map(|error| &error["errorCode"]).collect();
    assert_eq!(codes, [&json!(409_001), &json!(400_011), &json!(404_001)]);
    assert_eq!(
        answer.body["errors"][2],
        json!({"deviceId": "b3", "moduleId": null, "errorCode": 404_001, "errorStatus": "b3", "operation": "Delete"})
    );
    let twin = stage.call("GET", "/twins/b1", None).await.body;
    assert_eq!((&twin["etag"], &twin["version"], &twin["tags"]["a"]), (&json!("AAAAAAAAAAE="), &json!(2), &json!(1)));
    let desired = &twin["properties"]["desired"];
    assert_eq!((&desired["$version"], &desired["$metadata"]["d"]["$lastUpdatedVersion"]), (&json!(1), &json!(1)));

    let items = json!([
        {"id": "b1", "importMode": "updateTwin", "tags": {"a": 2}},
        {"id": "b2", "importMode": "DeleteIfMatchETag", "etag": "*"},
    ]);
    let answer = stage.call("POST", "/devices", Some(items)).await;
    assert_eq!((answer.status, answer.body), (200, json!({"isSuccessful": true, "errors": [], "warnings": []})));
    assert_eq!(stage.call("GET", "/twins/b1", None).await.body["etag"], "AAAAAAAAAAI=");
    assert_eq!(stage.call("GET", "/devices/b2", None).await.status, 404);
}

#[tokio::test]
async fn faults_strike_as_they_are_asked_to() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let admin = reqwest::Client::new();
    let faults = format!("{}/faults", stage.hub.admin_url());
    let fault = json!({"operation": "twin.patch", "subject": "d1", "times": 1, "effect": {"status": 429}});
    assert_eq!(admin.post(&faults).json(&fault).send().await.unwrap().status(), 200);
    let patch = || Some(json!({"tags": {"a": 1}}));
    let throttled = stage.call("PATCH", "/twins/d1", patch()).await;
    assert_eq!((throttled.status, throttled.header("iothub-errorcode")), (429, Some("ThrottlingException")));
    assert_eq!(throttled.header("retry-after"), None);

    for (effect, etag) in [("cutBefore", "AAAAAAAAAAE="), ("cutAfter", "AAAAAAAAAAI=")] {
        let fault = json!({"operation": "twin.patch", "times": 1, "effect": effect});
        assert_eq!(admin.post(&faults).json(&fault).send().await.unwrap().status(), 200);
        let (path, body) = ("/twins/d1?api-version=2021-04-12", patch().map(|body| body.to_string()));
        let headers = [("authorization", stage.token.as_str())];
        let lost = stage.try_raw("PATCH", path, body, &headers).await;
        assert!(lost.is_err(), "{effect}: {lost:?}");
        assert_eq!(stage.call("GET", "/twins/d1", None).await.body["etag"], etag, "{effect}");
    }
}

#[tokio::test]
async fn knobs_move_clock_and_page_size() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    stage.device("d2").await;
    let knobs = format!("{}/knobs", stage.hub.admin_url());
    let hours = json!({"pageSize": 1, "clockOffsetMs": 7_200_000});
    assert_eq!(reqwest::Client::new().put(&knobs).json(&hours).send().await.unwrap().status(), 200);
    // Every token is over by the hub's clock.
    assert_eq!(stage.call("GET", "/twins/d1", None).await.status, 401);
    stage.hub.set_knobs(crate::local_hub::knobs::Knobs { page_size: Some(1), ..Default::default() });
    let page = stage.call("POST", "/devices/query", Some(json!({"query": "SELECT * FROM devices"}))).await;
    assert_eq!((page.body.as_array().unwrap().len(), page.header("x-ms-continuation").is_some()), (1, true));
}
