//! Carries the decision out: one PATCH, with the quoted etag of the twin that it was made from, or one identity created.
//! Decides nothing.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::Context;
use super::class;
use super::gather::Inputs;
use super::plan::Decision;
use crate::hub::{Error, IfMatch, Kind, TwinPatch};
use crate::twin::document::Object;
use crate::twin::view::Twin;

/// What became of the decision.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There was nothing to write, or nothing may be written.
    Nothing,
    /// The hub took it; its answer is the twin as it is now.
    Written(Arc<Twin>),
    /// The identity was created: gather again.
    Created,
    /// Somebody else wrote meanwhile: gather again.
    Moved,
    /// Many twins of this hub are to be written at once, and this one's turn comes later.
    Later(Timestamp),
    /// The call failed.
    Failed(Error),
}

pub(super) async fn execute(context: &Context, inputs: &Inputs, decision: &Decision) -> Outcome {
    let (Some(wanted), Some(hub)) = (&inputs.wanted, &inputs.hub) else { return Outcome::Nothing };
    let caller = hub.caller(class::of_write(inputs.standing()), &inputs.namespace);
    if decision.create {
        // What becomes of it is this object's own affair: the right to create is a right of its own at the hub.
        return match caller.create_identity(&wanted.id).await {
            Ok(_) => Outcome::Created,
            Err(error) if error.kind() == Kind::Conflict => Outcome::Moved,
            Err(error) => Outcome::Failed(error),
        };
    }
    let (Some(plan), Some(twin)) = (&decision.plan, inputs.found.twin()) else { return Outcome::Nothing };
    if plan.is_empty() || wanted.observe || decision.refused.is_some() {
        return Outcome::Nothing;
    }
    let section = |patch: &Object| (!patch.is_empty()).then(|| patch.clone());
    let patch = TwinPatch { tags: section(&plan.patch.tags), desired: section(&plan.patch.desired) };
    let began = hub.views.begin();
    let answer = caller.patch_twin(&wanted.id, &patch, IfMatch::Etag(&twin.etag)).await;
    context.note_one(hub, &answer);
    match answer {
        Ok(twin) => Outcome::Written(hub.views.answer(wanted.id.clone(), twin, began)),
        Err(error) => {
            // Whatever was known may be old now: also a write whose answer was lost may have landed.
            hub.views.doubt(&wanted.id);
            if error.kind() == Kind::PreconditionFailed { Outcome::Moved } else { Outcome::Failed(error) }
        }
    }
}
