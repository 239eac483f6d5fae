//! Whether a device is connected, and when others see it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How connections are shown: at a time, and so much late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The hub's time.
    pub now: Timestamp,
    /// How long it takes until a connection that came or went is shown.
    pub lag: SignedDuration,
}

/// The connection of one device or module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Connection {
    up: bool,
    /// What was shown when it last changed.
    before: bool,
    changed: Option<Timestamp>,
}

impl Connection {
    /// It came or went.
    pub(super) fn change(&mut self, up: bool, seen: Seen) {
        self.before = self.shown(seen);
        self.up = up;
        self.changed = Some(seen.now);
    }

    /// Nobody is connected after a start.
    pub(super) fn reset(&mut self) {
        (self.up, self.before) = (false, false);
    }

    /// What others see.
    pub(super) fn shown(&self, seen: Seen) -> bool {
        let fresh = self.changed.is_some_and(|changed| seen.now.duration_since(changed) < seen.lag);
        if fresh { self.before } else { self.up }
    }

    /// The word for it.
    pub(super) fn state(&self, seen: Seen) -> &'static str {
        if self.shown(seen) { "Connected" } else { "Disconnected" }
    }

    /// When it last changed.
    pub(super) fn changed(&self) -> Option<Timestamp> {
        self.changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_late() {
        let seen = |second: i64, lag: i64| Seen {
            now: Timestamp::from_second(second).unwrap(),
            lag: SignedDuration::from_secs(lag),
        };
        let mut connection = Connection::default();
        connection.change(true, seen(10, 5));
        assert_eq!(connection.state(seen(14, 5)), "Disconnected");
        assert_eq!(connection.state(seen(15, 5)), "Connected");
        assert_eq!(connection.state(seen(10, 0)), "Connected");
        // Who goes and comes back at once was never seen to be away.
        connection.change(false, seen(20, 5));
        connection.change(true, seen(21, 5));
        for second in [21, 25, 26] {
            assert_eq!(connection.state(seen(second, 5)), "Connected", "{second}");
        }
        connection.change(false, seen(30, 5));
        connection.reset();
        assert_eq!(connection.state(seen(31, 5)), "Disconnected");
    }
}
