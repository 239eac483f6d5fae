//! Who is let in, and with which code the others are not.

use serde_json::json;

use super::super::bytes::{connect_packet, packet, text};
use super::raw::{CLEAN, KEEP, Raw, connect, last, logged, user};
use crate::local_hub::testing::{Stage, device_token, policy_token, sign_for};

#[tokio::test]
async fn a_connect_is_answered_with_the_code_of_what_is_wrong() {
    let stage = Stage::start().await;
    let (key, other) = (stage.device("d1").await, stage.device("d2").await);
    let (name, token) = (user("d1"), device_token("d1", &key));
    let foreign = device_token("d2", &other);
    let cases = [
        // Accepted, in the forms that clients have.
        ("d1", name.clone(), token.clone(), 0, ""),
        ("d1", "localhost/d1/api-version=2016-11-14".to_owned(), token.clone(), 0, ""),
        ("d1", "LOCALHOST/d1/?api-version=2019-10-01".to_owned(), token.clone(), 0, ""),
        ("d1", "localhost/d1".to_owned(), token.clone(), 0, ""),
        ("d1", name.clone(), policy_token(&stage.hub, "device"), 0, ""),
        ("d1", name.clone(), policy_token(&stage.hub, "iothubowner"), 0, ""),
        // The client id is none.
        ("", "localhost//?".to_owned(), token.clone(), 2, "client id"),
        ("a/b/c", "localhost/a/b/c/?".to_owned(), token.clone(), 2, "client id"),
        // User name and password do not have their form.
        ("d1", String::new(), token.clone(), 4, "user name"),
        ("d1", user("d2"), token.clone(), 4, "user name"),
        ("d1", "localhost/d1/?api-version=1999-01-01".to_owned(), token.clone(), 4, "api-version"),
        ("d1", name.clone(), "secret".to_owned(), 4, "not a shared access signature"),
        // In good form, but not allowed.
        ("d1", "other.example/d1/?api-version=2021-04-12".to_owned(), token.clone(), 5, "another host"),
        ("nobody", user("nobody"), device_token("nobody", &key), 5, "no such identity"),
        ("D1", user("D1"), token.clone(), 5, "no such identity"),
        ("d1/m1", user("d1/m1"), token.clone(), 5, "no such identity"),
        ("d1", name.clone(), String::new(), 5, "no token"),
        ("d1", name.clone(), foreign, 5, "another resource"),
        ("d1", name.clone(), device_token("d1", &other), 5, "wrong signature"),
        ("d1", name.clone(), sign_for("localhost/devices/d1", &key, -1), 5, "expired"),
        ("d1", name.clone(), policy_token(&stage.hub, "service"), 5, "without the permission"),
    ];
    for (client_id, user_name, password, code, words) in cases {
        let mut raw = Raw::new(stage.stream().await);
        let packet = connect_packet(client_id, &user_name, &password, CLEAN, 60);
        assert_eq!(raw.greet(&packet).await, Some(code), "{client_id} {user_name} {words}");
        let (outcome, detail) = last(&stage, "device.connect");
        assert_eq!(outcome == 200, code == 0, "{detail}");
        assert!(detail.contains(words), "{detail} against {words}");
        if code != 0 {
            raw.ended().await;
        }
    }
}

#[tokio::test]
async fn other_versions_get_code_1() {
    let stage = Stage::start().await;
    for level in [3, 5] {
        let mut raw = Raw::new(stage.stream().await);
        let greeting = packet(0x10, &[text("MQTT"), vec![level, 2, 0, 60], text("d1")].concat());
        assert_eq!(raw.greet(&greeting).await, Some(1));
        raw.ended().await;
    }
}

