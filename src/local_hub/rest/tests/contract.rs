//! What the service API refuses: each with its status, code and text.

use serde_json::{Value, json};

use crate::local_hub::testing::{Answer, Stage, device_token, policy_token};

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("iothub-errorcode").unwrap_or(""))
}

#[tokio::test]
async fn policies_allow_what_they_are_for() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let query = json!({"query": "SELECT * FROM devices"});
    let registry_read = ["iothubowner", "registryRead", "registryReadWrite"].as_slice();
    let registry_write = ["iothubowner", "registryReadWrite"].as_slice();
    let service = ["iothubowner", "service"].as_slice();
    let calls = [
        ("GET", "/devices/d1", None, registry_read),
        ("GET", "/devices", None, registry_read),
        ("GET", "/devices/d1/modules", None, registry_read),
        ("GET", "/statistics/devices", None, registry_read),
        ("GET", "/statistics/service", None, registry_read),
        ("PUT", "/devices/d1/modules/m", Some(json!({"moduleId": "m"})), registry_write),
        ("DELETE", "/devices/d1/modules/m", None, registry_write),
        ("POST", "/devices", Some(json!([{"id": "d1", "importMode": "update"}])), registry_write),
        ("GET", "/twins/d1", None, service),
        ("PATCH", "/twins/d1", Some(json!({"tags": {"a": 1}})), service),
        ("PUT", "/twins/d1", Some(json!({"tags": {"a": 1}})), service),
        ("POST", "/devices/query", Some(query), service),
    ];
    for (method, path, body, allowed) in calls {
        for policy in ["iothubowner", "service", "device", "registryRead", "registryReadWrite"] {
            let token = policy_token(&stage.hub, policy);
            let body = body.as_ref().map(Value::to_string);
            let path = format!("{path}?api-version=2021-04-12");
            let answer = stage.raw(method, &path, body, &[("authorization", &token)]).await;
            let expected = if allowed.contains(&policy) { None } else { Some((401, "IotHubUnauthorizedAccess")) };
            assert_eq!(Some(told(&answer)).filter(|(status, _)| *status == 401), expected, "{policy} {method} {path}");
        }
    }
    let owner = policy_token(&stage.hub, "iothubowner");
    let tokens = [
        String::new(),
        "Bearer x".to_owned(),
        "SharedAccessSignature".to_owned(),
        "SharedAccessSignature sr=localhost&sig=%ff&se=x".to_owned(),
        owner.replace("sr=localhost", "sr=elsewhere"),
        owner.replace("skn=iothubowner", "skn=nobody"),
        owner.replace("skn=iothubowner", "skn=service"),
        owner.replace("sig=", "sig=A"),
        owner.replace("&se=", "&se=1"),
        format!("{owner}&skn=iothubowner"),
        // A device is no back end.
        device_token("d1", &key),
    ];
    for token in tokens {
        let answer = stage.raw("GET", "/twins/d1?api-version=2021-04-12", None, &[("authorization", &token)]).await;
        assert_eq!(told(&answer), (401, "IotHubUnauthorizedAccess"), "{token}");
        assert_eq!(answer.body["Message"], "ErrorCode:IotHubUnauthorizedAccess;Unauthorized", "{token}");
    }
}

