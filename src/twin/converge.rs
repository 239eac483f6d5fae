//! Whether the device follows: desired leaves of ours against what the device reports.
//!
//! A leaf is confirmed by an equal value at the same path of reported, or by an acknowledgement of the IoT Plug and Play
//! convention (`{value, ac, av, ad}`, IoT Plug and Play conventions, "Acknowledgment responses") at the leaf or above it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::document::{self, Leaves, Object};
use super::pointer::Pointer;
use super::value::equal;

/// Everything that decides about convergence.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The desired leaves of the spec.
    pub ours: &'a Leaves,
    /// Leaves that were confirmed before, with the value that was: such a confirmation stays.
    pub confirmed_before: &'a Leaves,
    /// Leaves below these paths need no confirmation.
    pub ignore: &'a [Pointer],
    /// Desired's `$metadata`.
    pub desired_metadata: &'a Object,
    /// What the device reports.
    pub reported: &'a Object,
    /// Reported's `$metadata`.
    pub reported_metadata: &'a Object,
    /// Whether the hub says that the device is connected now.
    pub connected: bool,
    /// Whether this is an IoT Edge runtime module, which acknowledges by `lastDesiredVersion`.
    pub edge_runtime: bool,
    /// How long the device may take.
    pub timeout: Duration,
    /// The time.
    pub now: Timestamp,
}

/// What is to be said of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The device refused a value.
    Refused,
    /// The time is up although the device was seen.
    TimedOut,
    /// The device has time left.
    Waiting,
    /// The time is up, and the device was not seen since the leaf changed.
    Offline,
    /// All leaves are confirmed.
    Confirmed,
    /// There is no leaf to confirm.
    NothingDesired,
}

/// The verdict on all leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Convergence {
    /// The first that applies, in the order of [`Verdict`].
    pub verdict: Verdict,
    /// The leaves that are not confirmed.
    pub pending: Vec<Pointer>,
    /// The leaf that the verdict is about, and what the device said of it.
    pub detail: Option<(Pointer, String)>,
    /// When a timeout will pass.
    pub look_again: Option<Timestamp>,
}

/// What the device says of one leaf.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Confirmed,
    Refused(String),
    None,
}

/// Judges all leaves.
#[must_use]
pub fn judge(inputs: &Inputs<'_>) -> Convergence {
    let mut found =
        Convergence { verdict: Verdict::NothingDesired, pending: Vec::new(), detail: None, look_again: None };
    for (at, ours) in inputs.ours {
        let marker = at.keys().last().is_some_and(|key| key == "__t");
        if marker || inputs.ignore.iter().any(|ignored| ignored.contains(at)) {
            continue;
        }
        let (verdict, text, deadline) = judge_leaf(inputs, at, ours);
        if verdict != Verdict::Confirmed {
            found.pending.push(at.clone());
        }
        if verdict == Verdict::Waiting {
            found.look_again = found.look_again.into_iter().chain(deadline).min();
        }
        if verdict < found.verdict {
            found.verdict = verdict;
            found.detail = (verdict != Verdict::Confirmed).then(|| (at.clone(), text));
        }
    }
    found
}

fn judge_leaf(inputs: &Inputs<'_>, at: &Pointer, ours: &Value) -> (Verdict, String, Option<Timestamp>) {
    let before = inputs.confirmed_before.get(at).is_some_and(|value| equal(value, ours));
    match answer(inputs, at, ours) {
        Answer::Confirmed => (Verdict::Confirmed, String::new(), None),
        Answer::Refused(text) => (Verdict::Refused, text, None),
        Answer::None if before => (Verdict::Confirmed, String::new(), None),
        Answer::None => {
            let changed = member_at(inputs.desired_metadata, at, "$lastUpdated").and_then(time);
            let deadline = changed.and_then(|changed| changed.checked_add(inputs.timeout).ok());
            let reported = inputs.reported_metadata.get("$lastUpdated").and_then(time);
            let seen = inputs.connected || changed.zip(reported).is_some_and(|(changed, reported)| reported > changed);
            let late = deadline.is_some_and(|deadline| inputs.now >= deadline);
            let verdict = match (late, seen) {
                (false, _) => Verdict::Waiting,
                (true, true) => Verdict::TimedOut,
                (true, false) => Verdict::Offline,
            };
            (verdict, String::new(), deadline)
        }
    }
}

fn answer(inputs: &Inputs<'_>, at: &Pointer, ours: &Value) -> Answer {
    let bar = member_at(inputs.desired_metadata, at, "$lastUpdatedVersion").and_then(Value::as_i64).unwrap_or(0);
    if inputs.edge_runtime {
        return edge_answer(inputs.reported, bar);
    }
    if document::get(inputs.reported, at).is_some_and(|theirs| echoes(ours, theirs)) {
        return Answer::Confirmed;
    }
    let places = at.ancestors().chain([at.clone()]).collect::<Vec<_>>();
    for place in places.iter().rev() {
        let Some(Value::Object(ack)) = document::get(inputs.reported, place) else { continue };
        let Some(code) = ack.get("ac").and_then(Value::as_i64) else { continue };
        let version = ack.get("av").and_then(Value::as_i64).unwrap_or(0);
        let value = at.keys()[place.keys().len()..].iter().try_fold(ack.get("value"), |value, key| {
            value.map(|value| value.as_object().and_then(|members| members.get(key)))
        });
        let same = value.flatten().is_some_and(|value| echoes(ours, value));
        return match code {
            200 if version >= bar || same => Answer::Confirmed,
            400.. if version >= bar => {
                let text = ack.get("ad").and_then(Value::as_str).unwrap_or_default();
                Answer::Refused(format!("ac {code} {text}").trim_end().to_owned())
            }
            _ => Answer::None,
        };
    }
    Answer::None
}

