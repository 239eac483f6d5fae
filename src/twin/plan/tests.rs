//! One named scenario a rule, and the laws on random inputs.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::document::leaves;
use super::super::invariants::violations;
use super::super::random::config;
use super::*;

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap()
}

/// A plan of the tags section alone.
struct Case {
    base: Option<Value>,
    ours: Value,
    theirs: Value,
    claimed: Vec<&'static str>,
    policies: Policies,
}

fn case(base: Option<Value>, ours: Value, theirs: Value) -> Case {
    Case { base, ours, theirs, claimed: Vec::new(), policies: Policies::default() }
}

impl Case {
    fn adoption(mut self, adoption: Adoption) -> Self {
        self.policies.adoption = adoption;
        self
    }

    fn drift(mut self, drift: DriftPolicy) -> Self {
        self.policies.drift = drift;
        self
    }

    fn claimed(mut self, at: &'static str) -> Self {
        self.claimed.push(at);
        self
    }

    fn plan(self) -> Plan {
        let ours = Sections { tags: leaves(&object(self.ours)), desired: Leaves::new() };
        let base = self.base.map(|base| Sections { tags: leaves(&object(base)), desired: Leaves::new() });
        let (tags, desired) = (object(self.theirs), Object::new());
        let claimed =
            Sections { tags: self.claimed.iter().map(|at| at.parse().unwrap()).collect(), desired: BTreeSet::new() };
        let inputs = Inputs {
            ours: &ours,
            base: base.as_ref(),
            theirs: Sections { tags: &tags, desired: &desired },
            claimed: &claimed,
            policies: self.policies,
        };
        let made = plan(&inputs);
        assert_eq!(violations(&inputs, &made), Vec::<String>::new(), "{made:#?}");
        made
    }

    fn patches(self, expected: Value) -> Plan {
        let made = self.plan();
        assert_eq!(made.blocked, []);
        assert_eq!(Value::Object(made.patch.tags.clone()), expected);
        made
    }
}

fn texts(places: &[Place]) -> Vec<String> {
    places.iter().map(ToString::to_string).collect()
}

fn ledger(leaves: &Leaves) -> Vec<(String, Value)> {
    leaves.iter().map(|(at, value)| (at.to_string(), value.clone())).collect()
}

#[test]
fn equal_writes_nothing_and_the_ledger_takes_the_value() {
    let made = case(None, json!({"a": 1}), json!({"a": 1.0, "x": 2})).patches(json!({}));
    assert_eq!(ledger(&made.ledger_now.tags), [("/a".to_owned(), json!(1))]);
}

#[test]
fn drift_is_corrected_or_reported() {
    let drifted = || case(Some(json!({"a": 1, "b": 2})), json!({"a": 1, "b": 2}), json!({"a": 9}));
    let made = drifted().patches(json!({"a": 1, "b": 2}));
    assert!(made.actions.iter().all(|action| action.why == Why::Drift));
    let made = drifted().drift(DriftPolicy::Report).patches(json!({}));
    assert_eq!(texts(&made.drift), ["/tags/a", "/tags/b"]);
}

#[test]
fn a_spec_change_is_set_also_under_report_and_also_when_theirs_moved() {
    let made = case(Some(json!({"a": 1})), json!({"a": 2}), json!({"a": 9})).drift(DriftPolicy::Report);
    assert_eq!(made.patches(json!({"a": 2})).actions[0].why, Why::SpecChange);
}

#[test]
fn first_contact_overwrites_or_requires_equality() {
    case(None, json!({"a": 1, "n": {"b": 2}}), json!({"a": 9})).patches(json!({"a": 1, "n": {"b": 2}}));
    let made = case(None, json!({"a": 1, "n": 2}), json!({"a": 9})).adoption(Adoption::RequireEqual).plan();
    assert!(matches!(&made.blocked[..], [Blocked::Differs(at)] if at.to_string() == "/tags/a"), "{:?}", made.blocked);
    case(None, json!({"n": 2}), json!({})).adoption(Adoption::RequireEqual).patches(json!({"n": 2}));
}

