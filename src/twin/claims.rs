//! Two objects for one twin: which leaves meet, and whose they are.
//!
//! Objects may share a twin while their leaves differ. Leaves meet when their paths are equal or one stands above the
//! other; equal `__t` leaves, the markers of components, never do.

use std::ops::Bound;

use jiff::Timestamp;
use serde_json::Value;

use super::document::{Leaves, Section};
use super::plan::{Ledger, Place, Sections};
use super::pointer::Pointer;
use super::value::equal;

/// One live object and its say over a twin.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// When the object was made.
    pub created: Timestamp,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The leaves that it names; of a suspended one, those of its ledger: it keeps what it holds and asks for no more.
    pub wants: &'a Sections<Leaves>,
    /// Its ledger; `None` without one.
    pub holds: Option<&'a Ledger>,
}

/// What the claims of other objects mean for one object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Every leaf that another object names.
    pub others: Sections<Leaves>,
    /// Our leaves that meet those of another object and are not ours to write.
    pub lost: Vec<Lost>,
}

/// A leaf of ours that another object wins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lost {
    /// Our leaf.
    pub ours: Place,
    /// The other object's: the same, or above or below it.
    pub theirs: Place,
    /// Which of the others.
    pub to: usize,
}

/// Judges the claims of `others` from the view of `me`, which is not among them. Of two objects exactly one loses each
/// pair of leaves that meet, whichever of them asks.
#[must_use]
pub fn settle(me: &Claimant<'_>, others: &[Claimant<'_>]) -> Claims {
    let mut claims = Claims::default();
    for (to, other) in others.iter().enumerate() {
        let met = overlaps(me.wants, other.wants);
        let lost = met.into_iter().filter(|(ours, theirs)| !wins(me, other, ours, theirs));
        claims.lost.extend(lost.map(|(ours, theirs)| Lost { ours, theirs, to }));
        name_all(&mut claims.others.tags, &other.wants.tags);
        name_all(&mut claims.others.desired, &other.wants.desired);
    }
    claims.lost.sort();
    claims
}

/// Every pair of leaves that meet.
#[must_use]
pub fn overlaps(left: &Sections<Leaves>, right: &Sections<Leaves>) -> Vec<(Place, Place)> {
    let mut met = Vec::new();
    for ((section, left), (_, right)) in left.each().into_iter().zip(right.each()) {
        for (at, value) in left {
            let found = related(right, at).filter(|(other, theirs)| !same_marker(at, value, other, theirs));
            met.extend(found.map(|(other, _)| (place(section, at), place(section, other))));
        }
    }
    met
}

/// Whether `me` wins two leaves that meet: who holds something there in the ledger, then who is older, then by namespace
/// and name.
fn wins(me: &Claimant<'_>, other: &Claimant<'_>, ours: &Place, theirs: &Place) -> bool {
    let upper = if ours.at.contains(&theirs.at) { &ours.at } else { &theirs.at };
    let holds = |claimant: &Claimant<'_>| {
        let ledger =
            claimant.holds.map(|holds| if ours.section == Section::Tags { &holds.tags } else { &holds.desired });
        ledger.is_some_and(|ledger| related(ledger, upper).next().is_some())
    };
    match (holds(me), holds(other)) {
        (true, false) => true,
        (false, true) => false,
        (true, true) | (false, false) => age(me) < age(other),
    }
}

fn age<'a>(claimant: &Claimant<'a>) -> (Timestamp, &'a str, &'a str) {
    (claimant.created, claimant.namespace, claimant.name)
}

/// The leaves at, above or below a path.
fn related<'a>(leaves: &'a Leaves, at: &Pointer) -> impl Iterator<Item = (&'a Pointer, &'a Value)> {
    let above: Vec<_> = at.ancestors().filter_map(|above| leaves.get_key_value(&above)).collect();
    // Paths are sorted key by key, so what is at or below one follows it without a gap.
    let from = at.clone();
    let below =
        leaves.range((Bound::Included(at), Bound::Unbounded)).take_while(move |(other, _)| from.contains(other));
    above.into_iter().chain(below)
}

