//! What is asked of one hub: the same question is asked once, whoever wants to know, and its answer is shared.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio_util::task::AbortOnDropHandle;

use super::read::{Failed, Found};
use crate::api::TwinQuery;

/// The questions of one connection.
#[derive(Default)]
pub struct Questions(Mutex<HashMap<Question, Asked>>);

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// The query.
    pub(super) text: String,
    /// Whether all rows are wanted, or those of a status.
    pub(super) whole: bool,
}

/// Which answer will do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    /// How many rows are to be told.
    pub(super) rows: usize,
    /// An answer that others got will do when it came since then.
    pub(super) since: Timestamp,
    /// No answer will do that was asked for before this.
    pub(super) not_before: Timestamp,
}

/// An answer.
#[derive(Clone)]
pub(super) struct Answer {
    /// When it was asked for.
    pub(super) asked: Timestamp,
    /// When it was there.
    pub(super) came: Timestamp,
    pub(super) outcome: Arc<Result<Found, Failed>>,
}

/// What there is.
pub(super) enum Look {
    /// An answer that will do.
    Answered(Answer),
    /// Somebody is asking; whoever looked is told when the answer is there.
    UnderWay,
    /// To be asked, for so many rows.
    Ask(usize),
}

#[derive(Default)]
struct Asked {
    /// Who wants to know, by uid.
    users: HashMap<String, ObjectRef<TwinQuery>>,
    /// Who waits for the answer that is under way.
    asking: HashSet<String>,
    /// Who waited for the answer that is there, and has not taken it yet.
    waiting: HashSet<String>,
    /// The most rows that were wanted since it was last asked.
    rows: usize,
    flight: Option<Flight>,
    answer: Option<(Answer, usize)>,
}

/// A question on its way; dropped, it is given up.
struct Flight {
    asked: Timestamp,
    rows: usize,
    task: AbortOnDropHandle<()>,
}

impl Questions {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<Question, Asked>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What there is for `user`, who is told of answers from now on.
    pub(super) fn look(&self, question: &Question, uid: &str, user: ObjectRef<TwinQuery>, want: Want) -> Look {
        self.with(|questions| {
            let asked = questions.entry(question.clone()).or_default();
            asked.users.insert(uid.to_owned(), user);
            asked.rows = asked.rows.max(want.rows);
            if let Some((answer, rows)) = &asked.answer
                && asked.will_do(answer, *rows, uid, want)
            {
                return Look::Answered(answer.clone());
            }
            asked.asking.insert(uid.to_owned());
            if asked.is_under_way() { Look::UnderWay } else { Look::Ask(asked.rows) }
        })
    }

    /// Sets off to ask, unless somebody did meanwhile.
    pub(super) fn begin(
        &self,
        question: &Question,
        asked_at: Timestamp,
        rows: usize,
        spawn: impl FnOnce() -> AbortOnDropHandle<()>,
    ) {
        self.with(|questions| {
            if let Some(asked) = questions.get_mut(question).filter(|asked| !asked.is_under_way()) {
                asked.flight = Some(Flight { asked: asked_at, rows, task: spawn() });
                asked.rows = 0;
            }
        });
    }

    /// The answer is there: who is to be told.
    pub(super) fn end(
        &self,
        question: &Question,
        outcome: Result<Found, Failed>,
        now: Timestamp,
    ) -> Vec<ObjectRef<TwinQuery>> {
        self.with(|questions| {
            let Some(asked) = questions.get_mut(question) else { return Vec::new() };
            let Some(flight) = asked.flight.take() else { return Vec::new() };
            let answer = Answer { asked: flight.asked, came: now, outcome: Arc::new(outcome) };
            asked.answer = Some((answer, flight.rows));
            asked.waiting = std::mem::take(&mut asked.asking);
            asked.waiting.iter().filter_map(|uid| asked.users.get(uid).cloned()).collect()
        })
    }

    /// A user needs its answer no more. It is kept for as long as others may want it.
    pub(super) fn taken(&self, question: &Question, uid: &str) {
        self.with(|questions| {
            let Some(asked) = questions.get_mut(question) else { return };
            asked.waiting.remove(uid);
            if asked.waiting.is_empty() && (asked.users.len() <= 1 || question.whole) {
                asked.answer = None;
            }
        });
    }

    /// A user asks this no more. What nobody asks is given up.
    pub(super) fn leave(&self, question: &Question, uid: &str) {
        let left = self.with(|questions| {
            let asked = questions.get_mut(question)?;
            asked.users.remove(uid);
            asked.asking.remove(uid);
            asked.waiting.remove(uid);
            if asked.users.is_empty() { questions.remove(question) } else { None }
        });
        // Dropped here, outside of the lock: rows take a while to free.
        drop(left);
    }
}