#[test]
fn what_the_spec_drops_is_removed_released_or_forgotten() {
    let base = Some(json!({"same": 1, "other": 2, "gone": 3}));
    let made = case(base, json!({}), json!({"same": 1, "other": 9, "foreign": 4})).patches(json!({"same": null}));
    assert_eq!(texts(&made.released), ["/tags/other"]);
    assert_eq!(ledger(&made.ledger_now.tags), [("/same".to_owned(), json!(1))]);
    assert!(made.ledger_after.tags.is_empty());
}

#[test]
fn a_leaf_that_another_object_claims_is_handed_over() {
    let made = case(Some(json!({"a": {"b": 1}})), json!({}), json!({"a": {"b": 1}})).claimed("/a/b").patches(json!({}));
    assert!(made.ledger_now.tags.is_empty() && made.released.is_empty());
    case(Some(json!({"a": {"b": 1}})), json!({}), json!({"a": {"b": 1}}))
        .claimed("/a/c")
        .patches(json!({"a": {"b": null}}));
}

#[test]
fn removal_takes_the_highest_ancestor_that_is_all_ours() {
    let base = || Some(json!({"a": {"b": {"c": 1, "d": 2}}}));
    case(base(), json!({}), json!({"a": {"b": {"c": 1, "d": 2}}})).patches(json!({"a": null}));
    case(base(), json!({}), json!({"a": {"b": {"c": 1, "d": 2}, "x": 0}})).patches(json!({"a": {"b": null}}));
    case(base(), json!({}), json!({"a": {"b": {"c": 1, "d": 2}, "x": {}}})).patches(json!({"a": {"b": null}}));
    case(base(), json!({"a": {"b": {"c": 1}}}), json!({"a": {"b": {"c": 1, "d": 2}}}))
        .patches(json!({"a": {"b": {"d": null}}}));
    case(base(), json!({"a": {}}), json!({"a": {"b": {"c": 1, "d": 2}}})).patches(json!({"a": {"b": null}}));
}

#[test]
fn an_empty_object_is_satisfied_by_any_object() {
    case(None, json!({"a": {}}), json!({"a": {"x": 1}})).patches(json!({}));
    case(None, json!({"a": {}}), json!({})).patches(json!({"a": {}}));
    let made = case(None, json!({"a": {}}), json!({"a": 1})).plan();
    assert!(matches!(&made.blocked[..], [Blocked::Shape { .. }]));
}

#[test]
fn foreign_values_of_another_shape_block_the_whole_object() {
    for (ours, theirs, foreign) in [
        (json!({"a": 1, "z": 1}), json!({"a": {"x": 1}}), "/tags/a/x"),
        (json!({"a": [1], "z": 1}), json!({"a": {}}), "/tags/a"),
        (json!({"a": {"b": {"c": 1}}, "z": 1}), json!({"a": 5}), "/tags/a"),
        (json!({"a": {"b": {"c": 1}}, "z": 1}), json!({"a": {"b": [5]}}), "/tags/a/b"),
    ] {
        let made = case(None, ours, theirs).plan();
        let [Blocked::Shape { foreign: found, .. }] = &made.blocked[..] else { panic!("{:?}", made.blocked) };
        assert_eq!(found.to_string(), foreign);
        assert!(made.is_empty());
    }
    case(None, json!({"a": [1]}), json!({"a": 1})).patches(json!({"a": [1]}));
}

#[test]
fn our_own_values_of_another_shape_give_way_and_the_set_goes_alone() {
    case(Some(json!({"a": {"x": 1}})), json!({"a": 2}), json!({"a": {"x": 1}})).patches(json!({"a": 2}));
    case(Some(json!({"a": 1})), json!({"a": {"x": 2}}), json!({"a": 1})).patches(json!({"a": {"x": 2}}));
    let made = case(Some(json!({"a": {"x": 1}})), json!({"a": 2}), json!({"a": {"x": 9}})).plan();
    assert!(matches!(&made.blocked[..], [Blocked::Shape { .. }]), "the value moved, so it is no longer ours");
}

