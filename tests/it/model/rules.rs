//! The rules of ownership, written anew from the table and its bullets: what a twin must look like, given the spec, the
//! ledger and the hub. It plans no patch: it says what would still be to do, and when all is well that is nothing.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::tree::{Leaves, Object, Path, get, is_leaf, same, satisfied};

/// What a section is judged by.
pub struct Section<'a> {
    pub spec: &'a Leaves,
    /// `None`: first contact.
    pub ledger: Option<&'a Leaves>,
    pub hub: &'a Object,
    /// Leaves that other live objects name.
    pub claimed: &'a BTreeSet<Path>,
    /// Leaves of the spec that another object wins.
    pub lost: &'a BTreeSet<Path>,
    pub require_equal: bool,
    pub report: bool,
}

/// What is left to do, and what the ledger is when nothing of it is done.
#[derive(Debug, Default)]
pub struct Verdict {
    pub set: Leaves,
    pub remove: BTreeSet<Path>,
    pub drift: BTreeSet<Path>,
    pub conflict: BTreeSet<Path>,
    pub ledger: Leaves,
    /// The rows of the table that applied, 1 to 8.
    pub rows: Vec<&'static str>,
}

impl Section<'_> {
    fn base(&self, at: &Path) -> Option<&Value> {
        self.ledger?.get(at)
    }

    fn claimed(&self, at: &Path) -> bool {
        self.claimed.iter().any(|claim| claim.starts_with(at) || at.starts_with(claim))
    }

    /// Whether another object takes the leaf over as it is: it names it, or something that goes into an empty object. A leaf
    /// below what another one names is removed: kept, it would belong to nobody, and be in the way of that one for ever.
    fn handed_over(&self, at: &Path, theirs: &Value) -> bool {
        let names_below = || self.claimed.iter().any(|claim| claim != at && claim.starts_with(at));
        self.claimed.contains(at) || (theirs.is_object() && names_below())
    }

    /// Whether the hub's leaf at this place is ours to destroy.
    fn ours(&self, at: &Path, theirs: &Value) -> bool {
        !self.claimed(at) && self.base(at).is_some_and(|base| same(base, theirs))
    }

    fn all_ours(&self, at: &Path, theirs: &Value) -> bool {
        match theirs {
            Value::Object(inner) if !Map::is_empty(inner) => inner.iter().all(|(key, value)| {
                let below: Path = at.iter().chain([key]).cloned().collect();
                self.all_ours(&below, value)
            }),
            leaf => self.ours(at, leaf),
        }
    }

    /// Whether setting our leaf would destroy a foreign value of another shape.
    fn meets_another_shape(&self, at: &Path, value: &Value) -> bool {
        for depth in 1..at.len() {
            let above = at[..depth].to_vec();
            match get(self.hub, &above) {
                None => return false,
                Some(Value::Object(_)) => {}
                Some(leaf) => return !self.ours(&above, leaf),
            }
        }
        match get(self.hub, at) {
            Some(theirs) if theirs.is_object() != value.is_object() => !self.all_ours(at, theirs),
            _ => false,
        }
    }

    pub fn judge(&self) -> Verdict {
        let mut verdict = Verdict::default();
        for (at, value) in self.spec {
            self.wanted(at, value, &mut verdict);
        }
        for (at, base) in self.ledger.into_iter().flatten() {
            if self.spec.contains_key(at) {
                continue;
            }
            match get(self.hub, at) {
                None => verdict.rows.push("gone"),
                // An empty object of ours that others filled is theirs now.
                Some(theirs) if !is_leaf(theirs) || !same(base, theirs) => verdict.rows.push("released"),
                Some(theirs) if self.handed_over(at, theirs) => verdict.rows.push("handed over"),
                Some(_) => {
                    verdict.rows.push("remove");
                    verdict.remove.insert(at.clone());
                    verdict.ledger.insert(at.clone(), base.clone());
                }
            }
        }
        verdict
    }

    fn wanted(&self, at: &Path, value: &Value, verdict: &mut Verdict) {
        let (base, theirs) = (self.base(at), get(self.hub, at));
        if self.lost.contains(at) {
            verdict.rows.push("lost to another object");
            verdict.conflict.insert(at.clone());
            verdict.ledger.extend(base.map(|base| (at.clone(), base.clone())));
            return;
        }
        if theirs.is_some_and(|theirs| satisfied(value, theirs)) {
            verdict.rows.push("equal");
            verdict.ledger.insert(at.clone(), value.clone());
            return;
        }
        if let Some(base) = base {
            verdict.ledger.insert(at.clone(), base.clone());
        }
        if self.meets_another_shape(at, value) {
            verdict.rows.push("another shape");
            verdict.conflict.insert(at.clone());
            return;
        }
        match (base, theirs) {
            (Some(base), _) if same(base, value) && self.report => {
                verdict.rows.push("drift, reported");
                verdict.drift.insert(at.clone());
            }
            (None, Some(_)) if self.require_equal => {
                verdict.rows.push("first contact, RequireEqual");
                verdict.conflict.insert(at.clone());
            }
            _ => {
                verdict.rows.push("set");
                verdict.set.insert(at.clone(), value.clone());
            }
        }
    }
}
