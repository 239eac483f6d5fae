//! Watches, triggers and controllers, tied together.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use futures::{StreamExt as _, future, stream};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::controller::{Action, Config, Controller, Error as ControllerError};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Predicate as _, WatchStreamExt as _, predicates, watcher as watch};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::hubs::{HubKey, Hubs};
use super::{
    ClusterKinds, Context, Settings, Triggers, backoff, device_twin, events as published, hub_connection, metrics,
    namespaces, status, twin_query, twins,
};
use crate::api::{DeviceTwin, HubConnection, TwinQuery};
use crate::hub::Pools;

/// Reconciles at once. A hub takes tens of calls a second; more at once would only queue there.
const CONCURRENCY: u16 = 16;

/// Runs all controllers until `shutdown`; `started` is told once every kind was listed.
pub async fn run(
    client: kube::Client,
    settings: Settings,
    cluster_kinds: ClusterKinds,
    shutdown: CancellationToken,
    started: impl FnOnce(Arc<Context>),
) -> Result<(), Stopped> {
    let (twin_sender, twin_triggers) = mpsc::unbounded_channel();
    let (query_sender, query_triggers) = mpsc::unbounded_channel();
    let (hub_sender, hub_triggers) = mpsc::unbounded_channel();
    let (cluster_sender, cluster_triggers) = mpsc::unbounded_channel();
    let fatal = CancellationToken::new();
    let namespace = settings.namespace.as_deref();
    let (gone, deleted) = mpsc::unbounded_channel();
    let query_runs = Arc::new(twin_query::Runs::default());
    let twin_stream = events::<DeviceTwin>(scope(&client, namespace)).boxed();
    let runs = query_runs.clone();
    let lean = move |query: &mut TwinQuery| twin_query::lean(&runs, query);
    let (queries, query_stream) = watched(scope(&client, namespace), lean, see_deleted(gone.clone(), gone_query));
    let (hubs, hub_stream) = watched(scope(&client, namespace), whole, see_deleted(gone.clone(), gone_hub));
    let see = see_deleted(gone, |connection| Some(Gone::Hub(HubKey::of_cluster(connection))));
    let with_cluster = cluster_kinds == ClusterKinds::Read;
    let (cluster_hubs, cluster_stream) = if with_cluster {
        watched(Api::all(client.clone()), whole, see)
    } else {
        (reflector::store().0, stream::pending().boxed())
    };
    let clock = settings.clock.clone();
    let budgets = Arc::new(Pools::new(Arc::new(move || clock.now())));
    let context = Arc::new(Context {
        events: published::Events::new(client.clone()),
        client,
        hubs: Hubs::default(),
        backoff: backoff::Backoff::new(settings.pace.retry_first, settings.pace.retry_most),
        listed: CancellationToken::new(),
        started: settings.clock.now(),
        settings,
        metrics: metrics::Metrics::new(budgets.clone()),
        budgets,
        twins: Arc::default(),
        twins_listed: CancellationToken::new(),
        queries: queries.clone(),
        connections: hubs.clone(),
        cluster_kinds,
        cluster_connections: cluster_hubs.clone(),
        namespaces: namespaces::Namespaces::default(),
        written_queries: status::Written::default(),
        written_hubs: status::Written::default(),
        memory: device_twin::Memory::default(),
        triggers: Triggers {
            twins: twin_sender,
            queries: query_sender,
            hubs: hub_sender,
            cluster_hubs: cluster_sender,
        },
        query_runs,
        shutdown: shutdown.clone(),
        fatal: fatal.clone(),
    });
    let listed = {
        let (queries, hubs, context) = (queries.clone(), hubs.clone(), context.clone());
        let cluster_hubs = cluster_hubs.clone();
        async move {
            context.twins_listed.cancelled().await;
            if let (Ok(()), Ok(())) = (queries.wait_until_ready().await, hubs.wait_until_ready().await)
                && (!with_cluster || cluster_hubs.wait_until_ready().await.is_ok())
            {
                context.listed.cancel();
                started(context);
            }
            future::pending::<()>().await;
        }
    };
    let (store, reconcile) = (cluster_hubs, hub_connection::reconcile_cluster);
    let cluster_connections = async {
        if with_cluster {
            control("ClusterHubConnection", store, cluster_stream, cluster_triggers, reconcile, &context).await;
        }
    };
    let controllers = async {
        tokio::join!(
            twins::run(context.clone(), twin_stream, twin_triggers),
            control("TwinQuery", queries, query_stream, query_triggers, twin_query::reconcile, &context),
            control("HubConnection", hubs, hub_stream, hub_triggers, hub_connection::reconcile, &context),
            cluster_connections,
            namespaces::watch(&context),
        )
    };
    tokio::select! {
        _ = controllers => {}
        () = forget(&context, deleted) => {}
        () = listed => {}
        () = fatal.cancelled() => return Err(Stopped),
    }
    if shutdown.is_cancelled() { Ok(()) } else { Err(Stopped) }
}

/// What is to be forgotten of a deleted object.
enum Gone {
    /// A TwinQuery, by uid.
    Query(String),
    Hub(HubKey),
}

