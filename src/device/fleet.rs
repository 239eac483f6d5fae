//! Many devices at once, each with a session of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::behaviour::Behaviour;
use super::event::Event;
use super::login::Device;
use super::session::{Link, Session};
use super::tls::{self, Certificate, SetupError};

/// The pause between two first connects: hubs of the smallest tier take 100 new connections a second.
const STAGGER: Duration = Duration::from_millis(10);

/// How devices reach their hub, and what they do there.
pub struct Settings {
    /// The hub's name, without port.
    pub host: String,
    /// The hub's port for MQTT over TLS.
    pub mqtt_port: u16,
    /// The root certificates to trust, in PEM, in place of those of the system.
    pub ca_pem: Option<Vec<u8>>,
    /// The certificate of devices that have no key.
    pub certificate: Option<Certificate>,
    /// What the devices do.
    pub behaviour: Behaviour,
    /// Told about everything that happens; must return at once.
    pub events: Arc<dyn Fn(Event) + Send + Sync>,
}

/// Runs devices until `shutdown` is cancelled; then they disconnect in good order. Lost connections are made again.
///
/// # Errors
///
/// When the root certificates are none, or the client certificate and its key are no pair. A crypto provider must be installed.
pub async fn run(settings: Settings, devices: Vec<Device>, shutdown: CancellationToken) -> Result<(), SetupError> {
    let Settings { host, mqtt_port, ca_pem, certificate, behaviour, events } = settings;
    let tls = tls::configuration(ca_pem.as_deref(), certificate.as_ref())?;
    let link = Arc::new(Link { host, mqtt_port, tls, behaviour, events });
    let mut sessions = JoinSet::new();
    for (device, nth) in devices.into_iter().zip(0_u32..) {
        let (link, shutdown) = (Arc::clone(&link), shutdown.clone());
        sessions.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(STAGGER * nth) => {}
            }
            Session::new(link, device).run(shutdown).await;
        });
    }
    sessions.join_all().await;
    Ok(())
}
