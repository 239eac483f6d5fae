//! TwinQuery: asks the hub, compares, and writes when the results changed.
//!
//! A reconcile never waits for the hub. It sets a question off, which runs by itself, is shared with whoever asks the same,
//! and has every one of them reconciled when the answer is there. So an edit counts at once, whatever is under way.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use tokio_util::task::AbortOnDropHandle;

use super::hubs::{Entry, Health, Hub, HubKey};
use super::{Context, backoff, metrics, status};
use crate::api::conditions::Reason;
use crate::api::{TwinQuery, TwinQueryStatus, requested};
use crate::hub::{Class, Room};

mod question;
mod read;
mod record;
mod results;
mod rows;
mod runs;
mod write;

pub use question::Questions;
pub use runs::Runs;

use question::{Answer, Look, Question, Want};
use read::Failed;
use record::{Inputs, Outcome};
use results::Shown;
use runs::{Due, later, passed};

/// What a reconcile works with.
struct Subject<'a> {
    query: &'a TwinQuery,
    context: &'a Arc<Context>,
    uid: String,
    generation: i64,
    /// The status to go on from; its rows are left out, see [`lean`].
    before: TwinQueryStatus,
    /// The version that a write is to carry.
    resource_version: String,
    now: Timestamp,
}

/// What a look came to.
enum Found {
    /// Nothing is due.
    NotYet(Duration),
    /// The budget has no room yet.
    NoRoom(Duration),
    /// What is to be told.
    Told(Outcome),
}

/// One reconcile of a TwinQuery.
pub async fn reconcile(query: Arc<TwinQuery>, context: Arc<Context>) -> Result<Action, status::WriteError> {
    context.metrics.reconciles.get_or_create(&vec![("kind", "TwinQuery")]).inc();
    if query.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let (before, resource_version) = context.written_queries.newest(&*query, query.status.as_ref());
    let subject = Subject {
        query: &query,
        context: &context,
        uid: query.uid().unwrap_or_default(),
        generation: query.metadata.generation.unwrap_or_default(),
        before: before.unwrap_or_else(|| TwinQueryStatus { observed_generation: -1, ..TwinQueryStatus::default() }),
        resource_version,
        now: context.settings.clock.now(),
    };
    subject.meet();
    let interval = subject.interval();
    let (outcome, next) = match subject.gather(interval) {
        Found::NotYet(left) => return Ok(Action::requeue(left)),
        Found::NoRoom(left) => (Outcome::Waiting("waiting for room in the budget of the hub"), Some(left)),
        Found::Told(outcome) => (outcome, None),
    };
    let written = subject.tell(&outcome, interval).await?;
    context.backoff.forget(&subject.uid);
    if written == status::Write::Conflict {
        return Ok(Action::requeue(Duration::from_secs(1)));
    }
    let after = subject.settle(&outcome, interval);
    Ok(Action::requeue(next.unwrap_or(after)))
}

