//! From inputs, plan and outcome to the new status. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::super::events::Note;
use super::super::hubs::connection_trouble;
use super::execute::Outcome;
use super::gather::{Found, Inputs};
use super::plan::ledger;
use super::validate::Wanted;
use crate::api::conditions::{self, Patience, Reason, Status, Verdict};
use crate::api::device_twin::{Applied, Connection, StatusProperties, TwinVersions};
use crate::api::{DeviceTwinStatus, EventReason, JsonObject, POINTER_BYTES, POINTERS, Pointers};
use crate::hub::Kind;
use crate::twin::converge::{self, Convergence};
use crate::twin::document::{self, Leaves, Object, Section, from_leaves};
use crate::twin::plan::{Blocked, Ledger, Place, Plan, Why};
use crate::twin::view::{ConnectionState, Twin};

/// What a reconcile comes to.
pub(super) struct Record {
    /// The new status; `None`: nothing is written to the object.
    pub(super) status: Option<DeviceTwinStatus>,
    pub(super) notes: Vec<Note>,
    pub(super) again: Again,
    pub(super) status_interval: Duration,
}

/// When to look again.
pub(super) enum Again {
    /// After a growing delay.
    Backoff,
    /// When the connection recovers, or in a minute.
    Waiting,
    /// At this time, or in an hour.
    Calm(Option<Timestamp>),
}

pub(super) fn record(
    inputs: &Inputs,
    plan: Option<&Plan>,
    outcome: &Outcome,
    patience: Patience,
    now: Timestamp,
) -> Record {
    let mut record = Record {
        status: None,
        notes: plan.filter(|_| !observes(inputs)).map(|plan| notes(plan, outcome)).unwrap_or_default(),
        again: Again::Calm(None),
        status_interval: inputs.status_interval,
    };
    let ready = ready(inputs, plan, outcome);
    let synced_before = inputs.before.observed_generation == inputs.generation
        && conditions::find(&inputs.before.conditions, "Ready").is_some_and(|ready| ready.status == "True");
    record.again = match (&inputs.found, outcome) {
        (Found::Gone | Found::Failed(_), _) | (_, Outcome::Moved | Outcome::Failed(_)) if !waits_for_edit(outcome) => {
            Again::Backoff
        }
        (Found::Unusable(_), _) => Again::Waiting,
        _ => Again::Calm(None),
    };
    if matches!(inputs.found, Found::Unusable(_)) && ready.reason == Reason::Pending {
        // The connection's first answer is on its way: the status that the object began with tells the truth.
        return record;
    }
    if synced_before && keeps_ready(ready.reason) {
        // The hub held this generation when last seen. That it cannot be asked now is the connection's to tell.
        return record;
    }
    let mut status = inputs.before.clone();
    status.observed_generation = inputs.generation;
    status.last_handled_reconcile_at = inputs.requested.clone().or(status.last_handled_reconcile_at);
    if status.hub.is_none() && !inputs.at.host.is_empty() {
        // Also a twin that was never read shows which one is meant.
        status.hub = Some(inputs.at.clone());
    }
    let twin = match outcome {
        Outcome::Written(twin) => {
            status.last_write_time = Some(whole_seconds(now));
            Some(twin)
        }
        Outcome::Nothing | Outcome::Moved | Outcome::Failed(_) => inputs.found.twin(),
    };
    let mut converged = unknown(&inputs.before, &ready);
    if let (Some(twin), Some(wanted), Some(plan)) = (twin, &inputs.wanted, plan) {
        let held = plan.actions.is_empty() || matches!(outcome, Outcome::Written(_));
        if held && (ready.status == Status::True || ready.reason == Reason::Drifted) {
            let judged = judge(inputs, wanted, twin, now);
            status.pending = pointers(judged.pending.iter().map(|at| Section::Desired.absolute(at)));
            record.again = Again::Calm(judged.look_again);
            converged = converged_verdict(&judged);
        } else {
            status.pending = None;
        }
        show(&mut status, inputs, wanted, twin, now);
        remember(&mut status, inputs, plan, outcome, wanted.observe);
    }
    let further = [("Converged", converged)];
    status.conditions =
        conditions::build(&inputs.before.conditions, inputs.generation, &ready, &further, patience, now);
    record.status = Some(status);
    record
}

