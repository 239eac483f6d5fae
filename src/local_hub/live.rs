//! Who is connected: one connection an identity. Its two ends are [`Lives`], at the hub, and [`Ties`], at the connection.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use super::auth::Proof;
use super::machine::{EntityId, Identity};

/// Most notices that wait for one slow device; beyond that its connection is dropped, for it has to read its twin anew.
pub const MAX_QUEUED_NOTICES: usize = 64;

/// A change notice for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The patch with `$version`, JSON.
    pub payload: Vec<u8>,
    /// The version in the topic.
    pub version: u64,
}

/// Why the hub ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Another connection of the same identity took over.
    Replaced,
    /// The identity was deleted or disabled, or no longer goes by what the connection rests on.
    Identity,
    /// The device does not take its notices.
    Slow,
}

/// The connection's end.
#[derive(Debug)]
pub struct Ties {
    /// Tells this connection from others of the same identity.
    pub number: u64,
    /// What the device is to be told.
    pub notices: mpsc::Receiver<Notice>,
    /// Why the connection has to end, once it has.
    pub cut: oneshot::Receiver<Cut>,
}

#[derive(Debug)]
struct Live {
    number: u64,
    proof: Proof,
    notices: mpsc::Sender<Notice>,
    cut: oneshot::Sender<Cut>,
}

/// Every connection.
#[derive(Debug, Default)]
pub struct Lives {
    live: HashMap<EntityId, Live>,
    last: u64,
}

impl Lives {
    /// A new connection; an older one of the same identity ends.
    pub fn enter(&mut self, id: EntityId, proof: Proof) -> Ties {
        self.cut(&id, Cut::Replaced);
        self.last += 1;
        let ((notices, told), (cut, to_cut)) = (mpsc::channel(MAX_QUEUED_NOTICES), oneshot::channel());
        self.live.insert(id, Live { number: self.last, proof, notices, cut });
        Ties { number: self.last, notices: told, cut: to_cut }
    }

    /// A connection has ended. Answers whether the identity is without one now: another may have taken over.
    pub fn leave(&mut self, id: &EntityId, number: u64) -> bool {
        match self.live.get(id) {
            Some(live) if live.number != number => false,
            _ => {
                self.live.remove(id);
                true
            }
        }
    }

    /// Ends a connection, where there is one.
    pub fn cut(&mut self, id: &EntityId, why: Cut) {
        if let Some(live) = self.live.remove(id) {
            // It may have ended by itself.
            let _ = live.cut.send(why);
        }
    }

    /// Ends a connection that its identity, as it is now, would not allow.
    pub fn judge(&mut self, id: &EntityId, identity: &Identity) {
        if self.live.get(id).is_some_and(|live| !live.proof.holds(identity)) {
            self.cut(id, Cut::Identity);
        }
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn has(&self, id: &EntityId) -> bool {
        self.live.contains_key(id)
    }

    /// Queues a notice; a connection that has no room for it ends.
    pub fn tell(&mut self, id: &EntityId, notice: Notice) {
        if self.live.get(id).is_some_and(|live| live.notices.try_send(notice).is_err()) {
            self.cut(id, Cut::Slow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> EntityId {
        EntityId::device("d1")
    }

    fn notice(version: u64) -> Notice {
        Notice { payload: Vec::new(), version }
    }

    #[test]
    fn the_newer_connection_takes_over() {
        let mut lives = Lives::default();
        let mut older = lives.enter(id(), Proof::Policy);
        let mut newer = lives.enter(id(), Proof::Policy);
        assert_eq!(older.cut.try_recv(), Ok(Cut::Replaced));
        assert!(newer.cut.try_recv().is_err());
        // The older one's end is no news of the identity.
        assert!(!lives.leave(&id(), older.number));
        assert!(lives.has(&id()));
        assert!(lives.leave(&id(), newer.number));
        assert!(!lives.has(&id()));
    }

    #[test]
    fn a_device_that_takes_no_notices_is_dropped() {
        let mut lives = Lives::default();
        let mut ties = lives.enter(id(), Proof::Policy);
        for version in 0..u64::try_from(MAX_QUEUED_NOTICES).unwrap() {
            lives.tell(&id(), notice(version));
        }
        assert!(ties.cut.try_recv().is_err());
        lives.tell(&id(), notice(1000));
        assert_eq!(ties.cut.try_recv(), Ok(Cut::Slow));
        // Nobody is there any more, which is no mistake.
        lives.tell(&id(), notice(1001));
        assert_eq!(ties.notices.try_recv(), Ok(notice(0)));
    }
}