impl Subject<'_> {
    /// What is remembered of a query that is seen for the first time.
    fn meet(&self) {
        let observed = self.before.observed_generation == self.generation;
        self.context.query_runs.with(&self.uid, |run| {
            if run.first_seen.is_none() {
                run.first_seen = Some(self.now);
                run.name = Some((self.query.namespace().unwrap_or_default(), self.query.name_any()));
                run.text = observed.then(|| runs::fingerprint(&self.query.spec.query));
            }
        });
    }

    /// How often the hub is to be asked now.
    fn interval(&self) -> Duration {
        let hub = match self.context.hubs.get(&HubKey::of_query(self.query)) {
            Some(Entry::Usable(hub)) => Some(hub),
            _ => None,
        };
        let stretch = hub.map_or(1, |hub| hub.stretch().twin_query);
        self.query.spec.interval.get().saturating_mul(stretch)
    }

    fn gather(&self, interval: Duration) -> Found {
        if self.query.spec.suspend {
            self.asks(None);
            return Found::Told(Outcome::Suspended);
        }
        let key = HubKey::of_query(self.query);
        let hub = match self.context.hubs.get(&key) {
            None => return Found::Told(Outcome::Unusable(self.context.unresolved(&key))),
            Some(Entry::Broken(verdict)) => return Found::Told(Outcome::Unusable(verdict)),
            Some(Entry::Usable(hub)) => hub,
        };
        match hub.health() {
            Health::Up => self.look(&hub, interval),
            Health::Down(verdict) => Found::Told(Outcome::Unusable(verdict)),
            Health::Unknown => Found::Told(Outcome::Waiting("waiting for the hub's first answer")),
        }
    }

    /// Asks the hub, or shares what others are told.
    fn look(&self, hub: &Arc<Hub>, interval: Duration) -> Found {
        let question = Question { text: self.query.spec.query.clone() };
        self.asks(Some((hub, &question)));
        let request = self.request();
        let due =
            self.context.query_runs.with(&self.uid, |run| run.due(self.generation, self.longest(interval), self.now));
        if let (None, Due::In(left)) = (request, due) {
            return Found::NotYet(left);
        }
        let want = Want {
            rows: usize::try_from(self.query.spec.limit).unwrap_or(1),
            since: earlier(self.now, interval / 2),
            not_before: request.unwrap_or(Timestamp::MIN),
        };
        match hub.questions.look(&question, &self.uid, ObjectRef::from_obj(self.query), want) {
            Look::Answered(answer) => Found::Told(Outcome::Answered(answer)),
            Look::UnderWay => Found::Told(Outcome::Waiting("waiting for the answer of the hub")),
            Look::Ask(rows) => {
                let namespace = self.query.namespace().unwrap_or_default();
                if let Room::At(time) = hub.room(Class::TwinQuery) {
                    let left = time.saturating_duration_since(std::time::Instant::now());
                    return Found::NoRoom(left.max(Duration::from_millis(100)));
                }
                ask(self.context, hub, question, namespace, rows, self.now);
                Found::Told(Outcome::Waiting("waiting for the answer of the hub"))
            }
        }
    }

    /// The longest that a query can be settled for.
    fn longest(&self, interval: Duration) -> Duration {
        interval.max(self.context.settings.pace.rejected).saturating_mul(2)
    }

    /// Since when a look is requested that was not yet had.
    fn request(&self) -> Option<Timestamp> {
        let asked =
            requested(self.query).filter(|asked| self.before.last_handled_reconcile_at.as_ref() != Some(asked))?;
        self.context.query_runs.with(&self.uid, |run| match &run.request {
            Some((known, seen)) if *known == asked => Some(*seen),
            _ => {
                run.request = Some((asked, self.now));
                Some(self.now)
            }
        })
    }

    /// Notes what is asked where; what was asked before is asked no more.
    fn asks(&self, now: Option<(&Arc<Hub>, &Question)>) {
        let left = self.context.query_runs.with(&self.uid, |run| {
            let same = match (&run.asks, now) {
                (Some((hub, question)), Some((now, asks))) => {
                    std::ptr::eq(hub.as_ptr(), Arc::as_ptr(now)) && question == asks
                }
                (None, None) => true,
                _ => false,
            };
            if same {
                return None;
            }
            std::mem::replace(&mut run.asks, now.map(|(hub, question)| (Arc::downgrade(hub), question.clone())))
        });
        runs::leave(left.as_ref(), &self.uid);
    }

    /// Writes the status if anything in it changed.
    async fn tell(&self, outcome: &Outcome, interval: Duration) -> Result<status::Write, status::WriteError> {
        let runs = &self.context.query_runs;
        let shown = runs.shown(&self.uid);
        let text = runs::fingerprint(&self.query.spec.query);
        let (since, same_text) = runs.with(&self.uid, |run| (run.since(self.now), run.text == Some(text)));
        let inputs = Inputs {
            query: self.query,
            before: &self.before,
            shown: &shown,
            same_text,
            interval,
            age: passed(since, self.now),
            patience: self.context.settings.patience(),
            now: self.now,
        };
        let next = record::record(&inputs, outcome);
        if let Outcome::Answered(Answer { outcome, .. }) = outcome
            && outcome.is_ok()
        {
            let name = metrics::named(&self.query.namespace().unwrap_or_default(), &self.query.name_any());
            self.context.metrics.query_rows.get_or_create(&name).set(next.status.count.unwrap_or_default());
        }
        write::write(self, next).await
    }

    /// The outcome is told: what it means for the next run, which is due after the duration that it answers.
    fn settle(&self, outcome: &Outcome, interval: Duration) -> Duration {
        let pace = &self.context.settings.pace;
        let retry = interval.min(pace.waiting);
        match outcome {
            Outcome::Suspended => backoff::jittered(pace.calm),
            Outcome::Unusable(verdict) if verdict.reason == Reason::Pending => Duration::from_secs(1),
            Outcome::Unusable(_) => backoff::jittered(retry),
            // Whoever waits is told; this look is for results that grow stale meanwhile.
            Outcome::Waiting(_) => {
                let since = self.context.query_runs.with(&self.uid, |run| run.since(self.now));
                let stale = later(since, interval.saturating_mul(3));
                passed(self.now, stale).clamp(Duration::from_secs(1), pace.calm)
            }
            Outcome::Answered(answer) => {
                let due = self.answered(answer, interval, retry);
                self.context.query_runs.with(&self.uid, |run| {
                    if let Some((hub, question)) = &run.asks
                        && let Some(hub) = hub.upgrade()
                    {
                        hub.questions.taken(question, &self.uid);
                    }
                });
                due
            }
        }
    }

    fn answered(&self, answer: &Answer, interval: Duration, retry: Duration) -> Duration {
        let text = &self.query.spec.query;
        let due = match &*answer.outcome {
            Ok(_) => runs::again(text, answer.came, interval),
            Err(Failed::Rejected(_)) => later(self.now, backoff::jittered(self.context.settings.pace.rejected)),
            Err(Failed::Trouble { pause, .. }) => return backoff::jittered(retry.max(pause.unwrap_or_default())),
        };
        let worked = answer.outcome.is_ok();
        self.context.query_runs.with(&self.uid, |run| {
            run.settled = Some((self.generation, due));
            if worked {
                run.worked = Some(answer.came);
                run.text = Some(runs::fingerprint(text));
            }
        });
        if worked {
            let name = metrics::named(&self.query.namespace().unwrap_or_default(), &self.query.name_any());
            self.context.metrics.query_answered.get_or_create(&name).set(answer.came.as_second());
        }
        passed(self.now, due)
    }
}