/// The verdicts of conditions, without times and messages.
pub(super) fn verdicts(conditions: &[Condition]) -> Vec<(&str, &str, &str)> {
    conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect()
}

fn observes(inputs: &Inputs) -> bool {
    inputs.wanted.as_ref().is_some_and(|wanted| wanted.observe)
}

/// A refusal that only another spec can mend.
fn waits_for_edit(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(error) if matches!(error.kind(), Kind::BadRequest | Kind::TooLarge))
}

/// Troubles that leave a twin Ready that was in sync at this generation.
fn keeps_ready(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Pending
            | Reason::Throttled
            | Reason::QuotaExceeded
            | Reason::HubUnreachable
            | Reason::HubNotFound
            | Reason::SecretMissing
            | Reason::SecretInvalid
            | Reason::Unauthorized
            | Reason::TlsFailed
    )
}

fn ready(inputs: &Inputs, plan: Option<&Plan>, outcome: &Outcome) -> Verdict {
    let no = |reason, text: String| Verdict::new(Status::False, reason, text);
    let yes = |reason, text: &str| Verdict::new(Status::True, reason, text);
    match &inputs.found {
        Found::Suspended => {
            let held = inputs
                .wanted
                .as_ref()
                .is_some_and(|wanted| ledger(&inputs.before, &inputs.at).as_ref() == Some(&wanted.ours));
            let status = if held { Status::True } else { Status::False };
            return Verdict::new(
                status,
                Reason::Suspended,
                "spec.suspend is true: the twin is neither read nor written",
            );
        }
        Found::Invalid(wrong) => return no(Reason::InvalidTwin, listed(wrong)),
        Found::Unusable(verdict) | Found::Failed(verdict) => return verdict.clone(),
        Found::Gone => {
            let at = &inputs.at;
            let module = at.module_id.as_ref().map(|module| format!(" module {module}")).unwrap_or_default();
            return no(Reason::DeviceNotFound, format!("the hub {} knows no device {}{module}", at.host, at.device_id));
        }
        Found::Row(_) | Found::Read(_) => {}
    }
    let Some(plan) = plan else { return no(Reason::Pending, "not planned yet".to_owned()) };
    if let Some(verdict) = blocked(&plan.blocked) {
        return verdict;
    }
    if observes(inputs) {
        return yes(Reason::Observing, "spec.mode is Observe: status.plan shows what would be written");
    }
    match outcome {
        Outcome::Failed(error) => failed(error),
        Outcome::Moved => no(Reason::Pending, "other back ends keep writing to this twin; trying again".to_owned()),
        Outcome::Nothing | Outcome::Written(_) if !plan.drift.is_empty() => {
            let paths: Vec<String> = plan.drift.iter().map(ToString::to_string).collect();
            no(Reason::Drifted, format!("changed by somebody else, and driftPolicy is Report: {}", listed(&paths)))
        }
        Outcome::Nothing | Outcome::Written(_) => yes(Reason::Synced, "the hub holds what the spec asks"),
    }
}

fn failed(error: &crate::hub::Error) -> Verdict {
    let reason = match error.kind() {
        Kind::BadRequest => Reason::InvalidTwin,
        Kind::TooLarge => Reason::TooLarge,
        Kind::DeviceNotFound | Kind::ModuleNotFound => Reason::DeviceNotFound,
        _ => connection_trouble(error).unwrap_or(Reason::HubUnreachable),
    };
    Verdict::new(Status::False, reason, error.to_string())
}

fn blocked(blocked: &[Blocked]) -> Option<Verdict> {
    let first = blocked.first()?;
    let reason = if matches!(first, Blocked::TooLarge { .. }) { Reason::TooLarge } else { Reason::Conflict };
    let texts: Vec<String> = blocked.iter().map(ToString::to_string).collect();
    Some(Verdict::new(Status::False, reason, listed(&texts)))
}

