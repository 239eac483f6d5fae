//! From inputs, decision and outcome to the new status. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::super::events::Note;
use super::converged;
use super::execute::Outcome;
use super::gather::{Found, Inputs};
use super::memory::{Refused, Remembered};
use super::notes;
use super::plan::Decision;
use super::ready::{failed, gated, is_the_connections, ready, synced_before, waits_for_edit};
use super::show::{differs, pointers, remember, show, whole_seconds};
use crate::api::DeviceTwinStatus;
use crate::api::conditions::{self, Beside, Patience, Reason, Status, Verdict};
use crate::hub::Kind;
use crate::twin::document::Section;
use crate::twin::plan::{Ledger, Plan, Why};
use crate::twin::view::Twin;

/// What a reconcile comes to.
pub(super) struct Record {
    /// The new status; `None`: nothing is written to the object.
    pub(super) status: Option<DeviceTwinStatus>,
    pub(super) notes: Vec<Note>,
    pub(super) again: Again,
    /// What to remember from now on.
    pub(super) remembered: Remembered,
}

/// When to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// After a growing delay.
    Backoff,
    /// In a moment.
    Soon,
    /// When the connection recovers, at this time, or in a minute.
    Waiting(Option<Timestamp>),
    /// At this time, or when somebody asks.
    Calm(Option<Timestamp>),
}

pub(super) fn record(inputs: &Inputs, decision: &Decision, outcome: &Outcome) -> Record {
    let remembered = remembered(inputs, decision, outcome);
    let mut notes = notes::of_plan(decision, outcome);
    let verdict = ready(inputs, decision, outcome);
    let again = again(inputs, outcome, &verdict);
    let untold = matches!(inputs.found, Found::Unusable(_)) && verdict.reason == Reason::Pending;
    let kept = synced_before(inputs) && is_the_connections(verdict.reason);
    if untold || kept || matches!(outcome, Outcome::Later(_)) {
        // The connection's first answer is on its way, or the hub held this generation when last seen: that it cannot be
        // asked now is the connection's to tell.
        return Record { status: None, notes, again, remembered };
    }
    let (status, look_again) = status(inputs, decision, outcome, verdict);
    notes.extend(notes::of_status(&inputs.before, &status));
    let again = match again {
        Again::Calm(None) => Again::Calm(look_again),
        Again::Waiting(None) => Again::Waiting(stalls_at(inputs, &status)),
        again => again,
    };
    let mut remembered = remembered;
    if matches!(outcome, Outcome::Written(_)) || status.applied != inputs.before.applied {
        remembered.unsaved = Some(status.clone());
    }
    Record { status: Some(status), notes, again, remembered }
}

/// The verdicts of conditions, without times and messages.
pub(super) fn verdicts(conditions: &[Condition]) -> Vec<(&str, &str, &str)> {
    conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect()
}

/// The new status, and when it may be another with nothing done by anybody.
fn status(
    inputs: &Inputs,
    decision: &Decision,
    outcome: &Outcome,
    ready: Verdict,
) -> (DeviceTwinStatus, Option<Timestamp>) {
    let mut status = inputs.before.clone();
    status.observed_generation = inputs.generation;
    status.last_handled_reconcile_at = inputs.requested.clone().or(status.last_handled_reconcile_at);
    if status.hub.is_none() && !inputs.at.host.is_empty() {
        // Also a twin that was never read shows which one is meant.
        status.hub = Some(inputs.at.clone());
    }
    let mut look_again = decision.contest.look_again(&inputs.pace);
    let mut converged = converged::unknown(&inputs.before, &ready);
    let mut gate = None;
    if let (Some(twin), Some(wanted), Some(plan)) = (latest(inputs, outcome), &inputs.wanted, &decision.plan) {
        status.pending = None;
        if holds_spec(plan, outcome) && judges(&ready) {
            let judged = converged::judge(inputs, decision, wanted, twin);
            status.pending = pointers(judged.pending.iter().map(|at| Section::Desired.absolute(at)));
            look_again = look_again.into_iter().chain(judged.look_again).min();
            converged = converged::verdict(&judged);
            gate = Some(wanted.gate);
        }
        show(&mut status, inputs, wanted, twin);
        remember(&mut status, decision, plan, outcome, wanted.observe);
    } else if matches!(inputs.found, Found::Gone(_)) {
        (status.plan, status.drift, status.pending) = (None, None, None);
    }
    if matches!(outcome, Outcome::Written(_)) {
        status.last_write_time = Some(whole_seconds(inputs.now));
    }
    let ready = gate.map_or(ready.clone(), |gate| gated(ready, &converged, gate));
    let patience = Patience::For(inputs.pace.stalled_after);
    let further = [("Converged", converged)];
    status.conditions =
        conditions::build(&inputs.before.conditions, inputs.generation, &ready, &further, patience, inputs.now);
    (quiet_while_contested(inputs, status), look_again)
}

