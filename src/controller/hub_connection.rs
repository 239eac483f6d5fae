//! HubConnection: gathers the credential, puts the hub in place for everybody else, and tells whether it answers.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::runtime::controller::Action;

use super::connection::Connection;
use super::hubs::{Entry, Health, Hub, HubKey, HubSettings};
use super::{Context, backoff, feed, status};
use crate::api::conditions::{self, Patience, Reason, Status, Verdict};
use crate::api::hub_connection::{CredentialStatus, Tier, Usage};
use crate::api::{ClusterHubConnection, HubConnection, HubConnectionStatus, device_twin};
use crate::hub::{self, Client, Size};
use crate::twin::plan::DriftPolicy;
use crate::twin::rules::Arrays;

mod allowed;
mod gather;

pub use allowed::AllowedHosts;

/// One reconcile of a HubConnection.
pub async fn reconcile(connection: Arc<HubConnection>, context: Arc<Context>) -> Result<Action, status::WriteError> {
    context.metrics.reconciles.get_or_create(&vec![("kind", "HubConnection")]).inc();
    look(Connection::Namespaced(connection), context).await
}

/// One reconcile of a ClusterHubConnection.
pub async fn reconcile_cluster(
    connection: Arc<ClusterHubConnection>,
    context: Arc<Context>,
) -> Result<Action, status::WriteError> {
    context.metrics.reconciles.get_or_create(&vec![("kind", "ClusterHubConnection")]).inc();
    look(Connection::Cluster(connection), context).await
}

async fn look(connection: Connection, context: Arc<Context>) -> Result<Action, status::WriteError> {
    let key = connection.key();
    if connection.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let found = gather::gather(&context, &connection, &key).await;
    let (entry, secret_version) = put_in_place(&context, &connection, &key, found);
    if context.connection(&key).is_none() {
        // Deleted while its Secret was read.
        gone(&context, &key);
        return Ok(Action::await_change());
    }
    if let Entry::Usable(hub) = &entry {
        open(&context, &connection, hub);
    }
    let verdict = judge(&entry);
    if verdict.reason == Reason::Pending {
        // The feed's first answer comes in a moment, and brings us here again; until then the status that the object
        // began with tells the truth.
        return Ok(Action::requeue(context.settings.pace.broken));
    }
    let interval =
        if verdict.status == Status::True { context.settings.secret_interval } else { context.settings.pace.broken };
    let (before, resource_version) = connection.newest(&context.written_hubs);
    let (generation, now) = (connection.meta().generation.unwrap_or_default(), context.settings.clock.now());
    let asked = connection.requested();
    if let Entry::Usable(hub) = &entry
        && asked.is_some()
        && asked != before.last_handled_reconcile_at
    {
        hub.look_now();
    }
    let mut status = record(&before, generation, &verdict, secret_version, now);
    (status.feed, status.budget) = match &entry {
        Entry::Usable(hub) => (hub.progress.told().or(before.feed.clone()), Some(hub.budget_status())),
        Entry::Broken(_) => (before.feed.clone(), before.budget.clone()),
    };
    status.last_handled_reconcile_at = asked.or(before.last_handled_reconcile_at.clone());
    if status != before {
        let reason = verdict.reason.as_str();
        tracing::info!(namespace = key.namespace(), name = key.name(), reason, "{}", key.kind());
        if connection.write(&context, &resource_version, &status).await? == status::Write::Conflict {
            return Ok(Action::requeue(Duration::from_millis(200)));
        }
    }
    Ok(Action::requeue(backoff::jittered(interval)))
}

/// Takes in who may use the connection; who may win or lose by a change is told.
fn open(context: &Context, connection: &Connection, hub: &Hub) {
    let access = connection.access().unwrap_or_default();
    if *hub.access() != *access {
        hub.open_to(access);
        context.trigger_users(&hub.key);
    }
}

/// A connection object is gone: its hub is, too, and who uses it is told.
pub fn gone(context: &Context, key: &HubKey) {
    if context.hubs.remove(key, context.settings.clock.now()) {
        context.trigger_users(key);
    }
}

