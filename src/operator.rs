//! Wiring of the operator: the client of the API server, the admin server, the controllers, shutdown.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::controller::{self, ClusterKinds, Context, Settings};

mod admin;

const GROUP_VERSION: &str = "hubtwin.dev/v1alpha1";
const KINDS: [&str; 3] = ["DeviceTwin", "HubConnection", "TwinQuery"];
/// A kind that the oldest versions did not have: the operator does without it.
const CLUSTER_KIND: &str = "ClusterHubConnection";
/// How long to wait for the kinds before giving up.
const KINDS_DEADLINE: Duration = Duration::from_secs(60);
/// How long to wait for the kind that the operator does without.
const CLUSTER_KIND_DEADLINE: Duration = Duration::from_secs(10);

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
        let Some(cluster_kinds) = wait_for_kinds(&client, settings.namespace.is_none(), &shutdown).await? else {
            return Ok(());
        };
        let started = |context: Arc<Context>| {
            tracing::info!("every kind is listed: ready");
            if ready.set(context).is_err() {
                tracing::debug!("listed twice");
            }
        };
        controller::run(client.clone(), settings, cluster_kinds, shutdown.clone(), started).await?;
        Ok(())
    };
    tokio::select! {
        served = admin => served.map_err(Error::Admin),
        ran = controllers => ran,
    }
}

/// Waits until the API server serves our kinds: at a first install they come a moment later. `None` when the operator is to
/// stop before.
async fn wait_for_kinds(
    client: &kube::Client,
    whole_cluster: bool,
    shutdown: &CancellationToken,
) -> Result<Option<ClusterKinds>, Error> {
    let began = tokio::time::Instant::now();
    loop {
        let (missing, cluster_kinds) = match client.list_api_group_resources(GROUP_VERSION).await {
            Err(error) => (Some(error.to_string()), None),
            Ok(served) => {
                let serves = |kind: &str| served.resources.iter().any(|found| found.kind == kind);
                let missing: Vec<&str> = KINDS.into_iter().filter(|kind| !serves(kind)).collect();
                let missing = (!missing.is_empty()).then(|| format!("missing: {}", missing.join(", ")));
                (missing, cluster_kinds(whole_cluster, serves(CLUSTER_KIND), began.elapsed()))
            }
        };
        match (missing, cluster_kinds) {
            (None, Some(kinds)) => return Ok(Some(kinds)),
            (Some(missing), _) if began.elapsed() >= KINDS_DEADLINE => return Err(Error::Kinds(missing)),
            (missing, _) => {
                let missing = missing.unwrap_or_else(|| format!("missing: {CLUSTER_KIND}"));
                tracing::info!(missing, "waiting for the kinds of {GROUP_VERSION}");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// Whether kinds of the cluster are read; `None` when that is to be seen.
fn cluster_kinds(whole_cluster: bool, served: bool, waited: Duration) -> Option<ClusterKinds> {
    match (whole_cluster, served) {
        (false, _) => Some(ClusterKinds::NotWatched),
        (true, true) => Some(ClusterKinds::Read),
        (true, false) if waited < CLUSTER_KIND_DEADLINE => None,
        (true, false) => {
            tracing::warn!("the API server serves no {CLUSTER_KIND}: going on without; apply crds/, and restart");
            Some(ClusterKinds::NotServed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_kinds_hold_up_no_newer_operator() {
        let of = |whole, served, seconds| cluster_kinds(whole, served, Duration::from_secs(seconds));
        assert_eq!(of(true, true, 0), Some(ClusterKinds::Read));
        assert_eq!((of(true, false, 9), of(true, false, 10)), (None, Some(ClusterKinds::NotServed)));
        assert_eq!(of(false, true, 0), Some(ClusterKinds::NotWatched));
    }
}
