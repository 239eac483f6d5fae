//! The controllers: each kind in the phases gather, plan, execute, record, and the feed that finds what changed.
//!
//! Reading and writing happen here; what to do is decided by the pure files below each kind and by [`crate::twin`].

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::conditions::{Patience, Reason, Status, Verdict};
use crate::api::{ClusterHubConnection, DeviceTwin, HubConnection, TwinQuery};
use crate::hub::Pools;

pub mod access;
pub mod backoff;
mod clock;
pub mod connection;
pub mod device_twin;
mod events;
pub mod feed;
pub mod fleet;
pub mod hub_connection;
mod hub_key;
pub mod hubs;
pub mod metrics;
pub mod namespaces;
mod queue;
mod recovery;
mod status;
mod streams;
pub mod twin_query;
mod twins;
pub mod views;

use connection::Connection;
use hubs::HubKey;

pub use clock::{Clock, Pace};
use fleet::TwinName;
pub use streams::{Stopped, run};
use twins::Ask;

/// What every controller works with.
pub struct Context {
    /// The API server.
    pub client: kube::Client,
    /// The hubs that can be reached, by connection.
    pub hubs: hubs::Hubs,
    /// The budgets of the hubs, by host.
    pub budgets: Arc<Pools>,
    /// The operator's own settings.
    pub settings: Settings,
    /// Counters for `/metrics`.
    pub metrics: metrics::Metrics,
    /// All DeviceTwins, as last seen.
    pub twins: Arc<fleet::Fleet>,
    /// Told once every DeviceTwin was listed.
    twins_listed: CancellationToken,
    /// All TwinQueries, as last seen.
    pub queries: Store<TwinQuery>,
    /// All HubConnections, as last seen.
    pub connections: Store<HubConnection>,
    /// Whether kinds of the cluster are read.
    pub cluster_kinds: ClusterKinds,
    /// All ClusterHubConnections, as last seen; none when they are not read.
    pub cluster_connections: Store<ClusterHubConnection>,
    /// The labels of namespaces.
    pub namespaces: namespaces::Namespaces,
    /// Statuses of TwinQueries as we last wrote them: the store may lag behind our own writes.
    pub written_queries: status::Written<crate::api::TwinQueryStatus>,
    /// The same for HubConnections.
    pub written_hubs: status::Written<crate::api::HubConnectionStatus>,
    /// What is remembered of each DeviceTwin between reconciles.
    pub memory: device_twin::Memory,
    /// Whether every kind was listed: before that, nobody knows which connections there are.
    pub listed: CancellationToken,
    /// When the operator started.
    pub started: Timestamp,
    /// Delays of objects that failed.
    pub backoff: backoff::Backoff,
    /// Asks for a reconcile from outside of the watch.
    pub triggers: Triggers,
    events: events::Events,
    query_runs: Arc<twin_query::Runs>,
    shutdown: CancellationToken,
    /// Something broke that nobody survives: the program is to end, and to say so.
    fatal: CancellationToken,
}

/// Whether the kinds that have no namespace are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterKinds {
    /// They are.
    Read,
    /// They are not: this operator watches single namespaces.
    NotWatched,
    /// They are not: the API server has older kinds than this operator.
    NotServed,
}

/// The operator's own settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which hosts a connection may name.
    pub allowed_hosts: hub_connection::AllowedHosts,
    /// The one namespace to watch; `None` for all.
    pub namespace: Option<String>,
    /// How long one call to a hub may take.
    pub hub_timeout: std::time::Duration,
    /// How often a Secret in use is looked at again.
    pub secret_interval: std::time::Duration,
    /// What the time is.
    pub clock: Clock,
    /// How long is waited for what.
    pub pace: Pace,
}

impl Settings {
    /// How long a missing or refused credential counts as on its way, to what uses a connection.
    fn patience(&self) -> Patience {
        Patience::For(self.pace.stalled_after)
    }
}

/// Asks for reconciles. Never blocks, never fails: a controller that is gone needs none.
#[derive(Clone)]
pub struct Triggers {
    twins: mpsc::UnboundedSender<Ask>,
    queries: mpsc::UnboundedSender<ObjectRef<TwinQuery>>,
    hubs: mpsc::UnboundedSender<ObjectRef<HubConnection>>,
    cluster_hubs: mpsc::UnboundedSender<ObjectRef<ClusterHubConnection>>,
}

impl Triggers {
    /// Asks for one DeviceTwin.
    pub fn twin(&self, name: TwinName) {
        self.ask(Ask::Look(name));
    }

    /// Asks for one DeviceTwin that has at hand what it needs to know of its twin.
    pub fn told(&self, name: TwinName) {
        self.ask(Ask::Told(name));
    }

    fn ask(&self, ask: Ask) {
        if self.twins.send(ask).is_err() {
            tracing::debug!("the controller of DeviceTwins is gone");
        }
    }

