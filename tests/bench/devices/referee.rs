//! What must be true in the end, read from the hub's counters and from every twin.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use crate::back_end::BackEnd;
use crate::hub::HubProcess;

/// Twins that are read at once.
const READING: usize = 8;

/// A back end, and the reader of the admin port.
pub struct Referee {
    back_end: BackEnd,
    admin: String,
}

impl Referee {
    pub fn new(hub: &HubProcess) -> anyhow::Result<Self> {
        Ok(Self { back_end: BackEnd::new(hub)?, admin: hub.setting("HUB_ADMIN_URL")?.to_owned() })
    }

    /// Makes the devices.
    pub async fn register(&self, devices: usize) -> anyhow::Result<()> {
        self.back_end.register(devices, |_| json!({})).await
    }

    /// Everything that is not as it must be after each device has reported this often.
    pub async fn losses(&self, devices: usize, rounds: u64) -> anyhow::Result<Vec<String>> {
        let mut losses = Vec::new();
        let counters: BTreeMap<String, u64> =
            self.back_end.client.get(format!("{}/counters", self.admin)).send().await?.json().await?;
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
        let mut twins = stream::iter((0..devices).map(|number| self.back_end.twin(number))).buffer_unordered(READING);
        while let Some(read) = twins.next().await {
            let twin: Value = serde_json::from_str(&read?)?;
            let reported = &twin["properties"]["reported"];
            let is = (reported["count"].as_u64(), reported["$version"].as_u64(), twin["version"].as_u64());
            if is != (Some(rounds), Some(1 + rounds), Some(2 + rounds)) {
                losses.push(format!("twin {}: count, $version and version are {is:?}", twin["deviceId"]));
            }
        }
        Ok(losses)
    }
}