fn gone_query(query: &TwinQuery) -> Option<Gone> {
    query.uid().map(Gone::Query)
}

fn gone_hub(connection: &HubConnection) -> Option<Gone> {
    Some(Gone::Hub(HubKey::of_connection(connection)))
}

fn see_deleted<K>(gone: mpsc::UnboundedSender<Gone>, name: fn(&K) -> Option<Gone>) -> impl FnMut(&Event<K>) {
    move |event| {
        if let Event::Delete(object) = event {
            tell_gone(&gone, name(object));
        }
    }
}

fn tell_gone(gone: &mpsc::UnboundedSender<Gone>, what: Option<Gone>) {
    if what.is_some_and(|what| gone.send(what).is_err()) {
        tracing::debug!("stopping: nothing is to be forgotten any more");
    }
}

/// Frees what was kept of deleted objects; who uses a deleted connection is told.
async fn forget(context: &Context, mut deleted: mpsc::UnboundedReceiver<Gone>) {
    while let Some(gone) = deleted.recv().await {
        match gone {
            Gone::Hub(key) => hub_connection::gone(context, &key),
            Gone::Query(uid) => twin_query::gone(context, &uid),
        }
    }
}

/// A controller or a feed ended although nobody asked it to.
#[derive(Debug, thiserror::Error)]
#[error("a controller or a feed stopped by itself")]
pub struct Stopped;

/// Where the objects of a namespaced kind are read.
fn scope<K>(client: &kube::Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Of this kind all is kept but the managed fields.
fn whole<K>(_: &mut K) {}

/// The store of a kind, made `lean` on arrival, and the stream of its changes that matter: a new generation, another annotation. Our own status
/// writes reach the store and start no reconcile. An object that cannot be decoded is told and passed over.
fn watched<K>(
    api: Api<DeserializeGuard<K>>,
    mut lean: impl FnMut(&mut K) + Send + 'static,
    mut see: impl FnMut(&Event<K>) + Send + 'static,
) -> (Store<K>, Changes<K>)
where
    K: Resource<DynamicType = ()>,
    K: Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let stream = events::<K>(api)
        .modify(move |object: &mut K| {
            object.managed_fields_mut().clear();
            lean(object);
        })
        .reflect(writer)
        .inspect(move |event| {
            if let Ok(event) = event {
                see(event);
            }
        })
        .applied_objects()
        .predicate_filter(
            predicates::generation.combine(predicates::annotations),
            kube::runtime::PredicateConfig::default(),
        );
    (store, Box::pin(stream))
}

/// What happens to the objects of a kind. One that cannot be decoded is told and passed over.
fn events<K>(
    api: Api<DeserializeGuard<K>>,
) -> impl stream::Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    watch::watcher(api, watcher::Config::default().any_semantic())
        .filter_map(|event| future::ready(decoded(event)))
        .default_backoff()
}

type Changes<K> = stream::BoxStream<'static, Result<K, watcher::Error>>;

type Guarded<K> = Result<Event<DeserializeGuard<K>>, watcher::Error>;

fn decoded<K: Resource<DynamicType = ()>>(event: Guarded<K>) -> Option<Result<Event<K>, watcher::Error>> {
    let open = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(object) => Some(object),
        Err(error) => {
            let name = error.metadata.name.unwrap_or_default();
            tracing::error!(kind = %K::kind(&()), name, error = error.error, "an object cannot be read");
            None
        }
    };
    Some(Ok(match event {
        Err(error) => return Some(Err(error)),
        Ok(Event::Init) => Event::Init,
        Ok(Event::InitDone) => Event::InitDone,
        Ok(Event::InitApply(guard)) => Event::InitApply(open(guard)?),
        Ok(Event::Apply(guard)) => Event::Apply(open(guard)?),
        Ok(Event::Delete(guard)) => Event::Delete(open(guard)?),
    }))
}

async fn control<K, F>(
    kind: &'static str,
    store: Store<K>,
    changes: Changes<K>,
    mut triggers: mpsc::UnboundedReceiver<ObjectRef<K>>,
    reconcile: fn(Arc<K>, Arc<Context>) -> F,
    context: &Arc<Context>,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Debug + Eq + Hash + Clone + Default + Unpin,
    F: Future<Output = Result<Action, status::WriteError>> + Send + 'static,
{
    let shutdown = context.shutdown.clone();
    let triggers = stream::poll_fn(move |cx| triggers.poll_recv(cx));
    Controller::for_stream(changes, store)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .reconcile_on(triggers)
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(reconcile, error_policy, context.clone())
        .for_each(|result| {
            match result {
                // A trigger for an object that went away meanwhile.
                Ok(_) | Err(ControllerError::ObjectNotFound(_)) => {}
                Err(error) => tracing::warn!(kind, %error, "a reconcile failed"),
            }
            future::ready(())
        })
        .await;
}

fn error_policy<K: Resource>(object: Arc<K>, _error: &status::WriteError, context: Arc<Context>) -> Action {
    Action::requeue(context.backoff.next(&object.uid().unwrap_or_default()))
}
