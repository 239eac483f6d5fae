//! A client that writes its packets by hand, over any stream.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::super::bytes::{connect_packet, packet, text};
use crate::local_hub::journal::Filter;
use crate::local_hub::testing::{SOON, Stage, device_token};

/// What the SDKs subscribe to.
pub const ANSWERS: &str = "$iothub/twin/res/#";
pub const CHANGES: &str = "$iothub/twin/PATCH/properties/desired/#";
/// Flags of a CONNECT with user name and password.
pub const KEEP: u8 = 0xc0;
pub const CLEAN: u8 = 0xc2;

pub struct Raw<S> {
    pub stream: S,
    /// How long it waits for what must come.
    pub patience: Duration,
}

/// A message as it comes.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: String,
    pub payload: String,
    /// The packet id, at QoS 1.
    pub id: Option<u16>,
}

impl Message {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap()
    }
}

/// The user name that SDKs send.
pub fn user(id: &str) -> String {
    format!("localhost/{id}/?api-version=2021-04-12&DeviceClientType=test")
}

/// Connects as SDKs do; the client and the code of the CONNACK, with 0x100 for a session that was there.
pub async fn connect(stage: &Stage, id: &str, key: &str, flags: u8) -> (Raw<TlsStream<TcpStream>>, u16) {
    let password = device_token(&id.replace('/', "/modules/"), key);
    let mut raw = Raw::new(stage.stream().await);
    let code = raw.greet(&connect_packet(id, &user(id), &password, flags, 60)).await.unwrap();
    (raw, code)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, patience: SOON }
    }

    /// Sends a CONNECT; the code of the answer, with 0x100 for a session that was there; `None` without an answer.
    pub async fn greet(&mut self, connect: &[u8]) -> Option<u16> {
        self.write(connect).await;
        let (first, body) = self.read().await?;
        assert_eq!((first, body.len()), (0x20, 2));
        Some(u16::from_be_bytes([body[0], body[1]]))
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        // The hub may have closed already, which the test sees by reading.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The next packet: first byte and body; `None` at the end of the connection.
    pub async fn read(&mut self) -> Option<(u8, Vec<u8>)> {
        timeout(self.patience, async {
            let first = self.stream.read_u8().await.ok()?;
            let (mut length, mut shift) = (0usize, 0);
            loop {
                let byte = self.stream.read_u8().await.ok()?;
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body).await.ok()?;
            Some((first, body))
        })
        .await
        .expect("a packet or the end within the deadline")
    }

    pub async fn subscribe(&mut self, topic: &str, qos: u8) -> Vec<u8> {
        self.write(&packet(0x82, &[vec![0, 9], text(topic), vec![qos]].concat())).await;
        self.read().await.unwrap().1
    }

    pub async fn publish(&mut self, topic: &str, payload: &str) {
        self.write(&packet(0x30, &[text(topic), payload.as_bytes().to_vec()].concat())).await;
    }

    /// At QoS 1.
    pub async fn publish_with(&mut self, id: u16, topic: &str, payload: &str) {
        let body = [text(topic), id.to_be_bytes().to_vec(), payload.as_bytes().to_vec()].concat();
        self.write(&packet(0x32, &body)).await;
    }

    /// Reports at QoS 0.
    pub async fn report(&mut self, query: &str, payload: &str) {
        self.publish(&format!("$iothub/twin/PATCH/properties/reported/?{query}"), payload).await;
    }

    /// The next message.
    pub async fn message(&mut self) -> Message {
        let (first, body) = self.read().await.expect("a message, not the end");
        assert_eq!(first & 0xf0, 0x30, "a message");
        let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        let id = (first & 0x06 != 0).then(|| u16::from_be_bytes([body[end], body[end + 1]]));
        let payload = &body[end + if id.is_some() { 2 } else { 0 }..];
        Message {
            topic: String::from_utf8(body[2..end].to_vec()).unwrap(),
            payload: String::from_utf8(payload.to_vec()).unwrap(),
            id,
        }
    }

    /// Waits for the end of the connection.
    pub async fn ended(&mut self) {
        assert_eq!(self.read().await, None);
    }
}

/// The last entry of the log about an operation: outcome and words; 0 and none when there is no entry.
pub fn last(stage: &Stage, operation: &str) -> (u16, String) {
    let entries = stage.hub.hub.journal().find(&Filter::default());
    let entry = entries.iter().rev().find(|entry| entry.operation == operation);
    entry.map(|entry| (entry.outcome, entry.detail.clone())).unwrap_or_default()
}

/// Waits until the log says of an operation what it should say last.
pub async fn logged(stage: &Stage, operation: &str, outcome: u16, words: &str) {
    let seen = async {
        loop {
            let (is, detail) = last(stage, operation);
            if is == outcome && detail.contains(words) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    if timeout(SOON, seen).await.is_err() {
        panic!("wanted {outcome} {words:?}, saw {:?}", last(stage, operation));
    }
}
