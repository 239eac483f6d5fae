//! What is remembered of each DeviceTwin between reconciles, and begins anew after a restart.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::contest::Contest;
use crate::api::DeviceTwinStatus;
use crate::api::conditions::Verdict;
use crate::twin::plan::Ledger;
use crate::twin::view::Etag;

/// What is remembered, by the object's uid.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Remembered>>);

/// What is remembered of one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Remembered {
    /// A status whose ledger is ahead of the object: the hub took a write, and the status write did not land. Kept until
    /// one does, for a spec that changed meanwhile may no longer name a leaf that is at the hub.
    pub(super) unsaved: Option<DeviceTwinStatus>,
    /// What a write would have left in the ledger whose answer was lost: it may have landed.
    pub(super) sent: Option<Ledger>,
    /// A write that the hub itself refused, which is not sent again.
    pub(super) refused: Option<Refused>,
    /// Who keeps undoing our corrections.
    pub(super) contest: Contest,
}

/// The hub's refusal of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// The generation that asked for it.
    pub(super) generation: i64,
    /// The twin that it was meant for; `None` when it matters to the spec alone.
    pub(super) etag: Option<Etag>,
    pub(super) verdict: Verdict,
}

impl Memory {
    pub(super) fn recall(&self, uid: &str) -> Remembered {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned().unwrap_or_default()
    }

    /// Of most objects there is nothing to remember.
    pub(super) fn keep(&self, uid: &str, remembered: Remembered) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered == Remembered::default() {
            all.remove(uid);
        } else {
            all.insert(uid.to_owned(), remembered);
        }
    }

    /// The status was written.
    pub(super) fn saved(&self, uid: &str) {
        let mut remembered = self.recall(uid);
        remembered.unsaved = None;
        self.keep(uid, remembered);
    }

    /// Forgets an object that is gone.
    pub(in crate::controller) fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}