/// The first few of many, with the true count.
fn listed(texts: &[String]) -> String {
    let shown = texts.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
    if texts.len() > 3 { format!("{shown}; and {} more", texts.len() - 3) } else { shown }
}

/// Convergence when nothing new is known of the device.
fn unknown(before: &DeviceTwinStatus, ready: &Verdict) -> Verdict {
    // Suspended, and the hub was last seen to hold this spec: what the device confirmed then still counts.
    if ready.reason == Reason::Suspended
        && ready.status == Status::True
        && let Some(old) = conditions::find(&before.conditions, "Converged")
        && old.status == "True"
    {
        let nothing = old.reason == Reason::NothingDesired.as_str();
        let reason = if nothing { Reason::NothingDesired } else { Reason::Confirmed };
        return Verdict::new(Status::True, reason, old.message.clone());
    }
    Verdict::new(Status::Unknown, Reason::NotSynced, "this generation is not at the hub yet")
}

fn judge(inputs: &Inputs, wanted: &Wanted, twin: &Twin, now: Timestamp) -> Convergence {
    converge::judge(&converge::Inputs {
        ours: &wanted.ours.desired,
        confirmed_before: &confirmed_before(inputs),
        ignore: &wanted.ignore,
        desired_metadata: &twin.desired_metadata,
        reported: &twin.reported,
        reported_metadata: &twin.reported_metadata,
        seen: (twin.connection_state == Some(ConnectionState::Connected)).then_some(now),
        edge_runtime: matches!(wanted.id.module(), Some("$edgeAgent" | "$edgeHub")),
        timeout: wanted.timeout,
        now,
    })
}

/// The leaves that status says are confirmed: all of the ledger's when it was converged, else those not pending, as far
/// as the list is whole.
fn confirmed_before(inputs: &Inputs) -> Leaves {
    let Some(base) = ledger(&inputs.before, &inputs.at) else { return Leaves::new() };
    let judged = conditions::find(&inputs.before.conditions, "Converged").is_some_and(|c| c.reason != "NotSynced");
    let pending = inputs.before.pending.clone().unwrap_or_default();
    let whole = usize::try_from(pending.count).is_ok_and(|count| count == pending.paths.len());
    if !(judged && whole) {
        return Leaves::new();
    }
    let open = |at: &crate::twin::pointer::Pointer| {
        pending.paths.contains(&Section::Desired.absolute(at).shortened(POINTER_BYTES))
    };
    base.desired.into_iter().filter(|(at, _)| !open(at)).collect()
}

fn converged_verdict(judged: &Convergence) -> Verdict {
    use converge::Verdict as Judged;
    let about = judged.detail.as_ref().map(|(at, text)| {
        let at = Section::Desired.absolute(at).shortened(POINTER_BYTES);
        if text.is_empty() { at } else { format!("{at}: {text}") }
    });
    let about = about.unwrap_or_default();
    let open = judged.pending.len();
    let (status, reason, text) = match judged.verdict {
        Judged::Confirmed => (Status::True, Reason::Confirmed, "the device confirmed every desired leaf".to_owned()),
        Judged::NothingDesired => {
            (Status::True, Reason::NothingDesired, "the spec has no desired properties".to_owned())
        }
        Judged::Waiting => (Status::Unknown, Reason::WaitingForDevice, format!("{open} not confirmed, first {about}")),
        Judged::Offline => (
            Status::Unknown,
            Reason::DeviceOffline,
            format!("{open} not confirmed in time, and the device was not seen; first {about}"),
        ),
        Judged::TimedOut => (Status::False, Reason::AckTimeout, format!("{open} not confirmed in time, first {about}")),
        Judged::Refused => (Status::False, Reason::DeviceRefused, format!("the device refuses {about}")),
    };
    Verdict::new(status, reason, text)
}