impl Asked {
    /// Whether an answer is to come: a task that ended without one will not bring it.
    fn is_under_way(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| !flight.task.is_finished())
    }

    fn will_do(&self, answer: &Answer, rows: usize, uid: &str, want: Want) -> bool {
        let Answer { asked, came, outcome } = answer;
        let waited = self.waiting.contains(uid);
        let deep = match &**outcome {
            Ok(found) => found.tells(want.rows, rows),
            // A failure is for those who waited; a refusal of the text itself is everybody's.
            Err(Failed::Rejected(_)) => true,
            Err(Failed::Trouble { .. }) => waited,
        };
        deep && *asked >= want.not_before && (waited || *came >= want.since)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::Rows;
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn want(rows: usize, since: i64) -> Want {
        Want { rows, since: at(since), not_before: Timestamp::MIN }
    }

    struct Table {
        questions: Questions,
        question: Question,
    }

    impl Table {
        fn new() -> Self {
            Self { questions: Questions::default(), question: Question { text: "q".to_owned(), whole: false } }
        }

        fn look(&self, uid: &str, want: Want) -> &'static str {
            match self.questions.look(&self.question, uid, ObjectRef::new(uid), want) {
                Look::Answered(answer) => match &*answer.outcome {
                    Ok(_) => "answer",
                    Err(_) => "failure",
                },
                Look::UnderWay => "under way",
                Look::Ask(_) => "ask",
            }
        }

        fn begin(&self, second: i64, rows: usize) {
            let task = || AbortOnDropHandle::new(tokio::spawn(std::future::pending()));
            self.questions.begin(&self.question, at(second), rows, task);
        }

        fn end(&self, second: i64, outcome: Result<Found, Failed>) -> usize {
            self.questions.end(&self.question, outcome, at(second)).len()
        }
    }

    fn rows(complete: bool) -> Result<Found, Failed> {
        Ok(Found::Rows(Rows { complete, ..Rows::default() }))
    }

    #[tokio::test]
    async fn one_asks_and_all_are_told() {
        let table = Table::new();
        assert_eq!(table.look("a", want(10, 95)), "ask");
        table.begin(100, 10);
        assert_eq!(table.look("a", want(10, 95)), "under way");
        assert_eq!(table.look("b", want(10, 95)), "under way");
        assert_eq!(table.end(100, rows(true)), 2);
        assert_eq!(table.look("a", want(10, 200)), "answer", "who waited takes it, however long it took");
        table.questions.taken(&table.question, "a");
        assert_eq!(table.look("a", want(10, 101)), "ask", "but once");
        assert_eq!(table.look("c", want(10, 95)), "answer", "young enough for another");
        assert_eq!(table.look("b", want(10, 101)), "answer");
    }

    #[tokio::test]
    async fn an_answer_is_kept_only_for_others() {
        let table = Table::new();
        table.look("a", want(10, 95));
        table.begin(100, 10);
        table.end(100, rows(true));
        table.questions.taken(&table.question, "a");
        assert_eq!(table.look("b", want(10, 95)), "ask");
    }

    #[tokio::test]
    async fn who_wants_more_rows_asks_again_and_for_all() {
        let table = Table::new();
        table.look("a", want(10, 95));
        table.begin(100, 10);
        table.look("b", want(50, 95));
        table.end(100, rows(false));
        assert_eq!(table.look("a", want(10, 95)), "answer");
        assert!(matches!(table.questions.look(&table.question, "b", ObjectRef::new("b"), want(50, 95)), Look::Ask(50)));
        table.begin(101, 50);
        table.end(100, rows(false));
        assert_eq!((table.look("a", want(10, 95)), table.look("b", want(50, 95))), ("answer", "answer"));
    }

    #[tokio::test]
    async fn a_failure_is_told_to_those_who_waited_and_a_request_is_never_met_by_an_older_answer() {
        let table = Table::new();
        table.look("a", want(10, 95));
        table.begin(100, 10);
        let failed = Failed::Rejected("no".to_owned());
        table.end(100, Err(failed));
        assert_eq!(table.look("b", want(10, 95)), "failure", "a refused text is refused to all");
        let nudged = Want { not_before: at(101), ..want(10, 95) };
        assert_eq!(table.look("a", nudged), "ask");
        table.begin(102, 10);
        table.end(100, rows(true));
        assert_eq!(table.look("a", nudged), "answer");
    }

    #[tokio::test]
    async fn what_nobody_asks_is_given_up() {
        let table = Table::new();
        table.look("a", want(10, 95));
        let (alive, mut ended) = tokio::sync::oneshot::channel::<()>();
        let task = || {
            AbortOnDropHandle::new(tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(alive);
            }))
        };
        table.questions.begin(&table.question, at(100), 10, task);
        assert!(ended.try_recv().is_err());
        table.questions.leave(&table.question, "a");
        assert!(ended.await.is_err(), "the task is gone");
        assert_eq!(table.end(100, rows(true)), 0);
    }
}
