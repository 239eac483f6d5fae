//! The operator's time: what the time is, and how long the long delays are. Tests move and shorten them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::conditions::STALLED_AFTER;

/// Tells the time: the machine's, and an offset that all clones share.
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicI64>);

impl Clock {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.0.load(Ordering::Relaxed));
        Timestamp::now().checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    /// Moves the clock forward. What waits for a time finds out when it is next looked at.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Sets the clock back, as somebody does who finds that it was wrong.
    pub fn set_back(&self, by: Duration) {
        self.0.fetch_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
    }
}

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How soon an object that is in order is looked at again, in case something was missed.
    pub calm: Duration,
    /// How soon an object whose connection does not work is looked at again; it is told when the connection recovers.
    pub waiting: Duration,
    /// How long after its creation an object waits for its connection to be created, too, before it misses it.
    pub grace: Duration,
    /// How soon a connection that does not work is looked at again.
    pub broken: Duration,
    /// The first pause after a failure; each further one is twice as long.
    pub retry_first: Duration,
    /// The longest pause after failures, also between two looks for a device that the hub does not know.
    pub retry_most: Duration,
    /// How long a missing or refused credential counts as on its way.
    pub stalled_after: Duration,
    /// How long an object that is being deleted waits for its hub before it leaves its keys there.
    pub keys_left_after: Duration,
    /// How long a connection that is gone can still be used to finish deletions.
    pub credential_kept: Duration,
    /// Three flips of a leaf within this time are a contest; one without any ends it.
    pub contested_window: Duration,
    /// The first pause between two corrections of a contested leaf; each further one is twice as long.
    pub contested_first: Duration,
    /// The longest pause between two corrections of a contested leaf.
    pub contested_most: Duration,
    /// How long a row that shows an older twin than is known is taken for one of a late index.
    pub index_delay: Duration,
    /// How long a query that the hub rejects waits for an edit.
    pub rejected: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
        Self {
            calm: hour,
            waiting: minute,
            grace: Duration::from_secs(3),
            broken: Duration::from_secs(5),
            retry_first: Duration::from_secs(1),
            retry_most: 5 * minute,
            stalled_after: STALLED_AFTER,
            keys_left_after: 10 * minute,
            credential_kept: 15 * minute,
            contested_window: hour,
            contested_first: minute,
            contested_most: hour,
            index_delay: 30 * minute,
            rejected: hour,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_clock_move_together() {
        let clock = Clock::default();
        let other = clock.clone();
        other.advance(Duration::from_secs(7200));
        assert!(clock.now() > Timestamp::now() + SignedDuration::from_secs(7000));
    }
}
