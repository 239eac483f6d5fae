//! DeviceTwin: gather, decide, execute, record.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::runtime::controller::Action;

use super::events::Note;
use super::{Context, backoff, status};
use crate::api::{DeviceTwin, DeviceTwinStatus};

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
mod show;
mod validate;

pub use memory::Memory;
pub use peers::Peers;
pub(crate) use plan::ledger;
pub(crate) use validate::{Wanted, validate};

use delete::Next;
use execute::Outcome;
use gather::{Freshness, Goal, Inputs};
use plan::Decision;
use record::{Again, Record};

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
pub async fn reconcile(twin: Arc<DeviceTwin>, context: Arc<Context>) -> Result<Action, status::WriteError> {
    context.metrics.reconciles.get_or_create(&vec![("kind", "DeviceTwin")]).inc();
    match delete::first(&twin, &context).await? {
        Next::Done(action) => return Ok(action),
        Next::Live => {}
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
            context.events.publish(&*connection, &Note { text, ..note }).await;
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
) -> Result<Action, status::WriteError> {
    let uid = twin.uid().unwrap_or_default();
    let Record { status, notes, again, remembered } = record;
    // Before the status: what is told here is not found again by looking.
    for note in &notes {
        context.events.publish(twin, note).await;
    }
    if let Some(status) = status
        && (remembered.unsaved.is_some() || status != inputs.before)
    {
        if let Some(wait) = too_soon(twin, context, inputs, &status) {
            return Ok(Action::requeue(wait));
        }
        log(twin, &status);
        let write = status::write(context, &context.written_twins, twin, &inputs.resource_version, &status).await?;
        if write == status::Write::Conflict {
            return Ok(Action::requeue(Duration::from_millis(100)));
        }
        context.memory.saved(&uid);
    }
    let pace = &context.settings.pace;
    let until = |at: Option<jiff::Timestamp>, most: Duration| {
        let Some(at) = at else { return most };
        let left = at.duration_since(context.settings.clock.now());
        Duration::try_from(left).unwrap_or_default().saturating_add(Duration::from_millis(500)).min(most)
    };
    let delay = match again {
        Again::Backoff => return Ok(Action::requeue(context.backoff.next(&uid))),
        Again::Soon => SOON,
        Again::Waiting(at) => until(at, pace.waiting),
        Again::Calm(at) => until(at, pace.calm),
    };
    context.backoff.forget(&uid);
    Ok(Action::requeue(backoff::jittered(delay).max(Duration::from_millis(500))))
}

/// A device that keeps reporting does not cost a write each time.
fn too_soon(twin: &DeviceTwin, context: &Context, inputs: &Inputs, status: &DeviceTwinStatus) -> Option<Duration> {
    let interval = record::may_wait(inputs, status)?;
    let age = context.written_twins.age(twin)?;
    (age < interval).then(|| interval - age)
}

fn log(twin: &DeviceTwin, status: &DeviceTwinStatus) {
    let of = |type_| crate::api::conditions::find(&status.conditions, type_).map_or("", |found| found.reason.as_str());
    let (namespace, name) = (twin.namespace().unwrap_or_default(), twin.name_any());
    tracing::info!(namespace, name, ready = of("Ready"), converged = of("Converged"), "DeviceTwin");
}
