//! Who keeps undoing our corrections, and how rarely we then make them. Pure; kept in memory only.
//!
//! A flip is a write of ours undone by somebody else. Three of a leaf within the window are a contest, and so is one by an
//! automatic configuration of the hub, which will come again. It ends when the window passes with our value in place.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::super::Pace;
use crate::twin::document::{Leaves, Section};
use crate::twin::plan::{Place, Sections};
use crate::twin::pointer::Pointer;

/// So many flips are a contest.
const FLIPS: usize = 3;

/// The corrected leaves of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contest(BTreeMap<Place, Leaf>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Leaf {
    /// The value that it is set back to: another one is another story.
    ours: Value,
    /// Whether somebody else's value was there when last seen.
    undone: bool,
    /// When it was last set back.
    corrected: Option<Timestamp>,
    /// The latest flips, oldest first.
    flips: Vec<Timestamp>,
    /// The automatic configuration that wrote it.
    by: Option<String>,
    /// The pause before the next correction; there is one while the leaf is contested.
    pause: Option<Duration>,
}

/// A leaf that somebody else changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Drifted {
    pub(super) place: Place,
    /// The value of the spec.
    pub(super) ours: Value,
    /// The automatic configuration that did, by the leaf's `$lastUpdatedBy`.
    pub(super) by: Option<String>,
}

impl Contest {
    /// Takes in what drifted, as just read. The same sight twice counts once. What the spec gave up or changed is no longer
    /// contested.
    pub(super) fn see(&mut self, spec: &Sections<Leaves>, drifted: &[Drifted], pace: &Pace, now: Timestamp) {
        let since = now.checked_sub(pace.contested_window).unwrap_or(Timestamp::MIN);
        self.0.retain(|place, leaf| {
            let leaves = if place.section == Section::Tags { &spec.tags } else { &spec.desired };
            let same = leaves.get(&place.at) == Some(&leaf.ours);
            same && (leaf.undone || leaf.latest().is_some_and(|latest| latest > since))
        });
        for Drifted { place, ours, by } in drifted {
            let leaf = self.0.entry(place.clone()).or_default();
            leaf.ours.clone_from(ours);
            if !leaf.undone && (leaf.corrected.is_some() || by.is_some()) {
                leaf.flips.push(now);
                leaf.flips.retain(|flip| *flip > since);
            }
            leaf.undone = true;
            leaf.by = by.clone().or(leaf.by.take());
            if leaf.pause.is_none() && (leaf.by.is_some() || leaf.flips.len() >= FLIPS) {
                leaf.pause = Some(pace.contested_first);
            }
        }
        // Nobody's value but ours is there: by an edit of the spec, or because the other writer gave in.
        for (place, leaf) in &mut self.0 {
            leaf.undone &= drifted.iter().any(|drifted| drifted.place == *place);
        }
    }

    /// Takes in what was set back, of what was seen.
    pub(super) fn correct<'a>(&mut self, places: impl IntoIterator<Item = &'a Place>, pace: &Pace, now: Timestamp) {
        for place in places {
            let Some(leaf) = self.0.get_mut(place) else { continue };
            if leaf.corrected.replace(now).is_some() {
                leaf.pause = leaf.pause.map(|pause| pause.saturating_mul(2).min(pace.contested_most));
            }
            leaf.undone = false;
        }
    }

    /// The leaves whose correction has to wait.
    pub(super) fn held(&self, now: Timestamp) -> Sections<BTreeSet<Pointer>> {
        let mut held = Sections::<BTreeSet<Pointer>>::default();
        for (place, leaf) in &self.0 {
            if leaf.due().is_some_and(|due| now < due) {
                let section = if place.section == Section::Tags { &mut held.tags } else { &mut held.desired };
                section.insert(place.at.clone());
            }
        }
        held
    }

    /// The contested leaves, each with the automatic configuration that contests it.
    pub(super) fn contested(&self) -> impl Iterator<Item = (&Place, Option<&str>)> {
        self.0.iter().filter(|(_, leaf)| leaf.pause.is_some()).map(|(place, leaf)| (place, leaf.by.as_deref()))
    }

    /// When a correction is due, or a contest ends.
    pub(super) fn look_again(&self, pace: &Pace) -> Option<Timestamp> {
        let next = |leaf: &Leaf| match leaf.due() {
            _ if leaf.pause.is_none() => None,
            Some(due) if leaf.undone => Some(due),
            _ => leaf.latest()?.checked_add(pace.contested_window).ok(),
        };
        self.0.values().filter_map(next).min()
    }
}

