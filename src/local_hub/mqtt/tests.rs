//! Raw bytes against the device side, over real TLS.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::super::knobs::Knobs;
use super::super::testing::{SOON, Stage, device_token};

/// A client that writes its packets by hand.
struct Raw(TlsStream<TcpStream>);

fn text(value: &str) -> Vec<u8> {
    [&u16::try_from(value.len()).unwrap().to_be_bytes(), value.as_bytes()].concat()
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut left = body.len();
    loop {
        let digit = u8::try_from(left % 128).unwrap();
        left /= 128;
        bytes.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    [bytes, body.to_vec()].concat()
}

impl Raw {
    async fn connect(stage: &Stage, id: &str, key: &str, clean: bool) -> (Self, Vec<u8>) {
        let resource = id.replace('/', "/modules/");
        Self::connect_as(stage, id, &device_token(&resource, key), clean).await
    }

    async fn connect_as(stage: &Stage, id: &str, password: &str, clean: bool) -> (Self, Vec<u8>) {
        let mut raw = Self(stage.stream().await);
        let user = format!("localhost/{id}/?api-version=2021-04-12&DeviceClientType=test");
        let flags = if clean { 0xc2 } else { 0xc0 };
        let head = [text("MQTT"), vec![4, flags, 0, 60]].concat();
        let body = [head, text(id), text(&user), text(password)].concat();
        raw.write(&packet(0x10, &body)).await;
        let answer = raw.read().await.map(|(first, body)| [vec![first], body].concat()).unwrap();
        (raw, answer)
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next packet: first byte and body; `None` at the end of the connection.
    async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        timeout(SOON, async {
            let first = self.0.read_u8().await.ok()?;
            let (mut length, mut shift) = (0usize, 0);
            loop {
                let byte = self.0.read_u8().await.ok()?;
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.ok()?;
            Some((first, body))
        })
        .await
        .expect("a packet or the end within the deadline")
    }

    async fn subscribe(&mut self, topic: &str, qos: u8) -> Vec<u8> {
        self.write(&packet(0x82, &[vec![0, 9], text(topic), vec![qos]].concat())).await;
        self.read().await.unwrap().1
    }

    async fn publish(&mut self, topic: &str, payload: &str) {
        self.write(&packet(0x30, &[text(topic), payload.as_bytes().to_vec()].concat())).await;
    }

    /// The next message at QoS 0: topic and payload.
    async fn message(&mut self) -> (String, String) {
        let (first, body) = self.read().await.unwrap();
        assert_eq!(first, 0x30);
        let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        (String::from_utf8(body[2..end].to_vec()).unwrap(), String::from_utf8(body[end..].to_vec()).unwrap())
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_device_reads_reports_and_is_told() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let (mut device, connack) = Raw::connect(&stage, "d1", &key, false).await;
    assert_eq!(connack, [0x20, 0, 0]);
    assert_eq!(device.subscribe("$iothub/twin/res/#", 0).await, [0, 9, 0]);
    assert_eq!(device.subscribe("$iothub/twin/PATCH/properties/desired/#", 0).await, [0, 9, 0]);

    device.publish("$iothub/twin/GET/?$rid=r1", " ").await;
    let (topic, body) = device.message().await;
    assert_eq!(topic, "$iothub/twin/res/200/?$rid=r1");
    assert_eq!(parsed(&body), json!({"desired": {"$version": 1}, "reported": {"$version": 1}}));

    device.publish("$iothub/twin/PATCH/properties/reported/?$rid=r2", r#"{"connectivity":{"type":"cellular"}}"#).await;
    assert_eq!(device.message().await, ("$iothub/twin/res/204/?$rid=r2&$version=2".to_owned(), String::new()));

    let patch = json!({"properties": {"desired": {"a": {"b": 1}, "gone": null}}});
    assert_eq!(stage.call("PATCH", "/twins/d1", Some(patch)).await.status, 200);
    let (topic, body) = device.message().await;
    assert_eq!(topic, "$iothub/twin/PATCH/properties/desired/?$version=2");
    assert_eq!(parsed(&body), json!({"a": {"b": 1}, "gone": null, "$version": 2}));

    let twin = stage.call("GET", "/twins/d1", None).await.body;
    assert_eq!(twin["properties"]["reported"]["connectivity"]["type"], "cellular");
    assert_eq!((&twin["etag"], &twin["version"]), (&json!("AAAAAAAAAAI="), &json!(4)));
    assert_eq!(twin["connectionState"], "Connected");
    // The hub closes after DISCONNECT; clients wait for it.
    device.write(&[0xe0, 0]).await;
    assert_eq!(device.read().await, None);
}

#[tokio::test]
async fn failures_carry_status_and_body() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let (mut device, _) = Raw::connect(&stage, "d1", &key, true).await;
    device.subscribe("$iothub/twin/res/#", 0).await;
    let long = format!(r#"{{"a":"{}"}}"#, "s".repeat(4097));
    let cases = [
        ("$rid=1", "{", 400, 400_006),
        ("$rid=1", r#"{"$version":3}"#, 400, 400_004),
        ("$rid=1", r#"{"a":[null]}"#, 400, 400_004),
        ("$rid=1", &long, 400, 400_004),
        ("$rid=1&$version=7", r#"{"a":1}"#, 412, 412_001),
    ];
    for (query, payload, status, number) in cases {
        device.publish(&format!("$iothub/twin/PATCH/properties/reported/?{query}"), payload).await;
        let (topic, body) = device.message().await;
        assert_eq!(topic, format!("$iothub/twin/res/{status}/?$rid=1"), "{payload}");
        assert_eq!(parsed(&body)["errorCode"], number, "{payload}");
    }
}

#[tokio::test]
async fn strangers_are_refused_with_code_5() {
    let stage = Stage::start().await;
    let (key, other) = (stage.device("d1").await, stage.device("d2").await);
    for (id, key) in [("d1", &other), ("nobody", &key)] {
        let (mut device, connack) = Raw::connect(&stage, id, key, false).await;
        assert_eq!(connack, [0x20, 0, 5]);
        assert_eq!(device.read().await, None);
    }
    let disabled = json!({"deviceId": "d1", "status": "disabled"});
    let (mut device, connack) = Raw::connect(&stage, "d1", &key, false).await;
    assert_eq!(connack, [0x20, 0, 0]);
    stage.call_with("PUT", "/devices/d1", Some(disabled), &[("if-match", "*")]).await;
    assert_eq!(device.read().await, None);
    let (_, connack) = Raw::connect(&stage, "d1", &key, false).await;
    assert_eq!(connack, [0x20, 0, 5]);
}

#[tokio::test]
async fn subscriptions_outlive_the_connection_unless_the_session_is_clean() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let (mut first, _) = Raw::connect(&stage, "d1", &key, false).await;
    first.subscribe("$iothub/twin/PATCH/properties/desired/#", 0).await;
    // The newer connection takes over.
    let (mut second, connack) = Raw::connect(&stage, "d1", &key, false).await;
    assert_eq!(connack, [0x20, 1, 0]);
    assert_eq!(first.read().await, None);
    stage.call("PATCH", "/twins/d1", Some(json!({"properties": {"desired": {"a": 1}}}))).await;
    assert_eq!(second.message().await.0, "$iothub/twin/PATCH/properties/desired/?$version=2");
    let (_, connack) = Raw::connect(&stage, "d1", &key, true).await;
    assert_eq!(connack, [0x20, 0, 0]);
}

#[tokio::test]
async fn what_the_hub_does_not_speak_ends_the_connection() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let telemetry = "devices/d1/messages/events/";
    let cases = [
        packet(0x34, &[text(telemetry), vec![0, 1]].concat()),
        packet(0x30, &text("somewhere/else")),
        packet(0x82, &[vec![0, 1], text("#"), vec![0]].concat()),
        vec![0x10, 0],
        vec![0x30, 0xff, 0xff, 0xff, 0x7f],
    ];
    for bytes in cases {
        let (mut device, _) = Raw::connect(&stage, "d1", &key, true).await;
        device.write(&bytes).await;
        assert_eq!(device.read().await, None, "{bytes:?}");
    }
    let (mut device, _) = Raw::connect(&stage, "d1", &key, true).await;
    device.write(&packet(0x32, &[text(telemetry), vec![0, 7], b"{}".to_vec()].concat())).await;
    assert_eq!(device.read().await, Some((0x40, vec![0, 7])));
    device.write(&[0xc0, 0]).await;
    assert_eq!(device.read().await, Some((0xd0, vec![])));
}

#[tokio::test]
async fn modules_are_clients_too() {
    let stage = Stage::start().await;
    stage.device("d1").await;
    let made = stage.call("PUT", "/devices/d1/modules/m1", Some(json!({"deviceId": "d1", "moduleId": "m1"}))).await;
    let key = made.body["authentication"]["symmetricKey"]["secondaryKey"].as_str().unwrap();
    let (mut module, connack) = Raw::connect(&stage, "d1/m1", key, false).await;
    assert_eq!(connack, [0x20, 0, 0]);
    module.subscribe("$iothub/twin/res/#", 0).await;
    module.publish("$iothub/twin/PATCH/properties/reported/?$rid=1", r#"{"a":1}"#).await;
    assert_eq!(module.message().await.0, "$iothub/twin/res/204/?$rid=1&$version=2");
    let twin = stage.call("GET", "/twins/d1/modules/m1", None).await.body;
    assert_eq!(twin["properties"]["reported"]["a"], 1);
}

#[tokio::test]
async fn topics_that_are_switched_off_are_not_there() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let off = |name: &str| stage.hub.set_knobs(Knobs { disabled: vec![name.to_owned()], ..Knobs::default() });
    let desired = "$iothub/twin/PATCH/properties/desired/#";
    let cases = [
        ("device.get", packet(0x30, &text("$iothub/twin/GET/?$rid=1"))),
        (
            "device.report",
            packet(0x30, &[text("$iothub/twin/PATCH/properties/reported/?$rid=1"), b"{}".to_vec()].concat()),
        ),
        ("device.message", packet(0x30, &text("devices/d1/messages/events/"))),
        ("device.subscribe", packet(0x82, &[vec![0, 9], text("$iothub/twin/res/#"), vec![0]].concat())),
        ("device.notify", packet(0x82, &[vec![0, 9], text(desired), vec![0]].concat())),
    ];
    for (name, bytes) in cases {
        off("unknown");
        let (mut device, connack) = Raw::connect(&stage, "d1", &key, true).await;
        assert_eq!(connack, [0x20, 0, 0], "{name}");
        off(name);
        device.write(&bytes).await;
        assert_eq!(device.read().await, None, "{name}");
    }
    off("device.connect");
    let (_, connack) = Raw::connect(&stage, "d1", &key, true).await;
    assert_eq!(connack, [0x20, 0, 5]);
    // A subscription of before is told nothing while notices are off.
    off("unknown");
    let (mut device, _) = Raw::connect(&stage, "d1", &key, true).await;
    device.subscribe(desired, 0).await;
    let patch = |value: u64| Some(json!({"properties": {"desired": {"a": value}}}));
    off("device.notify");
    stage.call("PATCH", "/twins/d1", patch(1)).await;
    device.write(&[0xc0, 0]).await;
    assert_eq!(device.read().await, Some((0xd0, vec![])));
    off("unknown");
    stage.call("PATCH", "/twins/d1", patch(2)).await;
    assert_eq!(device.message().await.0, "$iothub/twin/PATCH/properties/desired/?$version=3");
}
