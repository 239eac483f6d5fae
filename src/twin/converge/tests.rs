//! A table for each sentence.

use serde_json::json;

use super::*;

fn object(value: Value) -> Object {
    value.as_object().cloned().unwrap()
}

fn at(clock: &str) -> Timestamp {
    format!("2026-11-22T{clock}Z").parse().unwrap()
}

/// A spec, what the device reports, and what else there is. Every leaf was set as version 3 at 10:00, while the section
/// has come to version 9; the timeout is an hour, and it is 10:10.
struct Case {
    desired: Value,
    reported: Value,
    confirmed_before: Value,
    ignore: Vec<&'static str>,
    reported_at: &'static str,
    seen: Option<&'static str>,
    edge_runtime: bool,
    now: &'static str,
}

fn case(desired: Value, reported: Value) -> Case {
    Case {
        desired,
        reported,
        confirmed_before: json!({}),
        ignore: Vec::new(),
        reported_at: "09:00:00",
        seen: None,
        edge_runtime: false,
        now: "10:10:00",
    }
}

impl Case {
    fn judged(&self) -> Convergence {
        let ours = document::leaves(&object(self.desired.clone()));
        let mut metadata = object(json!({"$lastUpdated": "2026-11-22T10:30:00Z", "$lastUpdatedVersion": 9}));
        for at in ours.keys() {
            let stamp = json!({"$lastUpdated": "2026-11-22T10:00:00.5Z", "$lastUpdatedVersion": 3});
            document::set(&mut metadata, at, stamp);
        }
        judge(&Inputs {
            ours: &ours,
            confirmed_before: &document::leaves(&object(self.confirmed_before.clone())),
            ignore: &self.ignore.iter().map(|at| at.parse().unwrap()).collect::<Vec<_>>(),
            desired_metadata: &metadata,
            reported: &object(self.reported.clone()),
            reported_metadata: &object(json!({"$lastUpdated": format!("2026-11-22T{}Z", self.reported_at)})),
            seen: self.seen.map(at),
            edge_runtime: self.edge_runtime,
            timeout: Duration::from_secs(3600),
            now: at(self.now),
        })
    }
}

fn hold(cases: Vec<(Value, Value, Verdict)>) {
    for (desired, reported, expected) in cases {
        let verdict = case(desired.clone(), reported.clone()).judged().verdict;
        assert_eq!(verdict, expected, "{desired} answered by {reported}");
    }
}

use Verdict::{Confirmed, NothingDesired, Offline, Refused, TimedOut, Waiting};

#[test]
fn an_equal_value_at_the_same_path_confirms() {
    hold(vec![
        (json!({"t": {"i": 30}}), json!({"t": {"i": 30}}), Confirmed),
        (json!({"t": {"i": 30}}), json!({"t": {"i": 30.0}}), Confirmed),
        (json!({"t": {"i": 30}}), json!({"t": {"i": 31}}), Waiting),
        (json!({"t": {"i": 30}}), json!({"i": 30}), Waiting),
        (json!({"t": {"i": 30}}), json!({"t": 30}), Waiting),
        (json!({"a": "1"}), json!({"a": 1}), Waiting),
        (json!({"a": [1, {"b": 2}]}), json!({"a": [1, {"b": 2}]}), Confirmed),
        (json!({"a": [1, 2]}), json!({"a": [2, 1]}), Waiting),
        (json!({"a": {}}), json!({"a": {"b": 1}}), Confirmed),
        (json!({"a": {}}), json!({"a": 1}), Waiting),
        (json!({"a": 1, "b": 2}), json!({"a": 1}), Waiting),
    ]);
}

#[test]
fn numbers_are_equal_also_as_32_bit_floats() {
    hold(vec![
        (json!({"a": 0.1}), json!({"a": 0.100_000_001_490_116_12}), Confirmed),
        (json!({"a": [0.1, 21.3]}), json!({"a": [0.1, 21.299_999_237_060_547]}), Confirmed),
        (json!({"a": 0.1}), json!({"a": 0.100_000_1}), Waiting),
        (json!({"a": 16_777_217}), json!({"a": 16_777_216}), Confirmed),
        // Beyond the range of 32 bits there is nothing to compare.
        (json!({"a": 1e300}), json!({"a": 1e301}), Waiting),
    ]);
}

