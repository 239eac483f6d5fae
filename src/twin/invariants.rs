//! Checks a plan without knowing how it was made: every sentence about a plan, asked of the finished thing. Every test and
//! every debug build runs it on every plan.

use std::collections::BTreeSet;

use serde_json::Value;

use super::document::{self, Leaves, Object, Section};
use super::merge::merge_patch;
use super::plan::{Action, Adoption, Blocked, DriftPolicy, Inputs, Plan, Sections, Why, plan};
use super::pointer::Pointer;
use super::rules;
use super::value::equal;

/// Everything that is wrong with a plan, one line each; empty when nothing is.
#[must_use]
pub fn violations(inputs: &Inputs<'_>, made: &Plan) -> Vec<String> {
    let mut check = Check { blocked: !made.blocked.is_empty(), found: Vec::new() };
    if check.blocked && (!made.actions.is_empty() || made.patch != Sections::default()) {
        check.found.push("a blocked plan writes".to_owned());
    }
    for lost in &inputs.claims.lost {
        let told = made.blocked.contains(&Blocked::Claimed(lost.clone()));
        check.that(told, &format!("{}: another object wins it, and nothing blocks", lost.ours));
    }
    let (tags, desired) = (Side::tags(inputs, made), Side::desired(inputs, made));
    for side in [&tags, &desired] {
        check.patch(side);
        check.actions(side);
        check.foreign(side);
        check.reached(side);
        check.ledgers(side);
        check.lists(side);
        check.blocks(side);
    }
    check.again(inputs, made, &Sections { tags: tags.result, desired: desired.result });
    check.found
}

/// One section: the inputs, what was made of them, and what comes out at the hub.
struct Side<'a> {
    section: Section,
    inputs: &'a Inputs<'a>,
    made: &'a Plan,
    ours: &'a Leaves,
    base: Option<&'a Leaves>,
    theirs: &'a Object,
    named: &'a Leaves,
    held: &'a BTreeSet<Pointer>,
    patch: &'a Object,
    ledger_now: &'a Leaves,
    ledger_after: &'a Leaves,
    result: Object,
}

impl<'a> Side<'a> {
    fn tags(inputs: &'a Inputs<'a>, made: &'a Plan) -> Self {
        let mut result = inputs.theirs.tags.clone();
        merge_patch(&mut result, &made.patch.tags);
        Self {
            section: Section::Tags,
            inputs,
            made,
            ours: &inputs.ours.tags,
            base: inputs.base.map(|base| &base.tags),
            theirs: inputs.theirs.tags,
            named: &inputs.claims.others.tags,
            held: &inputs.held.tags,
            patch: &made.patch.tags,
            ledger_now: &made.ledger_now.tags,
            ledger_after: &made.ledger_after.tags,
            result,
        }
    }

    fn desired(inputs: &'a Inputs<'a>, made: &'a Plan) -> Self {
        let mut result = inputs.theirs.desired.clone();
        merge_patch(&mut result, &made.patch.desired);
        Self {
            section: Section::Desired,
            inputs,
            made,
            ours: &inputs.ours.desired,
            base: inputs.base.map(|base| &base.desired),
            theirs: inputs.theirs.desired,
            named: &inputs.claims.others.desired,
            held: &inputs.held.desired,
            patch: &made.patch.desired,
            ledger_now: &made.ledger_now.desired,
            ledger_after: &made.ledger_after.desired,
            result,
        }
    }

