//! What REST, MQTT and the admin server share: the machine behind a lock, its clock and randomness, who is connected,
//! and the journal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use rustls::crypto::SecureRandom;
use rustls::crypto::aws_lc_rs::default_provider;
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};

use super::auth::{Names, Policy, Proof};
use super::code::{self, Failure};
use super::index::Index;
use super::journal::{Call, Journal};
use super::knobs::{Faults, Knobs};
use super::live::{Cut, Lives, Notice, Ties};
use super::machine::{Command, EntityId, Event, Fresh, Identity, Machine, Moment, Outcome, Reply, Seen};
use super::operations;
use super::store::{self, Store};
use super::throttle::Throttle;

pub use self::gate::Charge;
pub use self::snapshots::{Snapshot, SnapshotError};

mod gate;
mod snapshots;

/// A running hub.
pub struct Hub {
    state: Mutex<State>,
    journal: Mutex<Journal>,
    random: &'static dyn SecureRandom,
    knobs: Mutex<Knobs>,
    faults: Mutex<Faults>,
    throttle: Mutex<Throttle>,
    started: Instant,
    clock: watch::Sender<()>,
    store: Mutex<Option<Store>>,
    stored: bool,
    /// The keys of the hub.
    pub policies: Vec<Policy>,
    /// What it may be called in tokens.
    pub names: Names,
}

struct State {
    machine: Machine,
    /// What queries see, while it lags.
    index: Option<Index>,
    /// Older states, by name.
    snapshots: BTreeMap<String, Snapshot>,
    live: Lives,
}