/// A time that much earlier.
fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_sub(by).unwrap_or(Timestamp::MIN)
}

/// Sets a question off. Who waits for its answer is reconciled when it is there.
fn ask(context: &Arc<Context>, hub: &Arc<Hub>, question: Question, namespace: String, rows: usize, now: Timestamp) {
    let spawn = {
        let (context, hub, question) = (context.clone(), hub.clone(), question.clone());
        move || {
            AbortOnDropHandle::new(tokio::spawn(async move {
                let note = |result: &_| context.note_one(&hub, result);
                let outcome = tokio::select! {
                    outcome = read::rows(&hub, &namespace, &question.text, rows, &note) => outcome,
                    () = hub.stop.cancelled() => return,
                    () = context.shutdown.cancelled() => return,
                };
                let told = hub.questions.end(&question, outcome, context.settings.clock.now());
                told.into_iter().for_each(|user| context.triggers.query(user));
            }))
        }
    };
    hub.questions.begin(&question, now, rows, spawn);
}

/// Takes the rows out of a status that passes by: what tells whether others differ is enough.
pub(super) fn lean(runs: &Runs, query: &mut TwinQuery) {
    let version = query.resource_version().unwrap_or_default();
    let rows = query.status.as_mut().and_then(|status| status.results.take());
    if let Some(uid) = query.uid() {
        runs.show(&uid, &version, rows.as_deref().map(Shown::of));
    }
}

/// Forgets a query that is gone.
pub(super) fn gone(context: &Context, uid: &str) {
    context.written_queries.forget(uid);
    context.backoff.forget(uid);
    if let Some((namespace, name)) = context.query_runs.forget(uid) {
        let name = metrics::named(&namespace, &name);
        context.metrics.query_rows.remove(&name);
        context.metrics.query_answered.remove(&name);
    }
}
