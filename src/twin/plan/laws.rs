//! The planner's laws on random inputs. The run counts how often each row of the table and each rule of shapes was met,
//! and fails when one was met too seldom to mean something.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::{TestCaseError, any, prop_assert_eq};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::super::claims::{Claimant, settle};
use super::super::document::{get, is_leaf, leaves};
use super::super::invariants::violations;
use super::super::random::config;
use super::*;

const CASES: u32 = 24_000;
/// Every row and every rule is met at least this often in a run.
const LEAST: u32 = 100;

/// All that a plan is made from, in the raw.
#[derive(Clone, Debug)]
struct Case {
    ours: [Object; 2],
    base: Option<[Object; 2]>,
    theirs: [Object; 2],
    /// Another object on the same twin: what it names, whether its ledger holds that, and whether it is older.
    other: Option<([Object; 2], bool, bool)>,
    held: BTreeSet<Pointer>,
    policies: Policies,
}

// ---- generators: few keys and few values, so that the three sides meet often

/// A choice at a time from random bytes; the first choice when they are used up. Shorter tapes make simpler cases, which is
/// how a failing one is made small.
struct Tape<'a>(std::slice::Iter<'a, u8>);

impl Tape<'_> {
    fn pick(&mut self, choices: u8) -> u8 {
        self.0.next().map_or(0, |byte| byte % choices)
    }

    fn one_in(&mut self, chances: u8) -> bool {
        self.pick(chances) == chances - 1
    }
}

fn leaf(tape: &mut Tape<'_>) -> Value {
    match tape.pick(16) {
        0..=3 => json!(1),
        4 | 5 => json!(1.0),
        6..=8 => json!(2),
        9 => json!("s"),
        10 => json!(true),
        11 => json!(0),
        12 => json!(-0.0),
        13 => json!([1, {"k": 2}]),
        14 => json!([]),
        _ => json!({}),
    }
}

fn key(tape: &mut Tape<'_>) -> String {
    ["a", "b", "a", "b", "a", "b", "/", "~", "é", "", "__t"][usize::from(tape.pick(11))].to_owned()
}

fn value(tape: &mut Tape<'_>, depth: usize) -> Value {
    if depth == 0 || !tape.one_in(3) { leaf(tape) } else { Value::Object(members(tape, depth - 1)) }
}

fn members(tape: &mut Tape<'_>, depth: usize) -> Object {
    (0..=tape.pick(2)).map(|_| (key(tape), value(tape, depth))).collect()
}

fn section(tape: &mut Tape<'_>) -> Object {
    if tape.one_in(5) { Object::new() } else { members(tape, 2) }
}

/// The same content after somebody's edits: kept, written another way, changed, dropped, or of another shape.
fn edited(tape: &mut Tape<'_>, content: &Object) -> Object {
    let mut edited = Object::new();
    for (key, value) in content {
        let now = match (tape.pick(12), value) {
            (0..=4, value) => Some(value.clone()),
            (5, Value::Number(number)) => number.as_f64().map(|float| json!(float)),
            (6, Value::Object(_)) => Some(leaf(tape)),
            (5..=8, Value::Object(members)) => Some(Value::Object(self::edited(tape, members))),
            (6, _) => Some(Value::Object(members(tape, 0))),
            (7 | 8, _) => Some(leaf(tape)),
            _ => None,
        };
        edited.extend(now.map(|now| (key.clone(), now)));
    }
    if tape.one_in(3) {
        let (key, value) = (self::key(tape), self::value(tape, 1));
        edited.entry(key).or_insert(value);
    }
    edited
}