#[test]
fn an_acknowledgement_confirms_at_the_leafs_own_version() {
    let ack = |code: i64, version: i64, value: i64| json!({"t": {"i": {"value": value, "ac": code, "av": version}}});
    let desired = || json!({"t": {"i": 30}});
    hold(vec![
        // 3 is the leaf's, and 9 the section's.
        (desired(), ack(200, 3, 29), Confirmed),
        (desired(), ack(200, 9, 29), Confirmed),
        (desired(), ack(200, 2, 29), Waiting),
        // An older one with an equal value is as good.
        (desired(), ack(200, 2, 30), Confirmed),
        (desired(), json!({"t": {"i": {"value": 30, "ac": 200}}}), Confirmed),
        (desired(), json!({"t": {"i": {"value": 29, "ac": 200}}}), Waiting),
        // Written by a library that knows floats only.
        (desired(), json!({"t": {"i": {"value": 29.0, "ac": 200.0, "av": 3.0}}}), Confirmed),
        (desired(), json!({"t": {"i": {"value": 30, "av": 3}}}), Waiting),
        (desired(), json!({"t": {"i": {"value": 30, "ac": "200", "av": 3}}}), Waiting),
    ]);
}

#[test]
fn in_progress_is_pending() {
    let ack = |code: i64, version: i64, value: i64| json!({"t": {"i": {"value": value, "ac": code, "av": version}}});
    for code in [202, 203, 100, 302] {
        hold(vec![
            (json!({"t": {"i": 30}}), ack(code, 3, 30), Waiting),
            (json!({"t": {"i": 30}}), ack(code, 0, 30), Waiting),
        ]);
    }
}

#[test]
fn refusals_count_only_at_the_bar_or_above() {
    let ack = |code: i64, version: i64| json!({"t": {"i": {"value": 30, "ac": code, "av": version}}});
    hold(vec![
        (json!({"t": {"i": 30}}), ack(400, 3), Refused),
        (json!({"t": {"i": 30}}), ack(500, 9), Refused),
        (json!({"t": {"i": 30}}), ack(400, 2), Waiting),
        (json!({"t": {"i": 30}}), json!({"t": {"i": {"value": 30, "ac": 400}}}), Waiting),
        (json!({"t": {"i": {}}}), json!({"t": {"i": {"value": {}, "ac": 400, "av": 3}}}), Refused),
    ]);
    let told = json!({"t": {"i": {"value": 30, "ac": 406, "av": 3, "ad": "too fast"}}});
    let refused = case(json!({"t": {"i": 30}}), told).judged();
    assert_eq!(refused.detail, Some(("/t/i".parse().unwrap(), "ac 406 too fast".to_owned())));
}

#[test]
fn an_acknowledgement_above_the_leaf_speaks_for_it() {
    let above = |code: i64, version: i64, value: Value| json!({"t": {"ac": code, "av": version, "value": value}});
    let desired = || json!({"t": {"i": 30, "j": {"k": 1}}});
    hold(vec![
        (desired(), above(200, 3, json!({})), Confirmed),
        (desired(), above(200, 2, json!({"i": 30, "j": {"k": 1}})), Confirmed),
        (desired(), above(200, 2, json!({"i": 30})), Waiting),
        (desired(), above(400, 3, json!({"i": 30, "j": {"k": 1}})), Refused),
        (desired(), json!({"t": {"ac": 200, "av": 3}}), Confirmed),
        // The nearest word on the present version counts.
        (json!({"t": {"i": 30}}), json!({"t": {"ac": 200, "av": 3, "i": {"ac": 400, "av": 3, "value": 1}}}), Refused),
        (json!({"t": {"i": 30}}), json!({"t": {"ac": 400, "av": 3, "i": {"ac": 200, "av": 3, "value": 1}}}), Confirmed),
        (json!({"t": {"i": 30}}), json!({"t": {"ac": 200, "av": 3, "i": {"ac": 202, "av": 3, "value": 1}}}), Waiting),
        (json!({"t": {"i": 30}}), json!({"t": {"ac": 200, "av": 3, "i": {"ac": 400, "av": 2, "value": 1}}}), Confirmed),
    ]);
}

