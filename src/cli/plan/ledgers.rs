//! What was applied before, as the live objects of a cluster remember it.

use anyhow::Context as _;
use kube::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::subject::Subject;
use super::{Args, same_host};
use crate::api::DeviceTwin;
use crate::api::device_twin::TwinAt;
use crate::controller::device_twin::ledger;
use crate::twin::plan::Ledger;

/// Where ledgers are looked up.
pub(super) struct Ledgers {
    cluster: Option<kube::Client>,
    namespace: String,
}

/// What is known of what was applied before.
pub(super) enum Known {
    /// Nobody was asked.
    Nothing,
    /// The cluster has no such object.
    NewObject,
    /// The live object's ledger is about another twin, or it has none yet.
    NoLedger {
        /// Whether its status is about this twin.
        seen: bool,
    },
    /// The ledger.
    Ledger(Box<Ledger>),
}

impl Known {
    /// The base of the plan.
    pub(super) fn base(&self) -> Option<&Ledger> {
        match self {
            Self::Ledger(ledger) => Some(ledger),
            Self::Nothing | Self::NewObject | Self::NoLedger { .. } => None,
        }
    }

    /// Whether the live object ever saw the twin.
    pub(super) fn saw_the_twin(&self) -> bool {
        matches!(self, Self::Ledger(_) | Self::NoLedger { seen: true })
    }

    /// Why there is no ledger.
    pub(super) fn told(&self) -> Option<&'static str> {
        match self {
            Self::Nothing => Some("no cluster was asked: planned as a first contact"),
            Self::NewObject => Some("not in the cluster yet: a first contact"),
            Self::NoLedger { .. } => Some("the object in the cluster has no ledger of this twin: a first contact"),
            Self::Ledger(_) => None,
        }
    }
}

impl Ledgers {
    pub(super) async fn of(args: &Args) -> anyhow::Result<Self> {
        let Some(file) = &args.kubeconfig else {
            return Ok(Self { cluster: None, namespace: args.namespace.clone().unwrap_or_default() });
        };
        let read = Kubeconfig::read_from(file).with_context(|| format!("read {}", file.display()))?;
        let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
        let config = kube::Config::from_custom_kubeconfig(read, &options)
            .await
            .with_context(|| format!("find the cluster in {}", file.display()))?;
        let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let cluster = kube::Client::try_from(config).context("make the client of the API server")?;
        Ok(Self { cluster: Some(cluster), namespace })
    }

    /// Whether a cluster is asked.
    pub(super) fn are_known(&self) -> bool {
        self.cluster.is_some()
    }

    /// What the live object of a manifest holds about a twin.
    pub(super) async fn get(&self, subject: &Subject, at: &TwinAt) -> anyhow::Result<Known> {
        let Some(cluster) = &self.cluster else { return Ok(Known::Nothing) };
        let namespace = if subject.namespace.is_empty() { &self.namespace } else { &subject.namespace };
        let live = Api::<DeviceTwin>::namespaced(cluster.clone(), namespace).get_opt(&subject.name).await;
        let live = live.with_context(|| format!("read DeviceTwin {namespace}/{} of the cluster", subject.name))?;
        let Some(live) = live else { return Ok(Known::NewObject) };
        let Some(status) = live.status else { return Ok(Known::NoLedger { seen: false }) };
        // The connection may say a port that the connection string leaves out, and the reverse.
        let about = status.hub.clone().filter(|about| {
            let hosts = about.host.parse().ok().zip(at.host.parse().ok());
            let same_ids = about.device_id == at.device_id && about.module_id == at.module_id;
            same_ids && hosts.is_some_and(|(a, b)| same_host(&a, &b))
        });
        let seen = about.is_some() && status.twin.is_some();
        let found = about.and_then(|about| ledger(&status, &about));
        Ok(found.map_or(Known::NoLedger { seen }, |ledger| Known::Ledger(Box::new(ledger))))
    }
}
