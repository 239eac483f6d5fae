//! The three-way plan: what to write to a twin, from the ledger (base), the spec (ours) and the hub (theirs).
//!
//! Ownership is by leaf. The leaves of the spec belong to the object; every other key at the hub belongs to somebody else
//! and is never touched.

use std::collections::BTreeSet;

use serde_json::Value;

use super::claims::{Claims, Lost};
use super::document::{self, Leaves, Object, Section};
use super::merge::merge_patch;
use super::pointer::Pointer;
use super::rules;
use super::value::equal;

mod removal;
mod shape;

/// What to do on first contact with a leaf whose value at the hub differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adoption {
    /// Set it.
    #[default]
    Overwrite,
    /// Write nothing of the object: a conflict.
    RequireEqual,
}

/// What to do about a leaf of ours that somebody else changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DriftPolicy {
    /// Set it back.
    #[default]
    Correct,
    /// List it and leave it.
    Report,
}

/// The policies of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// On first contact.
    pub adoption: Adoption,
    /// On drift.
    pub drift: DriftPolicy,
}

/// One value for each section that a back end writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sections<T> {
    /// `tags`
    pub tags: T,
    /// `properties.desired`
    pub desired: T,
}

impl<T> Sections<T> {
    /// Both values, each with its section.
    pub fn each(&self) -> [(Section, &T); 2] {
        [(Section::Tags, &self.tags), (Section::Desired, &self.desired)]
    }
}

/// Our leaves as last written or adopted.
pub type Ledger = Sections<Leaves>;

/// Everything the plan is made from.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The leaves of the spec.
    pub ours: &'a Sections<Leaves>,
    /// The ledger; `None` on first contact, which is not the same as an empty one.
    pub base: Option<&'a Ledger>,
    /// What the hub holds, without its `$` members.
    pub theirs: Sections<&'a Object>,
    /// What other live objects name, and what of ours they win.
    pub claims: &'a Claims,
    /// Leaves whose drift is not corrected for now, because somebody keeps undoing it. A change of the spec is written.
    pub held: &'a Sections<BTreeSet<Pointer>>,
    /// The object's policies.
    pub policies: Policies,
}

/// What to write, what stands in the way, and what the ledger says before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The writes, one by one, each with its reason. Empty when something blocks.
    pub actions: Vec<Action>,
    /// The merge patch that carries the actions out; an empty section is left out of the request.
    pub patch: Sections<Object>,
    /// Why nothing is written although leaves differ. Only somebody's edit mends these.
    pub blocked: Vec<Blocked>,
    /// Leaves that somebody else changed and that `Report` leaves alone.
    pub drift: Vec<Place>,
    /// Leaves that somebody else changed and that are left for now.
    pub contested: Vec<Place>,
    /// Leaves that left the ledger although the hub keeps them.
    pub released: Vec<Place>,
    /// The ledger as the reading alone shows it, whether or not anything is written.
    pub ledger_now: Ledger,
    /// The ledger once the hub has answered the write.
    pub ledger_after: Ledger,
}

/// A leaf of the twin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The section.
    pub section: Section,
    /// The path within the section.
    pub at: Pointer,
}

impl std::fmt::Display for Place {
    /// The JSON pointer from the root of the twin.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.section.absolute(&self.at).fmt(f)
    }
}

/// One write to one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Where. For a removal the highest ancestor that goes with it.
    pub place: Place,
    /// The value to set; `None` removes.
    pub value: Option<Value>,
    /// Why.
    pub why: Why,
}

/// Why a leaf is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The spec names a leaf for the first time.
    FirstContact,
    /// The spec names another value than before.
    SpecChange,
    /// Somebody else changed or removed it.
    Drift,
    /// The spec no longer names it.
    NoLongerWanted,
}

/// Why nothing of the object is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blocked {
    /// `RequireEqual`, and the hub holds another value.
    Differs(Place),
    /// Setting the leaf would destroy a foreign value of another shape, found at `foreign`.
    Shape {
        /// Our leaf.
        ours: Place,
        /// What stands in its way.
        foreign: Place,
    },
    /// Another object names the leaf, or one above or below it, and wins it.
    Claimed(Lost),
    /// Ours are within the limit, but not together with what others hold there.
    TooLarge {
        /// The section.
        section: Section,
        /// The size of our leaves, in bytes by the hub's counting.
        ours: usize,
        /// The size that the section would have.
        whole: usize,
        /// The limit.
        limit: usize,
    },
}

