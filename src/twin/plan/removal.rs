//! Where the nulls of a merge patch go.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::document;
use super::super::pointer::Pointer;
use super::SectionInputs;

/// For each leaf that goes, the highest ancestor below which everything goes with it, so that no empty objects are left
/// behind. Never above what the spec still names, never above what somebody else holds or claims, never the section.
pub(super) fn highest(inputs: &SectionInputs<'_>, going: &BTreeSet<Pointer>) -> BTreeSet<Pointer> {
    going.iter().map(|leaf| highest_of(inputs, going, leaf)).collect()
}

fn highest_of(inputs: &SectionInputs<'_>, going: &BTreeSet<Pointer>, leaf: &Pointer) -> Pointer {
    leaf.ancestors().find(|above| all_goes(inputs, going, above)).unwrap_or_else(|| leaf.clone())
}

fn all_goes(inputs: &SectionInputs<'_>, going: &BTreeSet<Pointer>, above: &Pointer) -> bool {
    let named = inputs.ours.keys().any(|ours| above.contains(ours));
    let hub = document::get(inputs.theirs, above);
    !named && !claimed(inputs, above) && hub.is_some_and(|value| every_leaf_goes(going, above, value))
}

/// Whether another object names something below, or the empty object itself. One that names a scalar or an array just here
/// is glad to see the object go.
fn claimed(inputs: &SectionInputs<'_>, above: &Pointer) -> bool {
    inputs.claimed.iter().any(|(claim, value)| above.contains(claim) && (claim != above || value.is_object()))
}

fn every_leaf_goes(going: &BTreeSet<Pointer>, at: &Pointer, value: &Value) -> bool {
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().all(|(key, member)| every_leaf_goes(going, &at.child(key), member))
        }
        _ => going.contains(at),
    }
}
