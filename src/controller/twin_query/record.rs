//! From what a look at a TwinQuery came to, to its status. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::output::Stored;
use super::question::Answer;
use super::read::{Failed, Found};
use super::results::{self, Results, Shown};
use super::rows;
use crate::api::conditions::{self, Patience, Reason, Status, Verdict};
use crate::api::{self, TwinQuery, TwinQueryStatus, requested};

/// For how long a query that never ran is left as it began before it is told to wait.
const SOON: Duration = Duration::from_secs(10);

/// What a look came to.
pub(super) enum Outcome {
    /// `spec.suspend`.
    Suspended,
    /// It waits for its turn, or for the hub's answer.
    Waiting(&'static str),
    /// Its connection does not work.
    Unusable(Verdict),
    /// The hub was asked.
    Answered(Answer),
    /// The hub was asked, and all rows are written.
    Stored(Answer, Stored),
    /// The rows cannot be written.
    Refused(String),
}

/// What the status is made from, beside the outcome.
pub(super) struct Inputs<'a> {
    pub(super) query: &'a TwinQuery,
    /// The status as it stands, its rows left out.
    pub(super) before: &'a TwinQueryStatus,
    /// The rows as they stand.
    pub(super) shown: &'a Shown,
    /// Whether these rows are those of the present text.
    pub(super) same_text: bool,
    /// How often the hub is asked.
    pub(super) interval: Duration,
    /// How long ago the last good answer came or, before the first, the query was first seen.
    pub(super) age: Duration,
    /// Whether the ConfigMaps of an output that the spec names no more are gone.
    pub(super) cleared: bool,
    pub(super) patience: Patience,
    pub(super) now: Timestamp,
}

/// The rows of the next status.
#[derive(Debug, PartialEq)]
pub(super) enum Rows {
    /// Those that are there.
    Keep,
    /// None.
    None,
    /// Others.
    New(Results),
}

/// The next status, its rows apart.
pub(super) struct Next {
    pub(super) status: TwinQueryStatus,
    pub(super) rows: Rows,
}

impl Inputs<'_> {
    /// Results older than this are stale.
    pub(super) fn stale_after(&self) -> Duration {
        self.interval.saturating_mul(3)
    }

    fn stale(&self) -> bool {
        self.age > self.stale_after()
    }

    fn has_results(&self) -> bool {
        self.before.results_time.is_some()
    }
}

/// The next status.
pub(super) fn record(inputs: &Inputs<'_>, outcome: &Outcome) -> Next {
    let mut next = conclude(inputs, outcome);
    if inputs.cleared {
        next.status.output = None;
    }
    next
}

fn conclude(inputs: &Inputs<'_>, outcome: &Outcome) -> Next {
    let verdict = match outcome {
        Outcome::Stored(answer, stored) => return written(inputs, answer, *stored),
        Outcome::Refused(text) => {
            return failed(inputs, &Verdict::new(Status::False, Reason::OutputRefused, text.as_str()));
        }
        Outcome::Answered(Answer { outcome, .. }) => match &**outcome {
            Ok(Found::Rows(found)) => return worked(inputs, found),
            // The rows of an output are written before they are told.
            Ok(Found::All { .. }) => return Next { status: inputs.before.clone(), rows: Rows::Keep },
            Err(Failed::Rejected(text)) => {
                let refused = Verdict::new(Status::False, Reason::QueryRejected, text.as_str());
                let mut next = failed(inputs, &refused);
                next.status.last_handled_reconcile_at = handled(inputs);
                return next;
            }
            Err(Failed::Trouble { reason, message, .. }) => Verdict::new(Status::False, *reason, message.as_str()),
        },
        Outcome::Suspended => return suspended(inputs),
        Outcome::Waiting(text) => Verdict::new(Status::False, Reason::Pending, *text),
        Outcome::Unusable(verdict) => verdict.clone(),
    };
    // A run that fails keeps the last good results and Ready as it was, until they are stale.
    let untold = verdict.reason == Reason::Pending && inputs.age < SOON;
    match inputs.has_results() {
        true if inputs.stale() => {
            let text = format!("the results are older than three intervals: {}", verdict.message);
            failed(inputs, &Verdict::new(Status::False, Reason::Stale, text))
        }
        true => Next { status: inputs.before.clone(), rows: Rows::Keep },
        false if untold => Next { status: inputs.before.clone(), rows: Rows::Keep },
        false => failed(inputs, &verdict),
    }
}