/// What the twin looks like.
fn show(status: &mut DeviceTwinStatus, inputs: &Inputs, wanted: &Wanted, twin: &Twin, now: Timestamp) {
    status.hub = Some(inputs.at.clone());
    status.twin = Some(TwinVersions {
        etag: twin.etag.as_str().to_owned(),
        version: twin.version,
        desired_version: twin.desired_version,
        reported_version: twin.reported_version,
    });
    let reported = match &wanted.mirror {
        None => twin.reported.clone(),
        Some(paths) => {
            let mut shown = Object::new();
            for at in paths {
                if let Some(value) = document::get(&twin.reported, at) {
                    document::set(&mut shown, at, value.clone());
                }
            }
            shown
        }
    };
    status.properties = Some(StatusProperties { reported: JsonObject(reported) });
    let time = twin.reported_metadata.get("$lastUpdated").and_then(|time| time.as_str()?.parse().ok());
    status.reported_time = time.filter(|_| twin.reported_version > 1).map(whole_seconds);
    if let Some(state) = twin.connection_state {
        let state = match state {
            ConnectionState::Connected => "Connected",
            ConnectionState::Disconnected => "Disconnected",
        };
        if status.connection.as_ref().is_none_or(|connection| connection.state != state) {
            status.connection = Some(Connection { state: state.to_owned(), observed_time: whole_seconds(now) });
        }
    }
}

/// Times in Kubernetes have whole seconds: one with more would differ from itself once stored.
fn whole_seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// The ledger, and what is held back.
fn remember(status: &mut DeviceTwinStatus, inputs: &Inputs, plan: &Plan, outcome: &Outcome, observe: bool) {
    let base = ledger(&inputs.before, &inputs.at);
    let new = match outcome {
        Outcome::Written(_) => Some(&plan.ledger_after),
        // Observe keeps the ledger that it has and adds nothing; without one there is still none.
        Outcome::Nothing if observe => base.as_ref(),
        Outcome::Nothing | Outcome::Moved | Outcome::Failed(_) => Some(&plan.ledger_now),
    };
    status.applied = new.map(applied);
    let held_back = observe || matches!(outcome, Outcome::Failed(_) | Outcome::Moved);
    let would = plan.actions.iter().map(|action| place(&action.place));
    status.plan = if held_back { pointers(would) } else { None };
    status.drift = pointers(plan.drift.iter().map(place));
}

fn applied(ledger: &Ledger) -> Applied {
    Applied { tags: JsonObject(from_leaves(&ledger.tags)), desired: JsonObject(from_leaves(&ledger.desired)) }
}

fn place(place: &Place) -> crate::twin::pointer::Pointer {
    place.section.absolute(&place.at)
}

/// The capped list; `None` when there is nothing to list.
fn pointers(all: impl Iterator<Item = crate::twin::pointer::Pointer>) -> Option<Pointers> {
    let all: Vec<_> = all.collect();
    let paths = all.iter().take(POINTERS).map(|at| at.shortened(POINTER_BYTES)).collect();
    (!all.is_empty()).then(|| Pointers { count: i64::try_from(all.len()).unwrap_or(i64::MAX), paths })
}

/// What a person wants to know and a condition cannot keep.
fn notes(plan: &Plan, outcome: &Outcome) -> Vec<Note> {
    let mut notes = Vec::new();
    let corrected: Vec<String> =
        plan.actions.iter().filter(|action| action.why == Why::Drift).map(|action| action.place.to_string()).collect();
    if matches!(outcome, Outcome::Written(_)) && !corrected.is_empty() {
        let text = format!("somebody else changed {}; set back", listed(&corrected));
        notes.push(Note { reason: EventReason::DriftCorrected, text });
    }
    let released: Vec<String> = plan.released.iter().map(ToString::to_string).collect();
    if !released.is_empty() {
        let text = format!("the hub keeps {}: no longer in the spec, but changed by somebody else", listed(&released));
        notes.push(Note { reason: EventReason::Released, text });
    }
    notes
}
