//! Two objects about one twin: what the other one claims, and who wins where they meet.

use std::collections::BTreeSet;

use serde_json::Value;

use super::history::Subject;
use super::replay::ledger;
use super::step::Part;
use super::tree::{Leaves, Path, leaves};

/// A live object, its last revision and its status.
#[derive(Clone, Copy)]
pub struct Live<'a> {
    pub subject: &'a Subject,
    pub object: &'a Value,
}

/// What others claim of a section, and what an object loses there.
#[derive(Default)]
pub struct Claims {
    pub claimed: BTreeSet<Path>,
    pub lost: BTreeSet<Path>,
}

impl Live<'_> {
    pub fn status(&self) -> &Value {
        &self.object["status"]
    }

    fn holds(&self, part: Part) -> Leaves {
        ledger(self.status()).map(|held| leaves(held.part(part))).unwrap_or_default()
    }

    /// The leaves that it stands for: a suspended one for what it holds, one that does not write for none.
    fn wants(&self, part: Part) -> Leaves {
        let Some(revision) = self.subject.revisions.last() else { return Leaves::new() };
        if revision.spec.suspend && !revision.spec.observe {
            self.holds(part)
        } else if revision.spec.active() {
            revision.spec.leaves(part)
        } else {
            Leaves::new()
        }
    }
}

/// Equal, or one above the other.
pub fn meet(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// What an object that writes must leave to others.
pub fn claims(me: Live<'_>, others: &[Live<'_>], part: Part) -> Claims {
    let mut claims = Claims::default();
    let mine = me.subject.revisions.last().map(|revision| revision.spec.leaves(part)).unwrap_or_default();
    for other in others {
        for theirs in other.wants(part).into_keys() {
            let met = mine.keys().filter(|ours| meet(ours, &theirs) && !wins(me, *other, part, ours, &theirs));
            claims.lost.extend(met.cloned());
            claims.claimed.insert(theirs);
        }
    }
    claims
}

/// Who holds something there, then who is older, then by name; they are in one namespace.
fn wins(me: Live<'_>, other: Live<'_>, part: Part, ours: &Path, theirs: &Path) -> bool {
    let upper = if theirs.starts_with(ours) { ours } else { theirs };
    let holds = |live: Live<'_>| live.holds(part).keys().any(|at| meet(at, upper));
    match (holds(me), holds(other)) {
        (true, false) => true,
        (false, true) => false,
        _ => (&me.subject.created, &me.subject.name) < (&other.subject.created, &other.subject.name),
    }
}