    fn base(&self, at: &Pointer) -> Option<&'a Value> {
        self.base?.get(at)
    }

    fn hub(&self, at: &Pointer) -> Option<&'a Value> {
        document::get(self.theirs, at)
    }

    /// Whether the hub's value at a path is the ledger's.
    fn owned(&self, at: &Pointer) -> bool {
        self.base(at).zip(self.hub(at)).is_some_and(|(base, hub)| equal(base, hub))
    }

    fn lost(&self, at: &Pointer) -> bool {
        self.inputs.claims.lost.iter().any(|lost| lost.ours.section == self.section && lost.ours.at == *at)
    }

    fn spec_below(&self, at: &Pointer) -> bool {
        self.ours.keys().any(|ours| at.contains(ours))
    }

    /// Whether the spec puts something in the place of a leaf: it names something below, or a scalar or an array above.
    fn replaced(&self, at: &Pointer) -> bool {
        self.spec_below(at) || self.ours.iter().any(|(ours, value)| ours.contains(at) && !value.is_object())
    }

    fn handed_over(&self, at: &Pointer) -> bool {
        let empty = self.hub(at).is_some_and(Value::is_object);
        self.named.contains_key(at) || (empty && self.named.keys().any(|claim| at.contains(claim)))
    }

    /// Whether a leaf of the hub goes because the spec no longer names it.
    fn goes(&self, at: &Pointer) -> bool {
        !self.ours.contains_key(at) && self.owned(at) && !self.replaced(at) && !self.handed_over(at)
    }

    /// Whether a null may stand at a path: all below goes, and nothing there is named by the spec or by others.
    fn removable(&self, at: &Pointer) -> bool {
        let object = self.hub(at).is_some_and(Value::is_object);
        let beside = |claim: &Pointer, value: &Value| at.contains(claim) && (claim != at || value.is_object());
        let claimed = object && self.named.iter().any(|(claim, value)| beside(claim, value));
        let all_goes = leaves_at(at, self.hub(at)).keys().all(|leaf| self.goes(leaf));
        !at.is_root() && self.hub(at).is_some() && all_goes && !claimed && !self.spec_below(at)
    }

    fn told(&self, at: &Pointer) -> String {
        self.section.absolute(at).to_string()
    }
}

/// Whether a value is what a leaf asks for.
fn satisfies(ours: &Value, held: Option<&Value>) -> bool {
    held.is_some_and(|held| equal(ours, held) || (*ours == Value::Object(Object::new()) && held.is_object()))
}

fn leaves_at(at: &Pointer, value: Option<&Value>) -> Leaves {
    let mut section = Object::new();
    if let Some(value) = value {
        document::set(&mut section, at, value.clone());
    }
    document::leaves(&section)
}

struct Check {
    blocked: bool,
    found: Vec<String>,
}

