//! Operations that are switched off.

use serde_json::{Value, json};

use crate::local_hub::knobs::Knobs;
use crate::local_hub::operations;
use crate::local_hub::testing::Stage;

/// A call of each operation of the service API.
fn calls() -> Vec<(&'static str, &'static str, &'static str, Option<Value>)> {
    let query = || Some(json!({"query": "SELECT * FROM devices"}));
    vec![
        ("identity.get", "GET", "/devices/d1", None),
        ("identity.put", "PUT", "/devices/d2", Some(json!({"deviceId": "d2"}))),
        ("identity.list", "GET", "/devices", None),
        ("identity.list", "GET", "/devices/d1/modules", None),
        ("identity.bulk", "POST", "/devices", Some(json!([{"id": "d3", "importMode": "create"}]))),
        ("twin.get", "GET", "/twins/d1", None),
        ("twin.patch", "PATCH", "/twins/d1", Some(json!({"tags": {"a": 1}}))),
        ("twin.replace", "PUT", "/twins/d1", Some(json!({"tags": {"a": 1}}))),
        ("query", "POST", "/devices/query", query()),
        ("statistics", "GET", "/statistics/devices", None),
        ("statistics", "GET", "/statistics/service", None),
        ("identity.delete", "DELETE", "/devices/d1", None),
    ]
}

#[tokio::test]
async fn what_is_switched_off_is_not_there() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let missing = stage.call("GET", "/no/such/path", None).await;
    for (name, method, path, body) in calls() {
        stage.hub.set_knobs(Knobs { disabled: vec![name.to_owned()], ..Knobs::default() });
        let off = stage.call(method, path, body.clone()).await;
        assert_eq!((off.status, &off.body["Message"]), (404, &missing.body["Message"]), "{name}");
        assert_eq!(off.header("iothub-errorcode"), Some("GenericNotFound"), "{name}");
    }
    stage.hub.set_knobs(Knobs::default());
    for (name, method, path, body) in calls() {
        assert!(stage.call(method, path, body).await.status < 300, "{name}");
    }
}

#[test]
fn each_operation_has_one_name_of_the_list() {
    for (name, ..) in calls() {
        assert!(operations::known(name), "{name}");
    }
    let mut names = operations::ALL.to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), operations::ALL.len());
}
