//! Wiring of the operator: the client of the API server, the admin server, the controllers, shutdown.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::controller::{self, Context, Settings};

mod admin;

const GROUP_VERSION: &str = "hubtwin.dev/v1alpha1";
const KINDS: [&str; 4] = ["DeviceTwin", "HubConnection", "ClusterHubConnection", "TwinQuery"];
/// How long to wait for the kinds before giving up.
const KINDS_DEADLINE: Duration = Duration::from_secs(60);

/// What the operator runs with.
pub struct Config {
    /// The client of the API server.
    pub client: kube::Client,
    /// What the controllers run with.
    pub settings: Settings,
    /// The bound listener of `/healthz`, `/readyz` and `/metrics`.
    pub listener: TcpListener,
    /// Told where the admin server listens, once it does.
    pub listening: Box<dyn FnOnce(SocketAddr) + Send>,
    /// Ends the operator.
    pub shutdown: CancellationToken,
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The admin server failed.
    #[error("serve /healthz, /readyz and /metrics")]
    Admin(#[source] std::io::Error),
    /// The CRDs are not there.
    #[error(
        "the kinds of hubtwin.dev/v1alpha1 are not served after 60 s: {0}; install them by `kubectl apply -f crds/`"
    )]
    Kinds(String),
    /// A controller ended by itself.
    #[error(transparent)]
    Controllers(#[from] controller::Stopped),
}

/// Runs until `shutdown`.
pub async fn run(config: Config) -> Result<(), Error> {
    let Config { client, settings, listener, listening, shutdown } = config;
    let ready: Arc<OnceLock<Arc<Context>>> = Arc::default();
    listening(listener.local_addr().map_err(Error::Admin)?);
    let admin = admin::serve(listener, ready.clone(), shutdown.clone());
    let controllers = async {
        wait_for_kinds(&client, &shutdown).await?;
        let started = |context: Arc<Context>| {
            tracing::info!("every kind is listed: ready");
            if ready.set(context).is_err() {
                tracing::debug!("listed twice");
            }
        };
        controller::run(client.clone(), settings, shutdown.clone(), started).await?;
        Ok(())
    };
    tokio::select! {
        served = admin => served.map_err(Error::Admin),
        ran = controllers => ran,
    }
}

/// Waits until the API server serves our kinds: at a first install they come a moment later.
async fn wait_for_kinds(client: &kube::Client, shutdown: &CancellationToken) -> Result<(), Error> {
    let deadline = tokio::time::Instant::now() + KINDS_DEADLINE;
    loop {
        let missing = match client.list_api_group_resources(GROUP_VERSION).await {
            Err(error) => error.to_string(),
            Ok(served) => {
                let missing = KINDS.into_iter().filter(|kind| served.resources.iter().all(|found| found.kind != *kind));
                let missing: Vec<&str> = missing.collect();
                if missing.is_empty() {
                    return Ok(());
                }
                format!("missing: {}", missing.join(", "))
            }
        };
        if tokio::time::Instant::now() >= deadline {
            return Err(Error::Kinds(missing));
        }
        tracing::info!(missing, "waiting for the kinds of {GROUP_VERSION}");
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}
