//! Checks a plan without knowing how it was made. Every test and every debug build runs it on every plan.

use super::document::{self, Leaves, Object, Section};
use super::merge::merge_patch;
use super::plan::{Inputs, Plan, Sections, Why, plan};
use super::pointer::Pointer;
use super::value::equal;

/// Everything that is wrong with a plan, one line each; empty when nothing is.
#[must_use]
pub fn violations(inputs: &Inputs<'_>, made: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    let writes = !made.actions.is_empty() || made.patch != Sections::default();
    if writes && !made.blocked.is_empty() {
        found.push("a blocked plan writes".to_owned());
    }
    let sections = [
        (Section::Tags, &inputs.ours.tags, inputs.base.map(|b| &b.tags), inputs.theirs.tags, &made.patch.tags),
        (
            Section::Desired,
            &inputs.ours.desired,
            inputs.base.map(|b| &b.desired),
            inputs.theirs.desired,
            &made.patch.desired,
        ),
    ];
    let mut results = Vec::new();
    for (section, ours, base, theirs, patch) in sections {
        let mut result = theirs.clone();
        merge_patch(&mut result, patch);
        foreign_untouched(section, ours, base, theirs, &result, &mut found);
        results.push(result);
    }
    for action in &made.actions {
        let theirs = if action.place.section == Section::Tags { inputs.theirs.tags } else { inputs.theirs.desired };
        let already = match (&action.value, document::get(theirs, &action.place.at)) {
            (Some(value), Some(held)) => equal(value, held),
            (None, None) => true,
            _ => false,
        };
        if already {
            found.push(format!("{}: the action is already true", action.place));
        }
    }
    if made.blocked.is_empty() {
        again_is_empty(inputs, made, &results, &mut found);
    }
    found
}

/// No leaf outside spec and ledger changes its value or disappears.
fn foreign_untouched(
    section: Section,
    ours: &Leaves,
    base: Option<&Leaves>,
    theirs: &Object,
    result: &Object,
    found: &mut Vec<String>,
) {
    for (at, value) in document::leaves(theirs) {
        let named = ours.contains_key(&at);
        let owned = base.and_then(|base| base.get(&at)).is_some_and(|base| equal(base, &value));
        let filled = value.is_object() && document::get(result, &at).is_some_and(serde_json::Value::is_object);
        let kept = document::get(result, &at).is_some_and(|now| equal(now, &value));
        if !(named || owned || filled || kept) {
            found.push(format!("{}: a foreign leaf changes", section.absolute(&at)));
        }
    }
}

/// Planning again after the write yields nothing.
fn again_is_empty(inputs: &Inputs<'_>, made: &Plan, results: &[Object], found: &mut Vec<String>) {
    let again = plan(&Inputs {
        ours: inputs.ours,
        base: Some(&made.ledger_after),
        theirs: Sections { tags: &results[0], desired: &results[1] },
        claimed: inputs.claimed,
        policies: inputs.policies,
    });
    if !again.actions.is_empty() || !again.blocked.is_empty() {
        found.push(format!("planning again is not empty: {:?} {:?}", again.actions, again.blocked));
    }
    let unnamed = |ledger: &Leaves, ours: &Leaves| -> Vec<Pointer> {
        ledger.keys().filter(|at| !ours.contains_key(*at)).cloned().collect()
    };
    for at in unnamed(&made.ledger_after.tags, &inputs.ours.tags) {
        found.push(format!("/tags{at}: stays in the ledger although the spec does not name it"));
    }
    for at in unnamed(&made.ledger_after.desired, &inputs.ours.desired) {
        found.push(format!("/properties/desired{at}: stays in the ledger although the spec does not name it"));
    }
    if made.actions.iter().any(|action| action.why == Why::NoLongerWanted && action.value.is_some()) {
        found.push("a removal carries a value".to_owned());
    }
}