impl std::fmt::Display for Blocked {
    /// One line: the JSON pointer from the root of the twin, and what stands in the way.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Differs(place) => write!(f, "{place}: the hub holds another value, and adoption is RequireEqual"),
            Self::Shape { ours, foreign } => {
                write!(f, "{ours}: setting it would destroy {foreign}, which belongs to somebody else")
            }
            Self::Claimed(Lost { ours, theirs, .. }) if ours == theirs => {
                write!(f, "{ours}: another DeviceTwin of this twin has it")
            }
            Self::Claimed(Lost { ours, theirs, .. }) => {
                write!(f, "{ours}: another DeviceTwin of this twin has {theirs}")
            }
            Self::TooLarge { section, ours, whole, limit } => write!(
                f,
                "{}: {whole} bytes by the hub's counting with what others hold there ({ours} ours), at most {limit}",
                section.pointer()
            ),
        }
    }
}

impl Plan {
    /// Whether nothing is to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }
}

/// Makes the plan. Pure: the same inputs give the same plan.
#[must_use]
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let tags = SectionPlan::make(&SectionInputs::tags(inputs));
    let desired = SectionPlan::make(&SectionInputs::desired(inputs));
    let mut blocked: Vec<Blocked> = [tags.blocked, desired.blocked].concat();
    let mut actions: Vec<Action> = [tags.actions, desired.actions].concat();
    let mut patch = Sections { tags: tags.patch, desired: desired.patch };
    if !blocked.is_empty() {
        // Nothing of the object is written: half of a spec is a state that nobody asked for.
        actions.clear();
        patch = Sections::default();
    }
    blocked.sort();
    Plan {
        actions,
        patch,
        blocked,
        drift: [tags.drift, desired.drift].concat(),
        contested: [tags.contested, desired.contested].concat(),
        released: [tags.released, desired.released].concat(),
        ledger_now: Sections { tags: tags.ledger_now, desired: desired.ledger_now },
        ledger_after: Sections { tags: tags.ledger_after, desired: desired.ledger_after },
    }
}

/// The inputs of one section.
struct SectionInputs<'a> {
    section: Section,
    ours: &'a Leaves,
    base: Option<&'a Leaves>,
    theirs: &'a Object,
    claimed: &'a Leaves,
    lost: &'a [Lost],
    held: &'a BTreeSet<Pointer>,
    policies: Policies,
}

impl<'a> SectionInputs<'a> {
    fn tags(inputs: &Inputs<'a>) -> Self {
        Self {
            section: Section::Tags,
            ours: &inputs.ours.tags,
            base: inputs.base.map(|base| &base.tags),
            theirs: inputs.theirs.tags,
            claimed: &inputs.claims.others.tags,
            lost: &inputs.claims.lost,
            held: &inputs.held.tags,
            policies: inputs.policies,
        }
    }

    fn desired(inputs: &Inputs<'a>) -> Self {
        Self {
            section: Section::Desired,
            ours: &inputs.ours.desired,
            base: inputs.base.map(|base| &base.desired),
            theirs: inputs.theirs.desired,
            claimed: &inputs.claims.others.desired,
            lost: &inputs.claims.lost,
            held: &inputs.held.desired,
            policies: inputs.policies,
        }
    }

    fn base(&self, at: &Pointer) -> Option<&'a Value> {
        self.base?.get(at)
    }

    fn place(&self, at: &Pointer) -> Place {
        Place { section: self.section, at: at.clone() }
    }

    /// The claims of others that a leaf of ours loses to.
    fn lost(&self, at: &Pointer) -> impl Iterator<Item = Lost> {
        self.lost.iter().filter(move |lost| lost.ours.section == self.section && lost.ours.at == *at).cloned()
    }

    /// Whether another object takes a leaf over as it is: it names it, or something that goes into an empty object. What
    /// it names beyond a scalar is no reason to keep that: kept, it would belong to nobody, and be in its way for ever.
    fn handed_over(&self, at: &Pointer, theirs: &Value) -> bool {
        let names_below = || self.claimed.keys().any(|claim| at.contains(claim));
        self.claimed.contains_key(at) || (theirs.is_object() && names_below())
    }

    /// Whether the hub holds our value: an empty object is satisfied by any object.
    fn satisfied(ours: &Value, theirs: &Value) -> bool {
        match ours {
            Value::Object(members) if members.is_empty() => theirs.is_object(),
            ours => equal(ours, theirs),
        }
    }
}

/// The plan of one section, as it grows.
#[derive(Default)]
struct SectionPlan {
    actions: Vec<Action>,
    patch: Object,
    blocked: Vec<Blocked>,
    drift: Vec<Place>,
    contested: Vec<Place>,
    released: Vec<Place>,
    ledger_now: Leaves,
    ledger_after: Leaves,
}

