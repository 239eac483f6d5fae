//! What the hub's own tests share: a running hub with a client that trusts it, and tokens signed by hand.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, Response};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Config, LocalHub, Running};

/// How long a test waits for what must come.
pub const SOON: Duration = Duration::from_secs(10);

/// A hub and a client of it.
pub struct Stage {
    pub hub: Running,
    client: Client,
    pub token: String,
}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Stage {
    pub async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub async fn with(config: Config) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self::of(LocalHub::start(config).await.unwrap())
    }

    /// A client of a hub that runs already.
    pub fn of(hub: Running) -> Self {
        let ca = reqwest::Certificate::from_pem(hub.ca_pem().as_bytes()).unwrap();
        let client = Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
        let token = policy_token(&hub, "iothubowner");
        Self { hub, client, token }
    }

    /// One call as a back end; `path` without the api-version.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.call_with(method, path, body, &[]).await
    }

    pub async fn call_with(&self, method: &str, path: &str, body: Option<Value>, headers: &[(&str, &str)]) -> Answer {
        let mark = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{mark}api-version=2021-04-12");
        let body = body.map(|body| body.to_string());
        let mut all = vec![("authorization", self.token.as_str())];
        all.extend(headers);
        self.raw(method, &path, body, &all).await
    }

    pub async fn raw(&self, method: &str, path: &str, body: Option<String>, headers: &[(&str, &str)]) -> Answer {
        read(self.try_raw(method, path, body, headers).await.unwrap()).await
    }

    /// A call whose connection may be cut.
    pub async fn try_raw(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Response> {
        let url = format!("https://localhost:{}{path}", self.hub.https_port());
        let mut request = self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json; charset=utf-8").body(body);
        }
        request.send().await
    }

    /// The hub, and a read of the twin of `d1` that has not begun.
    pub fn apart(self) -> (Running, impl Future<Output = reqwest::Result<Response>> + Send) {
        let Self { hub, client, token } = self;
        let url = format!("https://localhost:{}/twins/d1?api-version=2021-04-12", hub.https_port());
        (hub, client.get(url).header("authorization", token).send())
    }

    /// Makes a device and answers its first key.
    pub async fn device(&self, id: &str) -> String {
        let made = self.call("PUT", &format!("/devices/{id}"), Some(serde_json::json!({"deviceId": id}))).await;
        assert_eq!(made.status, 200, "{made:?}");
        made.body["authentication"]["symmetricKey"]["primaryKey"].as_str().unwrap().to_owned()
    }

    /// A TLS stream to the port for devices.
    pub async fn stream(&self) -> TlsStream<TcpStream> {
        connect_tls(&self.hub, self.hub.mqtt_port()).await
    }
}

pub async fn connect_tls(hub: &Running, port: u16) -> TlsStream<TcpStream> {
    connect_tls_as(hub, port, None).await
}

/// A self-signed certificate and its key.
pub struct Certificate {
    pub der: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
}

impl Certificate {
    pub fn generate() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap().self_signed(&key).unwrap();
        Self { der: certificate.der().clone(), key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() }
    }

    /// Its thumbprints, SHA-1 and SHA-256.
    pub fn thumbprints(&self) -> [String; 2] {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        [hex(&Sha1::digest(&self.der)), hex(&Sha256::digest(&self.der))]
    }
}

/// A TLS stream whose client shows a certificate.
pub async fn connect_tls_as(hub: &Running, port: u16, certificate: Option<&Certificate>) -> TlsStream<TcpStream> {
    connect_tls_with(hub, port, certificate, rustls::ALL_VERSIONS).await
}

/// The same by one of these versions of TLS.
pub async fn connect_tls_with(
    hub: &Running,
    port: u16,
    certificate: Option<&Certificate>,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(hub.ca_pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
    let config = match certificate {
        None => config.with_no_client_auth(),
        Some(Certificate { der, key }) => config.with_client_auth_cert(vec![der.clone()], key.clone_key()).unwrap(),
    };
    connect_tls_by(port, config).await.unwrap()
}

/// A TLS stream by any setup; it may fail.
pub async fn connect_tls_by(port: u16, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

async fn read(response: Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
    Answer { status, headers, body }
}

/// A token of a policy for the whole hub, good for an hour.
pub fn policy_token(hub: &Running, policy: &str) -> String {
    let text = hub.policy_connection_string(policy).unwrap();
    let key = text.split_once("SharedAccessKey=").unwrap().1;
    format!("{}&skn={policy}", sign("localhost", key))
}

/// A token of a device or module (`d/modules/m`), good for an hour.
pub fn device_token(device: &str, key: &str) -> String {
    sign(&format!("localhost/devices/{device}"), key)
}

fn sign(resource: &str, key: &str) -> String {
    sign_for(resource, key, 3600)
}

/// A token that ends in this many seconds.
pub fn sign_for(resource: &str, key: &str, seconds: i64) -> String {
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let (resource, expiry) = (escape(resource), jiff::Timestamp::now().as_second() + seconds);
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(key).unwrap()).unwrap();
    mac.update(format!("{resource}\n{expiry}").as_bytes());
    let signature = escape(&STANDARD.encode(mac.finalize().into_bytes()));
    format!("SharedAccessSignature sr={resource}&sig={signature}&se={expiry}")
}