    fn query(&self, object: ObjectRef<TwinQuery>) {
        if self.queries.send(object).is_err() {
            tracing::debug!("the controller of TwinQueries is gone");
        }
    }

    /// Asks for one connection.
    pub fn hub(&self, key: &HubKey) {
        let gone = match key {
            HubKey::Namespaced { namespace, name } => self.hubs.send(ObjectRef::new(name).within(namespace)).is_err(),
            HubKey::Cluster(name) => self.cluster_hubs.send(ObjectRef::new(name)).is_err(),
        };
        if gone {
            tracing::debug!("the controller of {}s is gone", key.kind());
        }
    }
}

impl Context {
    /// Counts the calls of a hub client.
    #[must_use]
    pub fn observer(&self) -> crate::hub::Observer {
        let calls = self.metrics.hub_calls.clone();
        Arc::new(move |call| {
            let labels = vec![("operation", call.operation.as_str()), ("outcome", call.outcome.as_str())];
            calls.get_or_create(&labels).inc();
        })
    }

    /// Asks for every object that uses a connection: it came, went, or recovered.
    pub fn trigger_users(&self, key: &HubKey) {
        self.triggers.ask(Ask::Users(Arc::new(key.clone())));
        self.trigger_queries(key);
    }

    fn trigger_queries(&self, key: &HubKey) {
        for query in self.queries.state() {
            if HubKey::of_query(&query) == *key {
                self.triggers.query(ObjectRef::from_obj(&*query));
            }
        }
    }

    /// Asks for the other objects that are about the same twin.
    fn trigger_peers(&self, twin: &DeviceTwin) {
        self.twins.others(twin).into_iter().for_each(|other| self.triggers.twin(other));
    }

    /// The connection object.
    fn connection(&self, key: &HubKey) -> Option<Connection> {
        match key {
            HubKey::Namespaced { namespace, name } => {
                self.connections.get(&ObjectRef::new(name).within(namespace)).map(Connection::Namespaced)
            }
            HubKey::Cluster(name) => self.cluster_connections.get(&ObjectRef::new(name)).map(Connection::Cluster),
        }
    }

    /// Why a reference to a connection leads nowhere: there is no such object, or it was not looked at yet.
    #[must_use]
    pub fn unresolved(&self, key: &HubKey) -> Verdict {
        if !self.listed.is_cancelled() {
            return Verdict::new(Status::False, Reason::Pending, "connections are not listed yet");
        }
        if self.connection(key).is_some() {
            return Verdict::new(Status::False, Reason::Pending, format!("{key} was not looked at yet"));
        }
        let text = match key {
            HubKey::Namespaced { namespace, .. } => format!("there is no {key} in namespace {namespace}"),
            HubKey::Cluster(_) => match self.cluster_kinds {
                ClusterKinds::Read => format!("there is no {key}"),
                ClusterKinds::NotWatched => {
                    format!(
                        "{key} is not read: this operator watches single namespaces, and so no kinds of the cluster"
                    )
                }
                ClusterKinds::NotServed => format!(
                    "{key} is not read: the API server did not serve its kind when this operator started; apply crds/, \
                     and restart the operator"
                ),
            },
        };
        Verdict::new(Status::False, Reason::HubNotFound, text)
    }

    /// Notes how a call about one twin or one query ended. What may be that object's own trouble, a slow answer or one
    /// refusal, is left to it; the feed's next poll tells whether the whole hub is concerned.
    pub fn note_one<T>(&self, hub: &Arc<hubs::Hub>, result: &Result<T, crate::hub::Error>) {
        use crate::hub::Kind::{Forbidden, Throttled, Unreachable};
        if !matches!(result, Err(error) if matches!(error.kind(), Forbidden | Throttled | Unreachable)) {
            self.note(hub, result);
        }
    }

    /// Notes how a call to the hub ended; when that changes the hub's health, whoever waits for it is told.
    pub fn note<T>(&self, hub: &Arc<hubs::Hub>, result: &Result<T, crate::hub::Error>) {
        match hub.note(result) {
            hubs::Change::None => {}
            hubs::Change::Reworded => self.triggers.hub(&hub.key),
            // Also who was not synced yet is told why: that costs no call to the hub, and no write to who was synced.
            hubs::Change::Down(reason) if !device_twin::is_the_connections(reason) => {
                self.triggers.hub(&hub.key);
                self.trigger_users(&hub.key);
            }
            hubs::Change::Down(_) | hubs::Change::Up => {
                self.triggers.hub(&hub.key);
                self.triggers.ask(Ask::Waiting(Arc::new(hub.key.clone())));
                self.trigger_queries(&hub.key);
            }
            // Also what is in sync: the connection may have other settings now.
            hubs::Change::First => {
                self.triggers.hub(&hub.key);
                self.trigger_users(&hub.key);
            }
        }
    }
}
