//! TwinQuery: asks the hub, compares, and writes when the results changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::runtime::controller::Action;

use super::hubs::{Entry, Health, HubKey, connection_trouble, told};
use super::{Context, backoff, status};
use crate::api::conditions::{self, Patience, Reason, Status, Verdict};
use crate::api::{JsonObject, TwinQuery, TwinQueryStatus, requested};
use crate::hub::{Caller, Class, Error, Kind};

mod results;

use results::{Results, Rows};

/// Results older than this many intervals are stale.
const STALE_AFTER: u32 = 3;

/// When each query last ran, by uid, and for which text.
#[derive(Default)]
pub struct Runs(Mutex<HashMap<String, Run>>);

#[derive(Clone)]
struct Run {
    /// The generation that the last run worked for; `None`: it is due.
    generation: Option<i64>,
    first_seen: Timestamp,
    worked: Option<Timestamp>,
}

enum Found {
    Suspended,
    NotYet(Duration),
    Unusable(Verdict),
    Rejected(Verdict),
    Rows(Rows),
}

/// One reconcile of a TwinQuery.
pub async fn reconcile(query: Arc<TwinQuery>, context: Arc<Context>) -> Result<Action, status::WriteError> {
    context.metrics.reconciles.get_or_create(&vec![("kind", "TwinQuery")]).inc();
    if query.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let uid = query.uid().unwrap_or_default();
    let (before, resource_version) = context.written_queries.newest(&*query, query.status.as_ref());
    let before = before.unwrap_or_else(|| TwinQueryStatus { observed_generation: -1, ..TwinQueryStatus::default() });
    let found = gather(&query, &context, &before, &uid).await;
    let now = context.settings.clock.now();
    let since = context.query_runs.since(&uid, now);
    let interval = query.spec.interval.get();
    let stale = passed(since, now) > interval * STALE_AFTER;
    let pace = &context.settings.pace;
    let next = match &found {
        Found::NotYet(left) => return Ok(Action::requeue(*left)),
        Found::Suspended => pace.calm,
        Found::Rejected(_) => pace.rejected,
        Found::Unusable(verdict) if verdict.reason == Reason::Pending => Duration::from_secs(1),
        Found::Unusable(_) => interval.min(pace.waiting),
        Found::Rows(_) => interval,
    };
    let status = record(&query, &before, found, stale, context.settings.patience(), now);
    if status != before {
        let write = status::write(&context, &context.written_queries, &*query, &resource_version, &status).await?;
        if write == status::Write::Conflict {
            context.query_runs.due(&uid, now);
            return Ok(Action::requeue(Duration::from_secs(1)));
        }
    }
    Ok(Action::requeue(backoff::jittered(next)))
}

async fn gather(query: &TwinQuery, context: &Context, before: &TwinQueryStatus, uid: &str) -> Found {
    if query.spec.suspend {
        return Found::Suspended;
    }
    let key = HubKey::of_query(query);
    let hub = match context.hubs.get(&key) {
        None => return Found::Unusable(context.unresolved(&key)),
        Some(Entry::Broken(verdict)) => return Found::Unusable(verdict),
        Some(Entry::Usable(hub)) => hub,
    };
    match hub.health() {
        Health::Up => {}
        Health::Down(verdict) => return Found::Unusable(verdict),
        Health::Unknown => {
            let text = "waiting for the hub's first answer";
            return Found::Unusable(Verdict::new(Status::False, Reason::Pending, text));
        }
    }
    let (generation, now) = (query.metadata.generation.unwrap_or_default(), context.settings.clock.now());
    let asked = requested(query);
    let handled = asked.is_none() || asked == before.last_handled_reconcile_at;
    if handled && let Some(left) = context.query_runs.too_early(uid, generation, query.spec.interval.get(), now) {
        return Found::NotYet(left);
    }
    context.query_runs.due(uid, now);
    let caller = hub.caller(Class::TwinQuery, &key.namespace);
    let answer = ask(&caller, &query.spec.query, usize::try_from(query.spec.limit).unwrap_or(1)).await;
    context.note_one(&hub, &answer);
    match answer {
        Ok(rows) => {
            context.query_runs.succeed(uid, generation, now);
            Found::Rows(rows)
        }
        Err(error) if error.kind() == Kind::BadRequest => {
            Found::Rejected(Verdict::new(Status::False, Reason::QueryRejected, error.to_string()))
        }
        Err(error) => {
            let reason = connection_trouble(&error).unwrap_or(Reason::HubUnreachable);
            Found::Unusable(Verdict::new(Status::False, reason, told(&error)))
        }
    }
}

