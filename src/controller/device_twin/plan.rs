//! The decision: what to do about the twin. Pure.

use std::collections::BTreeSet;

use super::contest::{Contest, Drifted};
use super::gather::{Found, Inputs};
use super::identity;
use super::peer::Peer;
use super::validate::Wanted;
use crate::api::DeviceTwinStatus;
use crate::api::conditions::Verdict;
use crate::api::device_twin::TwinAt;
use crate::twin::claims::{Claimant, Claims, settle};
use crate::twin::document::{Object, Section, get, leaves};
use crate::twin::invariants::violations;
use crate::twin::plan::{self, Action, DriftPolicy, Ledger, Plan, Sections, Why};
use crate::twin::pointer::Pointer;
use crate::twin::value::equal;
use crate::twin::view::Twin;

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Decision {
    /// The plan; `None` when the twin is not known.
    pub(super) plan: Option<Plan>,
    /// The ledger that the plan was made from.
    pub(super) basis: Basis,
    /// Who keeps undoing our corrections.
    pub(super) contest: Contest,
    /// Whether the identity is to be created.
    pub(super) create: bool,
    /// Whether it would be, and the connection does not allow it.
    pub(super) may_not_create: bool,
    /// Whether a query's row, which may be old, is not enough for this plan.
    pub(super) needs_read: bool,
    /// The hub refused this very write before: it is not sent again.
    pub(super) refused: Option<Verdict>,
}

/// The ledger as it counts for this twin, now.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Basis {
    pub(super) ledger: Option<Ledger>,
    /// Whether the twin's versions are lower than they were: the device was made again, or the hub failed over.
    pub(super) went_back: bool,
}

pub(super) fn decide(inputs: &Inputs) -> Decision {
    let basis = basis(inputs);
    let mut decision = Decision { basis, contest: inputs.remembered.contest.clone(), ..Decision::default() };
    let Some(wanted) = &inputs.wanted else { return decision };
    if let Found::Gone(missing) = inputs.found {
        let seen = inputs.before.twin.is_some() && inputs.before.hub.as_ref() == Some(&inputs.at);
        let step = identity::decide(wanted.identity, seen, wanted.id.module_id.is_some(), missing);
        let create = step == identity::Step::Create && !wanted.observe;
        decision.create = create && inputs.rights.create_identity;
        decision.may_not_create = create && !inputs.rights.create_identity;
    }
    let Some(twin) = inputs.found.twin() else { return decision };
    let claims = claims(inputs, wanted, &decision.basis);
    let mut made = make(wanted, &decision.basis, twin, &claims, &Sections::default());
    if wanted.observe || wanted.policies.drift != DriftPolicy::Correct {
        decision.contest = Contest::default();
    } else if made.blocked.is_empty() {
        decision.contest.see(&wanted.ours, &drifted(&made, twin), &inputs.pace, inputs.now);
        let held = decision.contest.held(inputs.now);
        if held != Sections::default() {
            made = make(wanted, &decision.basis, twin, &claims, &held);
        }
    }
    decision.needs_read = matches!(inputs.found, Found::Row(_)) && needs_read(inputs, &made, twin);
    decision.refused = refused(inputs, twin).filter(|_| !made.is_empty());
    decision.plan = Some(made);
    decision
}

fn make(wanted: &Wanted, basis: &Basis, twin: &Twin, claims: &Claims, held: &Sections<BTreeSet<Pointer>>) -> Plan {
    let inputs = plan::Inputs {
        ours: &wanted.ours,
        base: basis.ledger.as_ref(),
        theirs: Sections { tags: &twin.tags, desired: &twin.desired },
        claims,
        held,
        policies: wanted.policies,
    };
    let made = plan::plan(&inputs);
    debug_assert_eq!(violations(&inputs, &made), Vec::<String>::new(), "the plan breaks an invariant");
    made
}

/// What the other objects of this twin mean for this one.
fn claims(inputs: &Inputs, wanted: &Wanted, basis: &Basis) -> Claims {
    let me = Claimant {
        created: inputs.created,
        namespace: &inputs.namespace,
        name: &inputs.name,
        wants: &wanted.ours,
        holds: basis.ledger.as_ref(),
    };
    let others: Vec<Claimant<'_>> = inputs.peers.iter().map(Peer::claimant).collect();
    settle(&me, &others)
}