#[tokio::test]
async fn paths_and_versions_are_refused_before_tokens() {
    let stage = Stage::start().await;
    let cases = [
        ("GET", "/nowhere", (404, "GenericNotFound")),
        ("GET", "/twins/", (404, "GenericNotFound")),
        ("DELETE", "/twins/d1?api-version=2021-04-12", (405, "GenericMethodNotAllowed")),
        ("POST", "/devices/d1?api-version=2021-04-12", (405, "GenericMethodNotAllowed")),
        ("PUT", "/jobs/v2/j1?api-version=2021-04-12", (404, "FeatureNotSupported")),
        ("POST", "/jobs/v2/j1/cancel?api-version=2021-04-12", (404, "FeatureNotSupported")),
        ("GET", "/jobs/v2/query?api-version=2021-04-12", (404, "FeatureNotSupported")),
        ("POST", "/jobs/create?api-version=2021-04-12", (404, "FeatureNotSupported")),
        ("POST", "/twins/d1/methods?api-version=2021-04-12", (404, "FeatureNotSupported")),
        ("GET", "/configurations?api-version=2021-04-12", (404, "FeatureNotSupported")),
        ("GET", "/twins/d1", (400, "InvalidProtocolVersion")),
        ("GET", "/twins/d1?api-version=", (400, "InvalidProtocolVersion")),
        ("GET", "/twins/d1?api-version=2018-06", (400, "InvalidProtocolVersion")),
        ("GET", "/twins/d1?api-version=2099-01-01", (400, "InvalidProtocolVersion")),
        ("GET", "/twins/d1?api-version=2021-04-12", (401, "IotHubUnauthorizedAccess")),
    ];
    for (method, path, expected) in cases {
        let answer = stage.raw(method, path, None, &[]).await;
        assert_eq!(told(&answer), expected, "{method} {path}");
        assert!(answer.header("x-ms-request-id").is_some(), "{method} {path}");
    }
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!({"k": inner}))
}