/// The examples of "IoT Plug and Play conventions", sections "Sample multiple components writable property" and "Object
/// type".
#[test]
fn components_and_objects_are_acknowledged() {
    let component = json!({"thermostat1": {"__t": "c", "targetTemperature": 21.3, "targetHumidity": 80}});
    let first = json!({"value": 23, "ac": 200, "av": 3, "ad": "complete"});
    let second = json!({"value": 80, "ac": 200, "av": 3, "ad": "complete"});
    let both = json!({"thermostat1": {"__t": "c", "targetTemperature": first, "targetHumidity": second}});
    let range = json!({"samplingRange": {"startTime": "2021-08-17T12:53:00.000Z", "count": 100, "errorCount": 5}});
    let answered =
        json!({"samplingRange": {"ac": 200, "av": 5, "ad": "Weighing status updated", "value": {"count": 100}}});
    hold(vec![
        (component.clone(), both, Confirmed),
        (component.clone(), json!({"thermostat1": {"__t": "c", "targetTemperature": first}}), Waiting),
        (range, answered, Confirmed),
    ]);
    let pending = case(component, json!({})).judged().pending;
    let told: Vec<String> = pending.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["/thermostat1/targetHumidity", "/thermostat1/targetTemperature"], "never the marker");
    hold(vec![(json!({"c": {"__t": "c"}}), json!({}), NothingDesired)]);
}

#[test]
fn a_property_of_the_name_ac_is_no_acknowledgement() {
    hold(vec![
        (json!({"room": {"ac": 200, "fan": 1}}), json!({"room": {"ac": 200, "fan": 1}}), Confirmed),
        (json!({"room": {"fan": 1}}), json!({"room": {"ac": 500}}), Waiting),
        (json!({"room": {"fan": 1}}), json!({"room": {"ac": 200}}), Waiting),
        (json!({"room": {}}), json!({"room": {"ac": 500}}), Confirmed),
    ]);
}

#[test]
fn without_a_version_of_the_leaf_only_values_confirm() {
    let (ours, reported) =
        (document::leaves(&object(json!({"a": 1}))), object(json!({"a": {"value": 2, "ac": 200, "av": 7}})));
    let inputs = Inputs {
        ours: &ours,
        confirmed_before: &Leaves::new(),
        ignore: &[],
        desired_metadata: &Object::new(),
        reported: &reported,
        reported_metadata: &Object::new(),
        seen: None,
        edge_runtime: false,
        timeout: Duration::from_secs(1),
        now: at("10:00:00"),
    };
    assert_eq!(judge(&inputs).verdict, Waiting, "also with no time to count from");
    let reported = object(json!({"a": {"value": 1, "ac": 200, "av": 0}}));
    assert_eq!(judge(&Inputs { reported: &reported, ..inputs }).verdict, Confirmed);
}

#[test]
fn the_edge_runtime_answers_for_all_at_once() {
    let answer = |version: i64, code: i64| {
        let status = json!({"code": code, "description": "no such image"});
        json!({"lastDesiredVersion": version, "lastDesiredStatus": status, "m": 1})
    };
    for (reported, expected) in [
        (answer(3, 200), Confirmed),
        (answer(9, 200), Confirmed),
        (answer(2, 200), Waiting),
        (answer(3, 412), Refused),
        (answer(2, 412), Waiting),
        (answer(3, 406), Refused),
        (json!({"m": 1}), Waiting),
        (json!({"lastDesiredVersion": 3}), Waiting),
    ] {
        let case = Case { edge_runtime: true, ..case(json!({"m": 1}), reported.clone()) };
        assert_eq!(case.judged().verdict, expected, "{reported}");
    }
    let refused = Case { edge_runtime: true, ..case(json!({"m": 1}), answer(3, 412)) }.judged();
    assert_eq!(refused.detail.unwrap().1, "lastDesiredStatus.code 412 no such image");
}

#[test]
fn a_confirmation_once_accepted_stays_for_the_same_value() {
    let again = |confirmed_before: Value, reported: Value| {
        Case { confirmed_before, now: "12:00:00", ..case(json!({"a": 1}), reported) }.judged().verdict
    };
    assert_eq!(again(json!({"a": 1.0}), json!({})), Confirmed, "also when the echo is gone");
    assert_eq!(again(json!({"a": 1}), json!({"a": 5})), Confirmed);
    assert_eq!(again(json!({"a": 2}), json!({})), Offline, "another value");
    assert_eq!(again(json!({"a": 1}), json!({"a": {"value": 0, "ac": 400, "av": 2}})), Confirmed, "an old refusal");
    assert_eq!(
        again(json!({"a": 1}), json!({"a": {"value": 0, "ac": 400, "av": 3}})),
        Refused,
        "the device's last word"
    );
}

