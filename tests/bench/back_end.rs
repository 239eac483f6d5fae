//! A back end: the service API over one HTTPS client.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use hubtwin::sas::Key;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::hub::HubProcess;

/// The key of every device.
pub const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Identities in one call.
const BULK: usize = 100;

/// The name of a device.
pub fn name(number: usize) -> String {
    format!("device-{number:05}")
}

pub struct BackEnd {
    /// For other ports, too.
    pub client: reqwest::Client,
    api: String,
    token: String,
}

impl BackEnd {
    pub fn new(hub: &HubProcess) -> anyhow::Result<Self> {
        // The first to need a provider of the process.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let ca = reqwest::Certificate::from_pem(&hub.ca_pem)?;
        let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build()?;
        let string = hub.setting("HUB_SERVICE_CONNECTION_STRING")?;
        let key = string.split_once("SharedAccessKey=").context("a connection string without key")?.1;
        let expires = (SystemTime::now() + Duration::from_secs(86_400)).duration_since(UNIX_EPOCH)?;
        let token = Key::parse(key)?.sign("localhost", Some("iothubowner"), expires.as_secs());
        let api = format!("https://localhost:{}", hub.setting("HUB_HTTPS_PORT")?);
        Ok(Self { client, api, token: token.expose().to_owned() })
    }

    /// Makes the devices, each with what `twin` says of its tags and properties.
    pub async fn register(&self, devices: usize, twin: fn(usize) -> Value) -> anyhow::Result<()> {
        let numbers: Vec<usize> = (0..devices).collect();
        for some in numbers.chunks(BULK) {
            let one = |number: &usize| {
                let mut item = twin(*number);
                item["id"] = json!(name(*number));
                item["importMode"] = json!("create");
                item["authentication"] =
                    json!({"type": "sas", "symmetricKey": {"primaryKey": KEY, "secondaryKey": KEY}});
                item
            };
            let body: Vec<Value> = some.iter().map(one).collect();
            self.answer(self.client.post(self.url("/devices")).json(&body)).await.context("register devices")?;
        }
        Ok(())
    }

    /// The twin of a device, as text.
    pub async fn twin(&self, number: usize) -> anyhow::Result<String> {
        self.answer(self.client.get(self.url(&format!("/twins/{}", name(number))))).await
    }

    /// All rows of a query, as text. Fails when they do not fit on one page.
    pub async fn query(&self, text: &str) -> anyhow::Result<String> {
        self.answer(self.client.post(self.url("/devices/query")).json(&json!({"query": text}))).await.context("query")
    }

    /// Hands out all rows of a query, page by page.
    pub async fn each_row(&self, text: &str, mut take: impl FnMut(&Value)) -> anyhow::Result<()> {
        let mut next: Option<http::HeaderValue> = None;
        loop {
            let mut call = self.client.post(self.url("/devices/query")).header("authorization", &self.token);
            call = call.header("x-ms-max-item-count", 1000).json(&json!({"query": text}));
            if let Some(token) = &next {
                call = call.header("x-ms-continuation", token);
            }
            let answer = call.send().await?.error_for_status().context("query")?;
            next = answer.headers().get("x-ms-continuation").cloned();
            let rows: Vec<Value> = answer.json().await?;
            rows.iter().for_each(&mut take);
            if next.is_none() {
                return Ok(());
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}?api-version=2021-04-12", self.api)
    }

    async fn answer(&self, call: RequestBuilder) -> anyhow::Result<String> {
        let answer = call.header("authorization", &self.token).send().await?;
        let (status, whole) = (answer.status(), !answer.headers().contains_key("x-ms-continuation"));
        let text = answer.text().await?;
        anyhow::ensure!(status == 200, "{status} {text}");
        anyhow::ensure!(whole, "there is another page");
        Ok(text)
    }
}