fn handled(inputs: &Inputs<'_>) -> Option<String> {
    requested(inputs.query).or_else(|| inputs.before.last_handled_reconcile_at.clone())
}

fn concluded(inputs: &Inputs<'_>, mut status: TwinQueryStatus, ready: &Verdict) -> TwinQueryStatus {
    let generation = inputs.query.metadata.generation.unwrap_or_default();
    status.observed_generation = generation;
    status.conditions =
        conditions::build(&inputs.before.conditions, generation, ready, &[], inputs.patience, inputs.now);
    status
}

/// Rows of another text are never shown beside this one.
fn failed(inputs: &Inputs<'_>, ready: &Verdict) -> Next {
    let status = concluded(inputs, inputs.before.clone(), ready);
    if inputs.same_text || !inputs.has_results() {
        return Next { status, rows: Rows::Keep };
    }
    let status = TwinQueryStatus { count: None, truncated: None, item_type: None, results_time: None, ..status };
    Next { status, rows: Rows::None }
}

fn suspended(inputs: &Inputs<'_>) -> Next {
    let has = if inputs.has_results() { Status::True } else { Status::False };
    let text = match inputs.has_results() && !inputs.same_text {
        true => "spec.suspend is true; the results are those of the query before its last edit",
        false => "spec.suspend is true",
    };
    let ready = Verdict::new(has, Reason::Suspended, text);
    Next { status: concluded(inputs, inputs.before.clone(), &ready), rows: Rows::Keep }
}

fn written(inputs: &Inputs<'_>, answer: &Answer, stored: Stored) -> Next {
    let mut status = inputs.before.clone();
    let Ok(Found::All { rows: found, .. }) = &*answer.outcome else { return Next { status, rows: Rows::Keep } };
    let truncated = !found.complete;
    if stored.changed || !inputs.has_results() || status.truncated != Some(truncated) {
        status.results_time = Some(Time(inputs.now));
    }
    status.count = i64::try_from(found.rows.len()).ok();
    status.truncated = Some(truncated);
    status.item_type = Some(found.item_type.clone());
    status.effective_interval = Some(api::Duration::from(inputs.interval));
    status.last_handled_reconcile_at = handled(inputs);
    if let Some(output) = &mut status.output {
        output.shards = i32::try_from(stored.shards).unwrap_or(i32::MAX);
    }
    let text = match truncated {
        false => "the output holds the rows of the last run",
        true => "the output holds the first rows of the last run; the hub has more than fit into an output",
    };
    let ready = Verdict::new(Status::True, Reason::Fresh, text);
    Next { status: concluded(inputs, status, &ready), rows: Rows::None }
}

