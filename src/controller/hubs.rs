//! The hubs that can be reached, and what is known of their twins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::feed::Progress;
pub use super::hub_key::HubKey;
use super::recovery::Recovery;
use super::twin_query::Questions;
use super::views::Views;
use crate::api::cluster_hub_connection::AccessEntry;
use crate::api::conditions::{Reason, Status, Verdict};
use crate::api::hub_connection::BudgetStatus;
use crate::hub::{Caller, Class, Client, Error, Kind, Lane, Room, Seat, Stretch};
use crate::twin::plan::DriftPolicy;
use crate::twin::rules::Arrays;

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
    /// What is replaced when the credential is: views, health and the feed go on.
    current: RwLock<Arc<Current>>,
    /// Who may use a connection of the cluster.
    access: RwLock<Arc<[AccessEntry]>>,
    /// The connection's place in the budget of its host.
    seat: Seat,
    /// The connection's settings.
    pub settings: HubSettings,
    /// Twins as last read, with this connection's credential.
    pub views: Arc<Views>,
    /// Twins whose versions went back.
    pub recovery: Recovery,
    /// What TwinQueries ask.
    pub questions: Questions,
    /// How far the feed is.
    pub progress: Progress,
    /// Asks the feed to poll now.
    pub poll_now: Notify,
    /// Ends the feed.
    pub stop: CancellationToken,
    health: Mutex<Health>,
}

/// The client, with the connection's own credential, and what both were made from.
#[derive(Debug)]
pub struct Current {
    client: Client,
    /// What they were made from.
    pub source: Source,
}

/// What a client was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The connection object and the parts of its spec that matter to more than the credential: with others it is another
    /// hub.
    pub object: String,
    /// The versions of the objects that hold credential and root certificate.
    pub versions: Vec<String>,
    /// The Secret's version, as status shows it.
    pub secret: Option<String>,
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
    Down(Reason),
    /// The hub came up again.
    Up,
    /// The hub answered for the first time.
    First,
}

impl Hub {
    /// A hub that was not asked yet; the watermark is what an operator before this one saved.
    #[must_use]
    pub fn new(
        key: HubKey,
        client: Client,
        seat: Seat,
        settings: HubSettings,
        source: Source,
        watermark: Option<Timestamp>,
    ) -> Self {
        Self {
            key,
            host: client.host().to_string(),
            current: RwLock::new(Arc::new(Current { client, source })),
            access: RwLock::default(),
            seat,
            settings,
            views: Arc::default(),
            recovery: Recovery::default(),
            questions: Questions::default(),
            progress: Progress::new(watermark),
            poll_now: Notify::new(),
            stop: CancellationToken::new(),
            health: Mutex::new(Health::Unknown),
        }
    }

    /// Makes calls of a class for the objects of a namespace.
    pub fn caller<'a>(&'a self, class: Class, namespace: &'a str) -> Caller<'a> {
        Caller::new(self.current().client.clone(), &self.seat, class, namespace)
    }

    /// The client in use, and what it was made from.
    pub fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes on with another credential or root certificate. What is known of twins stays known; a hub that does not answer
    /// is asked at once.
    pub fn renew(&self, client: Client, source: Source) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Current { client, source });
        if matches!(self.health(), Health::Down(_)) {
            self.look_now();
        }
    }

    /// Who may use it, as last seen.
    pub fn access(&self) -> Arc<[AccessEntry]> {
        self.access.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in who may use it.
    pub fn open_to(&self, access: &[AccessEntry]) {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = access.into();
    }

    /// Whether work of a class may start: whether the first call that it needs would hardly wait. Cheap, and takes nothing.
    pub fn room(&self, class: Class) -> Room {
        self.seat.room(class).map_or(Room::Now, |then| Room::At(then.into_std()))
    }

    /// By how much the connection's intervals are to be stretched, so that the hub's messages of the day last.
    pub fn stretch(&self) -> Stretch {
        self.seat.stretch()
    }

    /// Calls a second that may be made in a lane now, by all classes together.
    pub fn rate(&self, lane: Lane) -> f64 {
        self.seat.rate(lane)
    }

    /// The budget, as `status.budget` shows it.
    pub fn budget_status(&self) -> BudgetStatus {
        BudgetStatus {
            shared_with: i32::try_from(self.seat.shared_with()).unwrap_or(i32::MAX),
            // In whole seconds: the API server keeps no more, and a part of one would look like news each time.
            throttled_until: self
                .seat
                .throttled_until()
                .and_then(|until| Timestamp::from_second(until.as_second()).ok())
                .map(Time),
        }
    }

    /// Polls now, also when the hub took no calls so far.
    pub fn look_now(&self) {
        self.seat.probe();
        self.poll_now.notify_one();
    }

    /// The operator before this one was told to make fewer calls until then, as the status tells: so is this one.
    pub fn honour(&self, throttled_until: Timestamp) {
        self.seat.honour(throttled_until);
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
            (Health::Unknown, Health::Up) => Change::First,
            (_, Health::Up | Health::Unknown) => Change::Up,
            (Health::Down(before), Health::Down(now)) if before.reason == now.reason => Change::Reworded,
            (_, Health::Down(now)) => Change::Down(now.reason),
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
pub struct Hubs(RwLock<All>);

#[derive(Default)]
struct All {
    entries: HashMap<HubKey, Entry>,
    /// Hubs whose connection or Secret went, and since when: only to finish deletions.
    kept: HashMap<HubKey, (Arc<Hub>, Timestamp)>,
}

impl Hubs {
    /// The connection; `None` when there is no such object.
    pub fn get(&self, key: &HubKey) -> Option<Entry> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).entries.get(key).cloned()
    }

    /// The connection for an object that is being deleted: also one that went not longer ago than `keep`.
    pub fn for_deletion(&self, key: &HubKey, keep: Duration, now: Timestamp) -> Option<Entry> {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.kept.retain(|_, (_, since)| since.checked_add(keep).is_ok_and(|end| now < end));
        match all.entries.get(key) {
            Some(Entry::Usable(hub)) => Some(Entry::Usable(hub.clone())),
            other => all.kept.get(key).map(|(hub, _)| Entry::Usable(hub.clone())).or_else(|| other.cloned()),
        }
    }

    /// Puts a connection in place; the feed of the one before it ends.
    pub fn put(&self, key: HubKey, entry: Entry, now: Timestamp) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let missing = matches!(&entry, Entry::Broken(verdict) if verdict.reason == Reason::SecretMissing);
        if !matches!(entry, Entry::Broken(_)) {
            all.kept.remove(&key);
        }
        let before = all.entries.insert(key.clone(), entry);
        all.stop(key, before, missing.then_some(now));
    }

    /// Takes a connection away; its feed ends.
    pub fn remove(&self, key: &HubKey, now: Timestamp) -> bool {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = all.entries.remove(key);
        let was_there = before.is_some();
        all.stop(key.clone(), before, Some(now));
        was_there
    }
}

impl All {
    /// Ends a feed; the hub is kept for a while when its connection or its Secret went.
    fn stop(&mut self, key: HubKey, entry: Option<Entry>, went: Option<Timestamp>) {
        if let Some(Entry::Usable(hub)) = entry {
            hub.stop.cancel();
            hub.seat.leave();
            if let Some(now) = went {
                self.kept.insert(key, (hub, now));
            }
        }
    }
}
