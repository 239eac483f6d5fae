//! The comparator: an operator written the usual way, with kube's `Controller`. Each object is reconciled when its spec
//! changes and once an interval: one GET of the twin, a patch when it differs, the status each time. It has the product's
//! client of the hub, as many reconciles at once, and the hub's limits as a plain token bucket; only the strategy differs.
//!
//! It is written well as far as that strategy goes: its own status writes do not wake it, and a hub that fails is asked
//! again after five seconds.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use hubtwin::hub::{self, ConnectionString};
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::controller::{self, Action};
use kube::runtime::{Controller, PredicateConfig, WatchStreamExt as _, predicates, reflector, watcher};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::bucket::Bucket;

mod bucket;
mod queries;
mod twins;

/// As many reconciles at once as the product makes.
const CONCURRENCY: u16 = 16;
/// After how long a failure is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// The environment variable with its settings.
pub const SETTINGS: &str = "STOCK";

/// What it has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub namespace: String,
    pub connection_string: String,
    pub ca_pem: String,
    /// Seconds from one look at an object to the next.
    pub interval: u64,
    /// Of the hub, a second.
    pub reads: f64,
    pub writes: f64,
    pub queries: f64,
}

/// What every reconcile uses.
struct Context {
    client: Client,
    hub: hub::Client,
    interval: Duration,
    reads: Bucket,
    writes: Bucket,
    queries: Bucket,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the hub: {0}")]
    Hub(#[from] hub::Error),
    #[error("the API server: {0}")]
    Api(#[from] kube::Error),
    #[error("the id: {0}")]
    Id(#[from] hub::BadId),
}

/// Runs until it is killed.
pub fn main() -> anyhow::Result<bool> {
    let settings: Settings = serde_json::from_str(&std::env::var(SETTINGS)?)?;
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(settings)).map(|()| true)
}

async fn run(settings: Settings) -> anyhow::Result<()> {
    let client = Client::try_default().await?;
    let string = ConnectionString::parse(&settings.connection_string)?;
    let credential = string.service_credential().ok_or_else(|| anyhow::anyhow!("not a back end's"))?;
    let mut reach = hub::Settings::new(string.host().clone(), credential);
    reach.extra_root_pem = Some(settings.ca_pem.into_bytes());
    let context = Arc::new(Context {
        client: client.clone(),
        hub: hub::Client::new(reach)?,
        interval: Duration::from_secs(settings.interval),
        reads: Bucket::new(settings.reads),
        writes: Bucket::new(settings.writes),
        queries: Bucket::new(settings.queries),
    });
    let (twins, queries) =
        (Api::namespaced(client.clone(), &settings.namespace), Api::namespaced(client, &settings.namespace));
    tokio::join!(control(twins, twins::reconcile, &context), control(queries, queries::reconcile, &context));
    Ok(())
}

async fn control<K, F>(api: Api<K>, reconcile: fn(Arc<K>, Arc<Context>) -> F, context: &Arc<Context>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let (store, writer) = reflector::store();
    let changes = watcher(api, watcher::Config::default())
        .default_backoff()
        .reflect(writer)
        .applied_objects()
        .predicate_filter(predicates::generation, PredicateConfig::default());
    let failed = |_: Arc<K>, _: &Error, _: Arc<Context>| Action::requeue(AGAIN);
    Controller::for_stream(changes, store)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .run(reconcile, failed, Arc::clone(context))
        .for_each(|_| std::future::ready(()))
        .await;
}

/// Patches the status, whether anything changed or not.
async fn patch_status<K>(context: &Context, object: &K, status: Value) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let api = Api::<K>::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "Synced", "message": "",
        "observedGeneration": object.meta().generation, "lastTransitionTime": object.meta().creation_timestamp,
    });
    let mut status = status;
    status["observedGeneration"] = json!(object.meta().generation);
    status["conditions"] = json!([ready]);
    let whole = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "status": status});
    api.patch_status(&object.name_any(), &PatchParams::apply("stock").force(), &Patch::Apply(whole)).await?;
    Ok(())
}
