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
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::hubs::{Entry, Health, Hub, HubKey};
use super::namespaces::User;
use super::{Context, backoff, metrics, status};
use crate::api::cluster_hub_connection::AccessKind;
use crate::api::conditions::{self, Reason};
use crate::api::{OutputStatus, TwinQuery, TwinQueryStatus, requested};
use crate::hub::{Class, Room};

mod output;
mod question;
mod read;
mod record;
mod results;
mod rows;
mod runs;
mod write;

pub use question::Questions;
pub use runs::Runs;

use output::{Output, Trouble};
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
    /// Whether an output that the spec names no more was taken away.
    cleared: bool,
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
    let mut subject = Subject {
        query: &query,
        context: &context,
        uid: query.uid().unwrap_or_default(),
        generation: query.metadata.generation.unwrap_or_default(),
        before: before.unwrap_or_else(|| TwinQueryStatus { observed_generation: -1, ..TwinQueryStatus::default() }),
        resource_version,
        now: context.settings.clock.now(),
        cleared: false,
    };
    subject.meet();
    match subject.run().await {
        Ok(next) => {
            context.backoff.forget(&subject.uid);
            Ok(Action::requeue(next))
        }
        Err(Stopped::Changed) => Ok(Action::requeue(Duration::from_secs(1))),
        Err(Stopped::Failed(error)) => Err(error),
    }
}

/// Why a reconcile ends early.
enum Stopped {
    /// Something changed meanwhile: gather again.
    Changed,
    /// The API server refused a write or could not be had.
    Failed(status::WriteError),
}

impl From<status::WriteError> for Stopped {
    fn from(error: status::WriteError) -> Self {
        Self::Failed(error)
    }
}

