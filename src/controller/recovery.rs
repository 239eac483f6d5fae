//! Twins whose versions went back, of one hub: a few are written at once, many one after the other.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// So many within the window are many.
const MANY: usize = 5;
/// How long a twin counts.
const WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// Between two of many: five a second, a tenth of what the smallest hub takes.
const APART: SignedDuration = SignedDuration::from_millis(200);

/// The twins of one hub whose versions went back, by the uid of their object, and when each has its turn.
#[derive(Debug, Default)]
pub struct Recovery(Mutex<HashMap<String, Timestamp>>);

/// When a twin has its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Later; `None`: now.
    pub at: Option<Timestamp>,
    /// Whether it is one of many.
    pub many: bool,
}

impl Recovery {
    /// The turn of a twin whose versions went back. Asked again, the answer is the same, until the turn has come.
    pub fn turn(&self, uid: &str, now: Timestamp) -> Turn {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = now.checked_sub(WINDOW).unwrap_or(Timestamp::MIN);
        turns.retain(|_, turn| *turn > old);
        let many = turns.len() >= MANY;
        let last = turns.values().max().copied();
        let own = *turns.entry(uid.to_owned()).or_insert_with(|| {
            let next = last.filter(|_| many).and_then(|last| last.checked_add(APART).ok());
            next.unwrap_or(now).max(now)
        });
        Turn { at: (own > now).then_some(own), many }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_take_turns() {
        let recovery = Recovery::default();
        let now = Timestamp::from_second(1_000_000).unwrap();
        for few in 0..MANY {
            assert_eq!(recovery.turn(&few.to_string(), now), Turn { at: None, many: false });
        }
        let later = |steps: i32| Some(now + APART * steps);
        assert_eq!(recovery.turn("a", now), Turn { at: later(1), many: true });
        assert_eq!(recovery.turn("b", now), Turn { at: later(2), many: true });
        assert_eq!(recovery.turn("a", now), Turn { at: later(1), many: true }, "the same again");
        assert_eq!(recovery.turn("a", now + APART), Turn { at: None, many: true });
        let long_after = now + WINDOW + APART * 3;
        assert_eq!(recovery.turn("c", long_after), Turn { at: None, many: false });
    }
}
