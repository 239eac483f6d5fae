//! Twin requests, and what a client may send beside them.

use serde_json::json;

use super::super::bytes::{connect_packet, packet, text};
use super::raw::{ANSWERS, CHANGES, CLEAN, KEEP, Message, Raw, connect, last, logged, user};
use crate::local_hub::knobs::Knobs;
use crate::local_hub::testing::{Stage, device_token};

const EVENTS: &str = "devices/d1/messages/events/";

#[tokio::test]
async fn a_device_reads_reports_and_is_told() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let (mut device, code) = connect(&stage, "d1", &key, KEEP).await;
    assert_eq!(code, 0);
    assert_eq!(device.subscribe(ANSWERS, 0).await, [0, 9, 0]);
    assert_eq!(device.subscribe(CHANGES, 0).await, [0, 9, 0]);

    device.publish("$iothub/twin/GET/?$rid=r1", " ").await;
    let answer = device.message().await;
    assert_eq!(answer.topic, "$iothub/twin/res/200/?$rid=r1");
    assert_eq!(answer.json(), json!({"desired": {"$version": 1}, "reported": {"$version": 1}}));

    device.report("$rid=r2", r#"{"connectivity":{"type":"cellular"}}"#).await;
    let answer = device.message().await;
    assert_eq!((answer.topic.as_str(), answer.payload.as_str()), ("$iothub/twin/res/204/?$rid=r2&$version=2", ""));

    let patch = json!({"properties": {"desired": {"a": {"b": 1}, "gone": null}}});
    assert_eq!(stage.call("PATCH", "/twins/d1", Some(patch)).await.status, 200);
    let notice = device.message().await;
    assert_eq!(notice.topic, "$iothub/twin/PATCH/properties/desired/?$version=2");
    assert_eq!(notice.json(), json!({"a": {"b": 1}, "gone": null, "$version": 2}));

    let twin = stage.call("GET", "/twins/d1", None).await.body;
    assert_eq!(twin["properties"]["reported"]["connectivity"]["type"], "cellular");
    assert_eq!((&twin["etag"], &twin["version"]), (&json!("AAAAAAAAAAI="), &json!(4)));
    assert_eq!(twin["connectionState"], "Connected");
    // The hub closes after DISCONNECT; clients wait for it.
    device.write(&[0xe0, 0]).await;
    device.ended().await;
    logged(&stage, "device.disconnect", 200, "by the client").await;
}

