//! A plan as people read it: leaf by leaf, with the old value and the new one.

use serde_json::Value;

use crate::twin::document::{self, Leaves, Object, Section};
use crate::twin::plan::{Plan, Sections, Why};
use crate::twin::pointer::Pointer;

/// What becomes of one leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The leaf, from the twin's root.
    pub at: Pointer,
    /// What the hub holds; `None`: nothing.
    pub from: Option<Value>,
    /// What it would hold; `None`: nothing.
    pub to: Option<Value>,
    /// Why.
    pub why: Why,
}

/// The changes of a plan, in its order.
#[must_use]
pub fn changes(plan: &Plan, theirs: &Sections<&Object>) -> Vec<Change> {
    let mut found = Vec::new();
    for action in &plan.actions {
        let section = action.place.section;
        let held = document::get(if section == Section::Tags { theirs.tags } else { theirs.desired }, &action.place.at);
        let change = |at: &Pointer, from, to| Change { at: section.absolute(at), from, to, why: action.why };
        match (&action.value, held) {
            (Some(value), held) => found.push(change(&action.place.at, held.cloned(), Some(value.clone()))),
            (None, Some(held)) => {
                for (at, value) in below(&action.place.at, held) {
                    found.push(change(&at, Some(value), None));
                }
            }
            (None, None) => {}
        }
    }
    found
}

/// The leaves of a value at a place.
fn below(at: &Pointer, value: &Value) -> Leaves {
    match value {
        Value::Object(members) if !members.is_empty() => {
            let relative = document::leaves(members).into_iter();
            relative.map(|(leaf, value)| (at.keys().iter().chain(leaf.keys()).collect(), value)).collect()
        }
        leaf => Leaves::from([(at.clone(), leaf.clone())]),
    }
}

/// Why, in a few words.
#[must_use]
pub fn reason(why: Why) -> &'static str {
    match why {
        Why::FirstContact => "first contact",
        Why::SpecChange => "changed in the manifest",
        Why::Drift => "drift: somebody else changed it",
        Why::NoLongerWanted => "no longer in the manifest",
    }
}