/// The twin after what was done.
fn latest<'a>(inputs: &'a Inputs, outcome: &'a Outcome) -> Option<&'a Twin> {
    match outcome {
        Outcome::Written(twin) => Some(twin),
        _ => inputs.found.twin().map(|twin| &**twin),
    }
}

/// Whether the hub holds what the spec asks, drift aside.
fn holds_spec(plan: &Plan, outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Written(_)) || plan.actions.is_empty()
}

/// Whether it is the device's turn.
fn judges(ready: &Verdict) -> bool {
    ready.status == Status::True || matches!(ready.reason, Reason::Drifted | Reason::Contested)
}

/// Of a contest only its begin and its end are written: not each flip, and not each correction.
fn quiet_while_contested(inputs: &Inputs, status: DeviceTwinStatus) -> DeviceTwinStatus {
    let before = &inputs.before;
    let contested = |status: &DeviceTwinStatus| {
        conditions::find(&status.conditions, "Ready").is_some_and(|ready| ready.reason == Reason::Contested.as_str())
    };
    if !(contested(before) && contested(&status)) {
        return status;
    }
    let same = DeviceTwinStatus {
        twin: before.twin.clone(),
        last_write_time: before.last_write_time.clone(),
        ..status.clone()
    };
    if differs(&same, before, inputs.reported) { status } else { same }
}

/// When Reconciling becomes Stalled.
fn stalls_at(inputs: &Inputs, status: &DeviceTwinStatus) -> Option<Timestamp> {
    let ready = conditions::find(&status.conditions, "Ready")?;
    let patient = Reason::ALL
        .iter()
        .any(|reason| reason.as_str() == ready.reason && reason.beside() == Beside::ReconcilingThenStalled);
    let end = ready.last_transition_time.0.checked_add(inputs.pace.stalled_after).ok()?;
    (patient && end > inputs.now).then_some(end)
}

fn again(inputs: &Inputs, outcome: &Outcome, ready: &Verdict) -> Again {
    match (&inputs.found, outcome) {
        (_, Outcome::Later(at)) => Again::Calm(Some(*at)),
        _ if waits_for_edit(outcome) => Again::Calm(None),
        (Found::Gone(_) | Found::Failed(_), _) | (_, Outcome::Moved | Outcome::Created | Outcome::Failed(_)) => {
            Again::Backoff
        }
        (Found::Unusable(_), _) if ready.reason == Reason::Pending => Again::Soon,
        (Found::Unusable(_), _) => Again::Waiting(None),
        _ => Again::Calm(None),
    }
}

fn remembered(inputs: &Inputs, decision: &Decision, outcome: &Outcome) -> Remembered {
    let mut remembered = inputs.remembered.clone();
    remembered.contest = decision.contest.clone();
    let plan = decision.plan.as_ref();
    if matches!(inputs.found, Found::Read(_)) {
        // It landed or it did not: the basis of this plan says so.
        remembered.sent = None;
    }
    match outcome {
        Outcome::Written(_) => {
            let corrected = plan.into_iter().flat_map(|plan| &plan.actions).filter(|action| action.why == Why::Drift);
            remembered.contest.correct(corrected.map(|action| &action.place), &inputs.pace, inputs.now);
            remembered.refused = None;
        }
        Outcome::Failed(error) if error.kind() == Kind::Unreachable => {
            if let Some(plan) = plan {
                let sent = remembered.sent.get_or_insert_default();
                let Ledger { tags, desired } = plan.ledger_after.clone();
                sent.tags.extend(tags);
                sent.desired.extend(desired);
            }
        }
        Outcome::Failed(error) if waits_for_edit(outcome) => {
            let etag = inputs.found.twin().filter(|_| error.kind() == Kind::TooLarge).map(|twin| twin.etag.clone());
            remembered.refused = Some(Refused { generation: inputs.generation, etag, verdict: failed(error) });
        }
        Outcome::Nothing | Outcome::Created | Outcome::Moved | Outcome::Later(_) | Outcome::Failed(_) => {}
    }
    remembered
}

/// How often at most the status of a chatty device is written; what concerns the spec or the ledger never waits.
pub(super) fn may_wait(inputs: &Inputs, status: &DeviceTwinStatus) -> Option<Duration> {
    let before = &inputs.before;
    let urgent = inputs.remembered.unsaved.is_some()
        || before.last_write_time != status.last_write_time
        || before.observed_generation != status.observed_generation
        || before.applied != status.applied
        || verdicts(&before.conditions) != verdicts(&status.conditions);
    (!urgent).then_some(inputs.status_interval)
}
