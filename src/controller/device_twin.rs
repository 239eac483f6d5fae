//! DeviceTwin: gather, plan, execute, record.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::runtime::controller::Action;

use super::{Context, backoff, status};
use crate::api::{DeviceTwin, DeviceTwinStatus};

mod execute;
mod gather;
mod plan;
mod record;
mod validate;

use execute::Outcome;
use gather::{Found, Freshness};
use record::{Again, Record};

/// How often a plan is made anew in one reconcile because the hub said 412.
const ATTEMPTS: usize = 5;

/// One reconcile of a DeviceTwin.
pub async fn reconcile(twin: Arc<DeviceTwin>, context: Arc<Context>) -> Result<Action, status::WriteError> {
    context.metrics.reconciles.get_or_create(&vec![("kind", "DeviceTwin")]).inc();
    if twin.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let (inputs, plan, outcome) = settle(&twin, &context).await;
    let record =
        record::record(&inputs, plan.as_ref(), &outcome, context.settings.patience(), context.settings.clock.now());
    if let (Outcome::Written(_), Some(status)) = (&outcome, &record.status) {
        context.unsaved.keep(&twin, status);
    }
    tell(&twin, &context, &inputs, record).await
}

/// Gathers, plans and executes, again while the hub says that it moved meanwhile.
async fn settle(twin: &DeviceTwin, context: &Context) -> (gather::Inputs, Option<crate::twin::plan::Plan>, Outcome) {
    let mut freshness = Freshness::Known;
    let mut attempt = 0;
    loop {
        let inputs = gather::gather(twin, context, freshness).await;
        let plan = plan::plan(&inputs);
        if matches!(inputs.found, Found::Row(_)) && plan.as_ref().is_some_and(|plan| plan::needs_read(&inputs, plan)) {
            freshness = Freshness::Read;
            continue;
        }
        let outcome = execute::execute(context, &inputs, plan.as_ref()).await;
        attempt += 1;
        if !matches!(outcome, Outcome::Moved) || attempt >= ATTEMPTS {
            return (inputs, plan, outcome);
        }
        freshness = Freshness::Read;
    }
}

/// Writes the status when something but time changed, sends the Events, and says when to look again.
async fn tell(
    twin: &DeviceTwin,
    context: &Context,
    inputs: &gather::Inputs,
    record: Record,
) -> Result<Action, status::WriteError> {
    let uid = twin.uid().unwrap_or_default();
    let Record { status, notes, again, status_interval } = record;
    // Before the status: what is told here is not found again by looking.
    for note in &notes {
        context.events.publish(twin, note).await;
    }
    if let Some(status) = status
        && (inputs.unsaved || status != inputs.before)
    {
        if let Some(wait) = too_soon(twin, context, inputs, &status, status_interval) {
            return Ok(Action::requeue(wait));
        }
        log(twin, &status);
        let write = status::write(context, &context.written_twins, twin, &inputs.resource_version, &status).await?;
        if write == status::Write::Conflict {
            return Ok(Action::requeue(Duration::from_millis(100)));
        }
        context.unsaved.forget(&uid);
    }
    let pace = &context.settings.pace;
    let delay = match again {
        Again::Backoff => return Ok(Action::requeue(context.backoff.next(&uid))),
        Again::Waiting => pace.waiting,
        Again::Calm(None) => pace.calm,
        Again::Calm(Some(at)) => {
            let left = at.duration_since(context.settings.clock.now());
            Duration::try_from(left).unwrap_or_default().saturating_add(Duration::from_secs(1)).min(pace.calm)
        }
    };
    context.backoff.forget(&uid);
    Ok(Action::requeue(backoff::jittered(delay).max(Duration::from_millis(500))))
}

/// A device that keeps reporting does not cost a write each time; what concerns the spec or the ledger never waits.
fn too_soon(
    twin: &DeviceTwin,
    context: &Context,
    inputs: &gather::Inputs,
    status: &DeviceTwinStatus,
    interval: Duration,
) -> Option<Duration> {
    let before = &inputs.before;
    let urgent = inputs.unsaved
        || before.last_write_time != status.last_write_time
        || before.observed_generation != status.observed_generation
        || before.applied != status.applied
        || record::verdicts(&before.conditions) != record::verdicts(&status.conditions);
    let age = context.written_twins.age(twin)?;
    (!urgent && age < interval).then(|| interval - age)
}

fn log(twin: &DeviceTwin, status: &DeviceTwinStatus) {
    let of = |type_| crate::api::conditions::find(&status.conditions, type_).map_or("", |found| found.reason.as_str());
    let (namespace, name) = (twin.namespace().unwrap_or_default(), twin.name_any());
    tracing::info!(namespace, name, ready = of("Ready"), converged = of("Converged"), "DeviceTwin");
}
