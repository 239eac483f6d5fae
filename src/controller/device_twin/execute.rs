//! Carries the plan out: one PATCH, with the quoted etag of the twin that it was made from. Decides nothing.

use std::sync::Arc;

use super::super::Context;
use super::super::hubs::Origin;
use super::gather::Inputs;
use crate::hub::{Error, IfMatch, Kind, TwinPatch};
use crate::twin::document::Object;
use crate::twin::plan::Plan;
use crate::twin::view::Twin;

/// What became of the plan.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There was nothing to write, or nothing may be written.
    Nothing,
    /// The hub took it; its answer is the twin as it is now.
    Written(Arc<Twin>),
    /// Somebody else wrote meanwhile: gather again.
    Moved,
    /// The call failed.
    Failed(Error),
}

pub(super) async fn execute(context: &Context, inputs: &Inputs, plan: Option<&Plan>) -> Outcome {
    let (Some(plan), Some(wanted), Some(hub)) = (plan, &inputs.wanted, &inputs.hub) else { return Outcome::Nothing };
    let Some(twin) = inputs.found.twin() else { return Outcome::Nothing };
    if plan.is_empty() || wanted.observe {
        return Outcome::Nothing;
    }
    let section = |patch: &Object| (!patch.is_empty()).then(|| patch.clone());
    let patch = TwinPatch { tags: section(&plan.patch.tags), desired: section(&plan.patch.desired) };
    let answer = hub.client.patch_twin(&wanted.id, &patch, IfMatch::Etag(&twin.etag)).await;
    context.note_one(hub, &answer);
    match answer {
        Ok(twin) => Outcome::Written(hub.views.put(wanted.id.clone(), twin, Origin::Read)),
        Err(error) => {
            // Whatever was known may be old now: also a write whose answer was lost may have landed.
            hub.views.forget(&wanted.id);
            if error.kind() == Kind::PreconditionFailed { Outcome::Moved } else { Outcome::Failed(error) }
        }
    }
}
