//! Where our value meets a foreign one of another shape.

use serde_json::Value;

use super::super::document;
use super::super::pointer::Pointer;
use super::super::value::equal;
use super::SectionInputs;

/// The place whose foreign content setting `ours` at `at` would destroy: a scalar or an array above it, or an object where
/// a scalar goes, or the reverse. What is all ours, same path and value, is in nobody's way. A scalar against an array is a
/// plain difference.
pub(super) fn in_the_way(inputs: &SectionInputs<'_>, at: &Pointer, ours: &Value) -> Option<Pointer> {
    for above in at.ancestors() {
        match document::get(inputs.theirs, &above) {
            None => return None,
            Some(Value::Object(_)) => {}
            Some(value) => return (!is_ours(inputs, &above, value)).then_some(above),
        }
    }
    let theirs = document::get(inputs.theirs, at)?;
    if ours.is_object() == theirs.is_object() {
        return None;
    }
    foreign_below(inputs, at, theirs)
}

/// The first leaf at or below `at` that is not ours.
fn foreign_below(inputs: &SectionInputs<'_>, at: &Pointer, theirs: &Value) -> Option<Pointer> {
    match theirs {
        Value::Object(members) if !members.is_empty() => {
            members.iter().find_map(|(key, member)| foreign_below(inputs, &at.child(key), member))
        }
        leaf => (!is_ours(inputs, at, leaf)).then(|| at.clone()),
    }
}

/// Whether the ledger holds this leaf with this value.
fn is_ours(inputs: &SectionInputs<'_>, at: &Pointer, value: &Value) -> bool {
    inputs.base(at).is_some_and(|base| equal(base, value))
}