impl Check {
    fn that(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            self.found.push(otherwise.to_owned());
        }
    }

    fn wrong(&mut self, side: &Side<'_>, at: &Pointer, what: &str) {
        self.found.push(format!("{}: {what}", side.told(at)));
    }

    /// The patch is the actions and nothing else.
    fn patch(&mut self, side: &Side<'_>) {
        let told: Leaves =
            side.actions().map(|a| (a.place.at.clone(), a.value.clone().unwrap_or(Value::Null))).collect();
        if told != document::leaves(side.patch) {
            self.found.push(format!("{}: the patch is not what the actions say", side.section));
        }
    }

    /// Every action has its reason, and none is already true.
    fn actions(&mut self, side: &Side<'_>) {
        for Action { place, value, why } in side.actions() {
            let at = &place.at;
            let Some(value) = value else {
                let reason = *why == Why::NoLongerWanted;
                let highest = at.parent().is_none_or(|parent| !side.removable(&parent));
                if !(reason && side.removable(at) && highest) {
                    self.wrong(side, at, "a null that has no reason, or stands too high or too low");
                }
                continue;
            };
            let hub = side.hub(at);
            let base = side.base(at);
            let expected = match base {
                None => Why::FirstContact,
                Some(base) if equal(base, value) => Why::Drift,
                Some(_) => Why::SpecChange,
            };
            if *why != expected || side.ours.get(at) != Some(value) || satisfies(value, hub) {
                self.wrong(side, at, "a set without its reason");
            }
            let policies = side.inputs.policies;
            if *why == Why::Drift && (policies.drift == DriftPolicy::Report || side.held.contains(at)) {
                self.wrong(side, at, "drift is corrected that is to be left");
            }
            if base.is_none() && hub.is_some() && policies.adoption == Adoption::RequireEqual {
                self.wrong(side, at, "RequireEqual overwrites");
            }
            if hub.is_some_and(|hub| hub.is_object() != value.is_object() && document::is_leaf(hub)) && !side.owned(at)
            {
                self.wrong(side, at, "a foreign value of another shape is overwritten");
            }
        }
    }

    /// No leaf outside spec and ledger changes, byte for byte, and none appears from nowhere.
    fn foreign(&mut self, side: &Side<'_>) {
        let before = document::leaves(side.theirs);
        for (at, value) in &before {
            let now = document::get(&side.result, at);
            let filled = value.is_object() && now.is_some_and(Value::is_object);
            let given_up = side.owned(at) && (side.goes(at) || side.replaced(at));
            if !(side.ours.contains_key(at) || given_up || filled || now == Some(value)) {
                self.wrong(side, at, "a leaf that is not this plan's to touch changes");
            }
        }
        for (at, value) in &document::leaves(&side.result) {
            let emptied = value.is_object() && side.hub(at).is_some_and(Value::is_object);
            if !(before.get(at) == Some(value) || side.ours.get(at) == Some(value) || emptied) {
                self.wrong(side, at, "a leaf from nowhere");
            }
        }
    }

    /// After an unblocked plan the hub holds what the spec asks, reported drift aside, and nothing that it dropped.
    fn reached(&mut self, side: &Side<'_>) {
        if self.blocked {
            return;
        }
        for (at, value) in side.ours {
            let left = side.made.drift.iter().chain(&side.made.contested);
            let left = left.into_iter().any(|place| place.section == side.section && place.at == *at);
            if !left && !satisfies(value, document::get(&side.result, at)) {
                self.wrong(side, at, "the spec is not reached");
            }
        }
        for at in side.base.into_iter().flat_map(Leaves::keys).filter(|at| side.goes(at)) {
            if document::get(&side.result, at).is_some() {
                self.wrong(side, at, "stays at the hub although nobody wants it");
            }
        }
        let (before, after) = (rules::size(side.theirs), rules::size(&side.result));
        let limit = rules::max_bytes(side.section);
        self.that(after <= limit || after <= before, &format!("{}: grows over its limit", side.section));
    }

    /// The ledger holds what the hub was seen to hold, and what it held before as long as nobody let go of it.
    fn ledgers(&mut self, side: &Side<'_>) {
        let base_leaves = side.base.into_iter().flat_map(Leaves::keys);
        let all: BTreeSet<&Pointer> = side.ours.keys().chain(base_leaves).chain(side.ledger_now.keys()).collect();
        for at in all {
            let expected = match side.ours.get(at) {
                Some(ours) if satisfies(ours, side.hub(at)) && !side.lost(at) => Some(ours),
                Some(_) => side.base(at),
                None => side.base(at).filter(|_| side.owned(at) && (side.replaced(at) || !side.handed_over(at))),
            };
            if side.ledger_now.get(at) != expected {
                self.wrong(side, at, "the ledger is wrong before the write");
            }
        }
        if !self.blocked && side.ledger_after != side.ours {
            self.found.push(format!("{}: the ledger is not the spec after the write", side.section));
        }
    }

    /// Released: dropped by the spec, changed by somebody else. Drift: ours, changed by somebody else, and `Report`.
    fn lists(&mut self, side: &Side<'_>) {
        let of = |places: &[super::plan::Place]| -> BTreeSet<Pointer> {
            places.iter().filter(|place| place.section == side.section).map(|place| place.at.clone()).collect()
        };
        let refilled = |at: &Pointer| side.spec_below(at) && side.hub(at).is_some_and(Value::is_object);
        let dropped = side.base.into_iter().flat_map(Leaves::keys).filter(|at| !side.ours.contains_key(*at));
        let released: BTreeSet<Pointer> =
            dropped.filter(|at| side.hub(at).is_some() && !side.owned(at) && !refilled(at)).cloned().collect();
        self.that(of(&side.made.released) == released, &format!("{}: released is wrong", side.section));
        let stuck = |at: &Pointer| {
            let shape = |block: &Blocked| matches!(block, Blocked::Shape { ours, .. } if ours.section == side.section && ours.at == *at);
            side.made.blocked.iter().any(shape)
        };
        let drifted = side.ours.iter().filter(|(at, ours)| {
            let ours_before = side.base(at).is_some_and(|base| equal(base, ours));
            ours_before && !satisfies(ours, side.hub(at)) && !side.lost(at) && !stuck(at)
        });
        let reports = side.inputs.policies.drift == DriftPolicy::Report;
        let drift: BTreeSet<Pointer> = drifted.map(|(at, _)| at.clone()).collect();
        let (listed, held) = if reports {
            (drift, BTreeSet::new())
        } else {
            (BTreeSet::new(), drift.intersection(side.held).cloned().collect())
        };
        self.that(of(&side.made.drift) == listed, &format!("{}: drift is wrong", side.section));
        self.that(of(&side.made.contested) == held, &format!("{}: contested is wrong", side.section));
    }

    /// What blocks is true.
    fn blocks(&mut self, side: &Side<'_>) {
        for block in &side.made.blocked {
            let holds = match block {
                Blocked::Differs(place) if place.section == side.section => {
                    let differs = side.ours.get(&place.at).is_some_and(|ours| !satisfies(ours, side.hub(&place.at)));
                    let foreign = side.base(&place.at).is_none() && side.hub(&place.at).is_some();
                    differs && foreign && side.inputs.policies.adoption == Adoption::RequireEqual
                }
                Blocked::Shape { ours, foreign } if ours.section == side.section => {
                    let leaf = side.hub(&foreign.at).is_some_and(document::is_leaf) && !side.owned(&foreign.at);
                    let above = foreign.at != ours.at && foreign.at.contains(&ours.at);
                    let shapes = side.ours.get(&ours.at).zip(side.hub(&ours.at));
                    let other = shapes.is_some_and(|(ours, hub)| ours.is_object() != hub.is_object());
                    leaf && (above || (other && ours.at.contains(&foreign.at)))
                }
                Blocked::Claimed(lost) => side.inputs.claims.lost.contains(lost),
                Blocked::TooLarge { section, ours, whole, limit } if *section == side.section => {
                    let mine = rules::size(&document::from_leaves(side.ours));
                    whole > limit && *whole > rules::size(side.theirs) && *ours == mine
                }
                Blocked::Differs(_) | Blocked::Shape { .. } | Blocked::TooLarge { .. } => true,
            };
            self.that(holds, &format!("{block:?} blocks without a reason"));
        }
    }

    /// Planning again says the same before the write, and nothing after it.
    fn again(&mut self, inputs: &Inputs<'_>, made: &Plan, results: &Sections<Object>) {
        let before = plan(&Inputs { base: Some(&made.ledger_now), ..inputs.clone() });
        let left = (&made.drift, &made.contested);
        let same = before.actions == made.actions && before.blocked == made.blocked;
        let same = same && (&before.drift, &before.contested) == left;
        self.that(same && before.released.is_empty(), "planning again before the write says something else");
        if self.blocked {
            return;
        }
        let theirs = Sections { tags: &results.tags, desired: &results.desired };
        let after = plan(&Inputs { base: Some(&made.ledger_after), theirs, ..inputs.clone() });
        if !(after.actions.is_empty() && after.blocked.is_empty()) {
            self.found.push(format!("planning again is not empty: {:?} {:?}", after.actions, after.blocked));
        }
        self.that((&after.drift, &after.contested) == left, "planning again sees another drift");
    }
}

impl<'a> Side<'a> {
    fn actions(&self) -> impl Iterator<Item = &'a Action> {
        let section = self.section;
        self.made.actions.iter().filter(move |action| action.place.section == section)
    }
}
