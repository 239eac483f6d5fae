//! Many devices at once, each with a session of its own.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::TlsConfiguration;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::behaviour::Behaviour;
use super::event::Event;
use super::session::{Link, Session};
use crate::sas::Key;
use crate::twin::id::TwinId;

/// The pause between two first connects: hubs of the smallest tier take 100 new connections a second.
const STAGGER: Duration = Duration::from_millis(10);

/// A device or module and its key.
#[derive(Clone, Debug)]
pub struct Device {
    /// Who it is.
    pub id: TwinId,
    /// Its key.
    pub key: Key,
}

/// How devices reach their hub, and what they do there.
pub struct Settings {
    /// The hub's name, without port.
    pub host: String,
    /// The hub's port for MQTT over TLS.
    pub mqtt_port: u16,
    /// The root certificates to trust, in PEM, in place of those of the system.
    pub ca_pem: Option<Vec<u8>>,
    /// What the devices do.
    pub behaviour: Behaviour,
    /// Told about everything that happens; must return at once.
    pub events: Arc<dyn Fn(Event) + Send + Sync>,
}

/// Why devices cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The root certificates are not PEM, or hold none.
    #[error("the root certificates are no certificates in PEM")]
    Roots,
    /// A root certificate is malformed.
    #[error("a root certificate is malformed")]
    Root(#[source] rustls::Error),
}

/// Runs devices until `shutdown` is cancelled; then they disconnect in good order. Lost connections are made again.
///
/// # Errors
///
/// When the root certificates are none. A crypto provider must be installed.
pub async fn run(settings: Settings, devices: Vec<Device>, shutdown: CancellationToken) -> Result<(), SetupError> {
    let Settings { host, mqtt_port, ca_pem, behaviour, events } = settings;
    let link = Arc::new(Link { host, mqtt_port, tls: tls(ca_pem.as_deref())?, behaviour, events });
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

/// One TLS setup for all devices: made for each, a thousand of them would parse a thousand root stores.
fn tls(ca_pem: Option<&[u8]>) -> Result<TlsConfiguration, SetupError> {
    let Some(pem) = ca_pem else { return Ok(TlsConfiguration::default()) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| SetupError::Roots)?).map_err(SetupError::Root)?;
    }
    if roots.is_empty() {
        return Err(SetupError::Roots);
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth().into())
}
