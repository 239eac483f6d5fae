//! A device that costs the driver as little as can be: packets by hand on one stream.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use futures::{SinkExt as _, StreamExt as _};
use hubtwin::sas::{Key, device_resource};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::back_end::{KEY, name};
use crate::hub::HubProcess;

/// How long an answer may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// How devices reach the hub.
pub struct Ways {
    tls: TlsConnector,
    port: u16,
    websocket: bool,
    key: Key,
}

enum Stream {
    Tls(Box<TlsStream<TcpStream>>),
    WebSocket(Box<WebSocketStream<TlsStream<TcpStream>>>),
}

/// A connected device.
pub struct Client {
    name: String,
    stream: Stream,
    buffer: Vec<u8>,
    /// What TLS, WebSocket, CONNECT and SUBSCRIBE took together.
    pub connect_time: Duration,
    /// What each report took, from the moment at which it was due to its answer.
    pub reports: Vec<Duration>,
    /// The same for pings.
    pub pings: Vec<Duration>,
}

impl Ways {
    pub fn new(hub: &HubProcess, websocket: bool) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&hub.ca_pem).context("read the hub's certificate")?)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each device is another one: none has a session to go on with.
        config.resumption = Resumption::disabled();
        let port = hub.port(if websocket { "HUB_HTTPS_PORT" } else { "HUB_MQTT_PORT" })?;
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), port, websocket, key: Key::parse(KEY)? })
    }
}

impl Client {
    pub async fn connect(ways: &Ways, number: usize) -> anyhow::Result<Self> {
        let (began, name) = (Instant::now(), name(number));
        let tcp = TcpStream::connect(("127.0.0.1", ways.port)).await.context("connect")?;
        tcp.set_nodelay(true)?;
        let tls = ways.tls.connect(ServerName::try_from("localhost")?, tcp).await.context("TLS handshake")?;
        let stream = if ways.websocket { Stream::upgrade(tls).await? } else { Stream::Tls(Box::new(tls)) };
        let none = Duration::ZERO;
        let mut client =
            Self { name, stream, buffer: Vec::new(), connect_time: none, reports: Vec::new(), pings: Vec::new() };
        let expires = (SystemTime::now() + Duration::from_secs(86_400)).duration_since(UNIX_EPOCH)?;
        let token = ways.key.sign(&device_resource("localhost", &client.name, None), None, expires.as_secs());
        let user = format!("localhost/{}/?api-version=2021-04-12", client.name);
        let head = [text("MQTT"), vec![4, 0xc2, 0, 240]].concat();
        client.write(&packet(0x10, &[head, text(&client.name), text(&user), text(token.expose())].concat())).await?;
        let answer = client.packet().await?;
        anyhow::ensure!(answer == (0x20, vec![0, 0]), "CONNACK {answer:?}");
        client.write(&packet(0x82, &[vec![0, 1], text("$iothub/twin/res/#"), vec![0]].concat())).await?;
        let answer = client.packet().await?;
        anyhow::ensure!(answer == (0x90, vec![0, 1, 0]), "SUBACK {answer:?}");
        client.connect_time = began.elapsed();
        Ok(client)
    }

    /// Reports its count. `due` is when it meant to send.
    pub async fn report(&mut self, count: u64, due: Instant) -> anyhow::Result<()> {
        let document = format!(r#"{{"count":{count},"environment":{{"temperature":21.5,"humidity":40}}}}"#);
        self.send(count, document, due).await
    }

    /// Sends its nth report at QoS 1 and waits for receipt and answer.
    pub async fn send(&mut self, count: u64, document: String, due: Instant) -> anyhow::Result<()> {
        let topic = format!("$iothub/twin/PATCH/properties/reported/?$rid={count}");
        let id = u16::try_from(count % 65_535 + 1)?.to_be_bytes();
        self.write(&packet(0x32, &[text(&topic), id.to_vec(), document.into_bytes()].concat())).await?;
        let receipt = self.packet().await?;
        anyhow::ensure!(receipt == (0x40, id.to_vec()), "PUBACK {receipt:?}");
        let (first, body) = self.packet().await?;
        self.reports.push(due.elapsed());
        let wanted = text(&format!("$iothub/twin/res/204/?$rid={count}&$version={}", count + 1));
        anyhow::ensure!(first == 0x30 && body == wanted, "answer {:?}", String::from_utf8_lossy(&body));
        Ok(())
    }

    /// Asks whether the hub is there.
    pub async fn ping(&mut self, due: Instant) -> anyhow::Result<()> {
        self.write(&[0xc0, 0]).await?;
        let answer = self.packet().await?;
        self.pings.push(due.elapsed());
        anyhow::ensure!(answer == (0xd0, Vec::new()), "PINGRESP {answer:?}");
        Ok(())
    }

    /// Says good-bye and waits for the end.
    pub async fn leave(mut self) -> anyhow::Result<()> {
        self.write(&[0xe0, 0]).await?;
        anyhow::ensure!(self.packet().await.is_err(), "{}: something after the good-bye", self.name);
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        match &mut self.stream {
            Stream::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
            }
            Stream::WebSocket(socket) => socket.send(Message::Binary(bytes.to_vec().into())).await?,
        }
        Ok(())
    }

    /// The next packet: its first byte and its body.
    async fn packet(&mut self) -> anyhow::Result<(u8, Vec<u8>)> {
        loop {
            if let Some((first, start, end)) = frame(&self.buffer) {
                let body = self.buffer[start..end].to_vec();
                self.buffer.drain(..end);
                return Ok((first, body));
            }
            let more = timeout(PATIENCE, self.stream.read()).await.context("no answer in time")??;
            self.buffer.extend(more);
        }
    }
}

impl Stream {
    async fn upgrade(tls: TlsStream<TcpStream>) -> anyhow::Result<Self> {
        let mut request = "wss://localhost/$iothub/websocket".into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "mqtt".parse()?);
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
        let (socket, _) = client_async_with_config(request, tls, Some(config)).await.context("WebSocket handshake")?;
        Ok(Self::WebSocket(Box::new(socket)))
    }

    async fn read(&mut self) -> anyhow::Result<Vec<u8>> {
        match self {
            Self::Tls(stream) => {
                let mut bytes = vec![0; 2048];
                let count = stream.read(&mut bytes).await?;
                anyhow::ensure!(count > 0, "the hub closed the connection");
                bytes.truncate(count);
                Ok(bytes)
            }
            Self::WebSocket(socket) => match socket.next().await {
                Some(Ok(Message::Binary(bytes))) => Ok(bytes.to_vec()),
                other => anyhow::bail!("the hub closed the connection: {other:?}"),
            },
        }
    }
}

/// First byte, start and end of the body of a packet, when all of it is there.
fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (mut length, mut shift) = (0, 0);
    for (at, byte) in bytes.iter().enumerate().skip(1).take(4) {
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let (start, end) = (at + 1, at + 1 + length);
            return (bytes.len() >= end).then_some((bytes[0], start, end));
        }
    }
    None
}

fn text(value: &str) -> Vec<u8> {
    [&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes(), value.as_bytes()].concat()
}

/// A packet whose body is at most 16 KB.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let low = u8::try_from(body.len() % 128).unwrap_or_default();
    let length = match u8::try_from(body.len() / 128).unwrap_or(u8::MAX) {
        0 => vec![low],
        high => vec![low | 0x80, high],
    };
    [vec![first], length, body.to_vec()].concat()
}