fn worked(inputs: &Inputs<'_>, found: &rows::Rows) -> Next {
    let limit = usize::try_from(inputs.query.spec.limit).unwrap_or(1);
    let chosen = results::choose(found, limit, inputs.shown);
    let mut status = inputs.before.clone();
    let shows = inputs.has_results() && inputs.before.output.is_none();
    let same = shows && chosen.shown.same(inputs.shown) && status.truncated == Some(chosen.truncated);
    status.truncated = Some(chosen.truncated);
    status.item_type = Some(found.item_type.clone());
    status.effective_interval = Some(api::Duration::from(inputs.interval));
    status.last_handled_reconcile_at = handled(inputs);
    let rows = if same {
        Rows::Keep
    } else {
        status.results_time = Some(Time(inputs.now));
        status.count = i64::try_from(chosen.rows.len()).ok();
        Rows::New(chosen)
    };
    let ready = Verdict::new(Status::True, Reason::Fresh, "the results are those of the last run");
    Next { status: concluded(inputs, status, &ready), rows }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::api::conditions::find;
    use crate::controller::twin_query::rows::Bounds;

    const MINUTE: Duration = Duration::from_secs(60);

    struct Given {
        query: TwinQuery,
        before: TwinQueryStatus,
        shown: Shown,
        same_text: bool,
        age: Duration,
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn query(generation: i64) -> TwinQuery {
        serde_json::from_value(json!({
            "metadata": {"name": "q", "generation": generation},
            "spec": {"hubRef": {"name": "hub"}, "query": "q"},
        }))
        .unwrap()
    }

    impl Given {
        fn new() -> Self {
            let before = TwinQueryStatus { observed_generation: -1, ..TwinQueryStatus::default() };
            Self { query: query(1), before, shown: Shown::default(), same_text: false, age: Duration::ZERO }
        }

        /// After a good run.
        fn ran() -> Self {
            let mut given = Self::new();
            let next = given.record(&answered(Ok(found(&[1, 2]))));
            let Rows::New(results) = next.rows else { panic!("they are new") };
            given.before = next.status;
            given.shown = results.shown;
            given.same_text = true;
            given
        }

        fn record(&self, outcome: &Outcome) -> Next {
            let Self { query, before, shown, same_text, age } = self;
            let inputs = Inputs {
                query,
                before,
                shown,
                same_text: *same_text,
                interval: MINUTE,
                age: *age,
                cleared: false,
                patience: Patience::None,
                now: at(1000),
            };
            record(&inputs, outcome)
        }
    }

    fn found(numbers: &[i64]) -> Found {
        let mut rows = rows::Rows { complete: true, ..rows::Rows::default() };
        let page = numbers.iter().map(|n| json!({"n": n})).collect();
        rows.take("Raw", page, Bounds { rows: 100, bytes: 1 << 20 });
        Found::Rows(rows)
    }

    fn answered(outcome: Result<Found, Failed>) -> Outcome {
        Outcome::Answered(Answer { asked: at(990), came: at(999), outcome: Arc::new(outcome) })
    }

    fn trouble() -> Outcome {
        let (reason, message) = (Reason::HubUnreachable, "no answer".to_owned());
        answered(Err(Failed::Trouble { reason, message, pause: None }))
    }

    fn ready(next: &Next) -> String {
        let ready = find(&next.status.conditions, "Ready").unwrap();
        format!("{} {}", ready.status, ready.reason)
    }

    #[test]
    fn equal_rows_change_nothing_and_others_do() {
        let given = Given::ran();
        let same = given.record(&answered(Ok(found(&[2, 1]))));
        assert_eq!((&same.status, same.rows), (&given.before, Rows::Keep));
        let other = given.record(&answered(Ok(found(&[2, 3, 1]))));
        assert_eq!((other.status.count, matches!(other.rows, Rows::New(_))), (Some(3), true));
        assert_eq!(other.status.effective_interval, Some(api::Duration::from(MINUTE)));
    }

    #[test]
    fn a_run_that_fails_keeps_the_last_rows_until_three_intervals_have_passed() {
        let mut given = Given::ran();
        given.age = MINUTE * 3;
        let kept = given.record(&trouble());
        assert_eq!((&kept.status, kept.rows), (&given.before, Rows::Keep));
        given.age += Duration::from_secs(1);
        for outcome in [trouble(), Outcome::Waiting("it waits")] {
            let stale = given.record(&outcome);
            assert_eq!((ready(&stale), stale.rows, stale.status.count), ("False Stale".into(), Rows::Keep, Some(2)));
        }
    }

    #[test]
    fn who_never_ran_says_why_but_not_that_it_has_just_begun() {
        let mut given = Given::new();
        assert_eq!(ready(&given.record(&trouble())), "False HubUnreachable");
        assert_eq!(given.record(&Outcome::Waiting("it waits")).status, given.before);
        given.age = SOON;
        assert_eq!(ready(&given.record(&Outcome::Waiting("it waits"))), "False Pending");
    }

    #[test]
    fn rows_of_another_text_go_but_a_suspended_query_keeps_them_and_says_so() {
        let mut given = Given::ran();
        (given.query, given.same_text) = (query(2), false);
        let rejected = given.record(&answered(Err(Failed::Rejected("no".to_owned()))));
        assert_eq!((ready(&rejected), rejected.rows), ("False QueryRejected".into(), Rows::None));
        assert_eq!((rejected.status.count, rejected.status.observed_generation), (None, 2));
        let kept = given.record(&Outcome::Suspended);
        assert_eq!((ready(&kept), kept.rows, kept.status.count), ("True Suspended".into(), Rows::Keep, Some(2)));
        assert!(find(&kept.status.conditions, "Ready").unwrap().message.contains("before its last edit"));
    }
}