#[test]
fn a_ledger_leaf_whose_place_changed_shape_is_released_or_counts_as_absent() {
    let made = case(Some(json!({"a": 1})), json!({}), json!({"a": {"x": 1}})).patches(json!({}));
    assert_eq!(texts(&made.released), ["/tags/a"]);
    let made = case(Some(json!({"a": {"x": 1}})), json!({}), json!({"a": 5})).patches(json!({}));
    assert!(made.released.is_empty() && made.ledger_now.tags.is_empty());
}

#[test]
fn keys_with_slashes_tildes_and_unicode_are_keys_like_others() {
    let ours = json!({"a/b": {"~m": 1, "ключ": "значение", "": 2}});
    case(None, ours.clone(), json!({})).patches(ours);
}

#[test]
fn an_empty_section_owns_nothing() {
    case(Some(json!({})), json!({}), json!({"a": 1})).patches(json!({}));
    case(None, json!({}), json!({"a": 1})).patches(json!({}));
}

#[test]
fn growing_over_the_limit_together_with_foreign_keys_is_too_large() {
    let theirs = json!({"x": "s".repeat(4000), "y": "s".repeat(4000)});
    let made = case(None, json!({"a": "s".repeat(300)}), theirs.clone()).plan();
    let [Blocked::TooLarge { ours: 301, whole: 8303, limit: 8192, .. }] = made.blocked[..] else {
        panic!("{:?}", made.blocked)
    };
    case(None, json!({"a": 1}), theirs).patches(json!({"a": 1}));
}

// ---- laws

/// Few keys and few values, so that the three sides meet often.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(1)),
        Just(json!(1.0)),
        Just(json!(2)),
        Just(json!("s")),
        Just(json!(true)),
        Just(json!({})),
        Just(json!([1, {"k": 2}])),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        proptest::collection::btree_map("[abc/~]", inner, 0..3)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    })
}

fn section() -> impl Strategy<Value = Object> {
    proptest::collection::btree_map("[abc]", value(), 0..4).prop_map(|members| members.into_iter().collect())
}

fn policies() -> impl Strategy<Value = Policies> {
    (any::<bool>(), any::<bool>()).prop_map(|(adoption, drift)| Policies {
        adoption: if adoption { Adoption::Overwrite } else { Adoption::RequireEqual },
        drift: if drift { DriftPolicy::Correct } else { DriftPolicy::Report },
    })
}

/// How the hub's content came about: from nowhere, or from our ledger with foreign writes on top.
fn theirs(base: &Object, foreign: Object, related: bool) -> Object {
    if !related {
        return foreign;
    }
    let mut merged = base.clone();
    merge_patch(&mut merged, &foreign);
    merged
}

proptest! {
    #![proptest_config(config(10_000))]

    #[test]
    fn the_laws_hold(
        (ours_tags, ours_desired) in (section(), section()),
        (base_tags, base_desired, has_base) in (section(), section(), any::<bool>()),
        (foreign_tags, foreign_desired, related) in (section(), section(), any::<bool>()),
        claimed in proptest::collection::vec("(/[abc]){1,2}", 0..3),
        policies in policies(),
    ) {
        let ours = Sections { tags: leaves(&ours_tags), desired: leaves(&ours_desired) };
        let base = Sections { tags: leaves(&base_tags), desired: leaves(&base_desired) };
        let tags = theirs(&base_tags, foreign_tags, related);
        let desired = theirs(&base_desired, foreign_desired, related);
        let claimed = Sections {
            tags: claimed.iter().map(|at| at.parse().unwrap()).collect(),
            desired: BTreeSet::new(),
        };
        let inputs = Inputs {
            ours: &ours,
            base: has_base.then_some(&base),
            theirs: Sections { tags: &tags, desired: &desired },
            claimed: &claimed,
            policies,
        };
        let made = plan(&inputs);
        prop_assert_eq!(violations(&inputs, &made), Vec::<String>::new());
        prop_assert_eq!(plan(&inputs), made);
    }
}
