//! Devices that prove who they are by a self-signed certificate.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::super::bytes::connect_packet;
use super::raw::{CLEAN, Raw, last, logged, user};
use crate::local_hub::testing::{
    Certificate, Stage, connect_tls_as, connect_tls_by, connect_tls_with, device_token, policy_token,
};
use crate::local_hub::websocket::Socket;

fn self_signed(primary: Option<&str>, secondary: Option<&str>) -> Value {
    let thumbprints = json!({"primaryThumbprint": primary, "secondaryThumbprint": secondary});
    json!({"deviceId": "d1", "authentication": {"type": "selfSigned", "x509Thumbprint": thumbprints}})
}

/// Connects over any stream with no password but this one.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: S, password: &str) -> (Raw<S>, Option<u16>) {
    let mut raw = Raw::new(stream);
    let code = raw.greet(&connect_packet("d1", &user("d1"), password, CLEAN, 60)).await;
    (raw, code)
}

#[tokio::test]
async fn a_certificate_is_known_by_either_digest_in_either_place() {
    let stage = Stage::start().await;
    let certificate = Certificate::generate();
    let [sha1, sha256] = certificate.thumbprints();
    let other = "0".repeat(40);
    let cases = [
        (self_signed(Some(&sha1), None), 0),
        (self_signed(Some(&sha1.to_uppercase()), Some(&other)), 0),
        (self_signed(Some(&other), Some(&sha256)), 0),
        (self_signed(Some(&sha256.to_uppercase()), Some(&other)), 0),
        (self_signed(Some(&other), Some(&other)), 5),
    ];
    let mut precondition = "";
    for (identity, expected) in cases {
        let made = stage.call_with("PUT", "/devices/d1", Some(identity.clone()), &[("if-match", precondition)]).await;
        assert_eq!(made.status, 200, "{made:?}");
        precondition = "*";
        for version in [&TLS13, &TLS12] {
            let stream = connect_tls_with(&stage.hub, stage.hub.mqtt_port(), Some(&certificate), &[version]).await;
            let (_, code) = greet(stream, "").await;
            assert_eq!(code, Some(expected), "{identity} {version:?}");
        }
    }
    assert_eq!(last(&stage, "device.connect"), (401, "certificate with another thumbprint".to_owned()));
}

#[tokio::test]
async fn without_its_certificate_a_device_is_refused() {
    let stage = Stage::start().await;
    let (certificate, stranger) = (Certificate::generate(), Certificate::generate());
    let [thumbprint, _] = certificate.thumbprints();
    stage.call("PUT", "/devices/d1", Some(self_signed(Some(&thumbprint), None))).await;
    let key = stage.device("d2").await;
    let port = stage.hub.mqtt_port();
    for (shown, password, words) in [
        (None, String::new(), "no client certificate"),
        (Some(&stranger), String::new(), "another thumbprint"),
        // A token of no use, with and without the certificate.
        (None, device_token("d1", &key), "identity without keys"),
        (Some(&certificate), device_token("d1", &key), "identity without keys"),
    ] {
        let (mut raw, code) = greet(connect_tls_as(&stage.hub, port, shown).await, &password).await;
        assert_eq!(code, Some(5), "{words}");
        raw.ended().await;
        logged(&stage, "device.connect", 401, words).await;
    }
    // A key of the hub opens it as it opens any other.
    let (_, code) = greet(connect_tls_as(&stage.hub, port, None).await, &policy_token(&stage.hub, "device")).await;
    assert_eq!(code, Some(0));
    // A certificate does not stand in the way of a token.
    let mut raw = Raw::new(connect_tls_as(&stage.hub, port, Some(&certificate)).await);
    let greeting = connect_packet("d2", &user("d2"), &device_token("d2", &key), CLEAN, 60);
    assert_eq!(raw.greet(&greeting).await, Some(0));
}

#[tokio::test]
async fn a_certificate_works_over_websocket_and_ends_with_its_thumbprint() {
    let stage = Stage::start().await;
    let certificate = Certificate::generate();
    let [thumbprint, _] = certificate.thumbprints();
    stage.call("PUT", "/devices/d1", Some(self_signed(Some(&thumbprint), None))).await;
    let mut request = "wss://localhost/$iothub/websocket".into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "mqtt".parse().unwrap());
    let stream = connect_tls_as(&stage.hub, stage.hub.https_port(), Some(&certificate)).await;
    let (socket, _) = client_async(request, stream).await.unwrap();
    let (mut raw, code) = greet(Socket::over(socket), "").await;
    assert_eq!(code, Some(0));
    let rolled = self_signed(Some(&"1".repeat(40)), None);
    stage.call_with("PUT", "/devices/d1", Some(rolled), &[("if-match", "*")]).await;
    raw.ended().await;
    logged(&stage, "device.disconnect", 401, "other credentials").await;
}

#[tokio::test]
async fn what_cannot_be_proved_here_is_refused_in_clear_words() {
    let stage = Stage::start().await;
    let certificate = Certificate::generate();
    let stream = async || connect_tls_as(&stage.hub, stage.hub.mqtt_port(), Some(&certificate)).await;
    for (kind, words) in [("certificateAuthority", "not supported here"), ("none", "type none")] {
        let identity = json!({"deviceId": "d1", "authentication": {"type": kind}});
        let made = stage.call_with("PUT", "/devices/d1", Some(identity.clone()), &[("if-match", "")]).await;
        assert_eq!(made.status, 200);
        assert_eq!(greet(stream().await, "").await.1, Some(5), "{kind}");
        logged(&stage, "device.connect", 401, words).await;
        stage.call_with("DELETE", "/devices/d1", None, &[("if-match", "*")]).await;
    }
    for wrong in ["", "aa:bb", &"g".repeat(40), &"a".repeat(41)] {
        let made = stage.call("PUT", "/devices/d1", Some(self_signed(Some(wrong), None))).await;
        // An empty one is none.
        assert_eq!(made.status, if wrong.is_empty() { 200 } else { 400 }, "{wrong}");
        stage.call_with("DELETE", "/devices/d1", None, &[("if-match", "*")]).await;
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_is_nothing() {
    let stage = Stage::start().await;
    let (certificate, stranger) = (Certificate::generate(), Certificate::generate());
    let [thumbprint, _] = certificate.thumbprints();
    stage.call("PUT", "/devices/d1", Some(self_signed(Some(&thumbprint), None))).await;
    let stolen = CertifiedKey::new(vec![certificate.der.clone()], any_supported_type(&stranger.key).unwrap());
    for version in [&TLS13, &TLS12] {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(stage.hub.ca_pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots);
        let mut config = config.with_no_client_auth();
        config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(stolen.clone()));
        // In TLS 1.3 the client is through before it hears of it.
        if let Ok(stream) = connect_tls_by(stage.hub.mqtt_port(), config).await {
            assert_eq!(greet(stream, "").await.1, None, "{version:?}");
        }
    }
    assert_eq!(stage.hub.count("device.connect"), 0);
}
