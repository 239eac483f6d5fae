//! A simulated device over MQTT.

use std::sync::Arc;
use std::time::Duration;

pub use hubtwin::device::Ack;
use hubtwin::device::{self, Behaviour, Device};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Stage;

/// A device that runs until this is dropped.
pub struct SimulatedDevice {
    _running: DropGuard,
}

impl SimulatedDevice {
    /// Connects a registered device, which reports `report` and acknowledges by `ack`.
    pub async fn connect(stage: &Stage, id: &str, report: Value, ack: Ack) -> Self {
        let id = Stage::id(id);
        let identity = stage.back_end.get_identity(&id).await.expect("the device is registered");
        let device = Device { id, key: Some(identity.primary_key.expect("the hub shows the key")) };
        let settings = device::Settings {
            host: stage.hub.host().to_owned(),
            mqtt_port: stage.hub.mqtt_port(),
            ca_pem: Some(stage.hub.ca_pem().as_bytes().to_vec()),
            certificate: None,
            behaviour: Behaviour {
                ack,
                report: report.as_object().cloned().expect("a report is an object"),
                firmware_step: Duration::from_secs(1),
            },
            events: Arc::new(|event| tracing::info!(%event, "device")),
        };
        let shutdown = CancellationToken::new();
        let running = shutdown.clone().drop_guard();
        tokio::spawn(
            async move { device::run(settings, vec![device], shutdown).await.expect("the hub's root is one") },
        );
        Self { _running: running }
    }
}
