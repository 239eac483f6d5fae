//! MQTT over WebSocket, on the port of the service API.

use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::super::bytes::{connect_packet, packet, text};
use super::raw::{ANSWERS, CHANGES, CLEAN, Raw, logged, user};
use crate::local_hub::testing::{SOON, Stage, connect_tls, device_token};
use crate::local_hub::websocket::Socket;

type Client = WebSocketStream<TlsStream<TcpStream>>;

/// The handshake at a path with sub-protocols.
async fn open(stage: &Stage, path: &str, protocols: &str) -> Result<Client, Error> {
    let mut request = format!("wss://localhost{path}").into_client_request().unwrap();
    if !protocols.is_empty() {
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    }
    let stream = connect_tls(&stage.hub, stage.hub.https_port()).await;
    client_async(request, stream).await.map(|(socket, response)| {
        assert_eq!(response.headers()["sec-websocket-protocol"], "mqtt");
        socket
    })
}

async fn next(client: &mut Client) -> Option<Message> {
    timeout(SOON, client.next()).await.expect("a message or the end within the deadline").and_then(Result::ok)
}

#[tokio::test]
async fn a_device_works_over_websocket_as_over_tcp() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    for path in ["/$iothub/websocket", "/$iothub/websocket?iothub-no-client-cert=true", "/%24iothub/websocket"] {
        let socket = open(&stage, path, "mqtt").await.unwrap();
        let mut device = Raw::new(Socket::over(socket));
        let greeting = connect_packet("d1", &user("d1"), &device_token("d1", &key), CLEAN, 60);
        assert_eq!(device.greet(&greeting).await, Some(0), "{path}");
        device.subscribe(ANSWERS, 1).await;
        device.subscribe(CHANGES, 0).await;
        // One large report, which comes back in one large answer.
        let value = "s".repeat(4096);
        let patch = json!({"a": value, "b": value, "c": value, "d": value, "e": value, "f": value}).to_string();
        device.report("$rid=1", &patch).await;
        assert!(device.message().await.topic.starts_with("$iothub/twin/res/204/?$rid=1"));
        device.publish("$iothub/twin/GET/?$rid=2", " ").await;
        assert_eq!(device.message().await.json()["reported"]["f"], value);
        stage.call("PATCH", "/twins/d1", Some(json!({"properties": {"desired": {"a": 1}}}))).await;
        assert!(device.message().await.topic.starts_with("$iothub/twin/PATCH/properties/desired/?$version="));
        assert_eq!(stage.call("GET", "/twins/d1", None).await.body["connectionState"], "Connected");
        device.write(&[0xe0, 0]).await;
        device.ended().await;
        logged(&stage, "device.disconnect", 200, "by the client").await;
    }
    assert_eq!(stage.hub.count("device.websocket.101"), 3);
}

#[tokio::test]
async fn message_borders_mean_nothing_and_pings_are_answered() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let mut client = open(&stage, "/$iothub/websocket", "amqp, mqtt").await.unwrap();
    let greeting = connect_packet("d1", &user("d1"), &device_token("d1", &key), CLEAN, 60);
    // Byte by byte, with an empty message and a ping between.
    let (first, second) = greeting.split_at(5);
    for byte in first {
        client.send(Message::Binary(Bytes::copy_from_slice(&[*byte]))).await.unwrap();
    }
    client.send(Message::Binary(Bytes::new())).await.unwrap();
    client.send(Message::Ping(Bytes::from_static(b"x"))).await.unwrap();
    // The rest as one fragmented message, with a request behind it in the last fragment.
    let frame = |bytes: &[u8], opcode, last| Message::Frame(Frame::message(bytes.to_vec(), OpCode::Data(opcode), last));
    client.send(frame(&second[..10], Data::Binary, false)).await.unwrap();
    client.send(frame(&[&second[10..], &[0xc0, 0]].concat(), Data::Continue, true)).await.unwrap();
    assert_eq!(next(&mut client).await, Some(Message::Pong(Bytes::from_static(b"x"))));
    assert_eq!(next(&mut client).await, Some(Message::Binary(Bytes::from_static(&[0x20, 2, 0, 0, 0xd0, 0]))));
    // Closing the socket is going without a good-bye.
    client.close(None).await.unwrap();
    logged(&stage, "device.disconnect", 404, "404104").await;
}

