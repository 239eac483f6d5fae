//! What was asked of the hub and of the API server, and what came of it, in one order of ticks: the model reads it, and
//! nobody else writes it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// Counts what happens, so that any two happenings have an order.
pub type Tick = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Another back end.
    Foreign,
    /// The operator that was started as the nth.
    Operator(u64),
}

/// A write to a twin.
#[derive(Clone, Debug)]
pub struct TwinWrite {
    pub who: Who,
    /// `DEVICE` or `DEVICE/MODULE`.
    pub twin: String,
    pub asked: Tick,
    pub answered: Tick,
    pub replaces: bool,
    pub body: Value,
    /// The hub's own status.
    pub status: u16,
    /// The twin after it, when the hub carried it out.
    pub after: Option<Value>,
    /// Whether the hub's answer reached who asked.
    pub delivered: bool,
}

/// A write of a DeviceTwin's status.
#[derive(Clone, Debug)]
pub struct StatusWrite {
    pub operator: u64,
    pub object: String,
    pub asked: Tick,
    pub answered: Tick,
    pub status: Value,
    /// The object's uid, when the API server took it.
    pub landed: Option<String>,
    /// Its operator died before it heard an answer.
    pub open: bool,
}

#[derive(Default)]
pub struct Records {
    pub twin_writes: Vec<TwinWrite>,
    pub status_writes: Vec<StatusWrite>,
    /// When each operator first asked for a twin, or wrote it or a status: by number and twin or object.
    pub first_touch: BTreeMap<(u64, String), Tick>,
    /// What nobody may do, found while it was done.
    pub wrong: Vec<String>,
    /// Steps and faults that happened, by name.
    pub hits: BTreeMap<String, u64>,
}

#[derive(Default)]
pub struct Log {
    clock: AtomicU64,
    /// The number of the operator that runs; 0 for none.
    alive: AtomicU64,
    /// Everything that any operator wrote, to the hub or to the API server.
    writes: AtomicU64,
    records: Mutex<Records>,
}

impl Log {
    pub fn tick(&self) -> Tick {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn alive(&self) -> u64 {
        self.alive.load(Ordering::SeqCst)
    }

    /// From now on only this operator gets through to anybody; 0 for none.
    pub fn let_live(&self, operator: u64) {
        self.alive.store(operator, Ordering::SeqCst);
    }

    pub fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A status write was answered: its object's uid, when the API server took it.
    pub fn answered(&self, asked: Tick, landed: Option<String>) {
        let answered = self.tick();
        if let Some(write) = self.records().status_writes.iter_mut().find(|write| write.asked == asked) {
            *write = StatusWrite { answered, landed, open: false, ..write.clone() };
        }
    }

    pub fn hit(&self, name: &str) {
        *self.records().hits.entry(name.to_owned()).or_default() += 1;
    }

    pub fn wrong(&self, what: String) {
        self.records().wrong.push(what);
    }

    pub fn count_write(&self) {
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    pub fn writes(&self) -> u64 {
        self.writes.load(Ordering::SeqCst)
    }

    pub fn touch(&self, operator: u64, what: &str) {
        let tick = self.tick();
        self.records().first_touch.entry((operator, what.to_owned())).or_insert(tick);
    }
}
