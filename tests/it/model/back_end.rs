//! Another back end, which shares no code with the operator's: raw calls to the hub.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use hubtwin::local_hub::Running;
use hubtwin::sas::Key;
use serde_json::{Value, json};

use super::log::{Log, TwinWrite, Who};
use super::wire::Answer;

const API_VERSION: &str = "api-version=2021-04-12";

pub struct BackEnd {
    client: reqwest::Client,
    url: String,
    token: String,
    log: Arc<Log>,
}

impl BackEnd {
    pub fn of(hub: &Running, log: Arc<Log>) -> Self {
        let string = hub.service_connection_string();
        let (_, key) = string.split_once("SharedAccessKey=").expect("the hub's own string");
        let expiry = (SystemTime::now() + Duration::from_secs(3600)).duration_since(UNIX_EPOCH).expect("after 1970");
        let key = Key::parse(key).expect("the hub's own key");
        let token = key.sign(hub.host(), Some("iothubowner"), expiry.as_secs()).expose().to_owned();
        let root = reqwest::Certificate::from_pem(hub.ca_pem().as_bytes()).expect("the hub's own root");
        let client = reqwest::Client::builder().tls_certs_only([root]).no_proxy().timeout(Duration::from_secs(20));
        let client = client.build().expect("a client can be made");
        Self { client, url: format!("https://{}:{}", hub.host(), hub.https_port()), token, log }
    }

    /// One call with the caller's own headers; `None` when there is no answer.
    pub async fn raw(&self, method: Method, path: &str, headers: &HeaderMap, body: Bytes) -> Option<Answer> {
        let mut headers = headers.clone();
        for own in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION] {
            headers.remove(own);
        }
        let request = self.client.request(method, format!("{}{path}", self.url)).headers(headers).body(body);
        let response = request.send().await.ok()?;
        let (status, mut headers) = (response.status(), response.headers().clone());
        for own in [header::TRANSFER_ENCODING, header::CONTENT_LENGTH, header::CONNECTION] {
            headers.remove(own);
        }
        Some(Answer { status, headers, body: response.bytes().await.ok()? })
    }

    async fn call(&self, method: Method, path: &str, if_match: bool, body: Option<&Value>) -> (StatusCode, Value) {
        let mut headers = HeaderMap::new();
        let token = HeaderValue::from_str(&self.token).expect("a token is ASCII");
        headers.insert(header::AUTHORIZATION, token);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        if if_match {
            headers.insert(HeaderName::from_static("if-match"), HeaderValue::from_static("\"*\""));
        }
        let body = body.map(ToString::to_string).unwrap_or_default();
        let path = format!("{path}?{API_VERSION}");
        let answer = self.raw(method, &path, &headers, Bytes::from(body)).await.expect("the hub answers");
        let value = if answer.body.is_empty() { Value::Null } else { json_of(&answer.body) };
        (answer.status, value)
    }

    /// The twin; `None` when there is no such device.
    pub async fn twin(&self, twin: &str) -> Option<Value> {
        let (status, value) = self.call(Method::GET, &twin_path(twin), false, None).await;
        assert!(status.is_success() || status == StatusCode::NOT_FOUND, "{status} {value}");
        status.is_success().then_some(value)
    }

    /// Makes the identity, and answers its key.
    pub async fn make(&self, twin: &str) -> String {
        let (device, module) = split(twin);
        let mut body = json!({"deviceId": device});
        if let Some(module) = module {
            body["moduleId"] = json!(module);
        }
        let (status, value) = self.call(Method::PUT, &identity_path(twin), false, Some(&body)).await;
        assert!(status.is_success(), "{status} {value}");
        value["authentication"]["symmetricKey"]["primaryKey"].as_str().expect("the hub made a key").to_owned()
    }

    /// Deletes the identity, if it is there.
    pub async fn delete(&self, twin: &str) {
        let (status, value) = self.call(Method::DELETE, &identity_path(twin), true, None).await;
        assert!(status.is_success() || status == StatusCode::NOT_FOUND, "{status} {value}");
    }

    /// Patches tags and desired, whatever the twin's state; the twin after it, or the hub's refusal.
    pub async fn patch(&self, twin: &str, body: Value) -> Result<Value, StatusCode> {
        self.write(Method::PATCH, twin, body).await
    }

    /// Replaces the sections that are given.
    pub async fn replace(&self, twin: &str, body: Value) -> Result<Value, StatusCode> {
        self.write(Method::PUT, twin, body).await
    }

    async fn write(&self, method: Method, twin: &str, body: Value) -> Result<Value, StatusCode> {
        let asked = self.log.tick();
        let replaces = method == Method::PUT;
        let (status, after) = self.call(method, &twin_path(twin), true, Some(&body)).await;
        if !status.is_success() {
            return Err(status);
        }
        self.log.records().twin_writes.push(TwinWrite {
            who: Who::Foreign,
            twin: twin.to_owned(),
            asked,
            answered: self.log.tick(),
            replaces,
            body,
            status: status.as_u16(),
            after: Some(after.clone()),
            delivered: true,
        });
        Ok(after)
    }
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("the hub answers JSON")
}

fn split(twin: &str) -> (&str, Option<&str>) {
    twin.split_once('/').map_or((twin, None), |(device, module)| (device, Some(module)))
}

fn twin_path(twin: &str) -> String {
    match split(twin) {
        (device, None) => format!("/twins/{device}"),
        (device, Some(module)) => format!("/twins/{device}/modules/{module}"),
    }
}

fn identity_path(twin: &str) -> String {
    match split(twin) {
        (device, None) => format!("/devices/{device}"),
        (device, Some(module)) => format!("/devices/{device}/modules/{module}"),
    }
}
