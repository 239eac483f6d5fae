//! Subscriptions and connections that come and go.

use std::sync::Arc;

use serde_json::json;

use super::super::bytes::{connect_packet, packet, text};
use super::raw::{ANSWERS, CHANGES, CLEAN, KEEP, Raw, connect, logged, user};
use crate::local_hub::Config;
use crate::local_hub::testing::{Stage, device_token};

#[tokio::test]
async fn subscriptions_outlive_the_connection_unless_the_session_is_clean() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let patch = async |n: u32| {
        stage.call("PATCH", "/twins/d1", Some(json!({"properties": {"desired": {"n": n}}}))).await;
    };
    let (mut first, _) = connect(&stage, "d1", &key, KEEP).await;
    first.subscribe(CHANGES, 1).await;
    first.subscribe(ANSWERS, 0).await;
    // The newer connection takes over.
    let (mut second, code) = connect(&stage, "d1", &key, KEEP).await;
    assert_eq!(code, 0x100);
    first.ended().await;
    logged(&stage, "device.disconnect", 400, "400027").await;
    assert_eq!(stage.call("GET", "/twins/d1", None).await.body["connectionState"], "Connected");
    patch(1).await;
    let notice = second.message().await;
    assert_eq!((notice.topic.as_str(), notice.id), ("$iothub/twin/PATCH/properties/desired/?$version=2", Some(1)));
    second.write(&[0xe0, 0]).await;
    second.ended().await;
    // Changes made while it is away are not kept for it.
    patch(2).await;
    let (mut third, code) = connect(&stage, "d1", &key, KEEP).await;
    assert_eq!(code, 0x100);
    patch(3).await;
    assert_eq!(third.message().await.topic, "$iothub/twin/PATCH/properties/desired/?$version=4");
    // What is ended is not told, and the other subscription stays.
    third.write(&packet(0xa2, &[vec![0, 5], text(CHANGES), text("unknown")].concat())).await;
    assert_eq!(third.read().await, Some((0xb0, vec![0, 5])));
    patch(4).await;
    third.report("$rid=1", "{}").await;
    assert_eq!(third.message().await.topic, "$iothub/twin/res/204/?$rid=1&$version=2");
    let (mut fourth, code) = connect(&stage, "d1", &key, CLEAN).await;
    assert_eq!(code, 0);
    fourth.report("$rid=2", "{}").await;
    fourth.write(&[0xc0, 0]).await;
    assert_eq!(fourth.read().await, Some((0xd0, vec![])));
}

#[tokio::test]
async fn a_session_goes_with_its_identity() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let (mut device, _) = connect(&stage, "d1", &key, KEEP).await;
    device.subscribe(ANSWERS, 0).await;
    stage.call_with("DELETE", "/devices/d1", None, &[("if-match", "*")]).await;
    device.ended().await;
    let key = stage.device("d1").await;
    let (_, code) = connect(&stage, "d1", &key, KEEP).await;
    assert_eq!(code, 0);
}

#[tokio::test]
async fn many_notices_come_in_the_order_of_their_versions() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let (mut device, _) = connect(&stage, "d1", &key, CLEAN).await;
    device.subscribe(CHANGES, 1).await;
    for n in 0..40 {
        stage.call("PATCH", "/twins/d1", Some(json!({"properties": {"desired": {"n": n}}}))).await;
    }
    for version in 2..42 {
        let notice = device.message().await;
        assert_eq!(notice.json()["$version"], version);
        assert_eq!(notice.id, Some(u16::try_from(version).unwrap() - 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_connections_at_once_one_is_left() {
    let stage = Arc::new(Stage::start().await);
    let key = stage.device("d1").await;
    let connecting = (0..24).map(|_| {
        let (stage, key) = (Arc::clone(&stage), key.clone());
        tokio::spawn(async move {
            let mut device = Raw::new(stage.stream().await);
            let greeting = connect_packet("d1", &user("d1"), &device_token("d1", &key), CLEAN, 60);
            // One that is replaced before it is welcomed hears nothing.
            let code = device.greet(&greeting).await;
            assert!(matches!(code, None | Some(0)), "{code:?}");
            (device, code)
        })
    });
    let mut left = 0;
    for connected in futures::future::join_all(connecting).await {
        let (mut device, code) = connected.unwrap();
        device.write(&[0xc0, 0]).await;
        let Some(answer) = device.read().await else { continue };
        assert_eq!((code, answer), (Some(0), (0xd0, vec![])));
        left += 1;
        device.write(&[0xe0, 0]).await;
        device.ended().await;
    }
    assert_eq!(left, 1);
    logged(&stage, "device.disconnect", 200, "by the client").await;
    assert_eq!(stage.hub.count("device.connect.200"), 24);
    assert_eq!(stage.hub.count("device.disconnect.400"), 23);
    assert_eq!(stage.call("GET", "/twins/d1", None).await.body["connectionState"], "Disconnected");
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_promised() {
    let folder = std::env::temp_dir().join(format!("hubtwin-sessions-{:032x}", fastrand::u128(..)));
    let config = Config { data: Some(folder.clone()), ..Config::default() };
    let stage = Stage::with(config).await;
    let key = stage.device("d1").await;
    let (mut device, _) = connect(&stage, "d1", &key, CLEAN).await;
    assert_eq!(device.subscribe(ANSWERS, 0).await, [0, 9, 0]);
    // The folder is gone for this hub.
    stage.hub.hub.close().await;
    device.report("$rid=1", r#"{"a":1}"#).await;
    assert_eq!(device.message().await.topic, "$iothub/twin/res/500/?$rid=1");
    device.write(&packet(0x82, &[vec![0, 1], text(CHANGES), vec![0]].concat())).await;
    device.ended().await;
    logged(&stage, "device.disconnect", 500, "refused").await;
    // A model that is announced has to be kept, too.
    let mut refused = Raw::new(stage.stream().await);
    let user = format!("{}&model-id=dtmi%3Aacme%3Apump%3B2", user("d1"));
    assert_eq!(refused.greet(&connect_packet("d1", &user, &device_token("d1", &key), CLEAN, 60)).await, Some(3));
    refused.ended().await;
    std::fs::remove_dir_all(&folder).unwrap();
}