#[tokio::test]
async fn what_is_no_mqtt_over_websocket_is_refused() {
    let stage = Stage::start().await;
    for (protocols, words) in [
        ("AMQPWSB10", "AMQP is not supported"),
        ("amqp", "AMQP is not supported"),
        ("", "no sub-protocol"),
        ("chat, soap", "no sub-protocol"),
    ] {
        let Err(Error::Http(response)) = open(&stage, "/$iothub/websocket", protocols).await else { panic!() };
        assert_eq!(response.status(), 400, "{protocols}");
        assert_eq!(response.headers()["iothub-errorcode"], "ArgumentInvalid");
        logged(&stage, "device.websocket", 400, words).await;
    }
    // No upgrade at all, another version, and another method.
    let plain = stage.raw("GET", "/$iothub/websocket", None, &[]).await;
    assert_eq!((plain.status, plain.header("iothub-errorcode")), (400, Some("ArgumentInvalid")));
    let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "8")];
    assert_eq!(stage.raw("GET", "/$iothub/websocket", None, &upgrade).await.status, 400);
    assert_eq!(stage.call("POST", "/$iothub/websocket", None).await.status, 405);
}

#[tokio::test]
async fn a_socket_that_breaks_the_rules_is_closed() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let greeting = connect_packet("d1", &user("d1"), &device_token("d1", &key), CLEAN, 60);
    let large = packet(0x30, &[text("devices/d1/messages/events/"), vec![b'x'; 600 * 1024]].concat());
    let cases = [
        Message::text("hello"),
        Message::Binary(Bytes::from(large)),
        Message::Frame(Frame::message(vec![1], OpCode::Data(Data::Continue), true)),
        Message::Binary(Bytes::from_static(&[0xff, 0])),
    ];
    for wrong in cases {
        let mut client = open(&stage, "/$iothub/websocket", "mqtt").await.unwrap();
        client.send(Message::Binary(Bytes::from(greeting.clone()))).await.unwrap();
        assert_eq!(next(&mut client).await, Some(Message::Binary(Bytes::from_static(&[0x20, 2, 0, 0]))));
        // The hub may close before all of it is sent.
        let _ = client.send(wrong).await;
        let end = next(&mut client).await;
        assert!(matches!(end, None | Some(Message::Close(_))), "{end:?}");
    }
}

#[tokio::test]
async fn the_hub_waits_for_its_sockets_when_it_stops() {
    let stage = Stage::start().await;
    let key = stage.device("d1").await;
    let mut client = open(&stage, "/$iothub/websocket", "mqtt").await.unwrap();
    let greeting = connect_packet("d1", &user("d1"), &device_token("d1", &key), CLEAN, 60);
    client.send(Message::Binary(Bytes::from(greeting))).await.unwrap();
    assert!(next(&mut client).await.is_some());
    let Stage { hub, .. } = stage;
    timeout(SOON, hub.shutdown()).await.expect("a hub that stops");
    assert!(matches!(next(&mut client).await, None | Some(Message::Close(_))));
}

#[tokio::test]
async fn faults_strike_the_handshake() {
    let stage = Stage::start().await;
    for (effect, status) in [(json!({"status": 503}), Some(503)), (json!("cutBefore"), None), (json!("cutAfter"), None)]
    {
        let fault = json!({"operation": "device.websocket", "times": 1, "effect": effect});
        stage.hub.add_fault(serde_json::from_value(fault).unwrap());
        match open(&stage, "/$iothub/websocket", "mqtt").await {
            Err(Error::Http(response)) => assert_eq!(Some(response.status().as_u16()), status, "{effect}"),
            Err(_) => assert_eq!(status, None, "{effect}"),
            Ok(_) => panic!("{effect}"),
        }
    }
    assert!(open(&stage, "/$iothub/websocket", "mqtt").await.is_ok());
}