/// Plug and Play's marker of a component, which every object that names the component names too.
fn same_marker(at: &Pointer, value: &Value, other: &Pointer, theirs: &Value) -> bool {
    at == other && at.keys().last().is_some_and(|key| key == "__t") && equal(value, theirs)
}

/// Where several name one path, an empty object stays: any object there satisfies it, so it has most to lose.
fn name_all(named: &mut Leaves, wants: &Leaves) {
    for (at, value) in wants {
        if !named.get(at).is_some_and(Value::is_object) {
            named.insert(at.clone(), value.clone());
        }
    }
}

fn place(section: Section, at: &Pointer) -> Place {
    Place { section, at: at.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::document::{leaves, without_system_members};
    use proptest::prelude::*;
    use serde_json::json;

    fn tags(content: Value) -> Sections<Leaves> {
        Sections { tags: leaves(&without_system_members(content.as_object().unwrap())), desired: Leaves::new() }
    }

    fn claimant<'a>(name: &'a str, created: i64, wants: &'a Ledger, holds: Option<&'a Ledger>) -> Claimant<'a> {
        Claimant { created: Timestamp::from_second(created).unwrap(), namespace: "plant", name, wants, holds }
    }

    fn told(lost: &[Lost]) -> Vec<String> {
        lost.iter().map(|lost| format!("{} meets {} of {}", lost.ours, lost.theirs, lost.to)).collect()
    }

    #[test]
    fn leaves_meet_when_equal_or_one_above_the_other() {
        let met = |left, right| -> Vec<String> {
            overlaps(&tags(left), &tags(right)).iter().map(|(ours, theirs)| format!("{ours} {theirs}")).collect()
        };
        assert_eq!(met(json!({"a": 1, "b": 2}), json!({"b": 3, "c": 4})), ["/tags/b /tags/b"]);
        assert_eq!(met(json!({"a": {"b": 1}}), json!({"a": {"c": 1}})), [""; 0]);
        assert_eq!(met(json!({"a": {"b": 1}}), json!({"a": 2})), ["/tags/a/b /tags/a"]);
        assert_eq!(met(json!({"a": {}}), json!({"a": {"b": 1, "c": 2}})), ["/tags/a /tags/a/b", "/tags/a /tags/a/c"]);
        // Neighbours in text are none in paths.
        assert_eq!(met(json!({"a": 1, "a/b": 1, "a!": 1}), json!({"a": {"x": 1}})), ["/tags/a /tags/a/x"]);
    }

    #[test]
    fn sections_do_not_meet() {
        let desired = Sections { tags: Leaves::new(), desired: tags(json!({"a": 1})).tags };
        assert_eq!(overlaps(&tags(json!({"a": 1})), &desired), []);
        assert_eq!(overlaps(&desired, &desired)[0].0.to_string(), "/properties/desired/a");
    }

    #[test]
    fn equal_component_markers_never_meet() {
        let component = |marker: &str| tags(json!({"c": {"__t": marker}}));
        assert_eq!(overlaps(&component("c"), &component("c")), []);
        assert_eq!(overlaps(&component("c"), &component("d")).len(), 1);
        assert_eq!(overlaps(&component("c"), &tags(json!({"c": {"__t": {"x": 1}}}))).len(), 1);
    }

    #[test]
    fn the_winner_holds_the_leaf_or_is_older_or_comes_first() {
        let both = tags(json!({"a": 1}));
        let nothing = tags(json!({}));
        let judge = |me: (&str, i64, Option<&Ledger>), other: (&str, i64, Option<&Ledger>)| {
            let me = claimant(me.0, me.1, &both, me.2);
            let other = claimant(other.0, other.1, &both, other.2);
            let (mine, theirs) = (settle(&me, &[other]).lost.len(), settle(&other, &[me]).lost.len());
            assert_eq!(mine + theirs, 1, "one of the two loses");
            theirs == 1
        };
        assert!(judge(("b", 9, Some(&both)), ("a", 1, None)), "who holds it wins over who is older");
        assert!(judge(("b", 9, Some(&both)), ("a", 1, Some(&nothing))));
        assert!(judge(("b", 1, Some(&both)), ("a", 2, Some(&both))), "both hold it, as after a restore: the older");
        assert!(judge(("b", 1, None), ("a", 2, None)), "nobody holds it: the older");
        assert!(judge(("a", 5, None), ("b", 5, None)), "the same second: by name");
        let mut other = claimant("a", 5, &both, None);
        other.namespace = "alpha";
        assert_eq!(settle(&claimant("a", 5, &both, None), &[other]).lost.len(), 1, "by namespace first");
    }

    #[test]
    fn who_holds_something_below_wins_over_a_leaf_above() {
        let (wants, holds, above) =
            (tags(json!({"a": {"b": 1, "c": 2}})), tags(json!({"a": {"c": 2}})), tags(json!({"a": 5})));
        let me = claimant("me", 9, &wants, Some(&holds));
        let other = claimant("other", 1, &above, None);
        assert_eq!(settle(&me, &[other]).lost, []);
        assert_eq!(told(&settle(&other, &[me]).lost), ["/tags/a meets /tags/a/b of 0", "/tags/a meets /tags/a/c of 0"]);
    }

    #[test]
    fn a_suspended_object_keeps_what_it_holds_and_asks_for_no_more() {
        let (held, wants) = (tags(json!({"a": 1})), tags(json!({"a": 2, "b": 2})));
        let suspended = claimant("suspended", 9, &held, Some(&held));
        let claims = settle(&claimant("me", 1, &wants, None), &[suspended]);
        assert_eq!(told(&claims.lost), ["/tags/a meets /tags/a of 0"]);
        assert_eq!(claims.others, held);
    }

    #[test]
    fn all_that_others_name_is_told() {
        let (first, second, mine) =
            (tags(json!({"a": {"b": 1}})), tags(json!({"a": {"b": {}}, "c": 1})), tags(json!({})));
        let others = [claimant("x", 1, &first, None), claimant("y", 2, &second, None)];
        let claims = settle(&claimant("me", 3, &mine, None), &others);
        assert_eq!(claims, Claims { others: tags(json!({"a": {"b": {}}, "c": 1})), lost: Vec::new() });
    }

    fn section() -> impl Strategy<Value = Sections<Leaves>> {
        let leaf = prop_oneof![Just(json!(1)), Just(json!({})), Just(json!("c"))];
        let inner = proptest::collection::btree_map("[ab]|__t", leaf.clone(), 0..3)
            .prop_map(|members| Value::Object(members.into_iter().collect()));
        proptest::collection::btree_map("[abc]", prop_oneof![leaf, inner], 0..3)
            .prop_map(|members| tags(Value::Object(members.into_iter().collect())))
    }

    proptest! {
        #![proptest_config(crate::twin::random::config(10_000))]

        /// Of each pair of leaves that meet exactly one side loses, whoever asks; a naive search finds the same pairs.
        #[test]
        fn exactly_one_of_two_loses(
            (left, right) in (section(), section()),
            (left_holds, right_holds) in (proptest::option::of(section()), proptest::option::of(section())),
            (left_age, right_age) in (0_i64..3, 0_i64..3),
        ) {
            let me = claimant("left", left_age, &left, left_holds.as_ref());
            let other = claimant("right", right_age, &right, right_holds.as_ref());
            let mut naive = Vec::new();
            for (a, x) in &left.tags {
                for (b, y) in &right.tags {
                    let marker = a == b && a.to_string().ends_with("/__t") && x == y;
                    if (a.contains(b) || b.contains(a)) && !marker {
                        naive.push((a.clone(), b.clone()));
                    }
                }
            }
            let mut lost: Vec<(Pointer, Pointer)> =
                settle(&me, &[other]).lost.into_iter().map(|lost| (lost.ours.at, lost.theirs.at)).collect();
            lost.extend(settle(&other, &[me]).lost.into_iter().map(|lost| (lost.theirs.at, lost.ours.at)));
            lost.sort();
            naive.sort();
            prop_assert_eq!(lost, naive);
        }
    }
}
