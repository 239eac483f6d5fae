//! What deletion asks for: when the finalizer comes and goes, and how a removal ends. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::device_twin::DeletionPolicy;

/// Our finalizer.
pub(super) const FINALIZER: &str = "hubtwin.dev/remove-keys";

/// What is to be done about the finalizer, before anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing: the object lives.
    Live,
    /// The object lives, and is to have the finalizer before anything is written for it.
    Add,
    /// The object lives, and needs no finalizer.
    Drop,
    /// The object goes, and this is all that keeps it.
    Release,
    /// The object goes once its keys are removed.
    Finish,
    /// The object goes; there is nothing to do for it.
    Gone,
}

pub(super) fn step(has_finalizer: bool, deleting: bool, policy: DeletionPolicy) -> Step {
    match (deleting, has_finalizer, policy) {
        (false, false, DeletionPolicy::Retain) | (false, true, DeletionPolicy::RemoveKeys) => Step::Live,
        (false, false, DeletionPolicy::RemoveKeys) => Step::Add,
        (false, true, DeletionPolicy::Retain) => Step::Drop,
        (true, true, DeletionPolicy::Retain) => Step::Release,
        (true, true, DeletionPolicy::RemoveKeys) => Step::Finish,
        (true, false, _) => Step::Gone,
    }
}

/// How an attempt to remove the keys ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The hub holds none of our leaves any more, or knows no such device.
    Done,
    /// They are not to be removed, and why.
    NotOurs(&'static str),
    /// The connection does not let us, and what would.
    NotAllowed(String),
    /// It did not work this time, and why.
    Failed(String),
}

/// What then happens to the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It goes.
    Go,
    /// It goes, and keys stay at the hub, for this reason.
    LeaveKeys(String),
    /// It waits, for this long at most.
    Wait(Duration),
}

/// An object that is being deleted never waits longer than `patience`, counted from its deletion or from our start.
pub(super) fn end(attempt: Attempt, since: Timestamp, patience: Duration, now: Timestamp) -> End {
    match attempt {
        Attempt::Done => End::Go,
        Attempt::NotOurs(why) => End::LeaveKeys(why.to_owned()),
        Attempt::NotAllowed(why) => End::LeaveKeys(why),
        Attempt::Failed(why) => {
            let left =
                since.checked_add(patience).ok().and_then(|end| Duration::try_from(end.duration_since(now)).ok());
            match left.filter(|left| !left.is_zero()) {
                Some(left) => End::Wait(left),
                None => End::LeaveKeys(why),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finalizer_follows_the_policy_of_the_moment() {
        use DeletionPolicy::{RemoveKeys, Retain};
        for (has, deleting, policy, expected) in [
            (false, false, Retain, Step::Live),
            (false, false, RemoveKeys, Step::Add),
            (true, false, RemoveKeys, Step::Live),
            (true, false, Retain, Step::Drop),
            (true, true, Retain, Step::Release),
            (true, true, RemoveKeys, Step::Finish),
            (false, true, Retain, Step::Gone),
            (false, true, RemoveKeys, Step::Gone),
        ] {
            assert_eq!(step(has, deleting, policy), expected, "{has} {deleting} {policy:?}");
        }
    }

    #[test]
    fn nothing_waits_longer_than_the_patience() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let failed = |now| end(Attempt::Failed("no".to_owned()), at(1_000), Duration::from_secs(600), at(now));
        assert_eq!(failed(1_000), End::Wait(Duration::from_secs(600)));
        assert_eq!(failed(1_599), End::Wait(Duration::from_secs(1)));
        assert_eq!(failed(1_600), End::LeaveKeys("no".to_owned()));
        assert_eq!(failed(9_000), End::LeaveKeys("no".to_owned()));
        let not_allowed = end(Attempt::NotAllowed("no".to_owned()), at(0), Duration::from_secs(600), at(0));
        assert_eq!(not_allowed, End::LeaveKeys("no".to_owned()), "nobody waits for an administrator");
        assert_eq!(end(Attempt::Done, at(0), Duration::ZERO, at(9)), End::Go);
    }
}