/// Spec, ledger and hub: mostly the ledger, and the others from it by edits.
fn sides(tape: &mut Tape<'_>) -> (Object, Object, Object) {
    let base = section(tape);
    match tape.pick(12) {
        0..=3 => (edited(tape, &base), base.clone(), edited(tape, &base)),
        4 => (base.clone(), base.clone(), edited(tape, &base)),
        5 => (edited(tape, &base), base.clone(), base),
        6 => (section(tape), base, section(tape)),
        9 | 10 => (changed(tape, &base), base.clone(), changed(tape, &base)),
        // Objects that hold something of ours and something beside it.
        7 | 8 => {
            let nested: Object = [(key(tape), Value::Object(members(tape, 1)))].into_iter().chain(base).collect();
            (edited(tape, &nested), nested.clone(), beside(&nested))
        }
        // A hub that is nearly full, or over its limit.
        _ => {
            let (ours, mut theirs) = (edited(tape, &base), edited(tape, &base));
            let pad = if tape.one_in(2) { 8193 } else { 8140 + usize::from(tape.pick(60)) };
            theirs.insert("pad".to_owned(), json!("x".repeat(pad)));
            (ours, base, theirs)
        }
    }
}

/// The same places with other values.
fn changed(tape: &mut Tape<'_>, content: &Object) -> Object {
    let mut changed = Object::new();
    for (key, value) in content {
        let now = match value {
            Value::Object(members) if !members.is_empty() => Value::Object(self::changed(tape, members)),
            _ => leaf(tape),
        };
        changed.insert(key.clone(), now);
    }
    changed
}

/// With a further key in every object.
fn beside(content: &Object) -> Object {
    let fuller = |value: &Value| value.as_object().map(|members| Value::Object(beside(members)));
    let fuller = content.iter().map(|(key, value)| (key.clone(), fuller(value).unwrap_or_else(|| value.clone())));
    fuller.chain([("beside".to_owned(), json!(1))]).collect()
}

fn case(tape: &mut Tape<'_>) -> Case {
    let ((mut ours, mut base, mut theirs), (ours2, base2, theirs2)) = (sides(tape), sides(tape));
    // The other object names some of what our ledger held, and something of its own.
    let other = tape.one_in(3).then(|| {
        let shared = base.iter().take(1).map(|(key, value)| (key.clone(), value.clone())).collect();
        let mut named = match tape.pick(4) {
            0 => members(tape, 1),
            1 => edited(tape, &shared),
            _ => base.keys().take(1).map(|key| (key.clone(), json!({"other": 1}))).collect(),
        };
        // A rename: the spec lets go of all, and the hub holds it.
        if tape.one_in(4) {
            ours.clear();
            theirs.clone_from(&base);
        }
        if tape.one_in(3) {
            for content in [&mut named, &mut ours, &mut base, &mut theirs] {
                content.insert("__t".to_owned(), json!("c"));
            }
        }
        ([named, Object::new()], tape.one_in(2), tape.one_in(2))
    });
    Case {
        held: leaves(&base).into_keys().filter(|_| tape.one_in(4)).collect(),
        policies: Policies {
            adoption: if tape.one_in(4) { Adoption::RequireEqual } else { Adoption::Overwrite },
            drift: if tape.one_in(3) { DriftPolicy::Report } else { DriftPolicy::Correct },
        },
        base: (!tape.one_in(6)).then_some([base, base2]),
        ours: [ours, ours2],
        theirs: [theirs, theirs2],
        other,
    }
}

// ---- what a case meets

type Counts = BTreeMap<&'static str, u32>;

/// Every row of the table, with its branches.
const ROWS: &[&str] = &[
    "row equal: nothing is written, the ledger takes it",
    "row drift: set",
    "row drift: reported",
    "row drift: held back",
    "row drift: the leaf is absent",
    "row spec change: theirs is as it was",
    "row spec change: theirs moved too",
    "row spec change: theirs is absent",
    "row spec change: under Report",
    "row new: absent",
    "row new: differs, Overwrite",
    "row new: differs, RequireEqual",
    "row dropped: removed",
    "row dropped: handed over",
    "row dropped: released",
    "row dropped: already gone",
    "row foreign: left alone",
];

