//! What must be true in the end, read from the hub's counters and from every twin.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _};
use hubtwin::sas::Key;
use serde_json::{Value, json};

use super::hub::HubProcess;

/// The key of every device.
pub const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Identities in one call.
const BULK: usize = 100;
/// Twins that are read at once.
const READING: usize = 8;

/// The name of a device.
pub fn name(number: usize) -> String {
    format!("device-{number:05}")
}

/// A back end, and the reader of the admin port.
pub struct Referee {
    client: reqwest::Client,
    api: String,
    admin: String,
    token: String,
}

impl Referee {
    pub fn new(hub: &HubProcess) -> anyhow::Result<Self> {
        // The first to need a provider of the process.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let ca = reqwest::Certificate::from_pem(&hub.ca_pem)?;
        let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build()?;
        let string = hub.setting("HUB_SERVICE_CONNECTION_STRING")?;
        let key = string.split_once("SharedAccessKey=").context("a connection string without key")?.1;
        let expires = (SystemTime::now() + Duration::from_secs(86_400)).duration_since(UNIX_EPOCH)?;
        let token = Key::parse(key)?.sign("localhost", Some("iothubowner"), expires.as_secs());
        Ok(Self {
            client,
            api: format!("https://localhost:{}", hub.setting("HUB_HTTPS_PORT")?),
            admin: hub.setting("HUB_ADMIN_URL")?.to_owned(),
            token: token.expose().to_owned(),
        })
    }

    /// Makes the devices.
    pub async fn register(&self, devices: usize) -> anyhow::Result<()> {
        let numbers: Vec<usize> = (0..devices).collect();
        for some in numbers.chunks(BULK) {
            let keys = json!({"type": "sas", "symmetricKey": {"primaryKey": KEY, "secondaryKey": KEY}});
            let one = |number: &usize| json!({"id": name(*number), "importMode": "create", "authentication": keys});
            let body: Vec<Value> = some.iter().map(one).collect();
            let call = self.client.post(format!("{}/devices?api-version=2021-04-12", self.api));
            let answer = call.header("authorization", &self.token).json(&body).send().await?;
            let (status, text) = (answer.status(), answer.text().await?);
            anyhow::ensure!(status == 200, "register devices: {status} {text}");
        }
        Ok(())
    }

    /// Everything that is not as it must be after each device has reported this often.
    pub async fn losses(&self, devices: usize, rounds: u64) -> anyhow::Result<Vec<String>> {
        let mut losses = Vec::new();
        let counters: BTreeMap<String, u64> =
            self.client.get(format!("{}/counters", self.admin)).send().await?.json().await?;
        let all = u64::try_from(devices)?;
        let wanted = [
            ("device.connect", all),
            ("device.connect.200", all),
            ("device.report", all * rounds),
            ("device.report.204", all * rounds),
            ("device.disconnect", all),
            ("device.disconnect.200", all),
        ];
        for (name, wanted) in wanted {
            let is = counters.get(name).copied().unwrap_or(0);
            if is != wanted {
                losses.push(format!("counter {name}: {is} in place of {wanted}"));
            }
        }
        let mut twins = stream::iter((0..devices).map(|number| self.twin(number))).buffer_unordered(READING);
        while let Some(read) = twins.next().await {
            let twin = read?;
            let reported = &twin["properties"]["reported"];
            let is = (reported["count"].as_u64(), reported["$version"].as_u64(), twin["version"].as_u64());
            if is != (Some(rounds), Some(1 + rounds), Some(2 + rounds)) {
                losses.push(format!("twin {}: count, $version and version are {is:?}", twin["deviceId"]));
            }
        }
        Ok(losses)
    }

    async fn twin(&self, number: usize) -> anyhow::Result<Value> {
        let url = format!("{}/twins/{}?api-version=2021-04-12", self.api, name(number));
        let answer = self.client.get(url).header("authorization", &self.token).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}