impl Subject<'_> {
    /// The phases; answers when to look again.
    async fn run(&mut self) -> Result<Duration, Stopped> {
        let interval = self.interval();
        let (found, outcome) = match self.outputs().await? {
            Some(refused) => (None, refused),
            None => match self.gather(interval) {
                Found::NotYet(left) if !self.cleared => return Ok(left),
                Found::NotYet(left) => (Some(left), Outcome::Waiting("waiting for the next run")),
                Found::NoRoom(left) => (Some(left), Outcome::Waiting("waiting for room in the budget of the hub")),
                Found::Told(outcome) => (None, outcome),
            },
        };
        let outcome = self.store(outcome).await?;
        let count = self.tell(&outcome, interval).await?;
        self.measure(&outcome, count.unwrap_or_default());
        let after = self.settle(&outcome, interval);
        Ok(found.unwrap_or(after))
    }

    fn output(&self, name: &str) -> Output<'_> {
        Output::new(self.context.client.clone(), self.query, name)
    }

    /// Takes away an output that the spec names no more. One that was refused is looked at before the hub is asked again.
    async fn outputs(&mut self) -> Result<Option<Outcome>, Stopped> {
        let wanted = self.query.spec.output.as_ref().map(|output| output.config_map.name.as_str());
        let ready = conditions::find(&self.before.conditions, "Ready");
        let refused = ready.is_some_and(|ready| ready.reason == Reason::OutputRefused.as_str());
        let result = match (wanted, &self.before.output) {
            (None, Some(made)) => self.output(&made.config_map).clear().await,
            (Some(name), _) if refused && !self.query.spec.suspend => self.output(name).check().await,
            _ => return Ok(None),
        };
        match result {
            Ok(()) => {
                self.cleared = wanted.is_none();
                Ok(None)
            }
            Err(trouble) => self.refused(trouble).map(Some),
        }
    }

    fn refused(&self, trouble: Trouble) -> Result<Outcome, Stopped> {
        match trouble {
            Trouble::Refused(text) => Ok(Outcome::Refused(text)),
            Trouble::Changed => Err(Stopped::Changed),
            Trouble::Failed(error) => Err(error.into()),
        }
    }

    /// Writes all rows where they are wanted.
    async fn store(&mut self, outcome: Outcome) -> Result<Outcome, Stopped> {
        let Outcome::Answered(answer) = outcome else { return Ok(outcome) };
        let (Ok(read::Found::All { rows, .. }), Some(output)) = (&*answer.outcome, &self.query.spec.output) else {
            return Ok(Outcome::Answered(answer));
        };
        let name = &output.config_map.name;
        self.announce(name).await?;
        match self.output(name).write(rows).await {
            Ok(stored) => Ok(Outcome::Stored(answer, stored)),
            Err(trouble) => self.refused(trouble),
        }
    }

    /// Status names the output before the first ConfigMap is made, so that it is taken away whatever happens in between.
    async fn announce(&mut self, name: &str) -> Result<(), Stopped> {
        if self.before.output.as_ref().is_some_and(|made| made.config_map == name) {
            return Ok(());
        }
        let output = Some(OutputStatus { config_map: name.to_owned(), shards: 0 });
        let status = TwinQueryStatus { output, ..self.before.clone() };
        let next = record::Next { status: status.clone(), rows: record::Rows::Keep };
        if write::write(self, next).await? == status::Write::Conflict {
            return Err(Stopped::Changed);
        }
        let (_, version) = self.context.written_queries.newest(self.query, None);
        (self.before, self.resource_version) = (status, version);
        Ok(())
    }

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
        let asked_for = self.query.spec.interval.get();
        match self.context.hubs.get(&HubKey::of_query(self.query)) {
            Some(Entry::Usable(hub)) => asked_for.saturating_mul(hub.stretch().twin_query),
            // Without its connection it is what it was: results do not grow stale sooner.
            _ => {
                let observed = self.before.observed_generation == self.generation;
                let was = self.before.effective_interval.filter(|_| observed);
                was.map_or(asked_for, |was| was.get().max(asked_for))
            }
        }
    }

    fn gather(&self, interval: Duration) -> Found {
        if self.query.spec.suspend {
            self.asks(None);
            return Found::Told(Outcome::Suspended);
        }
        let key = HubKey::of_query(self.query);
        let namespace = self.query.namespace().unwrap_or_default();
        let user = User { kind: AccessKind::TwinQuery, namespace: &namespace, device: None };
        let entry = self.context.hubs.get(&key);
        if entry.is_some()
            && let Err(verdict) = self.context.rights(&key, None, user)
        {
            return Found::Told(match verdict.reason {
                Reason::Pending => Outcome::Waiting("the labels of the namespace are not known yet"),
                _ => Outcome::Unusable(verdict),
            });
        }
        let hub = match entry {
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
        let question = Question { text: self.query.spec.query.clone(), whole: self.query.spec.output.is_some() };
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

    /// Writes the status if anything in it changed, and answers how many rows it counts.
    async fn tell(&self, outcome: &Outcome, interval: Duration) -> Result<Option<i64>, Stopped> {
        let runs = &self.context.query_runs;
        let shown = runs.shown(&self.uid);
        let text = runs::fingerprint(&self.query.spec.query);
        let (since, same_text) = runs.with(&self.uid, |run| (run.since(self.now), run.text == Some(text)));
        let inputs = Inputs {
            cleared: self.cleared,
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
        let count = next.status.count;
        match write::write(self, next).await? {
            status::Write::Conflict => Err(Stopped::Changed),
            status::Write::Done => Ok(count),
        }
    }

    /// A good answer counts in the metrics once it is told.
    fn measure(&self, outcome: &Outcome, count: i64) {
        let (Outcome::Answered(answer) | Outcome::Stored(answer, _)) = outcome else { return };
        if answer.outcome.is_ok() {
            let name = metrics::named(&self.query.namespace().unwrap_or_default(), &self.query.name_any());
            self.context.metrics.query_rows.get_or_create(&name).set(count);
            self.context.metrics.query_answered.get_or_create(&name).set(answer.came.as_second());
        }
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
            Outcome::Refused(_) => {
                self.taken();
                backoff::jittered(retry)
            }
            Outcome::Answered(answer) | Outcome::Stored(answer, _) => {
                self.taken();
                self.answered(answer, interval, retry)
            }
        }
    }

    /// The answer is needed no more.
    fn taken(&self) {
        let asks = self.context.query_runs.with(&self.uid, |run| run.asks.clone());
        if let Some((hub, question)) = asks
            && let Some(hub) = hub.upgrade()
        {
            hub.questions.taken(&question, &self.uid);
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
                    outcome = read(&hub, &namespace, &question, rows, &context.query_runs.room, &note) => outcome,
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

async fn read(
    hub: &Hub,
    namespace: &str,
    question: &Question,
    rows: usize,
    room: &Arc<Semaphore>,
    note: read::Note<'_>,
) -> Result<read::Found, Failed> {
    match question.whole {
        true => read::all(hub, namespace, &question.text, room, note).await,
        false => read::rows(hub, namespace, &question.text, rows, note).await,
    }
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
