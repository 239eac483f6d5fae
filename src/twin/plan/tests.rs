//! One named scenario a rule.

use serde_json::{Value, json};

use super::super::document::leaves;
use super::super::invariants::violations;
use super::*;

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap()
}

/// A plan of the tags section alone.
struct Case {
    base: Option<Value>,
    ours: Value,
    theirs: Value,
    claimed: Value,
    lost: Vec<&'static str>,
    held: Vec<&'static str>,
    policies: Policies,
}

fn case(base: Option<Value>, ours: Value, theirs: Value) -> Case {
    Case { base, ours, theirs, claimed: json!({}), lost: Vec::new(), held: Vec::new(), policies: Policies::default() }
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

    /// What another object names.
    fn claimed(mut self, leaves: Value) -> Self {
        self.claimed = leaves;
        self
    }

    /// A leaf of ours that another object wins.
    fn lost(mut self, at: &'static str) -> Self {
        self.lost.push(at);
        self
    }

    /// A leaf whose drift is left for now.
    fn held(mut self, at: &'static str) -> Self {
        self.held.push(at);
        self
    }

    fn plan(self) -> Plan {
        let ours = tags(self.ours);
        let base = self.base.map(tags);
        let (theirs, nothing) = (object(self.theirs), Object::new());
        let place = |at: &str| Place { section: Section::Tags, at: at.parse().unwrap() };
        let lost = self.lost.iter().map(|at| Lost { ours: place(at), theirs: place(at), to: 0 }).collect();
        let held = Sections { tags: self.held.iter().map(|at| at.parse().unwrap()).collect(), ..Sections::default() };
        let inputs = Inputs {
            ours: &ours,
            base: base.as_ref(),
            theirs: Sections { tags: &theirs, desired: &nothing },
            claims: &Claims { others: tags(self.claimed), lost },
            held: &held,
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

fn tags(content: Value) -> Sections<Leaves> {
    Sections { tags: leaves(&object(content)), desired: Leaves::new() }
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
fn a_leaf_that_another_object_names_is_handed_over() {
    let dropped = || case(Some(json!({"a": {"b": 1}})), json!({}), json!({"a": {"b": 1}}));
    let made = dropped().claimed(json!({"a": {"b": 7}})).patches(json!({}));
    assert!(made.ledger_now.tags.is_empty() && made.released.is_empty());
    let removed = dropped().claimed(json!({"a": {"c": 1}})).patches(json!({"a": {"b": null}}));
    assert_eq!(ledger(&removed.ledger_now.tags), [("/a/b".to_owned(), json!(1))], "until the hub answered");
    case(Some(json!({"a": {"b": 1}})), json!({}), json!({"a": {"b": 9}}))
        .claimed(json!({"a": {"b": 1}}))
        .patches(json!({}));
}

#[test]
fn a_shape_that_would_be_in_the_other_objects_way_is_removed() {
    let base = || Some(json!({"a": 1}));
    case(base(), json!({}), json!({"a": 1})).claimed(json!({"a": {"y": 1}})).patches(json!({"a": null}));
    let base = || Some(json!({"a": {"b": 1}}));
    case(base(), json!({}), json!({"a": {"b": 1}})).claimed(json!({"a": 5})).patches(json!({"a": null}));
    case(base(), json!({}), json!({"a": {"b": 1}})).claimed(json!({"a": {}})).patches(json!({"a": {"b": null}}));
    // An empty object takes what the other puts into it.
    let made =
        case(Some(json!({"a": {}})), json!({}), json!({"a": {}})).claimed(json!({"a": {"y": 1}})).patches(json!({}));
    assert!(made.ledger_now.tags.is_empty());
    // Ours gives way to ours, whatever goes beside it.
    case(Some(json!({"a": 1})), json!({"a": {"x": 2}}), json!({"a": 1}))
        .claimed(json!({"a": {"y": 1}}))
        .patches(json!({"a": {"x": 2}}));
}

#[test]
fn a_leaf_that_another_object_wins_blocks_and_is_not_adopted() {
    let made = case(None, json!({"a": 1, "b": 2}), json!({"a": 1})).claimed(json!({"a": 1})).lost("/a").plan();
    assert!(matches!(&made.blocked[..], [Blocked::Claimed(lost)] if lost.ours.to_string() == "/tags/a"));
    assert!(made.is_empty() && made.ledger_now.tags.is_empty());
    // What the ledger held it keeps: it leaves it only when the spec lets go.
    let made = case(Some(json!({"a": 1})), json!({"a": 1}), json!({"a": 1})).claimed(json!({"a": 1})).lost("/a").plan();
    assert_eq!(ledger(&made.ledger_now.tags), [("/a".to_owned(), json!(1))]);
}

#[test]
fn drift_that_is_held_back_is_listed_and_a_spec_change_is_written_all_the_same() {
    let made = case(Some(json!({"a": 1, "b": 1})), json!({"a": 1, "b": 1}), json!({"a": 9}))
        .held("/a")
        .patches(json!({"b": 1}));
    assert_eq!((texts(&made.contested), texts(&made.drift)), (vec!["/tags/a".to_owned()], vec![]));
    assert_eq!(ledger(&made.ledger_now.tags)[0], ("/a".to_owned(), json!(1)));
    case(Some(json!({"a": 1})), json!({"a": 2}), json!({"a": 9})).held("/a").patches(json!({"a": 2}));
    let reported = case(Some(json!({"a": 1})), json!({"a": 1}), json!({"a": 9})).held("/a").drift(DriftPolicy::Report);
    assert_eq!(texts(&reported.patches(json!({})).drift), ["/tags/a"]);
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
    // Never the section, also when all of it goes; and the empty object that our leaf went into goes with it.
    case(Some(json!({"a": 1, "b": {"c": 2}})), json!({}), json!({"a": 1, "b": {"c": 2}}))
        .patches(json!({"a": null, "b": null}));
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
    case(None, json!({"a": 1}), json!({"a": [{"x": 1}]})).patches(json!({"a": 1}));
    let drifted = || case(Some(json!({"a": 1})), json!({"a": 1}), json!({"a": {"x": 1}}));
    for policy in [DriftPolicy::Correct, DriftPolicy::Report] {
        assert!(matches!(&drifted().drift(policy).plan().blocked[..], [Blocked::Shape { .. }]), "{policy:?}");
    }
    let one_bad = case(None, json!({"z": 1, "a": 1}), json!({"a": {}})).plan();
    assert!(one_bad.is_empty() && one_bad.patch == Sections::default(), "the whole object, its other leaves too");
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
    for parent in [json!(5), json!([{"x": 1}])] {
        let made = case(Some(json!({"a": {"x": 1}})), json!({}), json!({"a": parent})).patches(json!({}));
        assert!(made.released.is_empty() && made.ledger_now.tags.is_empty());
    }
    // Also when the spec asks for an object there: what was in it belongs to somebody else now.
    let made = case(Some(json!({"a": {"x": 1}})), json!({"a": {}}), json!({"a": {"x": 9}})).patches(json!({}));
    assert_eq!(texts(&made.released), ["/tags/a/x"]);
    // An object of ours, filled by the spec below it, is no loss.
    let made =
        case(Some(json!({"a": {}})), json!({"a": {"x": 1}}), json!({"a": {"y": 1}})).patches(json!({"a": {"x": 1}}));
    assert_eq!(texts(&made.released), [""; 0]);
}

#[test]
fn keys_with_slashes_tildes_and_unicode_are_keys_like_others() {
    let ours = json!({"a/b": {"~m": 1, "ключ": "значение", "": 2}});
    case(None, ours.clone(), json!({})).patches(ours.clone());
    case(Some(ours.clone()), json!({}), ours).patches(json!({"a/b": null}));
    let made = case(None, json!({"a/b": 1}), json!({"a": {"b": 2}})).patches(json!({"a/b": 1}));
    assert_eq!(made.actions[0].place.to_string(), "/tags/a~1b");
}

#[test]
fn numbers_are_compared_by_value_and_arrays_are_one_leaf() {
    case(None, json!({"a": 1, "b": [1, 2.5]}), json!({"a": 1.0, "b": [1.0, 2.5]})).patches(json!({}));
    case(None, json!({"a": 0}), json!({"a": -0.0})).patches(json!({}));
    case(None, json!({"a": 4_503_599_627_370_495_i64}), json!({"a": 4_503_599_627_370_494_i64}))
        .patches(json!({"a": 4_503_599_627_370_495_i64}));
    case(None, json!({"a": [1, {"b": 2}]}), json!({"a": [1, {"b": 3}]})).patches(json!({"a": [1, {"b": 2}]}));
    let made = case(Some(json!({"a": [1]})), json!({}), json!({"a": [1.0]})).patches(json!({"a": null}));
    assert_eq!(made.actions[0].why, Why::NoLongerWanted);
}

#[test]
fn a_spec_edit_and_drift_under_report_are_told_apart_leaf_by_leaf() {
    let base = Some(json!({"edited": 1, "drifted": 1, "both": 1, "calm": 1}));
    let ours = json!({"edited": 2, "drifted": 1, "both": 2, "calm": 1});
    let made = case(base, ours, json!({"edited": 1, "drifted": 9, "both": 9, "calm": 1})).drift(DriftPolicy::Report);
    let made = made.patches(json!({"edited": 2, "both": 2}));
    assert_eq!(texts(&made.drift), ["/tags/drifted"]);
}

#[test]
fn both_sections_are_one_plan_and_what_blocks_one_blocks_both() {
    let ours = Sections { tags: leaves(&object(json!({"a": 1}))), desired: leaves(&object(json!({"b": 2}))) };
    let (tags, desired) = (object(json!({})), object(json!({"b": {"x": 1}})));
    let inputs = Inputs {
        ours: &ours,
        base: None,
        theirs: Sections { tags: &tags, desired: &desired },
        claims: &Claims::default(),
        held: &Sections::default(),
        policies: Policies::default(),
    };
    let made = plan(&inputs);
    assert_eq!(violations(&inputs, &made), Vec::<String>::new());
    assert!(made.is_empty() && made.blocked.len() == 1, "{made:?}");
    let free = plan(&Inputs { theirs: Sections { tags: &tags, desired: &tags }, ..inputs });
    assert_eq!((free.patch.tags, free.patch.desired), (object(json!({"a": 1})), object(json!({"b": 2}))));
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
    // Over the limit already, and not growing: the hub takes it.
    let over = json!({"x": "s".repeat(9000), "a": "long"});
    case(None, json!({"a": "s"}), over.clone()).patches(json!({"a": "s"}));
    assert!(matches!(case(None, json!({"a": "longer"}), over).plan().blocked[..], [Blocked::TooLarge { .. }]));
}