#[tokio::test]
async fn twin_bodies_are_refused_with_status_code_and_text() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let not_valid = "ErrorCode:ArgumentInvalid;Provided json is not a valid 'tags' or 'properties' object: ";
    let null = "ErrorCode:ArgumentInvalid;Value of Property or Tag cannot be null. Error in Property/Tag ";
    let large: Value =
        (0..9).map(|index| (format!("k{index}"), json!("s".repeat(4090)))).collect::<serde_json::Map<_, _>>().into();
    let invalid = (400, "ArgumentInvalid");
    let cases = [
        ("PATCH", "".to_owned(), (400, "IotHubFormatError"), "ErrorCode:IotHubFormatError;the body is not JSON".to_owned()),
        ("PATCH", "{\"tags\": {\"a\": 1,}}".to_owned(), (400, "IotHubFormatError"), "ErrorCode:IotHubFormatError;the body is not JSON".to_owned()),
        ("PATCH", "{\"tags\": {\"a\": 1e999}}".to_owned(), (400, "IotHubFormatError"), "ErrorCode:IotHubFormatError;the body is not JSON".to_owned()),
        ("PATCH", "[".repeat(100_000), (400, "IotHubFormatError"), "ErrorCode:IotHubFormatError;the body is not JSON".to_owned()),
        ("PATCH", "[]".to_owned(), (400, "IotHubFormatError"), "ErrorCode:IotHubFormatError;the body is not a JSON object".to_owned()),
        ("PATCH", json!({"tags": 1}).to_string(), invalid, format!("{not_valid}'tags' is not an object.")),
        ("PATCH", json!({"properties": []}).to_string(), invalid, format!("{not_valid}'properties' is not an object.")),
        ("PATCH", json!({"properties": {"desired": "x"}}).to_string(), invalid, format!("{not_valid}'desired' is not an object.")),
        ("PATCH", json!({"tags": {"a.b": 1}}).to_string(), invalid, format!("{not_valid}/tags/a.b: the key holds '.'")),
        ("PATCH", json!({"tags": {"a b": 1}}).to_string(), invalid, format!("{not_valid}/tags/a b: the key holds ' '")),
        ("PATCH", json!({"tags": {"a\u{85}": 1}}).to_string(), invalid, format!("{not_valid}/tags/a\u{85}: the key holds")),
        ("PATCH", json!({"tags": {"$a": 1}}).to_string(), invalid, format!("{not_valid}/tags/$a: the key holds '$'")),
        ("PATCH", json!({"tags": {"k".repeat(1025): 1}}).to_string(), invalid, format!("{not_valid}/tags/kkk")),
        ("PATCH", json!({"tags": {"a": 1_i64 << 52}}).to_string(), invalid, format!("{not_valid}/tags/a: 4503599627370496 is out of range")),
        ("PATCH", json!({"tags": nested(11)}).to_string(), (200, ""), String::new()),
        ("PATCH", json!({"tags": nested(12)}).to_string(), invalid, format!("{not_valid}/tags/k")),
        (
            "PATCH",
            json!({"tags": {"a": "s".repeat(4097)}}).to_string(),
            invalid,
            "ErrorCode:ArgumentInvalid;Property or Tag value should be maximum 4096 bytes. Error in Property/Tag a".to_owned(),
        ),
        ("PATCH", json!({"tags": {"a": [{"b": null}]}}).to_string(), invalid, format!("{null}b")),
        ("PUT", json!({"tags": {"a": {"b": null}}}).to_string(), invalid, format!("{null}b")),
        ("PUT", json!({"tags": null}).to_string(), invalid, format!("{null}tags")),
        ("PUT", json!({"properties": {"desired": null}}).to_string(), invalid, format!("{null}desired")),
        (
            "PATCH",
            json!({"tags": large}).to_string(),
            (403, "DeviceModelMaxPropertiesExceeded"),
            "ErrorCode:DeviceModelMaxPropertiesExceeded;'Tags' size should be less than 8192 bytes.".to_owned(),
        ),
        (
            "PUT",
            json!({"properties": {"desired": large}}).to_string(),
            (403, "DeviceModelMaxPropertiesExceeded"),
            "ErrorCode:DeviceModelMaxPropertiesExceeded;'Properties.Desired' size should be less than 32768 bytes.".to_owned(),
        ),
        ("PATCH", " ".repeat(1024 * 1024 + 1), (413, "MessageTooLarge"), "ErrorCode:MessageTooLarge;the body has more than 1048576 bytes".to_owned()),
        // What clients send back as they have read it is tolerated.
        ("PATCH", json!({"etag": "x", "version": 7, "properties": {"reported": {"a": 1}, "desired": {"$version": 9, "$metadata": {"x.y": 1}, "a": 1}}}).to_string(), (200, ""), String::new()),
    ];
    for (method, body, expected, message) in cases {
        let shown: String = body.chars().take(60).collect();
        let headers = [("authorization", stage.token.as_str())];
        let answer = stage.raw(method, "/twins/d1?api-version=2021-04-12", Some(body), &headers).await;
        assert_eq!(told(&answer), expected, "{method} {shown}: {answer:?}");
        let text = answer.body["Message"].as_str().unwrap_or("");
        assert!(text.starts_with(&message), "{method} {shown}: {text}");
    }
    let arrays = Some(json!({"tags": {"a": [1]}}).to_string());
    for (version, expected) in [("2018-06-30", invalid), ("2019-10-01", (200, ""))] {
        let path = format!("/twins/d1?api-version={version}");
        let headers = [("authorization", stage.token.as_str())];
        assert_eq!(told(&stage.raw("PATCH", &path, arrays.clone(), &headers).await), expected, "{version}");
    }
}