impl Leaf {
    /// When it may be set back again; `None`: at once.
    fn due(&self) -> Option<Timestamp> {
        self.corrected?.checked_add(self.pause?).ok()
    }

    fn latest(&self) -> Option<Timestamp> {
        self.corrected.max(self.flips.last().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(by: Option<&str>) -> [Drifted; 1] {
        let place = Place { section: Section::Desired, at: "/rate".parse().unwrap() };
        [Drifted { place, ours: Value::from(1), by: by.map(ToOwned::to_owned) }]
    }

    fn spec(value: i64) -> Sections<Leaves> {
        let desired = [("/rate".parse().unwrap(), Value::from(value))].into_iter().collect();
        Sections { tags: Leaves::new(), desired }
    }

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + 60 * minutes).unwrap()
    }

    fn held(contest: &Contest, minutes: i64) -> bool {
        !contest.held(at(minutes)).desired.is_empty()
    }

    #[test]
    fn three_flips_within_the_hour_are_a_contest_and_corrections_grow_rare() {
        let (pace, drift, mut contest) = (Pace::default(), leaf(None), Contest::default());
        for round in 0..3 {
            contest.see(&spec(1), &drift, &pace, at(round));
            contest.see(&spec(1), &drift, &pace, at(round));
            assert!(!held(&contest, round) && contest.contested().count() == 0, "round {round}");
            contest.correct([&drift[0].place], &pace, at(round));
        }
        contest.see(&spec(1), &drift, &pace, at(2));
        assert_eq!(contest.contested().count(), 1);
        let mut corrected = 2;
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            contest.see(&spec(1), &drift, &pace, at(corrected));
            assert!(held(&contest, corrected + pause - 1) && !held(&contest, corrected + pause), "{pause}");
            assert_eq!(contest.look_again(&pace), Some(at(corrected + pause)));
            corrected += pause;
            contest.correct([&drift[0].place], &pace, at(corrected));
        }
        contest.see(&spec(1), &[], &pace, at(corrected + 59));
        assert_eq!(contest.contested().count(), 1);
        assert_eq!(contest.look_again(&pace), Some(at(corrected + 60)));
        contest.see(&spec(1), &[], &pace, at(corrected + 60));
        assert_eq!(contest, Contest::default());
    }

    #[test]
    fn flips_that_are_far_apart_are_none() {
        let (pace, drift, mut contest) = (Pace::default(), leaf(None), Contest::default());
        for round in 0..10 {
            contest.see(&spec(1), &drift, &pace, at(25 * round));
            contest.correct([&drift[0].place], &pace, at(25 * round));
            contest.see(&spec(1), &[], &pace, at(25 * round + 1));
        }
        assert_eq!(contest.contested().count(), 1, "every 25 minutes is three within an hour");
        let mut contest = Contest::default();
        for round in 0..10 {
            contest.see(&spec(1), &drift, &pace, at(31 * round));
            contest.correct([&drift[0].place], &pace, at(31 * round));
            contest.see(&spec(1), &[], &pace, at(31 * round + 1));
        }
        assert_eq!(contest.contested().count(), 0, "every 31 minutes is not");
    }

    #[test]
    fn an_automatic_configuration_is_a_contest_at_once_and_is_named() {
        let (pace, drift, mut contest) = (Pace::default(), leaf(Some("rollout")), Contest::default());
        contest.see(&spec(1), &drift, &pace, at(0));
        assert_eq!(contest.contested().map(|(_, by)| by).collect::<Vec<_>>(), [Some("rollout")]);
        assert!(!held(&contest, 0), "the first correction is made at once");
        contest.correct([&drift[0].place], &pace, at(0));
        contest.see(&spec(1), &drift, &pace, at(0));
        assert!(held(&contest, 0) && !held(&contest, 1));
    }

    #[test]
    fn what_the_spec_gives_up_or_changes_is_no_longer_contested() {
        let (pace, drift) = (Pace::default(), leaf(Some("rollout")));
        for other in [Sections::default(), spec(2)] {
            let mut contest = Contest::default();
            contest.see(&spec(1), &drift, &pace, at(0));
            contest.see(&spec(1), &[], &pace, at(1));
            assert_eq!(contest.contested().count(), 1, "it may come again");
            contest.see(&other, &[], &pace, at(2));
            assert_eq!(contest, Contest::default());
        }
    }
}