/// The IoT Edge runtime reports one version and one status for all of its desired properties.
fn edge_answer(reported: &Object, bar: i64) -> Answer {
    let code = reported.get("lastDesiredStatus").and_then(|status| status.get("code")).and_then(Value::as_i64);
    let version = reported.get("lastDesiredVersion").and_then(Value::as_i64).unwrap_or(0);
    match code {
        Some(200) if version >= bar => Answer::Confirmed,
        Some(code @ 400..) if version >= bar => Answer::Refused(format!("lastDesiredStatus.code {code}")),
        _ => Answer::None,
    }
}

/// Equal values; numbers also when equal as 32-bit floats, which is what small devices compute with.
fn echoes(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(members), Value::Object(_)) if members.is_empty() => true,
        (Value::Number(a), Value::Number(b)) => {
            #[expect(clippy::cast_possible_truncation, reason = "the narrowing is the point")]
            let narrow = |number: &serde_json::Number| number.as_f64().map(|wide| wide as f32);
            equal(ours, theirs) || narrow(a) == narrow(b)
        }
        _ => equal(ours, theirs),
    }
}

/// A `$` member of the metadata of the nearest place at or above a path.
fn member_at<'a>(metadata: &'a Object, at: &Pointer, member: &str) -> Option<&'a Value> {
    let mut here = metadata;
    let mut found = here.get(member);
    for key in at.keys() {
        let Some(Value::Object(next)) = here.get(key) else { break };
        here = next;
        found = here.get(member).or(found);
    }
    found
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    /// One leaf `/t/i` = 30, set as version 3 at 10:00; what the device reports, when it is, and whether it is connected.
    fn judged(reported: Value, now: &str, connected: bool) -> Convergence {
        let ours = document::leaves(&object(json!({"t": {"i": 30, "__t": "c"}})));
        let stamp = json!({"$lastUpdated": "2026-11-22T10:00:00.5Z", "$lastUpdatedVersion": 3});
        judge(&Inputs {
            ours: &ours,
            confirmed_before: &Leaves::new(),
            ignore: &[],
            desired_metadata: &object(json!({"$lastUpdatedVersion": 9, "t": {"i": stamp}})),
            reported: &object(reported),
            reported_metadata: &object(json!({"$lastUpdated": "2026-11-22T09:00:00Z"})),
            connected,
            edge_runtime: false,
            timeout: Duration::from_secs(3600),
            now: format!("2026-11-22T{now}Z").parse().unwrap(),
        })
    }

    #[test]
    fn echoes_and_acknowledgements_confirm_at_the_leafs_own_version() {
        let ack =
            |code: i64, version: i64, value: i64| json!({"t": {"i": {"value": value, "ac": code, "av": version}}});
        let above = |version: i64| json!({"t": {"value": {"i": 1}, "ac": 200, "av": version}});
        for (reported, expected) in [
            (json!({"t": {"i": 30.0}}), Verdict::Confirmed),
            (json!({"t": {"i": 31}}), Verdict::Waiting),
            (ack(200, 3, 29), Verdict::Confirmed),
            (ack(200, 2, 29), Verdict::Waiting),
            (ack(200, 2, 30), Verdict::Confirmed),
            (ack(202, 3, 30), Verdict::Waiting),
            (ack(203, 9, 30), Verdict::Waiting),
            (ack(400, 3, 30), Verdict::Refused),
            (ack(400, 2, 30), Verdict::Waiting),
            (above(3), Verdict::Confirmed),
            (above(2), Verdict::Waiting),
        ] {
            assert_eq!(judged(reported.clone(), "10:10:00", false).verdict, expected, "{reported}");
        }
    }

    #[test]
    fn after_the_timeout_it_matters_whether_the_device_was_seen() {
        assert_eq!(judged(json!({}), "11:00:01", false).verdict, Verdict::Offline);
        assert_eq!(judged(json!({}), "11:00:01", true).verdict, Verdict::TimedOut);
        let waiting = judged(json!({}), "10:59:59", true);
        assert_eq!(waiting.verdict, Verdict::Waiting);
        assert_eq!(waiting.look_again, Some("2026-11-22T11:00:00.5Z".parse().unwrap()));
        assert_eq!(waiting.pending.len(), 1);
    }

    #[test]
    fn refusals_say_what_the_device_said() {
        let reported = json!({"t": {"i": {"value": 30, "ac": 406, "av": 3, "ad": "too fast"}}});
        let refused = judged(reported, "10:00:01", true);
        assert_eq!(refused.detail, Some(("/t/i".parse().unwrap(), "ac 406 too fast".to_owned())));
    }
}