/// Reads until one row more than is shown.
async fn ask(caller: &Caller<'_>, text: &str, limit: usize) -> Result<Rows, Error> {
    let page_size = u32::try_from(limit.saturating_add(1)).unwrap_or(u32::MAX).min(100);
    let mut rows = Rows::default();
    let mut next = None;
    loop {
        let page = caller.query(text, page_size, next.as_ref()).await?;
        rows.item_type = page.item_type;
        rows.rows.extend(page.rows);
        next = page.continuation;
        if next.is_none() || rows.rows.len() > limit {
            return Ok(rows);
        }
    }
}

fn record(
    query: &TwinQuery,
    before: &TwinQueryStatus,
    found: Found,
    stale: bool,
    patience: Patience,
    now: Timestamp,
) -> TwinQueryStatus {
    let generation = query.metadata.generation.unwrap_or_default();
    let has_results = before.results.is_some();
    let mut status = before.clone();
    let ready = match found {
        Found::Suspended if has_results => Verdict::new(Status::True, Reason::Suspended, "spec.suspend is true"),
        Found::Suspended => Verdict::new(Status::False, Reason::Suspended, "spec.suspend is true"),
        // Not looked at yet: the status that the object began with says so.
        Found::Unusable(verdict) if verdict.reason == Reason::Pending => return status,
        // A run that fails keeps the last good results and Ready as it was, until they are stale.
        Found::Unusable(_) if has_results && !stale => return status,
        Found::Unusable(verdict) if has_results => {
            let text = format!("the results are older than three intervals: {}", verdict.message);
            Verdict::new(Status::False, Reason::Stale, text)
        }
        Found::NotYet(_) => return status,
        Found::Rejected(verdict) => {
            status.last_handled_reconcile_at = requested(query).or(status.last_handled_reconcile_at);
            verdict
        }
        Found::Unusable(verdict) => verdict,
        Found::Rows(rows) => {
            let limit = usize::try_from(query.spec.limit).unwrap_or(1);
            let Results { item_type, rows, truncated } = results::shape(rows, limit);
            let rows: Vec<JsonObject> = rows.into_iter().map(JsonObject).collect();
            let same = status.results.as_ref().is_some_and(|before| results::same(before, &rows));
            if !same || status.truncated != Some(truncated) {
                status.results_time = Some(Time(now));
                status.count = i64::try_from(rows.len()).ok();
                status.results = Some(rows);
            }
            status.truncated = Some(truncated);
            status.item_type = Some(item_type);
            status.last_handled_reconcile_at = requested(query).or(status.last_handled_reconcile_at);
            Verdict::new(Status::True, Reason::Fresh, "the results are those of the last run")
        }
    };
    status.observed_generation = generation;
    status.conditions = conditions::build(&before.conditions, generation, &ready, &[], patience, now);
    status
}

/// How much time passed; none if the clock was set back.
fn passed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

impl Runs {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Run>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long until the next run; `None` when it is due, or the text changed.
    fn too_early(&self, uid: &str, generation: i64, interval: Duration, now: Timestamp) -> Option<Duration> {
        // Requeues are jittered by a fifth: a little before the interval is due.
        let due = interval.mul_f64(0.75);
        self.with(|runs| {
            let run = runs.get(uid).filter(|run| run.generation == Some(generation))?;
            due.checked_sub(passed(run.worked?, now)).filter(|left| !left.is_zero())
        })
    }

    fn run<T>(&self, uid: &str, now: Timestamp, work: impl FnOnce(&mut Run) -> T) -> T {
        let first = || Run { generation: None, first_seen: now, worked: None };
        self.with(|runs| work(runs.entry(uid.to_owned()).or_insert_with(first)))
    }

    /// When the query last worked, else when it was first seen.
    fn since(&self, uid: &str, now: Timestamp) -> Timestamp {
        self.run(uid, now, |run| run.worked.unwrap_or(run.first_seen))
    }

    /// The next reconcile runs the query.
    fn due(&self, uid: &str, now: Timestamp) {
        self.run(uid, now, |run| run.generation = None);
    }

    fn succeed(&self, uid: &str, generation: i64, now: Timestamp) {
        self.run(uid, now, |run| {
            run.generation = Some(generation);
            run.worked = Some(now);
        });
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        self.with(|runs| runs.remove(uid));
    }
}