#[tokio::test]
async fn identities_are_refused_with_status_and_code() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let long = format!("/devices/{}", "d".repeat(129));
    let cases = [
        ("PUT", "/devices/d1", "{}", "", (409, "DeviceAlreadyExists")),
        ("PUT", "/devices/d1", "{}", "\"\"", (409, "DeviceAlreadyExists")),
        // Without quotes an etag is as good as none.
        ("PUT", "/devices/d1", "{}", "AAAA", (409, "DeviceAlreadyExists")),
        ("PUT", "/devices/d1", "{}", "\"AAAA\"", (412, "PreconditionFailed")),
        ("PUT", "/devices/d1", "{}", "*", (200, "")),
        ("PUT", "/devices/d1", "{}", "\"*\"", (200, "")),
        ("PUT", "/devices/nope", "{}", "\"*\"", (404, "DeviceNotFound")),
        ("PUT", "/devices/d2", "{\"deviceId\": \"d3\"}", "", (400, "ArgumentInvalid")),
        ("PUT", "/devices/d2", "[]", "", (400, "IotHubFormatError")),
        ("PUT", "/devices/a%20b", "{}", "", (400, "ArgumentInvalid")),
        ("PUT", &long, "{}", "", (400, "ArgumentInvalid")),
        ("PUT", "/devices/d2", "{\"deviceScope\": \"x\"}", "", (400, "InvalidDeviceScope")),
        ("PUT", "/devices/nope/modules/m", "{}", "", (404, "DeviceNotFound")),
        ("PUT", "/devices/d1/modules/$edgeHub", "{}", "", (401, "SystemModuleModifyUnauthorizedAccess")),
        ("PUT", "/devices/d1/modules/m", "{}", "", (200, "")),
        ("PUT", "/devices/d1/modules/m", "{}", "", (409, "ModuleAlreadyExistsOnDevice")),
        ("GET", "/devices/d1/modules/x", "", "", (404, "ModuleNotFound")),
        ("GET", "/devices/nope/modules", "", "", (404, "DeviceNotFound")),
        ("GET", "/devices/D1", "", "", (404, "DeviceNotFound")),
        ("DELETE", "/devices/d1", "", "\"AAAA\"", (412, "PreconditionFailed")),
        ("DELETE", "/devices/nope", "", "\"*\"", (404, "DeviceNotFound")),
        ("DELETE", "/devices/d1", "", "\"*\"", (204, "")),
        ("POST", "/devices", "{}", "", (400, "ArgumentInvalid")),
        ("POST", "/devices", "[]", "", (400, "ArgumentInvalid")),
        ("POST", "/devices/query", "{}", "", (400, "ArgumentInvalid")),
        ("POST", "/devices/query", "{\"query\": \"SELECT\"}", "", (400, "ArgumentInvalid")),
        ("POST", "/devices/query", "{\"query\": \"SELECT * FROM devices.jobs\"}", "", (400, "ArgumentInvalid")),
    ];
    for (method, path, body, if_match, expected) in cases {
        let mut headers = vec![("authorization", stage.token.as_str())];
        headers.extend((!if_match.is_empty()).then_some(("if-match", if_match)));
        let body = (!body.is_empty()).then(|| body.to_owned());
        let path = format!("{path}?api-version=2021-04-12");
        let answer = stage.raw(method, &path, body, &headers).await;
        assert_eq!(told(&answer), expected, "{method} {path} {if_match}: {answer:?}");
    }
    let many: Value = (0..101).map(|index| json!({"id": format!("m{index}")})).collect();
    assert_eq!(told(&stage.call("POST", "/devices", Some(many)).await), (400, "ArgumentInvalid"));
}

#[tokio::test]
async fn heads_have_an_end() {
    let stage = Stage::start().await;
    let long = "x".repeat(1024 * 1024);
    let headers = [("authorization", stage.token.as_str()), ("x-long", long.as_str())];
    // The connection may be closed before the client has sent it all.
    let answer = stage.try_raw("GET", "/twins/d1?api-version=2021-04-12", None, &headers).await;
    assert!(answer.as_ref().map_or(true, |answer| answer.status() == 431), "{answer:?}");
    assert_eq!(stage.call("GET", "/devices", None).await.status, 200);
}