impl SectionPlan {
    fn make(inputs: &SectionInputs<'_>) -> Self {
        let mut plan = Self::default();
        for (at, value) in inputs.ours {
            plan.wanted(inputs, at, value);
        }
        let mut going = BTreeSet::new();
        for (at, value) in inputs.base.into_iter().flatten() {
            if !inputs.ours.contains_key(at) && plan.unwanted(inputs, at, value) {
                going.insert(at.clone());
            }
        }
        plan.remove(inputs, &going);
        plan.check_size(inputs);
        plan
    }

    /// A leaf that the spec names: the rows of the table with a yes in spec.
    fn wanted(&mut self, inputs: &SectionInputs<'_>, at: &Pointer, ours: &Value) {
        let base = inputs.base(at);
        let theirs = document::get(inputs.theirs, at);
        let lost: Vec<Blocked> = inputs.lost(at).map(Blocked::Claimed).collect();
        if lost.is_empty() && theirs.is_some_and(|theirs| SectionInputs::satisfied(ours, theirs)) {
            self.ledger_now.insert(at.clone(), ours.clone());
            self.ledger_after.insert(at.clone(), ours.clone());
            return;
        }
        if let Some(base) = base {
            self.ledger_now.insert(at.clone(), base.clone());
        }
        if !lost.is_empty() {
            // Nor does the ledger take it: two ledgers that hold one leaf would turn the winner around.
            self.blocked.extend(lost);
            return;
        }
        if let Some(foreign) = shape::in_the_way(inputs, at, ours) {
            self.blocked.push(Blocked::Shape { ours: inputs.place(at), foreign: inputs.place(&foreign) });
            return;
        }
        let why = match (base, theirs) {
            (Some(base), _) if equal(base, ours) => Why::Drift,
            (Some(_), _) => Why::SpecChange,
            (None, Some(_)) if inputs.policies.adoption == Adoption::RequireEqual => {
                self.blocked.push(Blocked::Differs(inputs.place(at)));
                return;
            }
            (None, _) => Why::FirstContact,
        };
        self.ledger_after.insert(at.clone(), ours.clone());
        if why == Why::Drift && inputs.policies.drift == DriftPolicy::Report {
            self.drift.push(inputs.place(at));
            return;
        }
        if why == Why::Drift && inputs.held.contains(at) {
            self.contested.push(inputs.place(at));
            return;
        }
        document::set(&mut self.patch, at, ours.clone());
        self.actions.push(Action { place: inputs.place(at), value: Some(ours.clone()), why });
    }

    /// A leaf of the ledger that the spec no longer names: the last rows. Says whether it is to be removed.
    fn unwanted(&mut self, inputs: &SectionInputs<'_>, at: &Pointer, base: &Value) -> bool {
        let Some(theirs) = document::get(inputs.theirs, at) else { return false };
        let names_below = inputs.ours.keys().any(|ours| at.contains(ours));
        if !equal(base, theirs) {
            // An object that holds what the spec names below is no loss to tell of.
            if !(names_below && theirs.is_object()) {
                self.released.push(inputs.place(at));
            }
            return false;
        }
        // A set above or below does away with it; a null beside it would race the set within one patch.
        let names_above = inputs.ours.iter().any(|(ours, value)| ours.contains(at) && !value.is_object());
        let replaced = names_above || names_below;
        if !replaced && inputs.handed_over(at, theirs) {
            return false;
        }
        self.ledger_now.insert(at.clone(), base.clone());
        !replaced
    }

    fn remove(&mut self, inputs: &SectionInputs<'_>, going: &BTreeSet<Pointer>) {
        for at in removal::highest(inputs, going) {
            document::set(&mut self.patch, &at, Value::Null);
            self.actions.push(Action { place: inputs.place(&at), value: None, why: Why::NoLongerWanted });
        }
    }

    /// The hub refuses a write that grows a section over its limit, foreign keys included.
    fn check_size(&mut self, inputs: &SectionInputs<'_>) {
        let mut whole = inputs.theirs.clone();
        merge_patch(&mut whole, &self.patch);
        let (before, after, limit) =
            (rules::size(inputs.theirs), rules::size(&whole), rules::max_bytes(inputs.section));
        if after > limit && after > before {
            let ours = rules::size(&document::from_leaves(inputs.ours));
            self.blocked.push(Blocked::TooLarge { section: inputs.section, ours, whole: after, limit });
        }
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