/// The leaves that are to be set back, each with the automatic configuration that changed it.
fn drifted(made: &Plan, twin: &Twin) -> Vec<Drifted> {
    let by = |action: &Action| match action.place.section {
        Section::Desired => last_updated_by(&twin.desired_metadata, &action.place.at),
        Section::Tags | Section::Reported => None,
    };
    let drift = made.actions.iter().filter(|action| action.why == Why::Drift);
    let told = |action: &Action| {
        let (place, ours) = (action.place.clone(), action.value.clone().unwrap_or_default());
        Drifted { place, ours, by: by(action) }
    };
    drift.map(told).collect()
}

/// The automatic configuration that wrote a leaf.
fn last_updated_by(metadata: &Object, at: &Pointer) -> Option<String> {
    let by = get(metadata, at)?.get("$lastUpdatedBy")?.as_str()?;
    Some(by.chars().filter(|c| !c.is_control()).take(128).collect())
}

/// Whether the plan removes something, a leaf would leave the ledger on its word, the row is older than what status shows,
/// or a write of ours may have landed since.
fn needs_read(inputs: &Inputs, made: &Plan, twin: &Twin) -> bool {
    let removes = made.actions.iter().any(|action| action.value.is_none());
    let forgets = ledger(&inputs.before, &inputs.at).is_some_and(|base| {
        base.tags.keys().any(|at| !made.ledger_now.tags.contains_key(at))
            || base.desired.keys().any(|at| !made.ledger_now.desired.contains_key(at))
    });
    let older = shown_version(inputs).is_some_and(|shown| twin.version < shown);
    removes || forgets || older || inputs.remembered.sent.is_some()
}

/// The hub's own refusal of this generation, unless somebody asks for another try.
fn refused(inputs: &Inputs, twin: &Twin) -> Option<Verdict> {
    let refused = inputs.remembered.refused.as_ref().filter(|_| !inputs.asked)?;
    let same = refused.generation == inputs.generation && refused.etag.as_ref().is_none_or(|etag| *etag == twin.etag);
    same.then(|| refused.verdict.clone())
}

/// The ledger, with what a write whose answer was lost left at the hub; cut to what the hub holds when versions went back.
/// Both are believed only from a read.
fn basis(inputs: &Inputs) -> Basis {
    let mut ledger = ledger(&inputs.before, &inputs.at);
    let Found::Read(twin) = &inputs.found else { return Basis { ledger, went_back: false } };
    if let Some(sent) = &inputs.remembered.sent {
        let landed = held_by(sent, twin);
        if landed != Ledger::default() {
            let base = ledger.get_or_insert_default();
            base.tags.extend(landed.tags);
            base.desired.extend(landed.desired);
        }
    }
    let went_back = shown_version(inputs).is_some_and(|shown| twin.version < shown);
    if went_back {
        ledger = ledger.map(|base| held_by(&base, twin));
    }
    Basis { ledger, went_back }
}

/// The leaves that the hub holds with the same value.
fn held_by(ledger: &Ledger, twin: &Twin) -> Ledger {
    let mut held = ledger.clone();
    held.tags.retain(|at, value| get(&twin.tags, at).is_some_and(|theirs| equal(theirs, value)));
    held.desired.retain(|at, value| get(&twin.desired, at).is_some_and(|theirs| equal(theirs, value)));
    held
}

/// The version that status shows of this twin.
fn shown_version(inputs: &Inputs) -> Option<i64> {
    let shown = inputs.before.twin.as_ref().filter(|_| inputs.before.hub.as_ref() == Some(&inputs.at));
    shown.map(|shown| shown.version)
}

/// The ledger, which counts only for the twin that status is about.
pub(crate) fn ledger(status: &DeviceTwinStatus, at: &TwinAt) -> Option<Ledger> {
    let applied = status.applied.as_ref()?;
    (status.hub.as_ref() == Some(at))
        .then(|| Sections { tags: leaves(&applied.tags.0), desired: leaves(&applied.desired.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_leafs_own_metadata_names_the_automatic_configuration() {
        let metadata = json!({
            "$lastUpdatedBy": "root",
            "rate": {"$lastUpdated": "t", "$lastUpdatedBy": "rollout\n", "$lastUpdatedByDigest": "d"},
            "other": {"$lastUpdated": "t"},
        });
        let metadata = metadata.as_object().unwrap();
        let by = |at: &str| last_updated_by(metadata, &at.parse().unwrap());
        assert_eq!(by("/rate").as_deref(), Some("rollout"));
        assert_eq!((by("/other"), by("/gone")), (None, None));
    }
}
