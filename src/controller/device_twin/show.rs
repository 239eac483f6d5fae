//! What status shows of a twin and of its ledger. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::fleet::digest;
use super::execute::Outcome;
use super::gather::Inputs;
use super::plan::Decision;
use super::validate::Wanted;
use crate::api::device_twin::{Applied, Connection, StatusProperties, TwinVersions};
use crate::api::{DeviceTwinStatus, JsonObject, POINTER_BYTES, POINTERS, Pointers};
use crate::twin::document::{self, Object, from_leaves};
use crate::twin::plan::{Ledger, Place, Plan};
use crate::twin::pointer::Pointer;
use crate::twin::view::Twin;

/// What the twin looks like.
pub(super) fn show(status: &mut DeviceTwinStatus, inputs: &Inputs, wanted: &Wanted, twin: &Twin) {
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
        let state = state.as_str();
        if status.connection.as_ref().is_none_or(|connection| connection.state != state) {
            status.connection = Some(Connection { state: state.to_owned(), observed_time: whole_seconds(inputs.now) });
        }
    }
}

/// Whether a status is another than the one before, whose reported properties are known by their digest only.
pub(super) fn differs(status: &DeviceTwinStatus, before: &DeviceTwinStatus, reported: Option<u64>) -> bool {
    let rest = |status: &DeviceTwinStatus| DeviceTwinStatus { properties: None, ..status.clone() };
    let shown = status.properties.as_ref().map(|shown| digest(&shown.reported.0));
    rest(status) != rest(before) || (shown.is_some() && shown != reported)
}

/// The ledger, and what is held back.
pub(super) fn remember(
    status: &mut DeviceTwinStatus,
    decision: &Decision,
    plan: &Plan,
    outcome: &Outcome,
    observe: bool,
) {
    let base = decision.basis.ledger.as_ref();
    let wrote = matches!(outcome, Outcome::Written(_));
    let new = match outcome {
        Outcome::Written(_) => Some(&plan.ledger_after),
        // Observe keeps the ledger that it has and adds nothing; without one there is still none.
        _ if observe => base,
        // Nor does an object get a ledger by being refused: it holds nothing.
        _ if base.is_none() && plan.ledger_now == Ledger::default() && !plan.blocked.is_empty() => None,
        _ => Some(&plan.ledger_now),
    };
    status.applied = new.map(applied);
    let held_back = observe || !(wrote || plan.actions.is_empty());
    let would = plan.actions.iter().map(absolute);
    status.plan = if held_back { pointers(would) } else { None };
    // Contested leaves are listed from the begin of the contest to its end, whoever's value is there just now.
    let contested = decision.contest.contested().map(|(place, _)| place);
    status.drift = pointers(plan.drift.iter().chain(contested).map(|place| place.section.absolute(&place.at)));
}

fn absolute(action: &crate::twin::plan::Action) -> Pointer {
    let Place { section, at } = &action.place;
    section.absolute(at)
}

fn applied(ledger: &Ledger) -> Applied {
    Applied { tags: JsonObject(from_leaves(&ledger.tags)), desired: JsonObject(from_leaves(&ledger.desired)) }
}

/// The capped list; `None` when there is nothing to list.
pub(super) fn pointers(all: impl Iterator<Item = Pointer>) -> Option<Pointers> {
    let all: Vec<_> = all.collect();
    let paths = all.iter().take(POINTERS).map(|at| at.shortened(POINTER_BYTES)).collect();
    (!all.is_empty()).then(|| Pointers { count: i64::try_from(all.len()).unwrap_or(i64::MAX), paths })
}

/// Times in Kubernetes have whole seconds: one with more would differ from itself once stored.
pub(super) fn whole_seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
