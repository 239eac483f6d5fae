//! Laws of convergence on random inputs, with a count of what was met.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::{TestCaseError, any, prop_assert, prop_assert_eq};
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::super::random::config;
use super::*;

const CASES: u32 = 20_000;
const LEAST: u32 = 100;

/// All that a verdict is made from, in the raw. Times are minutes.
#[derive(Clone, Debug, Default)]
struct Case {
    desired: Object,
    metadata: Object,
    reported: Object,
    confirmed_before: Object,
    ignore: Vec<Pointer>,
    reported_at: i64,
    seen: Option<i64>,
    edge_runtime: bool,
    now: i64,
}

/// Choices from random bytes; the first one when they are used up.
struct Tape<'a>(std::slice::Iter<'a, u8>);

impl Tape<'_> {
    fn pick(&mut self, choices: u8) -> u8 {
        self.0.next().map_or(0, |byte| byte % choices)
    }

    fn scalar(&mut self) -> Value {
        [json!(1), json!(0.1), json!(2), json!("s"), json!([0.1]), json!({})][usize::from(self.pick(6))].clone()
    }
}

fn minutes(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).expect("a small number of minutes is a time")
}

/// An answer to a value: nothing, an echo, another value, or an acknowledgement around one of the bar.
fn answer(tape: &mut Tape<'_>, value: &Value) -> Option<Value> {
    let other = tape.scalar();
    let reported = if tape.pick(2) == 0 { value.clone() } else { other.clone() };
    match tape.pick(6) {
        0 => None,
        1 => Some(match value {
            Value::Number(number) => json!(number.as_f64().map(|wide| wide as f32)),
            value => value.clone(),
        }),
        2 => Some(other),
        _ => {
            let code = [200, 200, 202, 203, 400, 500][usize::from(tape.pick(6))];
            let mut ack = json!({"ac": code, "av": 1 + i64::from(tape.pick(5)), "value": reported});
            if tape.pick(8) == 7 {
                ack.as_object_mut()?.remove("av");
            }
            Some(ack)
        }
    }
}

fn case(tape: &mut Tape<'_>) -> Case {
    let mut case = Case { now: i64::from(tape.pick(100)), reported_at: i64::from(tape.pick(100)), ..Case::default() };
    case.metadata = [("$lastUpdatedVersion".to_owned(), json!(5))].into_iter().collect();
    case.seen = (tape.pick(2) == 1).then(|| i64::from(tape.pick(100)));
    for path in ["/a", "/b", "/c/a", "/c/b", "/c/__t"] {
        let at: Pointer = path.parse().expect("a pointer");
        if tape.pick(3) == 0 {
            continue;
        }
        let value = if path == "/c/__t" { json!("c") } else { tape.scalar() };
        document::set(&mut case.desired, &at, value.clone());
        let stamp = json!({
            "$lastUpdated": minutes(i64::from(tape.pick(60))).to_string(),
            "$lastUpdatedVersion": 2 + i64::from(tape.pick(3)),
        });
        document::set(&mut case.metadata, &at, stamp);
        if let Some(answer) = answer(tape, &value).filter(|_| !path.starts_with("/c") || tape.pick(2) == 0) {
            document::set(&mut case.reported, &at, answer);
        }
        if tape.pick(5) == 4 {
            let before = if tape.pick(2) == 0 { value } else { tape.scalar() };
            document::set(&mut case.confirmed_before, &at, before);
        }
    }
    // An acknowledgement of the component as a whole.
    if let (0 | 1, Some(value)) = (tape.pick(3), case.desired.get("c").cloned())
        && let Some(Value::Object(ack)) = answer(tape, &value)
    {
        let slot = case.reported.entry("c").or_insert_with(|| json!({}));
        slot.as_object_mut().expect("a component is an object").extend(ack);
    }
    if tape.pick(6) == 5 {
        case.ignore.push(["/c", "/a", "/c/a"][usize::from(tape.pick(3))].parse().expect("a pointer"));
    }
    if tape.pick(6) == 5 {
        case.edge_runtime = true;
        let code = [200, 200, 412][usize::from(tape.pick(3))];
        case.reported.insert("lastDesiredVersion".to_owned(), json!(1 + i64::from(tape.pick(5))));
        case.reported.insert("lastDesiredStatus".to_owned(), json!({"code": code}));
    }
    case
}