/// Every rule of shapes, removal, size and claims.
const RULES: &[&str] = &[
    "an empty object is satisfied by a full one",
    "our scalar or array meets a foreign object",
    "our leaf meets a foreign scalar or array above it",
    "our empty object meets a foreign scalar or array",
    "a foreign shape blocks under Correct",
    "a foreign shape blocks under Report",
    "our own object gives way to a scalar or an array",
    "our own scalar or array gives way to an object",
    "an array against a scalar is a plain difference",
    "a dropped leaf became a full object: released",
    "a dropped leaf's parent became a scalar or an array: absent",
    "removes a leaf and sets below it: the set alone",
    "removes a leaf and sets above it: the set alone",
    "the section is no leaf",
    "the null stands at an ancestor",
    "the null stands below what the spec names",
    "the null stands below what others hold",
    "the null stands below what another object names",
    "all goes, and the section stays",
    "with foreign keys over the limit and growing: blocked",
    "over the limit and not growing: written",
    "another object wins a leaf",
    "an equal component marker is shared",
    "a number equal by value is left as it is written",
    "keys with a slash or a tilde are written",
    "an empty key is written",
    "no ledger",
    "both sections in one plan",
];

struct Met<'a> {
    case: &'a Case,
    inputs: &'a Inputs<'a>,
    made: &'a Plan,
    counts: &'a mut Counts,
}