/// Puts what was gathered where twins and queries find it. A hub whose settings are the same goes on as it is.
fn put_in_place(
    context: &Arc<Context>,
    connection: &Connection,
    key: &HubKey,
    found: gather::Found,
) -> (Entry, Option<String>) {
    let loaded = match found {
        gather::Found::Same(hub) => {
            let version = hub.current().source.secret.clone();
            return (Entry::Usable(hub), version);
        }
        gather::Found::Broken(verdict) => return (broken(context, key, verdict), None),
        gather::Found::Unread(text) => {
            tracing::warn!(namespace = key.namespace(), name = key.name(), "{text}");
            // What is in place goes on: nothing is known to have changed.
            let version = |hub: &Arc<Hub>| hub.current().source.secret.clone();
            return match context.hubs.get(key) {
                Some(Entry::Usable(hub)) => (Entry::Usable(hub.clone()), version(&hub)),
                Some(entry @ Entry::Broken(_)) => (entry, None),
                None => (Entry::Broken(Verdict::new(Status::False, Reason::Pending, text)), None),
            };
        }
        gather::Found::Loaded(loaded) => loaded,
    };
    let (host, source) = (loaded.settings.host.clone(), loaded.source);
    let version = source.secret.clone();
    match Client::new(loaded.settings) {
        Err(error) => {
            (broken(context, key, Verdict::new(Status::False, Reason::TlsFailed, error.to_string())), version)
        }
        Ok(client) => {
            if let Some(Entry::Usable(hub)) = context.hubs.get(key)
                && hub.current().source.object == source.object
            {
                tracing::info!(namespace = key.namespace(), name = key.name(), "{}: another credential", key.kind());
                hub.renew(client, source);
                return (Entry::Usable(hub), version);
            }
            // What an operator before this one wrote down.
            let before = connection.newest(&context.written_hubs).0;
            let watermark = before.feed.and_then(|feed| feed.watermark).map(|time| time.0);
            let seat = context.budgets.seat(&host, size(connection));
            let hub = Arc::new(Hub::new(key.clone(), client, seat, settings(connection), source, watermark));
            if let Some(until) = before.budget.and_then(|budget| budget.throttled_until) {
                hub.honour(until.0);
            }
            context.hubs.put(key.clone(), Entry::Usable(hub.clone()), context.settings.clock.now());
            feed::start(context.clone(), hub.clone());
            (Entry::Usable(hub), version)
        }
    }
}

fn broken(context: &Context, key: &HubKey, verdict: Verdict) -> Entry {
    let news = !matches!(context.hubs.get(key), Some(Entry::Broken(before)) if before == verdict);
    let entry = Entry::Broken(verdict);
    context.hubs.put(key.clone(), entry.clone(), context.settings.clock.now());
    if news {
        context.trigger_users(key);
    }
    entry
}

fn settings(connection: &Connection) -> HubSettings {
    let spec = connection.usage();
    let (poll, sweep) = match spec.tier {
        Tier::F1 => (Duration::from_secs(5 * 60), Duration::from_secs(24 * 3600)),
        Tier::S1 | Tier::S2 | Tier::S3 => (Duration::from_secs(15), Duration::from_secs(3600)),
    };
    HubSettings {
        poll_interval: spec.poll_interval.map_or(poll, crate::api::Duration::get),
        sweep_interval: spec.sweep_interval.map_or(sweep, crate::api::Duration::get),
        status_interval: spec.status_interval.get(),
        arrays: if spec.allow_arrays { Arrays::Allowed } else { Arrays::Refused },
        drift: match spec.defaults.as_ref().and_then(|defaults| defaults.drift_policy) {
            Some(device_twin::DriftPolicy::Report) => DriftPolicy::Report,
            Some(device_twin::DriftPolicy::Correct) | None => DriftPolicy::Correct,
        },
    }
}

/// The hub's size, and the share of it that may be taken.
fn size(connection: &Connection) -> Size {
    let Usage { tier, units, budget, .. } = connection.usage();
    let count = |value: i32| u32::try_from(value).unwrap_or(1).max(1);
    Size {
        tier: match tier {
            Tier::F1 => hub::Tier::F1,
            Tier::S1 => hub::Tier::S1,
            Tier::S2 => hub::Tier::S2,
            Tier::S3 => hub::Tier::S3,
        },
        units: count(*units),
        percent: count(budget.percent),
        burst_percent: count(budget.burst_percent),
        daily_percent: count(budget.daily_percent),
    }
}

fn judge(entry: &Entry) -> Verdict {
    match entry {
        Entry::Broken(verdict) => verdict.clone(),
        Entry::Usable(hub) => match hub.health() {
            Health::Up => Verdict::new(Status::True, Reason::Connected, "the hub answers"),
            Health::Unknown => Verdict::new(Status::False, Reason::Pending, "the hub was not asked yet"),
            Health::Down(verdict) => verdict,
        },
    }
}

fn record(
    before: &HubConnectionStatus,
    generation: i64,
    verdict: &Verdict,
    secret_version: Option<String>,
    now: Timestamp,
) -> HubConnectionStatus {
    HubConnectionStatus {
        observed_generation: generation,
        conditions: conditions::build(&before.conditions, generation, verdict, &[], Patience::None, now),
        last_handled_reconcile_at: None,
        budget: None,
        feed: None,
        credential: secret_version.map(|secret_resource_version| CredentialStatus { secret_resource_version }),
    }
}
