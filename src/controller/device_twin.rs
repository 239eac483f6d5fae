//! DeviceTwin: gather, decide, execute, record.

use std::sync::Arc;
use std::time::Duration;

use kube::{Api, ResourceExt as _};

use super::events::Note;
use super::fleet::TwinName;
use super::hubs::{Entry, Health, HubKey};
use super::{Context, backoff, status};
use crate::api::device_twin::TwinAt;
use crate::api::{DeviceTwin, DeviceTwinStatus, requested};
use crate::twin::view::ConnectionState;

mod class;
mod contest;
mod converged;
mod delete;
mod deletion;
mod execute;
mod gather;
mod identity;
mod memory;
mod notes;
mod peer;
mod peers;
mod plan;
mod ready;
mod record;
mod settled;
mod show;
mod validate;

pub use memory::Memory;
pub(in crate::controller) use peers::id;
pub(crate) use plan::ledger;
pub(in crate::controller) use ready::is_the_connections;
pub(crate) use validate::{Wanted, validate};

use delete::Next;
use execute::Outcome;
use gather::{Freshness, Goal, Inputs};
use plan::Decision;
use record::{Again, Record};
use settled::{Calm, Known};

/// How often a plan is made anew in one reconcile because the hub said 412.
const ATTEMPTS: usize = 5;
/// How soon to look again for what is on its way.
const SOON: Duration = Duration::from_secs(1);

/// What gathering, deciding and executing came to.
struct Settled {
    inputs: Inputs,
    decision: Decision,
    outcome: Outcome,
    /// What happened on the way.
    told: Vec<Note>,
}

/// One reconcile of a DeviceTwin.
pub async fn reconcile(twin: Arc<DeviceTwin>, context: Arc<Context>) -> Result<Option<Duration>, status::WriteError> {
    context.metrics.reconciles.get_or_create(&vec![("kind", "DeviceTwin")]).inc();
    match delete::first(&twin, &context).await? {
        Next::Done(action) => return Ok(action),
        Next::Live => {}
    }
    if let Some(Calm(wait)) = calm(&twin, &context) {
        context.backoff.forget(&twin.uid().unwrap_or_default());
        return Ok(wait);
    }
    let Settled { inputs, decision, outcome, told } = settle(&twin, &context, Goal::Sync).await;
    let mut record = record::record(&inputs, &decision, &outcome);
    record.notes.splice(..0, told);
    context.memory.keep(&twin.uid().unwrap_or_default(), record.remembered.clone());
    let wrote = matches!(outcome, Outcome::Written(_));
    let claims_moved = inputs.before.observed_generation != inputs.generation
        || record.status.as_ref().is_some_and(|status| status.applied != inputs.before.applied);
    let action = tell(&twin, &context, &inputs, record).await;
    if claims_moved || wrote {
        // Whoever names the same leaves may win or lose them by this, and nobody else shows them the twin after our write:
        // what we know already, the feed takes for no news.
        context.trigger_peers(&twin);
    }
    action
}

/// Whether an object needs nothing, by what is known without a call.
fn calm(twin: &DeviceTwin, context: &Context) -> Option<Calm> {
    let Some(Entry::Usable(hub)) = context.hubs.get(&HubKey::of_twin(twin)) else { return None };
    let (now, uid) = (context.settings.clock.now(), twin.uid().unwrap_or_default());
    if hub.health() != Health::Up || !context.twins.others(twin).is_empty() {
        return None;
    }
    let namespace = twin.namespace().unwrap_or_default();
    if context.rights(&hub.key, Some(&hub), peers::user(twin, &namespace)).is_err() {
        return None;
    }
    let requested = requested(twin);
    let last = twin.status.as_ref().and_then(|status| status.last_handled_reconcile_at.clone());
    if requested.is_some() && requested != last {
        return None;
    }
    let wanted = validate(twin, hub.settings.arrays, hub.settings.drift).ok()?;
    let view = hub.views.look(&wanted.id).filter(|view| !view.doubted)?;
    let at = TwinAt {
        host: hub.host.clone(),
        device_id: wanted.id.device_id.as_str().to_owned(),
        module_id: wanted.id.module().map(str::to_owned),
    };
    let known = Known {
        etag: view.etag.as_str(),
        version: view.version,
        connection: view.connection.map(ConnectionState::as_str),
    };
    settled::settled(twin, &at, known, &context.memory.recall(&uid), now)
}

/// Gathers, decides and executes, again while the hub says that it moved meanwhile.
async fn settle(twin: &DeviceTwin, context: &Context, goal: Goal) -> Settled {
    let mut freshness = Freshness::Known;
    let mut told = Vec::new();
    let mut attempt = 0;
    loop {
        let inputs = gather::gather(twin, context, goal, freshness).await;
        let decision = plan::decide(&inputs);
        freshness = Freshness::Read;
        if decision.needs_read {
            continue;
        }
        let outcome = match after_a_step_back(twin, context, &inputs, &decision, &mut told).await {
            Some(later) => later,
            None => execute::execute(context, &inputs, &decision).await,
        };
        attempt += 1;
        if let (Outcome::Created, Some(wanted)) = (&outcome, &inputs.wanted) {
            told.push(notes::created(&wanted.id));
        }
        if !matches!(outcome, Outcome::Moved | Outcome::Created) || attempt >= ATTEMPTS {
            return Settled { inputs, decision, outcome, told };
        }
    }
}

