//! What one side of a comparison works on: a namespace of its own, a hub of its own, as many twins.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use hubtwin::hub::{self, ConnectionString};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::kinds;
use super::limits::Tier;
use super::report::float;
use super::sample::Sampler;
use super::side::{Process, Side};
use super::watch::Watch;
use crate::back_end::BackEnd;
use crate::hub::HubProcess;
use crate::stock;

/// Applies under way at once.
const APPLYING: usize = 16;
/// How often the comparator looks at each twin, in seconds: as the usual requeue.
pub const STOCK_INTERVAL: u64 = 60;
/// A day: the hub's clock stands so far behind while the fleet is made, so that later none of it is news.
const DAY: i64 = 86_400_000;

pub struct Stage {
    pub side: Side,
    pub hub: HubProcess,
    pub back_end: BackEnd,
    /// Another back end, and the comparator's kind of client.
    pub rival: hub::Client,
    pub samples: Sampler,
    pub watch: Watch,
    pub process: Option<Process>,
    pub tier: Tier,
    pub twins: usize,
    pub client: Client,
    namespace: String,
    log: PathBuf,
}

impl Stage {
    /// A hub with as many devices and an API server with as many DeviceTwins. Nothing looks at them yet.
    pub async fn new(cluster: &Cluster, side: Side, tier: Tier, twins: usize) -> anyhow::Result<Self> {
        let hub = HubProcess::start(false).await?;
        let back_end = BackEnd::new(&hub)?;
        let namespace = cluster.namespace(side.name()).await?;
        let string = ConnectionString::parse(hub.setting("HUB_SERVICE_CONNECTION_STRING")?)?;
        let credential = string.service_credential().context("not a back end's")?;
        let mut reach = hub::Settings::new(string.host().clone(), credential);
        reach.extra_root_pem = Some(hub.ca_pem.clone());
        let samples = Sampler::new(&back_end.client, hub.setting("HUB_ADMIN_URL")?);
        let watch = Watch::new(cluster.client.clone(), &namespace);
        let log = std::env::temp_dir().join(format!("{namespace}.log"));
        let (rival, client) = (hub::Client::new(reach)?, cluster.client.clone());
        let process = None;
        let stage = Self { side, hub, back_end, rival, samples, watch, process, tier, twins, client, namespace, log };
        stage.knobs(json!({"clockOffsetMs": -DAY})).await?;
        stage.back_end.register(twins, |_| json!({})).await?;
        let string = stage.hub.setting("HUB_SERVICE_CONNECTION_STRING")?;
        let host = stage.host()?;
        let ca = String::from_utf8(stage.hub.ca_pem.clone())?;
        let secrets = ApiResource::erase::<k8s_openapi::api::core::v1::Secret>(&());
        stage.apply(&secrets, kinds::secret(string, &ca)).await?;
        stage.apply(&kinds::hub_connection(), kinds::connection(&host, tier.name)).await?;
        stage.apply_twins(0..twins, 0).await?;
        stage.limit(100).await?;
        Ok(stage)
    }

    fn host(&self) -> anyhow::Result<String> {
        Ok(format!("localhost:{}", self.hub.setting("HUB_HTTPS_PORT")?))
    }

    /// The hub's clock is right from now on, so that what happened up to now happened yesterday.
    pub async fn next_day(&self) -> anyhow::Result<()> {
        self.knobs(json!({"clockOffsetMs": 0})).await
    }

    /// The hub allows so many percent of what its tier has, at any moment.
    pub async fn limit(&self, percent: u64) -> anyhow::Result<()> {
        self.knobs(json!({"limits": {"tier": self.tier.name, "percent": percent, "burstMs": 0}})).await
    }

    /// Changes settings of the hub.
    pub async fn knobs(&self, knobs: Value) -> anyhow::Result<()> {
        let url = format!("{}/knobs", self.hub.setting("HUB_ADMIN_URL")?);
        self.back_end.client.patch(url).json(&knobs).send().await?.error_for_status().context("set knobs")?;
        Ok(())
    }

    /// What the admin port of the hub answers.
    pub async fn admin(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.hub.setting("HUB_ADMIN_URL")?);
        Ok(self.back_end.client.get(url).send().await?.error_for_status()?.json().await?)
    }

    /// Starts the program, which must not run.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let process = match self.side {
            Side::Ours => {
                let mut process = Process::operator(&self.namespace, &self.host()?, &self.log)?;
                process.is_ready(&self.back_end.client).await?;
                process
            }
            Side::Stock => {
                let settings = stock::Settings {
                    namespace: self.namespace.clone(),
                    connection_string: self.hub.setting("HUB_SERVICE_CONNECTION_STRING")?.to_owned(),
                    ca_pem: String::from_utf8(self.hub.ca_pem.clone())?,
                    interval: STOCK_INTERVAL,
                    reads: self.tier.reads,
                    writes: self.tier.writes,
                    queries: self.tier.queries,
                };
                Process::stock(&settings, &self.log)?
            }
        };
        self.process = Some(process);
        Ok(())
    }

    pub fn stop(&mut self) {
        self.process = None;
    }

    pub fn running(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("nothing runs")
    }

    /// Applies an object by server-side apply, as kubectl does.
    pub async fn apply(&self, kind: &ApiResource, object: Value) -> anyhow::Result<()> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, kind);
        let name = object["metadata"]["name"].as_str().context("a name")?.to_owned();
        api.patch(&name, &PatchParams::apply("bench").force(), &Patch::Apply(object)).await?;
        Ok(())
    }

    /// Applies some of the DeviceTwins, with this number in their desired properties.
    pub async fn apply_twins(&self, numbers: impl Iterator<Item = usize>, edit: u64) -> anyhow::Result<()> {
        let kind = &kinds::device_twin();
        let apply = |number| self.apply(kind, kinds::twin(number, edit));
        stream::iter(numbers.map(apply)).buffer_unordered(APPLYING).try_collect().await
    }

    /// Deletes all objects of a kind.
    pub async fn delete_all(&self, kind: &ApiResource) -> anyhow::Result<()> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, kind);
        api.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        Ok(())
    }

    /// Merges something into the spec of the connection.
    pub async fn connect_with(&self, spec: Value) -> anyhow::Result<()> {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &kinds::hub_connection());
        api.patch(kinds::HUB, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
        Ok(())
    }

    /// Waits until every DeviceTwin is Ready at its generation.
    pub async fn in_sync(&self, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let ready = self.watch.ready();
            if ready >= self.twins {
                return Ok(());
            }
            let of = self.twins;
            anyhow::ensure!(
                Instant::now() < deadline,
                "{}: {ready} of {of} in sync after {patience:?}; see {}",
                self.side.name(),
                self.log.display()
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// A generous time for as many writes as there are twins.
    pub fn patience(&self) -> Duration {
        let twins = float(u64::try_from(self.twins).unwrap_or(u64::MAX));
        Duration::from_secs(60) + Duration::from_secs_f64(twins / self.tier.writes * 5.0)
    }
}