impl Case {
    fn judge(&self) -> Convergence {
        let reported_metadata = [("$lastUpdated".to_owned(), json!(minutes(self.reported_at).to_string()))];
        judge(&Inputs {
            ours: &document::leaves(&self.desired),
            confirmed_before: &document::leaves(&self.confirmed_before),
            ignore: &self.ignore,
            desired_metadata: &self.metadata,
            reported: &self.reported,
            reported_metadata: &reported_metadata.into_iter().collect(),
            seen: self.seen.map(minutes),
            edge_runtime: self.edge_runtime,
            timeout: Duration::from_secs(20 * 60),
            now: minutes(self.now),
        })
    }

    /// The same with one leaf of the spec only.
    fn only(&self, at: &Pointer, value: &Value) -> Self {
        let mut desired = Object::new();
        document::set(&mut desired, at, value.clone());
        Self { desired, ..self.clone() }
    }
}

fn check(case: &Case, counts: &mut BTreeMap<&'static str, u32>) -> Result<(), TestCaseError> {
    let whole = case.judge();
    prop_assert_eq!(&case.judge(), &whole, "the same inputs, the same verdict");
    // The whole is its leaves: the first reason of any, and all that is not confirmed.
    let leaves = document::leaves(&case.desired);
    let alone: Vec<(&Pointer, Convergence)> =
        leaves.iter().map(|(at, value)| (at, case.only(at, value).judge())).collect();
    let first = alone.iter().map(|(_, judged)| judged.verdict).min().unwrap_or(Verdict::NothingDesired);
    prop_assert_eq!(whole.verdict, first);
    let open: Vec<Pointer> =
        alone.iter().filter(|(_, judged)| judged.verdict < Verdict::Confirmed).map(|(at, _)| (*at).clone()).collect();
    prop_assert_eq!(&whole.pending, &open);
    prop_assert_eq!(whole.look_again, alone.iter().filter_map(|(_, judged)| judged.look_again).min());
    prop_assert_eq!(whole.detail.is_some(), whole.verdict < Verdict::Confirmed);
    prop_assert!(!whole.pending.iter().any(|at| at.to_string().ends_with("/__t")), "the marker is never pending");
    for (at, judged) in &alone {
        leaf(case, at, &leaves[*at], judged.verdict, counts)?;
    }
    // Later, only what waits gets another verdict; and a device that was seen is never called offline.
    let later = Case { now: case.now + 100, ..case.clone() }.judge();
    prop_assert_eq!(&later.pending, &whole.pending, "time confirms nothing");
    prop_assert!(later.verdict != Verdict::Waiting);
    let seen = Case { seen: Some(case.now + 100), ..case.clone() }.judge();
    prop_assert!(seen.verdict != Verdict::Offline && seen.pending == whole.pending);
    // To ignore all is to have nothing desired; a confirmation that was accepted takes nothing away.
    let ignoring = Case { ignore: vec![Pointer::root()], ..case.clone() }.judge();
    prop_assert_eq!((ignoring.verdict, ignoring.pending.len()), (Verdict::NothingDesired, 0));
    let accepted = Case { confirmed_before: case.desired.clone(), ..case.clone() }.judge();
    prop_assert!(accepted.pending.iter().all(|at| whole.pending.contains(at)));
    prop_assert!(matches!(accepted.verdict, Verdict::Refused | Verdict::Confirmed | Verdict::NothingDesired));
    Ok(())
}

