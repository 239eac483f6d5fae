//! The Events of one reconcile: what a person wants to know and a condition cannot keep. Pure.

use super::super::events::Note;
use super::execute::Outcome;
use super::plan::Decision;
use super::ready::listed;
use crate::api::conditions::{self, Reason};
use crate::api::{DeviceTwinStatus, EventReason};
use crate::twin::plan::{Place, Plan, Why};

/// What was done to the twin.
pub(super) fn of_plan(decision: &Decision, outcome: &Outcome) -> Vec<Note> {
    let Some(plan) = &decision.plan else { return Vec::new() };
    let mut notes = Vec::new();
    if matches!(outcome, Outcome::Written(_)) {
        notes.extend(written(plan));
        // While a leaf is contested, one Event at its begin says enough.
        let quiet = |place: &Place| decision.contest.contested().any(|(contested, _)| contested == place);
        let corrected = plan.actions.iter().filter(|action| action.why == Why::Drift && !quiet(&action.place));
        let corrected: Vec<String> = corrected.map(|action| action.place.to_string()).collect();
        if !corrected.is_empty() {
            let text = format!("somebody else changed {}; set back", listed(&corrected));
            notes.push(Note { reason: EventReason::DriftCorrected, text });
        }
    }
    let released: Vec<String> = plan.released.iter().map(ToString::to_string).collect();
    if !released.is_empty() && !matches!(outcome, Outcome::Later(_)) {
        let text = format!("the hub keeps {}: no longer in the spec, but changed by somebody else", listed(&released));
        notes.push(Note { reason: EventReason::Released, text });
    }
    notes
}

/// What a change of the spec came to.
fn written(plan: &Plan) -> Option<Note> {
    let changed = plan.actions.iter().filter(|action| action.why != Why::Drift);
    let told = |action: &crate::twin::plan::Action| {
        let verb = if action.value.is_some() { "set" } else { "removed" };
        format!("{verb} {}", action.place)
    };
    let changed: Vec<String> = changed.map(told).collect();
    let text = format!("written to the hub: {}", listed(&changed));
    (!changed.is_empty()).then_some(Note { reason: EventReason::Synced, text })
}

/// What a condition came to say that it did not say before.
pub(super) fn of_status(before: &DeviceTwinStatus, after: &DeviceTwinStatus) -> Vec<Note> {
    let told = [
        ("Ready", Reason::Conflict, EventReason::Conflict),
        ("Ready", Reason::Contested, EventReason::Contested),
        ("Converged", Reason::DeviceRefused, EventReason::RefusedByDevice),
    ];
    let mut notes = Vec::new();
    for (type_, reason, event) in told {
        let says = |status: &DeviceTwinStatus| {
            let found = conditions::find(&status.conditions, type_).filter(|found| found.reason == reason.as_str())?;
            Some(found.message.clone())
        };
        if let Some(text) = says(after).filter(|text| says(before).as_ref() != Some(text)) {
            notes.push(Note { reason: event, text });
        }
    }
    notes
}

/// The identity was created.
pub(super) fn created(id: &crate::twin::id::TwinId) -> Note {
    let text = format!("the hub knew no {id}: created, with keys that the hub made");
    Note { reason: EventReason::IdentityCreated, text }
}

/// The versions of the twin went back.
pub(super) fn went_back(before: &DeviceTwinStatus, version: i64) -> Note {
    let known = before.twin.as_ref().map_or(0, |twin| twin.version);
    let text = format!(
        "the twin's version is {version}, and was {known}: the device was made again, or the hub failed over; \
         our leaves that are gone are set again"
    );
    Note { reason: EventReason::VersionsWentBack, text }
}