/// When the versions of many twins of a hub go back at once, they are written one after the other, and one Event at the
/// connection tells of all of them.
async fn after_a_step_back(
    twin: &DeviceTwin,
    context: &Context,
    inputs: &Inputs,
    decision: &Decision,
    told: &mut Vec<Note>,
) -> Option<Outcome> {
    let (hub, read) = (inputs.hub.as_ref()?, inputs.found.twin()?);
    if !decision.basis.went_back {
        return None;
    }
    let turn = hub.recovery.turn(&twin.uid().unwrap_or_default(), inputs.now);
    if let Some(at) = turn.at {
        return Some(Outcome::Later(at));
    }
    let note = notes::went_back(&inputs.before, read.version);
    match (turn.many, context.connection(&hub.key)) {
        (true, Some(connection)) => {
            let text =
                "the versions of many twins are lower than they were: their devices were made again, or the hub \
                        failed over; leaves that are gone are set again, a few a second"
                    .to_owned();
            connection.publish(context, &Note { text, ..note }).await;
        }
        _ => told.push(note),
    }
    None
}

/// Writes the status when something but time changed, sends the Events, and says when to look again.
async fn tell(
    twin: &DeviceTwin,
    context: &Context,
    inputs: &Inputs,
    record: Record,
) -> Result<Option<Duration>, status::WriteError> {
    let uid = twin.uid().unwrap_or_default();
    let Record { status, notes, again, remembered } = record;
    let recorded = status.as_ref().and_then(|status| Some(status.twin.as_ref()?.version));
    // Before the status: what is told here is not found again by looking.
    for note in &notes {
        context.events.publish(twin, note).await;
    }
    if let Some(status) = status
        && (remembered.unsaved.is_some() || show::differs(&status, &inputs.before, inputs.reported))
    {
        if let Some(wait) = too_soon(twin, context, inputs, &status) {
            return Ok(Some(wait));
        }
        log(twin, &status);
        let Some(status) = with_reported(twin, context, inputs, status).await? else {
            return Ok(Some(Duration::from_millis(100)));
        };
        let write = status::write(context, &*context.twins, twin, &inputs.resource_version, &status).await?;
        if write == status::Write::Conflict {
            return Ok(Some(Duration::from_millis(100)));
        }
        context.memory.saved(&uid);
    }
    if let (Some(hub), Some(wanted), Some(version)) = (&inputs.hub, &inputs.wanted, recorded)
        && !matches!(again, Again::Backoff | Again::Soon)
        // Who shares the twin may not have seen it yet.
        && context.twins.others(twin).is_empty()
    {
        hub.views.release(&wanted.id, version);
    }
    let pace = &context.settings.pace;
    let until = |at: Option<jiff::Timestamp>, most: Duration| {
        let Some(at) = at else { return most };
        let left = at.duration_since(context.settings.clock.now());
        Duration::try_from(left).unwrap_or_default().saturating_add(Duration::from_millis(500)).min(most)
    };
    let delay = match again {
        Again::Backoff => return Ok(Some(context.backoff.next(&uid))),
        Again::Soon => SOON,
        Again::Waiting(at) => until(at, pace.waiting),
        Again::Calm(Some(at)) => until(Some(at), pace.calm),
        // The watch and the feed tell of everything that may happen.
        Again::Calm(None) => {
            context.backoff.forget(&uid);
            return Ok(None);
        }
    };
    context.backoff.forget(&uid);
    Ok(Some(backoff::jittered(delay).max(Duration::from_millis(500))))
}

/// A device that keeps reporting does not cost a write each time.
fn too_soon(twin: &DeviceTwin, context: &Context, inputs: &Inputs, status: &DeviceTwinStatus) -> Option<Duration> {
    let interval = record::may_wait(inputs, status)?;
    let age = context.twins.age(&TwinName::of(twin))?;
    (age < interval).then(|| interval - age)
}

/// The status with what it showed of the reported properties, where this reconcile did not see them: they are not kept in
/// memory, and a status is written whole. `None` when the object changed meanwhile.
async fn with_reported(
    twin: &DeviceTwin,
    context: &Context,
    inputs: &Inputs,
    mut status: DeviceTwinStatus,
) -> Result<Option<DeviceTwinStatus>, status::WriteError> {
    if status.properties.is_some() || inputs.reported.is_none() {
        return Ok(Some(status));
    }
    let (name, namespace) = (twin.name_any(), twin.namespace().unwrap_or_default());
    let api: Api<DeviceTwin> = Api::namespaced(context.client.clone(), &namespace);
    let found = status::bounded("the status", &name, api.get_opt(&name)).await?.flatten();
    let Some(found) = found.filter(|found| found.resource_version().as_ref() == Some(&inputs.resource_version)) else {
        return Ok(None);
    };
    status.properties = found.status.and_then(|status| status.properties);
    Ok(Some(status))
}

fn log(twin: &DeviceTwin, status: &DeviceTwinStatus) {
    let of = |type_| crate::api::conditions::find(&status.conditions, type_).map_or("", |found| found.reason.as_str());
    let (namespace, name) = (twin.namespace().unwrap_or_default(), twin.name_any());
    tracing::info!(namespace, name, ready = of("Ready"), converged = of("Converged"), "DeviceTwin");
}
