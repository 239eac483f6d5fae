//! What is remembered of each TwinQuery between reconciles, by uid.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::super::hubs::Hub;
use super::question::Question;
use super::results::Shown;

/// The memory that the rows of all outputs may take together while they are read and written, in KiB.
const OUTPUT_KIB: usize = 128 * 1024;

/// What is remembered of all of them.
pub struct Runs {
    runs: Mutex<HashMap<String, Run>>,
    /// What is left of the memory for outputs, in KiB.
    pub(super) room: Arc<Semaphore>,
}

impl Default for Runs {
    fn default() -> Self {
        Self { runs: Mutex::default(), room: Arc::new(Semaphore::new(OUTPUT_KIB)) }
    }
}

/// What is remembered of one.
#[derive(Default)]
pub(super) struct Run {
    /// When it was first seen.
    pub(super) first_seen: Option<Timestamp>,
    /// When the last answer that was shown was asked for.
    pub(super) worked: Option<Timestamp>,
    /// The generation that was answered, and when it is to be asked for again.
    pub(super) settled: Option<(i64, Timestamp)>,
    /// The last request to look now, and when it was seen.
    pub(super) request: Option<(String, Timestamp)>,
    /// Where it asks what.
    pub(super) asks: Option<(Weak<Hub>, Question)>,
    /// Which text the rows in status belong to.
    pub(super) text: Option<u64>,
    /// The rows in status, and the resourceVersion that they came with.
    shown: Option<(u64, Arc<Shown>)>,
    /// Namespace and name, for its metrics.
    pub(super) name: Option<(String, String)>,
}

/// When a query is next due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    In(Duration),
}

impl Runs {
    /// Looks at what is remembered of a query, and changes it.
    pub(super) fn with<T>(&self, uid: &str, work: impl FnOnce(&mut Run) -> T) -> T {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        work(runs.entry(uid.to_owned()).or_default())
    }

    /// The rows of a status went by; an older status than the one that is known tells nothing.
    pub(super) fn show(&self, uid: &str, resource_version: &str, rows: Option<Shown>) {
        let version: u64 = resource_version.parse().unwrap_or_default();
        self.with(uid, |run| {
            if run.shown.as_ref().is_none_or(|(known, _)| *known <= version) {
                run.shown = Some((version, Arc::new(rows.unwrap_or_default())));
            }
        });
    }

    /// The rows in status.
    pub(super) fn shown(&self, uid: &str) -> Arc<Shown> {
        self.with(uid, |run| run.shown.as_ref().map(|(_, shown)| shown.clone()).unwrap_or_default())
    }

    /// Forgets a query that is gone; its question is given up if nobody else asks it. Answers its namespace and name.
    pub(super) fn forget(&self, uid: &str) -> Option<(String, String)> {
        let run = self.runs.lock().unwrap_or_else(PoisonError::into_inner).remove(uid)?;
        leave(run.asks.as_ref(), uid);
        run.name
    }
}

/// A query asks this no more.
pub(super) fn leave(asks: Option<&(Weak<Hub>, Question)>, uid: &str) {
    if let Some((hub, question)) = asks
        && let Some(hub) = hub.upgrade()
    {
        hub.questions.leave(question, uid);
    }
}

impl Run {
    /// When it is due, for a generation. One that waits longer than it can was settled before the clock went back.
    pub(super) fn due(&self, generation: i64, longest: Duration, now: Timestamp) -> Due {
        match self.settled {
            Some((settled, at)) if settled == generation => match Duration::try_from(at.duration_since(now)) {
                Ok(left) if !left.is_zero() && left <= longest => Due::In(left),
                _ => Due::Now,
            },
            _ => Due::Now,
        }
    }

    /// Since when it has no good answer.
    pub(super) fn since(&self, now: Timestamp) -> Timestamp {
        self.worked.or(self.first_seen).unwrap_or(now)
    }
}

/// When a question that was asked then is asked again: after the interval, give or take a tenth. All who ask the same are
/// due at the same time, so that one question does for all.
pub(super) fn again(text: &str, asked: Timestamp, interval: Duration) -> Timestamp {
    let mut hasher = DefaultHasher::new();
    (text, asked.as_nanosecond()).hash(&mut hasher);
    let thousandths = 900 + u32::try_from(hasher.finish() % 201).unwrap_or_default();
    later(asked, interval.saturating_mul(thousandths) / 1000)
}

/// A time that much later.
pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// How much time passed; none if the clock was set back.
pub(super) fn passed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// Tells texts apart.
pub(super) fn fingerprint(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_query_is_due_after_its_interval_at_each_edit_and_when_the_clock_went_back() {
        let run = Run { settled: Some((2, at(160))), ..Run::default() };
        assert_eq!(run.due(2, MINUTE, at(130)), Due::In(Duration::from_secs(30)));
        assert_eq!(run.due(2, MINUTE, at(160)), Due::Now);
        assert_eq!(run.due(2, MINUTE, at(5000)), Due::Now);
        assert_eq!(run.due(3, MINUTE, at(130)), Due::Now);
        assert_eq!(run.due(2, MINUTE, at(-5000)), Due::Now);
        assert_eq!(Run::default().due(0, MINUTE, at(0)), Due::Now);
    }

    #[test]
    fn who_asks_the_same_is_due_at_the_same_time_within_a_tenth() {
        let times: Vec<Timestamp> = (0..500).map(|second| again("q", at(second), MINUTE)).collect();
        let offsets: Vec<i64> = (0..500).zip(&times).map(|(second, time)| time.as_second() - second).collect();
        assert!(offsets.iter().all(|offset| (54..=66).contains(offset)));
        assert!(offsets.iter().any(|offset| *offset < 57) && offsets.iter().any(|offset| *offset > 63));
        assert_eq!(times[7], again("q", at(7), MINUTE));
    }

    #[test]
    fn an_older_status_tells_nothing() {
        let runs = Runs::default();
        let rows = |n: i64| {
            let row = serde_json::json!({"n": n}).as_object().cloned().unwrap();
            Some(Shown::of(&[crate::api::JsonObject(row)]))
        };
        runs.show("a", "9", rows(1));
        runs.show("a", "8", rows(2));
        assert_eq!(Some(&*runs.shown("a")), rows(1).as_ref());
        runs.show("a", "10", None);
        assert_eq!(*runs.shown("a"), Shown::default());
    }
}
