//! The verdict on Converged. Pure.

use jiff::Timestamp;

use super::gather::Inputs;
use super::plan::Decision;
use super::validate::Wanted;
use crate::api::conditions::{self, Reason, Status, Verdict};
use crate::api::{DeviceTwinStatus, POINTER_BYTES};
use crate::twin::converge::{self, Convergence};
use crate::twin::document::{Leaves, Section};
use crate::twin::pointer::Pointer;
use crate::twin::view::{ConnectionState, Twin};

/// Convergence when nothing new is known of the device.
pub(super) fn unknown(before: &DeviceTwinStatus, ready: &Verdict) -> Verdict {
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

pub(super) fn judge(inputs: &Inputs, decision: &Decision, wanted: &Wanted, twin: &Twin) -> Convergence {
    converge::judge(&converge::Inputs {
        ours: &wanted.ours.desired,
        confirmed_before: &confirmed_before(inputs, decision),
        ignore: &wanted.ignore,
        desired_metadata: &twin.desired_metadata,
        reported: &twin.reported,
        reported_metadata: &twin.reported_metadata,
        seen: seen(inputs, twin),
        edge_runtime: matches!(wanted.id.module(), Some("$edgeAgent" | "$edgeHub")),
        timeout: wanted.timeout,
        now: inputs.now,
    })
}

/// When the hub last said that the device is connected: now, or when that was first seen.
fn seen(inputs: &Inputs, twin: &Twin) -> Option<Timestamp> {
    if twin.connection_state == Some(ConnectionState::Connected) {
        return Some(inputs.now);
    }
    let before = inputs.before.connection.as_ref().filter(|before| before.state == "Connected")?;
    Some(before.observed_time.0)
}

/// The leaves that status says are confirmed: all of the ledger's when it was converged, else those not pending, as far
/// as the list is whole. A device that was made again has confirmed nothing.
fn confirmed_before(inputs: &Inputs, decision: &Decision) -> Leaves {
    let Some(base) = decision.basis.ledger.as_ref().filter(|_| !decision.basis.went_back) else { return Leaves::new() };
    let judged = conditions::find(&inputs.before.conditions, "Converged").is_some_and(|c| c.reason != "NotSynced");
    let pending = inputs.before.pending.clone().unwrap_or_default();
    let whole = usize::try_from(pending.count).is_ok_and(|count| count == pending.paths.len());
    if !(judged && whole) {
        return Leaves::new();
    }
    let open = |at: &Pointer| pending.paths.contains(&Section::Desired.absolute(at).shortened(POINTER_BYTES));
    base.desired.iter().filter(|(at, _)| !open(at)).map(|(at, value)| (at.clone(), value.clone())).collect()
}

pub(super) fn verdict(judged: &Convergence) -> Verdict {
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
