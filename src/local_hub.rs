//! An Azure IoT Hub for twins on one machine: HTTPS service API, device MQTT, identity registry, twins, queries.
//!
//! [`machine`] decides, purely; `rest`, `mqtt` and `admin` are adapters around it; [`LocalHub::start`] puts them on sockets.
//! It shares no code with the client side of this crate: they meet on the wire only.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::auth::{Names, Policy};
use self::given::Given;
use self::hub::Hub;
use self::knobs::{Fault, Knobs};
use self::machine::Machine;
#[cfg(any(test, fuzzing))]
pub use self::mqtt::fuzz_mqtt;
pub use self::store::StoreError;
use self::store::{Keys, Opened, Store};
use self::tls::{Authority, TlsError};

mod admin;
pub mod auth;
mod certificate;
pub mod code;
pub mod doubts;
pub mod given;
mod https;
mod hub;
mod index;
mod journal;
pub mod knobs;
mod live;
pub mod machine;
mod mqtt;
mod operations;
mod patience;
mod rest;
mod serve;
mod store;
#[cfg(test)]
mod testing;
pub mod throttle;
mod tls;
mod websocket;

/// Most connections at a time to each of the two TLS ports.
const MAX_CONNECTIONS: usize = 8192;

/// How to run a hub.
#[derive(Debug)]
pub struct Config {
    /// The address to listen on.
    pub listen: IpAddr,
    /// The port of the service API; 0 for any free one.
    pub https_port: u16,
    /// The port for devices; 0 for any free one.
    pub mqtt_port: u16,
    /// The port of the admin server, always on loopback; 0 for any free one.
    pub admin_port: u16,
    /// The names of the hub, in its certificate and in tokens, beside `localhost` and the loopback address.
    pub hosts: Vec<String>,
    /// Where everything is kept; `None` for memory only.
    pub data: Option<PathBuf>,
    /// A certificate and a key that somebody else made; `None`: the hub's own.
    pub given: Option<Given>,
    /// Settings from the start.
    pub knobs: Knobs,
    /// Faults from the start.
    pub faults: Vec<Fault>,
}

impl Default for Config {
    /// Any free ports on loopback, `localhost`, memory only.
    fn default() -> Self {
        Self {
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            https_port: 0,
            mqtt_port: 0,
            admin_port: 0,
            hosts: vec!["localhost".to_owned()],
            data: None,
            given: None,
            knobs: Knobs::default(),
            faults: Vec::new(),
        }
    }
}

/// A port of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The service API.
    Https,
    /// Devices.
    Mqtt,
    /// The admin server.
    Admin,
}

impl Port {
    /// The flag that sets it.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::Https => "--https-port",
            Self::Mqtt => "--mqtt-port",
            Self::Admin => "--admin-port",
        }
    }
}