#[tokio::test]
async fn what_is_no_connect_is_not_answered() {
    let stage = Stage::start().await;
    let cases = [
        (packet(0x10, &[text("MQIsdp"), vec![3, 2, 0, 60], text("d1")].concat()), "another protocol than MQTT"),
        (vec![0xc0, 0], "another packet before CONNECT"),
        (packet(0x30, &text("devices/d1/messages/events/")), "another packet before CONNECT"),
        (
            b"GET /devices HTTP/1.1\r\nHost: localhost:8883\r\nUser-Agent: somebody/1.0\r\nAccept: */*\r\n\r\n"
                .to_vec(),
            "reserved flags",
        ),
        (vec![0x10, 0xff, 0xff, 0xff, 0x7f], "packet too large"),
        (vec![0xff; 64], "malformed packet"),
    ];
    for (bytes, words) in cases {
        let mut raw = Raw::new(stage.stream().await);
        raw.write(&bytes).await;
        raw.ended().await;
        logged(&stage, "device.connect", 400, words).await;
    }
}

#[tokio::test]
async fn a_disabled_or_deleted_identity_is_cut_at_once() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let module = json!({"deviceId": "d1", "moduleId": "m1"});
    let made = stage.call("PUT", "/devices/d1/modules/m1", Some(module)).await;
    let module_key = made.body["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap().to_owned();
    let (mut device, _) = connect(&stage, "d1", &key, KEEP).await;
    let (mut module, _) = connect(&stage, "d1/m1", &module_key, KEEP).await;
    let status = |status| json!({"deviceId": "d1", "status": status});
    stage.call_with("PUT", "/devices/d1", Some(status("disabled")), &[("if-match", "*")]).await;
    device.ended().await;
    // Modules stand and fall with their device.
    module.ended().await;
    logged(&stage, "device.disconnect", 401, "disabled").await;
    for (id, key) in [("d1", &key), ("d1/m1", &module_key)] {
        let (mut refused, code) = connect(&stage, id, key, KEEP).await;
        assert_eq!(code, 5, "{id}");
        refused.ended().await;
    }
    stage.call_with("PUT", "/devices/d1", Some(status("enabled")), &[("if-match", "*")]).await;
    let (mut device, code) = connect(&stage, "d1", &key, KEEP).await;
    assert_eq!(code, 0);
    stage.call_with("DELETE", "/devices/d1", None, &[("if-match", "*")]).await;
    device.ended().await;
}

#[tokio::test]
async fn new_keys_cut_whoever_used_the_old_ones() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let other = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let keys = |primary: &str, secondary: &str| {
        json!({"deviceId": "d1", "authentication": {"type": "sas",
            "symmetricKey": {"primaryKey": primary, "secondaryKey": secondary}}})
    };
    let put = async |body| stage.call_with("PUT", "/devices/d1", Some(body), &[("if-match", "*")]).await;
    let (mut device, _) = connect(&stage, "d1", &key, KEEP).await;
    // The other key changes: nothing happens to this connection.
    assert_eq!(put(keys(&key, other)).await.status, 200);
    device.write(&[0xc0, 0]).await;
    assert_eq!(device.read().await, Some((0xd0, vec![])));
    // Keys that change places are still its keys.
    assert_eq!(put(keys(other, &key)).await.status, 200);
    device.write(&[0xc0, 0]).await;
    assert_eq!(device.read().await, Some((0xd0, vec![])));
    assert_eq!(put(keys(other, other)).await.status, 200);
    device.ended().await;
    let (_, code) = connect(&stage, "d1", &key, KEEP).await;
    assert_eq!(code, 5);
    let (_, code) = connect(&stage, "d1", other, KEEP).await;
    assert_eq!(code, 0);
}

#[tokio::test]
async fn faults_strike_connects() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let fault = |effect: serde_json::Value| {
        let fault = json!({"operation": "device.connect", "subject": "d1", "times": 1, "effect": effect});
        stage.hub.add_fault(serde_json::from_value(fault).unwrap());
    };
    let token = device_token("d1", &key);
    let greeting = connect_packet("d1", &user("d1"), &token, CLEAN, 60);
    let cases = [
        (json!({"status": 503}), Some(3)),
        (json!({"status": 429}), Some(3)),
        (json!({"status": 401}), Some(5)),
        (json!("cutBefore"), None),
        (json!("cutAfter"), None),
        (json!("delay"), Some(0)),
    ];
    for (effect, code) in cases {
        fault(effect.clone());
        let mut raw = Raw::new(stage.stream().await);
        assert_eq!(raw.greet(&greeting).await, code, "{effect}");
    }
}