impl Met<'_> {
    fn met(&mut self, what: &'static str, holds: bool) {
        if holds {
            assert!(ROWS.contains(&what) || RULES.contains(&what), "{what} is in no list");
            *self.counts.entry(what).or_default() += 1;
        }
    }

    fn all(&mut self) {
        let inputs = self.inputs;
        self.met("no ledger", inputs.base.is_none() && !self.made.is_empty());
        let patch = &self.made.patch;
        self.met("both sections in one plan", !patch.tags.is_empty() && !patch.desired.is_empty());
        let bases = [inputs.base.map(|base| &base.tags), inputs.base.map(|base| &base.desired)];
        let theirs = [inputs.theirs.tags, inputs.theirs.desired];
        let named = [&inputs.claims.others.tags, &inputs.claims.others.desired];
        for (index, (section, ours)) in inputs.ours.each().into_iter().enumerate() {
            let (base, theirs) = (bases[index], theirs[index]);
            for (at, value) in ours {
                self.wanted(section, at, value, base.and_then(|base| base.get(at)), get(theirs, at));
            }
            for (at, value) in base.into_iter().flatten().filter(|(at, _)| !ours.contains_key(at)) {
                self.dropped(section, at, value, theirs, ours, named[index]);
            }
            let mine = |at: &Pointer| ours.contains_key(at) || base.is_some_and(|base| base.contains_key(at));
            self.met("row foreign: left alone", leaves(theirs).keys().any(|at| !mine(at)));
            self.met(
                "the section is no leaf",
                ours.is_empty() && !theirs.is_empty() && base.is_none_or(Leaves::is_empty),
            );
            let patch = if section == Section::Tags { &self.made.patch.tags } else { &self.made.patch.desired };
            let emptied = !theirs.is_empty() && theirs.keys().all(|key| patch.get(key).is_some_and(Value::is_null));
            self.met("all goes, and the section stays", emptied);
            for at in leaves(patch).iter().filter(|(_, value)| value.is_null()).map(|(at, _)| at) {
                self.null(at, theirs, ours, named[index]);
            }
            let over = rules::size(theirs) > rules::max_bytes(section);
            self.met("over the limit and not growing: written", over && !patch.is_empty());
        }
        for block in &self.made.blocked {
            self.block(block);
        }
    }

    fn set(&self, section: Section, at: &Pointer) -> bool {
        self.made
            .actions
            .iter()
            .any(|action| action.place == Place { section, at: at.clone() } && action.value.is_some())
    }

    fn wanted(&mut self, section: Section, at: &Pointer, ours: &Value, base: Option<&Value>, theirs: Option<&Value>) {
        let same = |left: Option<&Value>| left.is_some_and(|left| equal(left, ours));
        let marker = at.keys().last().is_some_and(|key| key == "__t");
        let (set, policies) = (self.set(section, at), self.case.policies);
        let free = self.made.blocked.is_empty();
        self.met("row equal: nothing is written, the ledger takes it", same(theirs) && !set && base.is_none() && free);
        self.met("a number equal by value is left as it is written", same(theirs) && theirs != Some(ours) && free);
        let full = ours.is_object() && theirs.and_then(Value::as_object).is_some_and(|object| !object.is_empty());
        self.met("an empty object is satisfied by a full one", full && free);
        let others = &self.inputs.claims.others;
        let named = if section == Section::Tags { others.tags.get(at) } else { others.desired.get(at) };
        self.met("an equal component marker is shared", marker && same(named) && free);
        if same(theirs) || full {
            return;
        }
        let listed = |list: &[Place]| list.contains(&Place { section, at: at.clone() });
        let scalar_and_array = theirs.is_some_and(|theirs| theirs.is_array() != ours.is_array() && !theirs.is_object());
        let foreign = !ours.is_object() && theirs.is_some() && base.is_none();
        self.met("an array against a scalar is a plain difference", set && foreign && scalar_and_array);
        self.met(
            "keys with a slash or a tilde are written",
            set && at.keys().iter().any(|key| key.contains(['/', '~'])),
        );
        self.met("an empty key is written", set && at.keys().iter().any(String::is_empty));
        let object_there = theirs.is_some_and(Value::is_object);
        self.met("our own object gives way to a scalar or an array", set && object_there && !ours.is_object());
        let scalar_above = at.ancestors().any(|above| {
            let held = if section == Section::Tags { self.inputs.theirs.tags } else { self.inputs.theirs.desired };
            get(held, &above).is_some_and(|value| !value.is_object())
        });
        let into = scalar_above || (ours.is_object() && theirs.is_some());
        self.met("our own scalar or array gives way to an object", set && into);
        match base {
            Some(base) if equal(base, ours) => {
                self.met("row drift: set", set);
                self.met("row drift: the leaf is absent", set && theirs.is_none());
                self.met("row drift: reported", listed(&self.made.drift));
                self.met("row drift: held back", listed(&self.made.contested));
            }
            Some(base) => {
                let as_it_was = theirs.is_some_and(|theirs| equal(base, theirs));
                self.met("row spec change: theirs is as it was", set && as_it_was);
                self.met("row spec change: theirs moved too", set && !as_it_was && theirs.is_some());
                self.met("row spec change: theirs is absent", set && theirs.is_none());
                self.met("row spec change: under Report", set && policies.drift == DriftPolicy::Report);
            }
            None => {
                let differs = self.made.blocked.contains(&Blocked::Differs(Place { section, at: at.clone() }));
                self.met("row new: absent", set && theirs.is_none());
                self.met("row new: differs, Overwrite", set && theirs.is_some());
                self.met("row new: differs, RequireEqual", differs);
            }
        }
    }

    fn dropped(
        &mut self,
        section: Section,
        at: &Pointer,
        base: &Value,
        theirs: &Object,
        ours: &Leaves,
        named: &Leaves,
    ) {
        let free = self.made.blocked.is_empty();
        let hub = get(theirs, at);
        let same = hub.is_some_and(|hub| equal(base, hub));
        let gone =
            |action: &Action| action.place.section == section && action.place.at.contains(at) && action.value.is_none();
        let removed = self.made.actions.iter().any(gone);
        let set_below = same && ours.keys().any(|ours| at.contains(ours));
        let set_above = same && ours.iter().any(|(ours, value)| ours.contains(at) && !value.is_object());
        self.met("row dropped: removed", removed);
        self.met("row dropped: handed over", same && free && named.contains_key(at) && !removed);
        self.met("row dropped: released", self.made.released.contains(&Place { section, at: at.clone() }));
        self.met("row dropped: already gone", hub.is_none() && !removed);
        let full = hub.is_some_and(|hub| !is_leaf(hub));
        self.met("a dropped leaf became a full object: released", full && free);
        let above = at.parent().and_then(|parent| get(theirs, &parent));
        self.met(
            "a dropped leaf's parent became a scalar or an array: absent",
            above.is_some_and(|it| !it.is_object()),
        );
        self.met("removes a leaf and sets below it: the set alone", set_below && free && !removed);
        self.met("removes a leaf and sets above it: the set alone", set_above && free && !removed);
    }

    fn null(&mut self, at: &Pointer, theirs: &Object, ours: &Leaves, named: &Leaves) {
        self.met("the null stands at an ancestor", get(theirs, at).is_some_and(|value| !is_leaf(value)));
        let Some(parent) = at.parent().filter(|parent| !parent.is_root()) else { return };
        self.met("the null stands below what the spec names", ours.keys().any(|ours| parent.contains(ours)));
        self.met("the null stands below what another object names", named.keys().any(|claim| parent.contains(claim)));
        let beside = get(theirs, &parent).and_then(Value::as_object).is_some_and(|members| members.len() > 1);
        let named_by_us = ours.keys().any(|ours| parent.contains(ours));
        self.met("the null stands below what others hold", beside && !named_by_us);
    }

    fn block(&mut self, block: &Blocked) {
        match block {
            Blocked::Shape { ours, foreign } => {
                let leaves =
                    if ours.section == Section::Tags { &self.inputs.ours.tags } else { &self.inputs.ours.desired };
                let object = leaves[&ours.at].is_object();
                let above = ours.at != foreign.at && foreign.at.contains(&ours.at);
                self.met("our leaf meets a foreign scalar or array above it", above);
                self.met("our empty object meets a foreign scalar or array", object && !above);
                self.met("our scalar or array meets a foreign object", !object && !above);
                let report = self.case.policies.drift == DriftPolicy::Report;
                self.met("a foreign shape blocks under Report", report);
                self.met("a foreign shape blocks under Correct", !report);
            }
            Blocked::TooLarge { .. } => self.met("with foreign keys over the limit and growing: blocked", true),
            Blocked::Claimed(_) => self.met("another object wins a leaf", true),
            Blocked::Differs(_) => {}
        }
    }
}