#[tokio::test]
async fn at_qos_1_both_ways_receipts_and_ids_are_kept_apart() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let (mut device, _) = connect(&stage, "d1", &key, CLEAN).await;
    // QoS 2 is asked for, QoS 1 is granted.
    assert_eq!(device.subscribe(ANSWERS, 2).await, [0, 9, 1]);
    device.publish_with(7, "$iothub/twin/GET/?$rid=a", "").await;
    assert_eq!(device.read().await, Some((0x40, vec![0, 7])));
    let first = device.message().await;
    assert_eq!((first.topic.as_str(), first.id), ("$iothub/twin/res/200/?$rid=a", Some(1)));
    // No receipt, a receipt of nothing, a late and a double one: all the same to the hub.
    device.write(&[packet(0x40, &[0, 99]), packet(0x40, &[0, 1]), packet(0x40, &[0, 1])].concat()).await;
    let report = "$iothub/twin/PATCH/properties/reported/?$rid=b";
    device.publish_with(7, report, r#"{"n":1}"#).await;
    assert_eq!(device.read().await, Some((0x40, vec![0, 7])));
    let second = device.message().await;
    assert_eq!((second.topic.as_str(), second.id), ("$iothub/twin/res/204/?$rid=b&$version=2", Some(2)));
    // The same again as a duplicate: at least once, so it is carried out again.
    let body = [text(report), vec![0, 7], br#"{"n":1}"#.to_vec()].concat();
    device.write(&packet(0x3a, &body)).await;
    assert_eq!(device.read().await, Some((0x40, vec![0, 7])));
    assert_eq!(device.message().await.topic, "$iothub/twin/res/204/?$rid=b&$version=3");
}

#[tokio::test]
async fn failures_carry_status_and_body() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let (mut device, _) = connect(&stage, "d1", &key, CLEAN).await;
    device.subscribe(ANSWERS, 0).await;
    let (long, deep) =
        (format!(r#"{{"a":"{}"}}"#, "s".repeat(4097)), format!("{}1{}", r#"{"a":"#.repeat(12), "}".repeat(12)));
    let large =
        json!((0..9).map(|n| (format!("k{n}"), "s".repeat(4000))).collect::<std::collections::BTreeMap<_, _>>());
    let large = large.to_string();
    let bottomless = "[".repeat(100_000);
    let cases = [
        ("$rid=1", "{", 400, 400_006),
        ("$rid=1", "", 400, 400_006),
        ("$rid=1", "[1]", 400, 400_006),
        ("$rid=1", "null", 400, 400_006),
        ("$rid=1", r#"{"a":NaN}"#, 400, 400_006),
        ("$rid=1", r#"{"a":1} x"#, 400, 400_006),
        ("$rid=1", &bottomless, 400, 400_006),
        ("$rid=1", "\u{feff}{}", 400, 400_006),
        ("$rid=1", r#"{"$version":3}"#, 400, 400_004),
        ("$rid=1", r#"{"$metadata":{}}"#, 400, 400_004),
        ("$rid=1", r#"{"a.b":1}"#, 400, 400_004),
        ("$rid=1", r#"{"a":[null]}"#, 400, 400_004),
        ("$rid=1", r#"{"a":4503599627370496}"#, 400, 400_004),
        ("$rid=1", &long, 400, 400_004),
        ("$rid=1", &deep, 400, 400_004),
        ("$rid=1", &large, 403, 403_100),
        ("$rid=1&$version=7", r#"{"a":1}"#, 412, 412_001),
        ("$version=7&$rid=1", r#"{"a":1}"#, 412, 412_001),
        ("$rid=1&$version=x", r#"{"a":1}"#, 400, 400_004),
    ];
    for (query, payload, status, number) in cases {
        device.report(query, payload).await;
        let answer = device.message().await;
        assert_eq!(answer.topic, format!("$iothub/twin/res/{status}/?$rid=1"), "{payload}");
        let body = answer.json();
        assert_eq!(body["errorCode"], number, "{payload}");
        for member in ["trackingId", "message", "timestampUtc"] {
            assert!(body[member].as_str().is_some_and(|text| !text.is_empty()), "{member} of {body}");
        }
    }
    let not_text =
        [text("$iothub/twin/PATCH/properties/reported/?$rid=1"), vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}']];
    device.write(&packet(0x30, &not_text.concat())).await;
    assert_eq!(device.message().await.json()["errorCode"], 400_006);
    // Nothing of all that was taken, and the version that is current goes through.
    device.report("$rid=2&$version=1", r#"{"a":1}"#).await;
    assert_eq!(device.message().await.topic, "$iothub/twin/res/204/?$rid=2&$version=2");
    device.report("$rid=3", "{}").await;
    assert_eq!(device.message().await.topic, "$iothub/twin/res/204/?$rid=3&$version=3");
}

#[tokio::test]
async fn without_api_version_twin_requests_are_answered_400() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let mut device = Raw::new(stage.stream().await);
    let greeting = connect_packet("d1", "localhost/d1/?model-id=x", &device_token("d1", &key), CLEAN, 60);
    assert_eq!(device.greet(&greeting).await, Some(0));
    device.subscribe(ANSWERS, 0).await;
    device.publish("$iothub/twin/GET/?$rid=1", "").await;
    assert_eq!(device.message().await.topic, "$iothub/twin/res/400/?$rid=1");
    device.report("$rid=2", "{}").await;
    assert_eq!(device.message().await.topic, "$iothub/twin/res/400/?$rid=2");
}

#[tokio::test]
async fn arrays_depend_on_the_api_version() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    for (version, status) in [("2018-06-30", "400"), ("2019-10-01", "204")] {
        let mut device = Raw::new(stage.stream().await);
        let user = format!("localhost/d1/?api-version={version}");
        let greeting = connect_packet("d1", &user, &device_token("d1", &key), CLEAN, 60);
        assert_eq!(device.greet(&greeting).await, Some(0));
        device.subscribe(ANSWERS, 0).await;
        device.report("$rid=1", r#"{"a":[1]}"#).await;
        let topic = device.message().await.topic;
        assert!(topic.starts_with(&format!("$iothub/twin/res/{status}/?$rid=1")), "{version}: {topic}");
    }
}

#[tokio::test]
async fn without_a_subscription_a_request_is_carried_out_and_not_answered() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let (mut device, _) = connect(&stage, "d1", &key, CLEAN).await;
    device.report("$rid=1", r#"{"a":1}"#).await;
    device.write(&[0xc0, 0]).await;
    assert_eq!(device.read().await, Some((0xd0, vec![])));
    assert_eq!(stage.call("GET", "/twins/d1", None).await.body["properties"]["reported"]["a"], 1);
}

#[tokio::test]
async fn what_the_hub_does_not_speak_ends_the_connection() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let subscribe = |filter: &str| packet(0x82, &[vec![0, 1], text(filter), vec![0]].concat());
    let cases = [
        (packet(0x34, &[text(EVENTS), vec![0, 1]].concat()), "QoS 2"),
        (packet(0x30, &text("somewhere/else")), "unknown topic"),
        (packet(0x30, &text("devices/d2/messages/events/")), "unknown topic"),
        (packet(0x30, &text("devices/+/messages/events/")), "wildcard"),
        (subscribe("#"), "unknown topic filter"),
        (subscribe("devices/d2/messages/devicebound/#"), "unknown topic filter"),
        (packet(0x32, &[text(EVENTS), vec![0, 0]].concat()), "packet id 0"),
        (packet(0x82, &[vec![0, 0], text(ANSWERS), vec![0]].concat()), "packet id 0"),
        (packet(0xa2, &[vec![0, 0], text(ANSWERS)].concat()), "packet id 0"),
        (packet(0x10, &[text("MQTT"), vec![4, 2, 0, 60], text("d1")].concat()), "a second CONNECT"),
        (vec![0x10, 0], "another protocol than MQTT"),
        (vec![0x30, 0xff, 0xff, 0xff, 0x7f], "packet too large"),
        (packet(0x30, &[text(EVENTS), vec![b'x'; 266_240]].concat()), "packet too large"),
    ];
    for (bytes, words) in cases {
        let (mut device, code) = connect(&stage, "d1", &key, CLEAN).await;
        assert_eq!(code, 0);
        device.write(&bytes).await;
        device.ended().await;
        logged(&stage, "device.disconnect", 400, words).await;
    }
}

#[tokio::test]
async fn what_came_before_a_mistake_is_answered() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let (mut device, _) = connect(&stage, "d1", &key, CLEAN).await;
    device.subscribe(ANSWERS, 0).await;
    let report = packet(0x30, &[text("$iothub/twin/PATCH/properties/reported/?$rid=1"), b"{}".to_vec()].concat());
    device.write(&[report, vec![0xff, 0]].concat()).await;
    assert_eq!(device.message().await.topic, "$iothub/twin/res/204/?$rid=1&$version=2");
    device.ended().await;
}

#[tokio::test]
async fn telemetry_retained_messages_and_method_answers_are_taken_and_dropped() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let (mut device, _) = connect(&stage, "d1", &key, CLEAN).await;
    let largest = vec![b'x'; 256 * 1024];
    let taken = [
        packet(0x32, &[text(EVENTS), vec![0, 7], b"{}".to_vec()].concat()),
        packet(0x33, &[text(EVENTS), vec![0, 7]].concat()),
        packet(0x32, &[text("devices/d1/messages/events/%24.ct=application%2Fjson"), vec![0, 7]].concat()),
        packet(0x32, &[text(EVENTS), vec![0, 7], largest].concat()),
        packet(0x32, &[text("$iothub/methods/res/200/?$rid=1"), vec![0, 7]].concat()),
    ];
    for bytes in &taken {
        device.write(bytes).await;
        assert_eq!(device.read().await, Some((0x40, vec![0, 7])));
    }
    assert_eq!(stage.hub.count("device.message.200"), taken.len() as u64);
    for filter in ["$iothub/methods/POST/#", "devices/d1/messages/devicebound/#"] {
        assert_eq!(device.subscribe(filter, 1).await, [0, 9, 1]);
    }
}

#[tokio::test]
async fn a_will_is_counted_when_a_client_goes_without_a_good_bye() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let greeting = [
        [text("MQTT"), vec![4, 0xce, 0, 60]].concat(),
        [text("d1"), text(EVENTS), text("gone")].concat(),
        [text(&user("d1")), text(&device_token("d1", &key))].concat(),
    ];
    let greeting = packet(0x10, &greeting.concat());
    let mut polite = Raw::new(stage.stream().await);
    assert_eq!(polite.greet(&greeting).await, Some(0));
    polite.write(&[0xe0, 0]).await;
    polite.ended().await;
    logged(&stage, "device.disconnect", 200, "").await;
    assert_eq!(stage.hub.count("device.message"), 0);
    let mut rude = Raw::new(stage.stream().await);
    assert_eq!(rude.greet(&greeting).await, Some(0));
    drop(rude);
    logged(&stage, "device.disconnect", 404, "404104").await;
    assert_eq!(last(&stage, "device.message"), (200, "will".to_owned()));
}

#[tokio::test]
async fn modules_are_clients_too() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let made = stage.call("PUT", "/devices/d1/modules/m1", Some(json!({"deviceId": "d1", "moduleId": "m1"}))).await;
    let key = made.body["authentication"]["symmetricKey"]["secondaryKey"].as_str().unwrap();
    let (mut module, code) = connect(&stage, "d1/m1", key, KEEP).await;
    assert_eq!(code, 0);
    module.subscribe(ANSWERS, 0).await;
    module.report("$rid=1", r#"{"a":1}"#).await;
    assert_eq!(module.message().await.topic, "$iothub/twin/res/204/?$rid=1&$version=2");
    let twin = stage.call("GET", "/twins/d1/modules/m1", None).await.body;
    assert_eq!(twin["properties"]["reported"]["a"], 1);
}

#[tokio::test]
async fn faults_strike_each_device_operation() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let fault = |operation: &str, effect: serde_json::Value| {
        let fault = json!({"operation": operation, "subject": "d1", "times": 1, "effect": effect});
        stage.hub.add_fault(serde_json::from_value(fault).unwrap());
    };
    let patch = async |n: u32| {
        let body = json!({"properties": {"desired": {"n": n}}});
        assert_eq!(stage.call("PATCH", "/twins/d1", Some(body)).await.status, 200);
    };
    let (mut device, _) = connect(&stage, "d1", &key, KEEP).await;
    fault("device.subscribe", json!({"status": 500}));
    assert_eq!(device.subscribe(ANSWERS, 0).await, [0, 9, 0x80]);
    assert_eq!(device.subscribe(ANSWERS, 0).await, [0, 9, 0]);
    assert_eq!(device.subscribe(CHANGES, 0).await, [0, 9, 0]);
    fault("device.report", json!({"status": 429}));
    device.report("$rid=1", "{}").await;
    let Message { topic, payload, .. } = device.message().await;
    assert_eq!(topic, "$iothub/twin/res/429/?$rid=1");
    assert!(payload.contains("429001"), "{payload}");
    // A notice that is lost, and the next one.
    fault("device.notify", json!({"status": 500}));
    patch(1).await;
    patch(2).await;
    assert_eq!(device.message().await.topic, "$iothub/twin/PATCH/properties/desired/?$version=3");
    fault("device.report", json!("cutAfter"));
    device.report("$rid=2", r#"{"a":1}"#).await;
    device.ended().await;
    logged(&stage, "device.disconnect", 499, "fault").await;
    let reported = async || stage.call("GET", "/twins/d1", None).await.body["properties"]["reported"]["a"].clone();
    assert_eq!(reported().await, 1);
    let (mut device, _) = connect(&stage, "d1", &key, KEEP).await;
    fault("device.report", json!("cutBefore"));
    device.report("$rid=3", r#"{"a":2}"#).await;
    device.ended().await;
    assert_eq!(reported().await, 1);
    let (mut device, _) = connect(&stage, "d1", &key, KEEP).await;
    fault("device.message", json!("cutAfter"));
    device.publish_with(3, EVENTS, "").await;
    device.ended().await;
    // MQTT has no answer that says no to a message.
    let (mut device, _) = connect(&stage, "d1", &key, KEEP).await;
    fault("device.message", json!({"status": 503}));
    device.publish_with(4, EVENTS, "").await;
    device.ended().await;
    logged(&stage, "device.disconnect", 503, "a packet was refused").await;
    let (mut device, _) = connect(&stage, "d1", &key, KEEP).await;
    fault("device.notify", json!("cutBefore"));
    patch(3).await;
    device.ended().await;
}

#[tokio::test]
async fn topics_that_are_switched_off_are_not_there() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let off = |name: &str| stage.hub.set_knobs(Knobs { disabled: vec![name.to_owned()], ..Knobs::default() });
    let subscribe = |filter: &str| packet(0x82, &[vec![0, 9], text(filter), vec![0]].concat());
    let report = "$iothub/twin/PATCH/properties/reported/?$rid=1";
    let cases = [
        ("device.get", packet(0x30, &text("$iothub/twin/GET/?$rid=1"))),
        ("device.report", packet(0x30, &[text(report), b"{}".to_vec()].concat())),
        ("device.message", packet(0x30, &text(EVENTS))),
        ("device.subscribe", subscribe(ANSWERS)),
        ("device.notify", subscribe(CHANGES)),
    ];
    for (name, bytes) in cases {
        off("unknown");
        let (mut device, code) = connect(&stage, "d1", &key, CLEAN).await;
        assert_eq!(code, 0, "{name}");
        off(name);
        device.write(&bytes).await;
        device.ended().await;
    }
    off("device.connect");
    let mut silent = Raw::new(stage.stream().await);
    let greeting = connect_packet("d1", &user("d1"), &device_token("d1", &key), CLEAN, 60);
    assert_eq!(silent.greet(&greeting).await, None);
    off("device.websocket");
    let gone = stage.raw("GET", "/$iothub/websocket", None, &[]).await;
    assert_eq!((gone.status, gone.header("iothub-errorcode")), (404, Some("GenericNotFound")));
    // A subscription of before is told nothing while notices are off.
    off("unknown");
    let (mut device, _) = connect(&stage, "d1", &key, CLEAN).await;
    device.subscribe(CHANGES, 0).await;
    let patch = |value: u64| Some(json!({"properties": {"desired": {"a": value}}}));
    off("device.notify");
    stage.call("PATCH", "/twins/d1", patch(1)).await;
    device.write(&[0xc0, 0]).await;
    assert_eq!(device.read().await, Some((0xd0, vec![])));
    off("unknown");
    stage.call("PATCH", "/twins/d1", patch(2)).await;
    assert_eq!(device.message().await.topic, "$iothub/twin/PATCH/properties/desired/?$version=3");
}