impl Hub {
    /// A hub around a machine.
    #[must_use]
    pub fn new(machine: Machine, policies: Vec<Policy>, names: Names, store: Option<Store>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State { machine, index: None, snapshots: BTreeMap::new(), live: Lives::default() }),
            journal: Mutex::default(),
            knobs: Mutex::default(),
            faults: Mutex::default(),
            throttle: Mutex::default(),
            started: Instant::now(),
            clock: watch::Sender::default(),
            random: default_provider().secure_random,
            stored: store.is_some(),
            store: Mutex::new(store),
            policies,
            names,
        })
    }

    /// The hub's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let offset = SignedDuration::from_millis(self.knobs().clock_offset_ms);
        // An offset beyond the end of time is none.
        let now = Timestamp::now();
        now.checked_add(offset).unwrap_or(now)
    }

    /// Tells when the clock is moved.
    #[must_use]
    pub fn clock(&self) -> watch::Receiver<()> {
        self.clock.subscribe()
    }

    /// The settings that hold now.
    pub fn knobs(&self) -> MutexGuard<'_, Knobs> {
        self.knobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The faults that wait.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a command out and tells whoever has to be told. With a data folder it returns when the change is kept.
    ///
    /// # Errors
    /// When the machine refuses, or the data folder cannot be written.
    pub async fn apply(&self, command: Command) -> Result<Reply, Failure> {
        let fresh = self.fresh()?;
        let (reply, kept) = self.apply_locked(&mut self.state(), &fresh, command);
        kept.wait().await?;
        reply
    }

    fn apply_locked(&self, state: &mut State, fresh: &Fresh, command: Command) -> (Result<Reply, Failure>, Kept) {
        let (doubts, lag) = {
            let knobs = self.knobs();
            (knobs.doubts.clone(), knobs.connection_lag_ms)
        };
        let moment = Moment { now: self.now(), fresh, doubts: &doubts, connection_lag: milliseconds(lag) };
        let outcome = state.machine.apply(&moment, command);
        self.settle(state, outcome)
    }

    /// Stores what has to be stored and tells whoever has to be told.
    fn settle(&self, state: &mut State, outcome: Outcome) -> (Result<Reply, Failure>, Kept) {
        let Outcome { reply, events, touched, seen } = outcome;
        // Handed over under the lock, so that the store sees changes in their order.
        let kept = self.keep(&state.machine, &touched);
        if let Some(index) = &mut state.index {
            let now = self.now();
            for id in touched.into_iter().chain(seen) {
                let record = state.machine.get(&id).cloned();
                index.note(now, id, record);
            }
        }
        for event in events {
            self.tell(state, event);
        }
        (reply.map_err(Failure::from), kept)
    }

    fn keep(&self, machine: &Machine, touched: &[EntityId]) -> Kept {
        if !self.stored || touched.is_empty() {
            return Kept::Already;
        }
        let writes = touched.iter().map(|id| store::write_of(id, machine.get(id))).collect();
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.as_ref().and_then(|store| store.write(writes).ok()).map_or(Kept::Never, Kept::Soon)
    }

    /// Closes the data folder: nothing is kept any more.
    pub async fn close(&self) {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(store) = store
            && tokio::task::spawn_blocking(move || store.close()).await.is_err()
        {
            tracing::error!("close the data folder");
        }
    }

    /// Notices go out under the lock, so that a device sees them in the order of their versions.
    fn tell(&self, state: &mut State, event: Event) {
        match event {
            Event::Disconnect(id) => state.live.cut(&id, Cut::Identity),
            Event::IdentityChanged(id) => {
                if let Some(record) = state.machine.get(&id) {
                    state.live.judge(&id, &record.identity);
                }
            }
            Event::DesiredChanged { id, notice, version } => {
                let subscribed = state.machine.get(&id).is_some_and(|record| record.session.desired.is_some());
                let told = subscribed && !self.knobs().lacks(operations::DEVICE_NOTIFY);
                if !told || !state.live.has(&id) {
                    return;
                }
                let mut body = Value::Object(notice);
                body["$version"] = json!(version);
                state.live.tell(&id, Notice { payload: body.to_string().into_bytes(), version });
            }
        }
    }

    /// Lets a device in: an older connection of it ends. Answers the reply of the machine and the new connection.
    ///
    /// # Errors
    /// When the machine refuses, or the identity has changed since the proof was judged.
    pub async fn connect(
        &self,
        id: EntityId,
        proof: Proof,
        clean: bool,
        model: Option<String>,
    ) -> Result<(Reply, Ties), Failure> {
        let fresh = self.fresh()?;
        let (reply, ties, kept) = {
            let mut state = self.state();
            if state.machine.get(&id).is_some_and(|record| !proof.holds(&record.identity)) {
                return Err(Failure::new(code::UNAUTHORIZED, "the identity has changed, or is disabled"));
            }
            let (reply, kept) =
                self.apply_locked(&mut state, &fresh, Command::Connect { id: id.clone(), clean, model });
            (reply?, state.live.enter(id.clone(), proof), kept)
        };
        if let Err(failure) = kept.wait().await {
            self.disconnected(&id, ties.number);
            return Err(failure);
        }
        Ok((reply, ties))
    }

    /// Notes that a connection ended, unless a newer one of the same device took over.
    pub fn disconnected(&self, id: &EntityId, number: u64) {
        let Ok(fresh) = self.fresh() else { return };
        let mut state = self.state();
        if state.live.leave(id, number) {
            // The identity may be gone by now, and with it everything that could be noted.
            let _ = self.apply_locked(&mut state, &fresh, Command::Disconnect(id.clone()));
        }
    }

    /// The identity of a device or module.
    #[must_use]
    pub fn identity(&self, id: &EntityId) -> Option<Identity> {
        self.state().machine.get(id).map(|record| record.identity.clone())
    }

    /// Looks at the machine.
    pub fn read<T>(&self, look: impl FnOnce(&Machine) -> T) -> T {
        look(&self.state().machine)
    }

    /// Looks at what queries see: the machine, or the index that lags behind it.
    pub fn rows<T>(&self, look: impl FnOnce(&Machine, Seen) -> T) -> T {
        let (query_lag, connection_lag) = {
            let knobs = self.knobs();
            (knobs.query_lag_ms, knobs.connection_lag_ms)
        };
        let seen = Seen { now: self.now(), lag: milliseconds(connection_lag) };
        let mut state = self.state();
        let State { machine, index, .. } = &mut *state;
        if query_lag == 0 {
            *index = None;
            return look(machine, seen);
        }
        let index = index.get_or_insert_with(|| Index::of(machine));
        look(index.at(seen.now, milliseconds(query_lag)), seen)
    }

    /// Changes the settings that hold until they are changed again.
    pub fn set_knobs(&self, knobs: Knobs) {
        {
            // An index that lags has to know what is written from now on.
            let mut state = self.state();
            let State { machine, index, .. } = &mut *state;
            match knobs.query_lag_ms {
                0 => *index = None,
                _ => _ = index.get_or_insert_with(|| Index::of(machine)),
            }
        }
        *self.knobs() = knobs;
        self.clock.send_replace(());
    }

    /// Writes a call down.
    pub fn record(&self, call: &Call<'_>) {
        self.record_with(call, None);
    }

    /// Writes a call down, with what was sent.
    pub fn record_with(&self, call: &Call<'_>, body: Option<String>) {
        tracing::debug!(
            who = call.who,
            operation = call.operation,
            subject = call.subject,
            outcome = call.outcome,
            "{}",
            call.detail
        );
        self.journal().record(self.now(), call, body);
    }

    /// Counters and log.
    pub fn journal(&self) -> MutexGuard<'_, Journal> {
        // Nothing panics while it holds the lock but an allocation; the journal stays whole either way.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> Result<Fresh, Failure> {
        let mut bytes = [0; 80];
        self.random.fill(&mut bytes).map_err(|_| Failure::new(code::SERVER_ERROR, "no randomness"))?;
        let number = u64::from_be_bytes(bytes[64..72].try_into().expect("eight bytes are a u64"));
        let etag = u64::from_be_bytes(bytes[72..80].try_into().expect("eight bytes are a u64"));
        Ok(Fresh {
            keys: [STANDARD.encode(&bytes[..32]), STANDARD.encode(&bytes[32..64])],
            generation: format!("{:018}", number % 1_000_000_000_000_000_000),
            etag: u32::try_from(etag % 900_000_000).expect("below u32::MAX") + 100_000_000,
        })
    }
}

/// Whether a change is in the data folder.
enum Kept {
    /// There is nothing to keep.
    Already,
    /// It will be told.
    Soon(oneshot::Receiver<()>),
    /// It cannot be.
    Never,
}

impl Kept {
    async fn wait(self) -> Result<(), Failure> {
        let kept = match self {
            Self::Already => true,
            Self::Soon(committed) => committed.await.is_ok(),
            Self::Never => false,
        };
        if kept { Ok(()) } else { Err(Failure::new(code::SERVER_ERROR, "the data folder cannot be written")) }
    }
}

fn milliseconds(count: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A random key, base64 of 32 bytes; `None` without randomness.
#[must_use]
pub fn random_key() -> Option<String> {
    let mut bytes = [0; 32];
    default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(STANDARD.encode(bytes))
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}