/// Why a hub did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error("listen on {address}; stop what uses the port, or choose another one with {} (0 takes any free one)", .port.flag())]
    Listen {
        /// Which port.
        port: Port,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Keys or certificates cannot be had.
    #[error("set TLS up")]
    Tls(#[from] TlsError),
    /// The data folder cannot be used.
    #[error(transparent)]
    Data(#[from] StoreError),
    /// The machine has no randomness to give.
    #[error("make keys: the machine has no randomness to give")]
    Randomness,
}

/// Starts hubs.
#[derive(Debug)]
pub struct LocalHub;

/// A hub that serves. It stops when this is dropped, or in order by [`Running::shutdown`].
#[derive(Debug)]
pub struct Running {
    hub: Arc<Hub>,
    ca_pem: String,
    host: String,
    https: SocketAddr,
    mqtt: SocketAddr,
    admin: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl LocalHub {
    /// Starts a hub; when this returns, it serves.
    ///
    /// # Errors
    /// When a port is taken or a certificate cannot be made.
    pub async fn start(config: Config) -> Result<Running, StartError> {
        let opened = match &config.data {
            Some(folder) => Some(Store::open(folder, fresh_keys)?),
            None => None,
        };
        let (keys, machine, store) = match opened {
            Some(Opened { store, keys, records }) => (keys, Machine::restore(records), Some(store)),
            None => (fresh_keys()?, Machine::default(), None),
        };
        let Keys { authority, mut policies } = keys;
        let names = names(&config);
        let (tls, ca_pem) = match &config.given {
            None => (authority.server_config(&names)?, authority.certificate_pem().to_owned()),
            Some(given) => {
                given.set_key(&mut policies);
                (tls::server_config(given.chain.clone(), given.key.clone_key())?, given.authority_pem.clone())
            }
        };
        let tls = TlsAcceptor::from(tls);
        let hub = Hub::new(machine, policies, Names::new(names), store);
        hub.set_knobs(config.knobs.clone());
        config.faults.iter().cloned().for_each(|fault| _ = hub.faults().add(fault));
        let (https_listener, https) = listen(Port::Https, config.listen, config.https_port).await?;
        let (mqtt_listener, mqtt) = listen(Port::Mqtt, config.listen, config.mqtt_port).await?;
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (admin_listener, admin) = listen(Port::Admin, loopback, config.admin_port).await?;

        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let router = rest::router(Arc::clone(&hub));
        tasks.spawn(serve::accept(https_listener, tls.clone(), MAX_CONNECTIONS, stop.clone(), move |stream, stop| {
            https::serve(router.clone(), stream, stop)
        }));
        let devices = Arc::clone(&hub);
        tasks.spawn(serve::accept(mqtt_listener, tls, MAX_CONNECTIONS, stop.clone(), move |stream, stop| {
            let certificate = serve::certificate_of(&stream);
            mqtt::serve(Arc::clone(&devices), stream, certificate, stop)
        }));
        let admin_router = admin::router(Arc::clone(&hub), stop.clone());
        let admin_stop = stop.clone().cancelled_owned();
        tasks.spawn(async move {
            if let Err(error) = axum::serve(admin_listener, admin_router).with_graceful_shutdown(admin_stop).await {
                tracing::error!(%error, "the admin server ended");
            }
        });
        tasks.close();
        let host = config.hosts.first().cloned().unwrap_or_else(|| "localhost".to_owned());
        Ok(Running { hub, ca_pem, host, https, mqtt, admin, stop, tasks })
    }
}

impl Running {
    /// The first name of the hub.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where the service API is.
    #[must_use]
    pub fn https_port(&self) -> u16 {
        self.https.port()
    }

    /// Where devices connect.
    #[must_use]
    pub fn mqtt_port(&self) -> u16 {
        self.mqtt.port()
    }

    /// The URL of the admin server, without a slash at the end.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// The certificate that clients have to trust, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The connection string of a policy (`iothubowner`, `service`, …) with the first host name and the port of the
    /// service API, which is left out when it is 443, for some SDKs take no port; `None` when there is no such policy.
    #[must_use]
    pub fn policy_connection_string(&self, policy: &str) -> Option<String> {
        let Policy { name, keys: [key, _] } = self.hub.policies.iter().find(|known| known.name == policy)?;
        let port =
            Some(self.https_port()).filter(|port| *port != 443).map(|port| format!(":{port}")).unwrap_or_default();
        Some(format!("HostName={}{port};SharedAccessKeyName={name};SharedAccessKey={key}", self.host))
    }

    /// The connection string of the policy that may do everything.
    #[must_use]
    pub fn service_connection_string(&self) -> String {
        self.policy_connection_string("iothubowner").expect("every hub is made with this policy")
    }

    /// Changes the knobs that hold until they are changed again.
    pub fn set_knobs(&self, knobs: Knobs) {
        self.hub.set_knobs(knobs);
    }

    /// Sets a fault that waits for its calls.
    pub fn add_fault(&self, fault: Fault) {
        self.hub.faults().add(fault);
    }

    /// How often something was called: an operation (`twin.get`), or an operation with a status (`twin.get.200`).
    #[must_use]
    pub fn count(&self, counter: &str) -> u64 {
        self.hub.journal().counters().get(counter).copied().unwrap_or(0)
    }

    /// Stops serving, and returns when every connection has ended.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.wait().await;
        self.hub.close().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn fresh_keys() -> Result<Keys, StartError> {
    Ok(Keys { authority: Authority::generate()?, policies: policies()? })
}

fn policies() -> Result<Vec<Policy>, StartError> {
    let mut lacking = false;
    let policies = Policy::all(|| {
        hub::random_key().unwrap_or_else(|| {
            lacking = true;
            String::new()
        })
    });
    if lacking { Err(StartError::Randomness) } else { Ok(policies) }
}

/// Every name that the hub goes by, each once.
fn names(config: &Config) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    if !config.listen.is_unspecified() {
        names.push(config.listen.to_string());
    }
    names.extend(config.hosts.iter().map(|host| host.to_ascii_lowercase()));
    names.sort();
    names.dedup();
    names
}

async fn listen(port: Port, address: IpAddr, number: u16) -> Result<(TcpListener, SocketAddr), StartError> {
    let address = SocketAddr::new(address, number);
    let failed = |source| StartError::Listen { port, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