/// One leaf against what the sentences say, found another way: by looking at every word of the device.
fn leaf(
    case: &Case,
    at: &Pointer,
    ours: &Value,
    verdict: Verdict,
    counts: &mut BTreeMap<&'static str, u32>,
) -> Result<(), TestCaseError> {
    let mut met = |what| *counts.entry(what).or_default() += 1;
    if at.to_string().ends_with("/__t") || case.ignore.iter().any(|ignored| ignored.contains(at)) {
        met("ignored, or a marker");
        prop_assert_eq!(verdict, Verdict::NothingDesired);
        return Ok(());
    }
    let bar = document::get(&case.metadata, at).and_then(|stamp| stamp["$lastUpdatedVersion"].as_i64());
    let held = document::get(&case.reported, at);
    let acks: Vec<&Value> = at
        .ancestors()
        .chain([at.clone()])
        .filter_map(|place| document::get(&case.reported, &place))
        .filter(|value| value["ac"].is_i64())
        .collect();
    let at_bar = |ack: &&Value| ack["av"].as_i64() >= bar && ack["av"].is_i64();
    let some_200 = acks.iter().any(|ack| ack["ac"] == 200);
    let refusal_at_bar = acks.iter().filter(|ack| at_bar(ack)).any(|ack| ack["ac"].as_i64() >= Some(400));
    let before = document::get(&case.confirmed_before, at).is_some_and(|before| equal(before, ours));
    let echo = held.is_some_and(|held| !held["ac"].is_i64() && echoes(ours, held));
    if case.edge_runtime {
        met("edge runtime");
    } else if verdict == Verdict::Confirmed {
        prop_assert!(echo || some_200 || before, "nothing confirms {at}");
        met(if echo { "confirmed by an echo" } else { "confirmed by an acknowledgement, or before" });
        let above = acks.len() == 1 && held.is_none_or(|held| !held["ac"].is_i64());
        if above && !echo && !before {
            met("confirmed from above");
        }
        if !echo && !before && !acks.iter().any(|ack| ack["ac"] == 200 && at_bar(ack)) {
            met("confirmed by an equal value at an older version");
        }
        if before && !echo && !some_200 {
            met("confirmed before");
        }
    } else {
        prop_assert!(!echo && (!before || verdict == Verdict::Refused), "{at} is confirmed");
        let nearest = acks.last().filter(|_| held.is_some_and(|held| held["ac"].is_i64()));
        if let Some(ack) = nearest {
            prop_assert!(ack["ac"] != 200 || !(at_bar(ack) || echoes(ours, &ack["value"])), "{at} is acknowledged");
        }
        prop_assert!(verdict != Verdict::Refused || refusal_at_bar, "nothing refuses {at}");
        if !refusal_at_bar && acks.iter().any(|ack| ack["ac"].as_i64() >= Some(400)) {
            met("an old refusal");
        }
        if acks.iter().any(|ack| matches!(ack["ac"].as_i64(), Some(202 | 203))) {
            met("in progress");
        }
    }
    met(match verdict {
        Verdict::Refused => "refused",
        Verdict::TimedOut => "timed out",
        Verdict::Waiting => "waiting",
        Verdict::Offline => "offline",
        Verdict::Confirmed => "confirmed",
        Verdict::NothingDesired => "nothing desired",
    });
    Ok(())
}

#[test]
fn the_laws_of_convergence_hold_and_every_branch_is_met() {
    let counts = RefCell::new(BTreeMap::new());
    let mut runner = TestRunner::new(config(CASES));
    let made = runner.run(&proptest::collection::vec(any::<u8>(), 0..80), |tape| {
        let case = case(&mut Tape(tape.iter()));
        check(&case, &mut counts.borrow_mut()).map_err(|error| TestCaseError::fail(format!("{error}\n{case:#?}")))
    });
    if let Err(error) = made {
        panic!("{error}");
    }
    let counts = counts.into_inner();
    let branches = [
        "ignored, or a marker",
        "edge runtime",
        "confirmed by an echo",
        "confirmed by an acknowledgement, or before",
        "confirmed from above",
        "confirmed by an equal value at an older version",
        "confirmed before",
        "an old refusal",
        "in progress",
        "refused",
        "timed out",
        "waiting",
        "offline",
        "confirmed",
    ];
    for (branch, count) in &counts {
        println!("{count:6} {branch}");
        assert!(branches.contains(branch), "{branch} is in no list");
    }
    let seldom: Vec<_> = branches.iter().filter(|branch| counts.get(*branch).is_none_or(|met| *met < LEAST)).collect();
    assert!(seldom.is_empty(), "of {CASES} cases fewer than {LEAST} met: {seldom:?}");
}