#[tokio::test]
async fn ids_hold_every_legal_character_escaped_or_not() {
    let stage = Stage::start().await;
    let id = "Az09-:.+%_#*?!(),=@;$'";
    let escaped: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let sparing = "Az09-:.+%25_%23*%3F!(),=@;$'";
    let made = stage.call("PUT", &format!("/devices/{escaped}"), Some(json!({"deviceId": id}))).await;
    assert_eq!((made.status, &made.body["deviceId"]), (200, &json!(id)));
    for path in [&escaped, sparing] {
        assert_eq!(stage.call("GET", &format!("/twins/{path}"), None).await.body["deviceId"], id, "{path}");
        let patched = stage.call("PATCH", &format!("/twins/{path}"), Some(json!({"tags": {"a": 1}}))).await;
        assert_eq!(patched.status, 200, "{path}");
    }
    stage.device("query").await;
    assert_eq!(stage.call("GET", "/devices/query", None).await.body["deviceId"], "query");
    assert_eq!(stage.call("GET", &format!("/twins/{}", sparing.to_lowercase()), None).await.status, 404);
}

#[tokio::test]
async fn every_import_mode_does_its_work() {
    let stage = Stage::start().await;
    let bulk = async |item: Value| {
        let answer = stage.call("POST", "/devices", Some(json!([item]))).await;
        let error = answer.body["errors"].get(0).map(|error| error["errorCode"].as_u64().unwrap());
        assert_eq!(
            (answer.status, answer.body["isSuccessful"].as_bool()),
            if error.is_some() { (400, Some(false)) } else { (200, Some(true)) }
        );
        error
    };
    let etag = async |path: &str| stage.call("GET", path, None).await.body["etag"].as_str().unwrap().to_owned();
    assert_eq!(bulk(json!({"id": "b", "importMode": "create", "status": "disabled"})).await, None);
    assert_eq!(bulk(json!({"id": "b"})).await, Some(409_001));
    assert_eq!(bulk(json!({"id": "b", "importMode": "update", "status": "enabled"})).await, None);
    assert_eq!(stage.call("GET", "/devices/b", None).await.body["status"], "enabled");
    let stale = json!({"id": "b", "importMode": "updateIfMatchETag", "eTag": "AAAA"});
    assert_eq!(bulk(stale).await, Some(412_001));
    let current =
        json!({"id": "b", "importMode": "UpdateIfMatchETag", "etag": etag("/devices/b").await, "statusReason": "x"});
    assert_eq!(bulk(current).await, None);
    assert_eq!(
        bulk(json!({"id": "b", "importMode": "updateTwin", "tags": {"a": 1}, "properties": {"desired": {"d": 1}}}))
            .await,
        None
    );
    assert_eq!(
        bulk(json!({"id": "b", "importMode": "updateTwinIfMatchETag", "twinETag": "AAAA", "tags": {"a": 2}})).await,
        Some(412_001)
    );
    let twin =
        json!({"id": "b", "importMode": "updateTwinIfMatchETag", "twinETag": etag("/twins/b").await, "tags": {"a": 2}});
    assert_eq!(bulk(twin).await, None);
    assert_eq!(stage.call("GET", "/twins/b", None).await.body["tags"]["a"], 2);
    assert_eq!(bulk(json!({"id": "b", "moduleId": "m", "importMode": "create"})).await, None);
    assert_eq!(bulk(json!({"id": "b", "moduleId": "m", "importMode": "delete"})).await, None);
    assert_eq!(bulk(json!({"id": "b", "importMode": "deleteIfMatchETag", "eTag": "AAAA"})).await, Some(412_001));
    assert_eq!(bulk(json!({"id": "b", "importMode": "explode"})).await, Some(400_004));
    assert_eq!(bulk(json!({"id": "a b"})).await, Some(400_004));
    assert_eq!(bulk(json!({"importMode": "create"})).await, Some(400_004));
    assert_eq!(bulk(json!({"id": "c", "importMode": "create", "tags": {"a.b": 1}})).await, Some(400_004));
    // An item that fails leaves nothing.
    assert_eq!(stage.call("GET", "/devices/c", None).await.status, 404);
    assert_eq!(bulk(json!({"id": "b", "importMode": "delete"})).await, None);
}