#[test]
fn ignored_paths_take_what_is_below_them_along() {
    let ignoring = |ignore: Vec<&'static str>| {
        Case { ignore, ..case(json!({"t": {"debug": {"a": 1}, "i": 30}, "td": 1}), json!({"td": 1})) }.judged()
    };
    assert_eq!(ignoring(vec!["/t"]).verdict, Confirmed);
    assert_eq!(ignoring(vec!["/t/debug", "/t/i"]).verdict, Confirmed);
    assert_eq!(ignoring(vec!["/t/debug"]).pending.len(), 1);
    assert_eq!(ignoring(vec!["/t/deb", "/x"]).pending.len(), 2);
    assert_eq!(ignoring(vec![""]).verdict, NothingDesired, "the whole section");
}

#[test]
fn nothing_desired_and_never_reported() {
    hold(vec![(json!({}), json!({"a": 1}), NothingDesired), (json!({"a": 1}), json!({}), Waiting)]);
}

#[test]
fn after_the_timeout_it_matters_whether_the_device_was_seen() {
    let late = |reported_at, seen, now| {
        Case { reported_at, seen, now, ..case(json!({"a": 1}), json!({"other": 1})) }.judged().verdict
    };
    // The leaf's own time counts, 10:00:00.5, not the section's.
    assert_eq!(late("09:00:00", None, "11:00:00"), Waiting);
    assert_eq!(late("09:00:00", None, "11:00:00.5"), Offline);
    assert_eq!(late("10:00:00", None, "11:00:01"), Offline, "it reported before the leaf changed");
    assert_eq!(late("10:20:00", None, "11:00:01"), TimedOut);
    assert_eq!(late("09:00:00", Some("11:00:01"), "11:00:01"), TimedOut, "connected now");
    assert_eq!(late("09:00:00", Some("10:30:00"), "11:00:01"), TimedOut, "connected since");
    assert_eq!(late("09:00:00", Some("09:59:00"), "11:00:01"), Offline, "connected before");
    assert_eq!(late("10:20:00", Some("10:30:00"), "10:59:00"), Waiting, "it has time left");
}

#[test]
fn it_is_looked_at_again_when_the_first_timeout_passes() {
    let waiting = case(json!({"a": 1, "b": 2}), json!({"b": 2})).judged();
    assert_eq!(waiting.look_again, Some(at("11:00:00.5")));
    assert_eq!(case(json!({"b": 2}), json!({"b": 2})).judged().look_again, None);
    let late = Case { now: "12:00:00", ..case(json!({"a": 1}), json!({})) }.judged();
    assert_eq!(late.look_again, None);
}

#[test]
fn when_leaves_differ_the_first_reason_counts() {
    // a is refused, b is pending and late, c is confirmed.
    let desired = json!({"a": 1, "b": 1, "c": 1});
    let refusal = json!({"value": 0, "ac": 400, "av": 3});
    let judged = |reported: Value, now: &'static str, seen| {
        let case = Case { now, seen, ..case(desired.clone(), reported) }.judged();
        (case.verdict, case.detail.map(|(at, _)| at.to_string()), case.pending.len())
    };
    let about = |at: &str| Some(at.to_owned());
    assert_eq!(judged(json!({"a": refusal, "c": 1}), "12:00:00", Some("12:00:00")), (Refused, about("/a"), 2));
    assert_eq!(judged(json!({"c": 1}), "12:00:00", Some("12:00:00")), (TimedOut, about("/a"), 2));
    assert_eq!(judged(json!({"c": 1}), "12:00:00", None), (Offline, about("/a"), 2));
    assert_eq!(judged(json!({"a": 1, "c": 1}), "10:10:00", None), (Waiting, about("/b"), 1));
    assert_eq!(judged(json!({"a": 1, "b": 1, "c": 1}), "12:00:00", None), (Confirmed, None, 0));
    assert!(Refused < TimedOut && TimedOut < Waiting && Waiting < Offline && Offline < Confirmed);
}
