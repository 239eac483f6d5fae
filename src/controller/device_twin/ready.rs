//! The verdict on Ready. Pure.

use super::super::hubs::connection_trouble;
use super::execute::Outcome;
use super::gather::{Found, Inputs};
use super::identity::Missing;
use super::peer;
use super::plan::Decision;
use crate::api::conditions::{self, Reason, Status, Verdict};
use crate::api::device_twin::Gate;
use crate::hub::Kind;
use crate::twin::plan::{Blocked, Plan};

/// What a list in a message shows.
const SHOWN: usize = 3;

pub(super) fn ready(inputs: &Inputs, decision: &Decision, outcome: &Outcome) -> Verdict {
    let no = |reason, text: String| Verdict::new(Status::False, reason, text);
    match &inputs.found {
        Found::Suspended => return suspended(inputs, decision),
        Found::Invalid(wrong) => return no(Reason::InvalidTwin, listed(wrong)),
        Found::Unusable(verdict) | Found::Failed(verdict) => return verdict.clone(),
        Found::Gone(missing) => {
            return match outcome {
                Outcome::Failed(error) => failed(error),
                _ if decision.may_not_create => {
                    let text = format!(
                        "{}; identity.policy is CreateIfMissing, and the ClusterHubConnection does not allow it: register \
                         the device, or have an administrator add CreateIdentity to allow in an entry of spec.access",
                        not_found(inputs, *missing)
                    );
                    no(Reason::DeviceNotFound, text)
                }
                _ => no(Reason::DeviceNotFound, not_found(inputs, *missing)),
            };
        }
        Found::Row(_) | Found::Read(_) => {}
    }
    let Some(plan) = &decision.plan else { return no(Reason::Pending, "not planned yet".to_owned()) };
    let blocked = blocked(inputs, plan);
    if inputs.observes() {
        let text = "spec.mode is Observe: status.plan shows what would be written";
        let text = blocked.map_or_else(
            || text.to_owned(),
            |verdict| format!("spec.mode is Observe; Manage would be {}: {}", verdict.reason.as_str(), verdict.message),
        );
        return Verdict::new(Status::True, Reason::Observing, text);
    }
    if let Some(verdict) = blocked.or_else(|| decision.refused.clone()) {
        return verdict;
    }
    match outcome {
        Outcome::Failed(error) => return failed(error),
        Outcome::Moved | Outcome::Created | Outcome::Later(_) => {
            return no(Reason::Pending, "other back ends keep writing to this twin; trying again".to_owned());
        }
        Outcome::Nothing | Outcome::Written(_) => {}
    }
    if let Some(text) = contested(decision) {
        return no(Reason::Contested, text);
    }
    if !plan.drift.is_empty() {
        let paths: Vec<String> = plan.drift.iter().map(ToString::to_string).collect();
        let text = format!("changed by somebody else, and driftPolicy is Report: {}", listed(&paths));
        return no(Reason::Drifted, text);
    }
    Verdict::new(Status::True, Reason::Synced, "the hub holds what the spec asks")
}

/// Ready waits for the device, where the object asks for it.
pub(super) fn gated(ready: Verdict, converged: &Verdict, gate: Gate) -> Verdict {
    match gate {
        Gate::Ready if ready.reason == Reason::Synced && converged.status != Status::True => {
            Verdict { status: Status::False, ..converged.clone() }
        }
        Gate::Ready | Gate::None => ready,
    }
}

/// Troubles of the connection that leave a twin as it is that was in sync at this generation.
pub(in crate::controller) fn is_the_connections(reason: Reason) -> bool {
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

/// Whether the object's status says that the hub held this generation.
pub(super) fn synced_before(inputs: &Inputs) -> bool {
    const HELD: [Reason; 6] = [
        Reason::WaitingForDevice,
        Reason::DeviceOffline,
        Reason::DeviceRefused,
        Reason::AckTimeout,
        Reason::Drifted,
        Reason::Contested,
    ];
    inputs.before.observed_generation == inputs.generation
        && conditions::find(&inputs.before.conditions, "Ready")
            .is_some_and(|ready| ready.status == "True" || HELD.iter().any(|held| ready.reason == held.as_str()))
}

/// A refusal that only another spec can mend.
pub(super) fn waits_for_edit(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(error) if matches!(error.kind(), Kind::BadRequest | Kind::TooLarge))
}

/// Why a call failed.
pub(super) fn failed(error: &crate::hub::Error) -> Verdict {
    let reason = match error.kind() {
        Kind::BadRequest => Reason::InvalidTwin,
        Kind::TooLarge => Reason::TooLarge,
        Kind::DeviceNotFound | Kind::ModuleNotFound => Reason::DeviceNotFound,
        _ => connection_trouble(error).unwrap_or(Reason::HubUnreachable),
    };
    Verdict::new(Status::False, reason, error.to_string())
}

/// The first few of many, with the true count.
pub(super) fn listed(texts: &[String]) -> String {
    let shown = texts.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if texts.len() > SHOWN { format!("{shown}; and {} more", texts.len() - SHOWN) } else { shown }
}

fn suspended(inputs: &Inputs, decision: &Decision) -> Verdict {
    let held = inputs.wanted.as_ref().is_some_and(|wanted| decision.basis.ledger.as_ref() == Some(&wanted.ours));
    // The ledger says what we wrote; these say that somebody else's value was there when last seen.
    let differs = [Reason::Drifted, Reason::Contested];
    let last = conditions::find(&inputs.before.conditions, "Ready");
    let differs = last.is_some_and(|ready| differs.iter().any(|reason| ready.reason == reason.as_str()))
        || inputs.before.drift.is_some();
    let status = if held && !differs { Status::True } else { Status::False };
    Verdict::new(status, Reason::Suspended, "spec.suspend is true: the twin is neither read nor written")
}

fn not_found(inputs: &Inputs, missing: Missing) -> String {
    let at = &inputs.at;
    match (missing, &at.module_id) {
        (Missing::Module, Some(module)) => {
            format!("the hub {} knows no module {module} of device {}", at.host, at.device_id)
        }
        (Missing::Device, Some(module)) => {
            format!("the hub {} knows no device {}, which module {module} needs", at.host, at.device_id)
        }
        (_, None) => format!("the hub {} knows no device {}", at.host, at.device_id),
    }
}

fn blocked(inputs: &Inputs, plan: &Plan) -> Option<Verdict> {
    let text = |block: &Blocked| match block {
        Blocked::Claimed(lost) => peer::told(lost, &inputs.peers, &inputs.namespace),
        Blocked::Differs(_) | Blocked::Shape { .. } | Blocked::TooLarge { .. } => block.to_string(),
    };
    let first = plan.blocked.first()?;
    let reason = if matches!(first, Blocked::TooLarge { .. }) { Reason::TooLarge } else { Reason::Conflict };
    let texts: Vec<String> = plan.blocked.iter().map(text).collect();
    Some(Verdict::new(Status::False, reason, listed(&texts)))
}

/// What is told of contested leaves: only what holds from the begin of a contest to its end.
fn contested(decision: &Decision) -> Option<String> {
    let text = |(place, by): (&crate::twin::plan::Place, Option<&str>)| match by {
        Some(by) => format!("{place}: the automatic configuration {by} keeps setting it"),
        None => format!("{place}: somebody keeps undoing our value"),
    };
    let texts: Vec<String> = decision.contest.contested().map(text).collect();
    (!texts.is_empty()).then(|| format!("{}; it is set back more and more rarely", listed(&texts)))
}
