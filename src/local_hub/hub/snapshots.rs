//! Older states of the hub, and the way back to them: a failover that loses the latest writes.

use jiff::Timestamp;
use serde::Serialize;

use super::super::code::Failure;
use super::super::machine::Machine;
use super::super::machine::stamp::wire_time;
use super::Hub;

/// Most snapshots that are kept.
const MAX_SNAPSHOTS: usize = 8;
/// Longest name of a snapshot.
const MAX_NAME_CHARS: usize = 64;

/// The state of a hub at a time.
#[derive(Debug)]
pub struct Snapshot {
    taken: Timestamp,
    machine: Machine,
}

/// What is told of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// When it was taken, by the hub's clock.
    pub taken: String,
    /// How many devices and modules it holds.
    pub identities: usize,
}

/// Why there is no such snapshot, or no failover.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The name is none.
    #[error("a name has 1 to {MAX_NAME_CHARS} characters")]
    Name,
    /// There are too many.
    #[error("{MAX_SNAPSHOTS} snapshots are kept already; delete one first")]
    TooMany,
    /// There is none of this name.
    #[error("there is no snapshot of this name")]
    Unknown,
    /// The data folder cannot be written.
    #[error("{}", .0.message)]
    Store(Failure),
}

impl Hub {
    /// Keeps the state as it is now under a name, in place of what had the name before.
    ///
    /// # Errors
    /// When the name is none, or there are too many snapshots.
    pub fn take_snapshot(&self, name: &str) -> Result<Summary, SnapshotError> {
        if !(1..=MAX_NAME_CHARS).contains(&name.chars().count()) {
            return Err(SnapshotError::Name);
        }
        let taken = self.now();
        let mut state = self.state();
        if state.snapshots.len() >= MAX_SNAPSHOTS && !state.snapshots.contains_key(name) {
            return Err(SnapshotError::TooMany);
        }
        let snapshot = Snapshot { taken, machine: state.machine.clone() };
        let summary = snapshot.summary(name);
        state.snapshots.insert(name.to_owned(), snapshot);
        Ok(summary)
    }

    /// The snapshots that are kept.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Summary> {
        self.state().snapshots.iter().map(|(name, snapshot)| snapshot.summary(name)).collect()
    }

    /// Forgets a snapshot.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn delete_snapshot(&self, name: &str) -> Result<(), SnapshotError> {
        self.state().snapshots.remove(name).map(|_| ()).ok_or(SnapshotError::Unknown)
    }

    /// Goes back to a snapshot: devices are cut off, versions and etags go back, later identities are gone.
    ///
    /// # Errors
    /// When there is no such snapshot, or the data folder cannot be written.
    pub async fn fail_over(&self, name: &str) -> Result<Summary, SnapshotError> {
        let (summary, kept) = {
            let mut state = self.state();
            let snapshot = state.snapshots.get(name).ok_or(SnapshotError::Unknown)?;
            let (summary, older) = (snapshot.summary(name), snapshot.machine.clone());
            let outcome = state.machine.fail_over(older);
            let (_, kept) = self.settle(&mut state, outcome);
            (summary, kept)
        };
        kept.wait().await.map_err(SnapshotError::Store)?;
        Ok(summary)
    }
}

impl Snapshot {
    fn summary(&self, name: &str) -> Summary {
        let identities = self.machine.records().count();
        Summary { name: name.to_owned(), taken: wire_time(self.taken), identities }
    }
}
