//! The hubs that can be reached, and what is known of their twins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use kube::ResourceExt as _;
use tokio_util::sync::CancellationToken;

use crate::api::conditions::{Reason, Status, Verdict};
use crate::api::{DeviceTwin, HubRef, TwinQuery};
use crate::hub::{Client, Error, Kind};
use crate::twin::id::TwinId;
use crate::twin::plan::DriftPolicy;
use crate::twin::rules::Arrays;
use crate::twin::view::Twin;

/// Names a connection object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HubKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl HubKey {
    /// The connection that a DeviceTwin names.
    #[must_use]
    pub fn of_twin(twin: &DeviceTwin) -> Self {
        Self::of(twin.namespace(), &twin.spec.hub_ref)
    }

    /// The connection that a TwinQuery names.
    #[must_use]
    pub fn of_query(query: &TwinQuery) -> Self {
        Self::of(query.namespace(), &query.spec.hub_ref)
    }

    /// The kinds are namespaced: an object of theirs has a namespace.
    fn of(namespace: Option<String>, reference: &HubRef) -> Self {
        Self { namespace: namespace.unwrap_or_default(), name: reference.name.clone() }
    }
}

/// The settings of a connection that twins and the feed work by.
#[derive(Clone, Debug, PartialEq)]
pub struct HubSettings {
    /// How often to ask what changed.
    pub poll_interval: Duration,
    /// How often to look all twins over.
    pub sweep_interval: Duration,
    /// How often at most the status of a chatty device is written.
    pub status_interval: Duration,
    /// Whether arrays are allowed.
    pub arrays: Arrays,
    /// The drift policy of twins that name none.
    pub drift: DriftPolicy,
}

/// A hub that can be asked.
pub struct Hub {
    /// The connection object.
    pub key: HubKey,
    /// The hub's host, in lower case.
    pub host: String,
    /// The client, with the connection's own credential.
    pub client: Client,
    /// The connection's settings.
    pub settings: HubSettings,
    /// Twins as last read, with this connection's credential.
    pub views: Views,
    /// Ends the feed.
    pub stop: CancellationToken,
    /// The versions of the objects that the client was made from: the Secret's first.
    pub source: Vec<String>,
    health: Mutex<Health>,
}

/// Whether the hub answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not asked yet.
    Unknown,
    /// It answers with this credential.
    Up,
    /// It does not.
    Down(Verdict),
}

/// What a call's result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// The hub is down for the same reason, told in other words.
    Reworded,
    /// The hub went down, or is down for another reason.
    Down,
    /// The hub came up.
    Up,
}

impl Hub {
    /// A hub that was not asked yet.
    #[must_use]
    pub fn new(key: HubKey, host: String, client: Client, settings: HubSettings, source: Vec<String>) -> Self {
        Self {
            key,
            host,
            client,
            settings,
            views: Views::default(),
            stop: CancellationToken::new(),
            source,
            health: Mutex::new(Health::Unknown),
        }
    }

    /// Whether the hub answers, as last seen.
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in how a call ended.
    pub fn note<T>(&self, result: &Result<T, Error>) -> Change {
        let now = match result {
            Err(error) => match connection_trouble(error) {
                Some(reason) => Health::Down(Verdict::new(Status::False, reason, told(error))),
                None => Health::Up,
            },
            Ok(_) => Health::Up,
        };
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if *health == now {
            return Change::None;
        }
        let change = match (&*health, &now) {
            (_, Health::Up | Health::Unknown) => Change::Up,
            (Health::Down(before), Health::Down(now)) if before.reason == now.reason => Change::Reworded,
            (_, Health::Down(_)) => Change::Down,
        };
        *health = now;
        change
    }
}

/// Why a connection does not work; `None` when the error is about one twin or one query only.
#[must_use]
pub fn connection_trouble(error: &Error) -> Option<Reason> {
    match error.kind() {
        Kind::Unauthorized | Kind::Forbidden => Some(Reason::Unauthorized),
        Kind::Tls => Some(Reason::TlsFailed),
        Kind::Throttled => Some(Reason::Throttled),
        Kind::QuotaExceeded => Some(Reason::QuotaExceeded),
        Kind::WrongTier => Some(Reason::WrongTier),
        Kind::Unreachable => Some(Reason::HubUnreachable),
        Kind::DeviceNotFound
        | Kind::ModuleNotFound
        | Kind::PreconditionFailed
        | Kind::Conflict
        | Kind::BadRequest
        | Kind::TooLarge => None,
    }
}

/// A failed call as people read it: the call, what the hub said, and for a connection that failed the innermost cause.
#[must_use]
pub fn told(error: &Error) -> String {
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    let line = |text: String| -> String { text.chars().filter(|c| !c.is_control()).take(200).collect() };
    let hint = if error.kind() == Kind::Tls { "; spec.caBundle names a private root certificate" } else { "" };
    match cause {
        Some(cause) => format!("{error}: {}{hint}", line(cause.to_string())),
        None => format!("{error}{hint}"),
    }
}

/// Twins as last read, by id.
#[derive(Debug, Default)]
pub struct Views(RwLock<HashMap<TwinId, View>>);

/// A twin as last read.
#[derive(Clone, Debug)]
pub struct View {
    /// The twin.
    pub twin: Arc<Twin>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a view comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A query's row, which may be old.
    Row,
    /// The answer to a read or a write of this one twin.
    Read,
}

impl Views {
    /// The twin as last read.
    pub fn get(&self, id: &TwinId) -> Option<View> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Keeps a twin.
    pub fn put(&self, id: TwinId, twin: Twin, origin: Origin) -> Arc<Twin> {
        let twin = Arc::new(twin);
        let view = View { twin: twin.clone(), origin };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, view);
        twin
    }

    /// Forgets all twins but these.
    pub fn retain(&self, keep: impl Fn(&TwinId) -> bool) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|id, _| keep(id));
    }

    /// Forgets a twin, so that the next reconcile reads it.
    pub fn forget(&self, id: &TwinId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// A connection as the controllers find it.
#[derive(Clone)]
pub enum Entry {
    /// It can be asked.
    Usable(Arc<Hub>),
    /// It cannot, and why.
    Broken(Verdict),
}

/// All connections, by name.
#[derive(Default)]
pub struct Hubs(RwLock<HashMap<HubKey, Entry>>);

impl Hubs {
    /// The connection; `None` when there is no such object.
    pub fn get(&self, key: &HubKey) -> Option<Entry> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Puts a connection in place; the feed of the one before it ends.
    pub fn put(&self, key: HubKey, entry: Entry) {
        let before = self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, entry);
        stop(before);
    }

    /// Takes a connection away; its feed ends.
    pub fn remove(&self, key: &HubKey) -> bool {
        let before = self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        let was_there = before.is_some();
        stop(before);
        was_there
    }
}

fn stop(entry: Option<Entry>) {
    if let Some(Entry::Usable(hub)) = entry {
        hub.stop.cancel();
    }
}