fn check(case: &Case, counts: &mut Counts) -> Result<(), TestCaseError> {
    let sections = |[tags, desired]: &[Object; 2]| Sections { tags: leaves(tags), desired: leaves(desired) };
    let ours = sections(&case.ours);
    let base = case.base.as_ref().map(sections);
    let second = |second| Timestamp::from_second(second).expect("a small number is a time");
    let me = Claimant { created: second(5), namespace: "n", name: "me", wants: &ours, holds: base.as_ref() };
    let other = case.other.as_ref().map(|(named, holds, older)| (sections(named), *holds, if *older { 1 } else { 9 }));
    let others: Vec<Claimant<'_>> = other
        .iter()
        .map(|(wants, holds, age)| Claimant {
            created: second(*age),
            namespace: "n",
            name: "other",
            wants,
            holds: holds.then_some(wants),
        })
        .collect();
    let inputs = Inputs {
        ours: &ours,
        base: base.as_ref(),
        theirs: Sections { tags: &case.theirs[0], desired: &case.theirs[1] },
        claims: &settle(&me, &others),
        held: &Sections { tags: case.held.clone(), desired: BTreeSet::new() },
        policies: case.policies,
    };
    let made = plan(&inputs);
    prop_assert_eq!(violations(&inputs, &made), Vec::<String>::new());
    prop_assert_eq!(&plan(&inputs), &made);
    Met { case, inputs: &inputs, made: &made, counts }.all();
    Ok(())
}

#[test]
fn the_laws_hold_and_every_row_and_rule_is_met() {
    let counts = RefCell::new(Counts::new());
    let mut runner = TestRunner::new(config(CASES));
    let tapes = proptest::collection::vec(any::<u8>(), 0..160);
    let made = runner.run(&tapes, |tape| {
        let case = case(&mut Tape(tape.iter()));
        check(&case, &mut counts.borrow_mut()).map_err(|error| TestCaseError::fail(format!("{error}\n{case:#?}")))
    });
    if let Err(error) = made {
        panic!("{error}");
    }
    let counts = counts.into_inner();
    for what in ROWS.iter().chain(RULES) {
        println!("{:6} {what}", counts.get(what).unwrap_or(&0));
    }
    let seldom: Vec<_> =
        ROWS.iter().chain(RULES).filter(|what| counts.get(*what).is_none_or(|met| *met < LEAST)).collect();
    assert!(seldom.is_empty(), "of {CASES} cases fewer than {LEAST} met: {seldom:#?}");
}
