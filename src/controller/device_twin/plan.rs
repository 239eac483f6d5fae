//! The decision: what to write to the twin. Pure.

use super::gather::Inputs;
use crate::api::DeviceTwinStatus;
use crate::api::device_twin::TwinAt;
use crate::twin::claims::Claims;
use crate::twin::document::leaves;
use crate::twin::invariants::violations;
use crate::twin::plan::{self, Ledger, Plan, Sections};

/// The plan; `None` when the twin is not known.
pub(super) fn plan(inputs: &Inputs) -> Option<Plan> {
    let (wanted, twin) = (inputs.wanted.as_ref()?, inputs.found.twin()?);
    let base = ledger(&inputs.before, &inputs.at);
    let claims = Claims::default();
    let three = plan::Inputs {
        ours: &wanted.ours,
        base: base.as_ref(),
        theirs: Sections { tags: &twin.tags, desired: &twin.desired },
        claims: &claims,
        held: &Sections::default(),
        policies: wanted.policies,
    };
    let made = plan::plan(&three);
    debug_assert_eq!(violations(&three, &made), Vec::<String>::new(), "the plan breaks an invariant");
    Some(made)
}

/// Whether a query's row, which may be old, is not enough for this plan: it removes something, a leaf would leave the
/// ledger on its word, or it is older than what status shows.
pub(super) fn needs_read(inputs: &Inputs, plan: &Plan) -> bool {
    let removes = plan.actions.iter().any(|action| action.value.is_none());
    let forgets = ledger(&inputs.before, &inputs.at).is_some_and(|base| {
        base.tags.keys().any(|at| !plan.ledger_now.tags.contains_key(at))
            || base.desired.keys().any(|at| !plan.ledger_now.desired.contains_key(at))
    });
    let shown = inputs.before.twin.as_ref().filter(|_| inputs.before.hub.as_ref() == Some(&inputs.at));
    let older = inputs.found.twin().zip(shown).is_some_and(|(twin, shown)| twin.version < shown.version);
    removes || forgets || older
}

/// The ledger, which counts only for the twin that status is about.
pub(super) fn ledger(status: &DeviceTwinStatus, at: &TwinAt) -> Option<Ledger> {
    let applied = status.applied.as_ref()?;
    (status.hub.as_ref() == Some(at))
        .then(|| Sections { tags: leaves(&applied.tags.0), desired: leaves(&applied.desired.0) })
}
