//! What the page asks for, over real HTTP.

use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::super::Config;
use super::super::testing::{SOON, Stage};

async fn get(stage: &Stage, path: &str) -> Response {
    Client::new().get(format!("{}{path}", stage.hub.admin_url())).send().await.unwrap()
}

async fn read(stage: &Stage, path: &str) -> Value {
    get(stage, path).await.json().await.unwrap()
}

async fn ask(stage: &Stage, body: Value) -> (u16, Value) {
    let url = format!("{}/view/query", stage.hub.admin_url());
    let answer = Client::new().post(url).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn the_page_comes_with_a_strict_policy() {
    let stage = Stage::start().await;
    let page = get(&stage, "/").await;
    let header = |name: &str| page.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert!(header("content-security-policy").starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(page.text().await.unwrap().contains("<title>Local hub</title>"));
    assert_eq!(get(&stage, "/app.js").await.headers()["content-type"], "text/javascript; charset=utf-8");
}

#[tokio::test]
async fn twins_are_listed_found_and_shown() {
    let stage = Stage::start().await;
    assert_eq!(read(&stage, "/view/twins?rows=10").await["total"], 0);
    for id in ["b", "a'(x)", "c"] {
        stage.call("PUT", &format!("/devices/{id}"), Some(json!({}))).await;
    }
    stage.call("PUT", "/devices/b/modules/flow", Some(json!({"deviceId": "b", "moduleId": "flow"}))).await;
    stage.call("PATCH", "/twins/b", Some(json!({"properties": {"desired": {"x": 1}}}))).await;

    let listed = read(&stage, "/view/twins?rows=2").await;
    assert_eq!((&listed["total"], &listed["connected"], &listed["more"]), (&json!(4), &json!(0), &json!(true)));
    let ids = |listed: &Value| -> Vec<Value> { listed["rows"].as_array().unwrap().clone() };
    assert_eq!(ids(&listed).len(), 2);
    let found = read(&stage, "/view/twins?rows=10&find=B").await;
    let names: Vec<String> = ids(&found)
        .iter()
        .map(|row| format!("{} {}", row["deviceId"], row.get("moduleId").unwrap_or(&Value::Null)))
        .collect();
    assert_eq!(names, ["\"b\" null", "\"b\" \"flow\""]);
    let row = &ids(&found)[0];
    assert_eq!((&row["desiredVersion"], &row["connectionState"]), (&json!(2), &json!("Disconnected")));

    assert_eq!(read(&stage, "/view/twin?device=b").await["twin"]["properties"]["desired"]["x"], 1);
    assert_eq!(read(&stage, "/view/twin?device=b&module=flow").await["twin"]["moduleId"], "flow");
    assert_eq!(get(&stage, "/view/twin?device=zzz").await.status(), 404);
    // The page is no caller of the service.
    assert_eq!(read(&stage, "/counters").await.get("twin.get"), None);
}

#[tokio::test]
async fn queries_are_answered_in_pages_and_mistakes_with_their_place() {
    let stage = Stage::start().await;
    for id in ["a", "b", "c"] {
        stage.device(id).await;
    }
    let (status, first) = ask(&stage, json!({"query": "SELECT deviceId FROM devices", "rows": 2})).await;
    assert_eq!(
        (status, &first["rows"], &first["itemType"]),
        (200, &json!([{"deviceId": "a"}, {"deviceId": "b"}]), &json!("Raw"))
    );
    let next = json!({"query": "SELECT deviceId FROM devices", "rows": 2, "token": first["next"]});
    let (_, second) = ask(&stage, next).await;
    assert_eq!((&second["rows"], &second["next"]), (&json!([{"deviceId": "c"}]), &Value::Null));

    let (status, mistake) = ask(&stage, json!({"query": "SELECT *\nFORM devices"})).await;
    assert_eq!((status, &mistake["line"], &mistake["column"]), (400, &json!(2), &json!(1)));
    assert_eq!(mistake["message"], "line 2, column 1: expected FROM, found \"FORM\"");
    let (status, refused) = ask(&stage, json!({"query": "SELECT * FROM devices.jobs"})).await;
    assert_eq!((status, refused.get("line")), (400, None));
}

/// Reads the stream until it holds `wanted`, or fails.
async fn until(stream: &mut Response, wanted: &str) -> String {
    let mut text = String::new();
    let reading = async {
        while !text.contains(wanted) {
            let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    tokio::time::timeout(SOON, reading).await.unwrap_or_else(|_| panic!("no {wanted}"));
    text
}

#[tokio::test]
async fn the_log_is_followed_as_it_grows() {
    let stage = Stage::start().await;
    stage.device("before").await;
    let mut stream = get(&stage, "/view/events?back=10").await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    until(&mut stream, "\"subject\":\"before\"").await;
    stage.device("after").await;
    let told = until(&mut stream, "\"subject\":\"after\"").await;
    assert!(told.contains("event: entry") && told.contains("id: 2"), "{told}");

    // A browser goes on behind what it saw last.
    let url = format!("{}/view/events?back=10", stage.hub.admin_url());
    let mut again = Client::new().get(url).header("last-event-id", "1").send().await.unwrap();
    let told = until(&mut again, "\"subject\":\"after\"").await;
    assert!(!told.contains("before"), "{told}");
    drop(again);

    // A stream does not keep the hub from stopping.
    let stopping = stage.hub.shutdown();
    tokio::time::timeout(SOON, stopping).await.expect("the hub stops");
}

#[tokio::test]
async fn streams_are_bounded() {
    let stage = Stage::start().await;
    let mut streams = Vec::new();
    for _ in 0..32 {
        let stream = get(&stage, "/view/events").await;
        assert_eq!(stream.status(), 200);
        streams.push(stream);
    }
    assert_eq!(get(&stage, "/view/events").await.status(), 503);
    drop(streams);
    let free = async {
        while get(&stage, "/view/events").await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, free).await.expect("a place gets free");
}

#[tokio::test]
async fn other_hosts_and_other_pages_are_refused() {
    let stage = Stage::start().await;
    let url = format!("{}/knobs", stage.hub.admin_url());
    let put = |name: &'static str, value: &'static str| {
        Client::new().put(&url).header(name, value).json(&json!({"pageSize": 7})).send()
    };
    for (name, value) in [("host", "evil.example"), ("origin", "http://evil.example"), ("origin", "null")] {
        let refused = put(name, value).await.unwrap();
        assert_eq!(refused.status(), 403, "{name}: {value}");
        assert!(refused.json::<Value>().await.unwrap()["message"].as_str().unwrap().starts_with("the admin port"));
    }
    for path in ["/", "/counters", "/view/twins", "/view/events"] {
        let url = format!("{}{path}", stage.hub.admin_url());
        let refused = Client::new().get(url).header("host", "rebound.example:8444").send().await.unwrap();
        assert_eq!(refused.status(), 403, "{path}");
    }
    assert_eq!(read(&stage, "/knobs").await["pageSize"], Value::Null);
}

async fn apply(stage: &Stage, configuration: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/configurations/{configuration}/apply", stage.hub.admin_url());
    let answer = Client::new().post(url).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_configuration_is_applied_found_logged_and_kept() {
    let folder = std::env::temp_dir().join(format!("hubtwin-configurations-{:032x}", fastrand::u128(..)));
    let config = || Config { data: Some(folder.clone()), ..Config::default() };
    let stage = Stage::with(config()).await;
    for id in ["d1", "d2"] {
        stage.device(id).await;
    }
    stage.call("PUT", "/devices/d1/modules/m", Some(json!({"deviceId": "d1", "moduleId": "m"}))).await;
    let (status, twin) = apply(&stage, "fw-7", json!({"deviceId": "d1", "desired": {"rate": 10}})).await;
    assert_eq!((status, &twin["properties"]["desired"]["rate"]), (200, &json!(10)), "{twin}");
    assert_eq!(twin, stage.call("GET", "/twins/d1", None).await.body);
    let (status, twin) = apply(&stage, "fw-7", json!({"deviceId": "d1", "moduleId": "m", "desired": {"x": 1}})).await;
    assert_eq!((status, &twin["moduleId"]), (200, &json!("m")), "{twin}");

    let query = json!({"query": "SELECT deviceId FROM devices WHERE configurations.[[fw-7]].status = 'Applied'"});
    assert_eq!(ask(&stage, query.clone()).await.1["rows"], json!([{"deviceId": "d1"}]));
    let log = read(&stage, "/events?operation=configuration.apply&subject=d1").await;
    let (entry, own) = (&log[0], json!({"rate": 10}));
    assert_eq!((&entry["who"], &entry["detail"], &entry["body"]), (&json!("admin"), &json!("fw-7"), &own), "{log}");

    let fits = json!({"deviceId": "d1", "desired": {"rate": 10}});
    for (configuration, body, status, field, text) in [
        ("Fw", fits.clone(), 400, "id", "holds 'F'"),
        ("a%20b", fits, 400, "id", "holds ' '"),
        ("fw", json!({"deviceId": "zzz", "desired": {"a": 1}}), 404, "deviceId", "DeviceNotFound: zzz"),
        (
            "fw",
            json!({"deviceId": "d1", "moduleId": "z", "desired": {"a": 1}}),
            404,
            "moduleId",
            "ModuleNotFound: d1/z",
        ),
        ("fw", json!({"deviceId": "d1", "desired": {}}), 400, "desired", "is empty"),
        ("fw", json!({"deviceId": "d1", "desired": {"a": null}}), 400, "desired", "Property/Tag a"),
        ("fw", json!({"deviceId": "d1", "desired": [1]}), 400, "desired", "expected a map"),
        ("fw", json!({"deviceId": "d1", "desired": {"a": 1}, "tags": {}}), 400, "tags", "unknown field"),
        ("fw", json!({"desired": {"a": 1}}), 400, ".", "deviceId"),
    ] {
        let (answered, refused) = apply(&stage, configuration, body.clone()).await;
        assert_eq!((answered, &refused["error"]["field"]), (status, &json!(field)), "{body}: {refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains(text), "{body}: {refused}");
    }
    let log = read(&stage, "/events?operation=configuration.apply&outcome=404").await;
    assert_eq!(log[0]["detail"], "fw: DeviceNotFound zzz", "{log}");

    let before = stage.call("GET", "/twins/d1", None).await.body;
    stage.hub.shutdown().await;
    let stage = Stage::with(config()).await;
    let mut after = stage.call("GET", "/twins/d1", None).await.body;
    assert_eq!(after["properties"]["desired"]["$metadata"]["rate"]["$lastUpdatedBy"], "fw-7");
    assert_eq!(after, before);
    assert_eq!(ask(&stage, query).await.1["rows"], json!([{"deviceId": "d1"}]));
    stage.call("PATCH", "/twins/d1", Some(json!({"properties": {"desired": {"rate": 10}}}))).await;
    after = stage.call("GET", "/twins/d1", None).await.body;
    assert_eq!(after["properties"]["desired"]["$metadata"]["rate"].get("$lastUpdatedBy"), None);
    assert_eq!(after["configurations"], json!({"fw-7": {"status": "Applied"}}));
    stage.hub.shutdown().await;
    std::fs::remove_dir_all(&folder).unwrap();
}
