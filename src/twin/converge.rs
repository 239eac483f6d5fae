//! Whether the device follows: desired leaves of ours against what the device reports.
//!
//! A leaf is confirmed by an equal value at the same path of reported, or by an acknowledgement of the IoT Plug and Play
//! convention (`{value, ac, av, ad}`, IoT Plug and Play conventions, "Acknowledgment responses") at the leaf or above it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Number, Value};

use super::document::{self, Leaves, Object};
use super::pointer::Pointer;
use super::value::{equal, whole};

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
    /// When the hub last said that the device is connected, as far as is known.
    pub seen: Option<Timestamp>,
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
            let after = |time: Option<Timestamp>| changed.zip(time).is_some_and(|(changed, time)| time > changed);
            let seen = after(reported) || after(inputs.seen);
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
    let bar = member_at(inputs.desired_metadata, at, "$lastUpdatedVersion").and_then(integer);
    let current = |version: Option<i64>| bar.zip(version).is_some_and(|(bar, version)| version >= bar);
    if inputs.edge_runtime {
        return edge_answer(inputs.reported, current);
    }
    let held = document::get(inputs.reported, at);
    if held.is_some_and(|held| echoes(ours, held) && Acknowledgement::read(held).is_none()) {
        return Answer::Confirmed;
    }
    // The nearest word on the present version counts, however far up it stands; an older one only if it fits.
    let places = at.ancestors().chain([at.clone()]).collect::<Vec<_>>();
    for place in places.iter().rev() {
        let Some(ack) = document::get(inputs.reported, place).and_then(Acknowledgement::read) else { continue };
        let below = &at.keys()[place.keys().len()..];
        let value = ack.value.and_then(|value| below.iter().try_fold(value, |value, key| value.as_object()?.get(key)));
        let fits = value.is_some_and(|value| echoes(ours, value));
        match ack.code {
            200 if current(ack.version) || fits => return Answer::Confirmed,
            400.. if current(ack.version) => return Answer::Refused(ack.told()),
            _ if current(ack.version) => return Answer::None,
            _ => {}
        }
    }
    Answer::None
}

/// What a device says of one property by the IoT Plug and Play convention.
struct Acknowledgement<'a> {
    /// `ac`, in the manner of HTTP: 200 accepted, 202 in progress, 203 the device's own, 400 and up refused.
    code: i64,
    /// `av`: the version of desired that this is about.
    version: Option<i64>,
    value: Option<&'a Value>,
    /// `ad`
    description: &'a str,
}

impl<'a> Acknowledgement<'a> {
    /// `None` when it is none: a property may be an object with a key `ac` for another reason.
    fn read(reported: &'a Value) -> Option<Self> {
        let members = reported.as_object()?;
        let acknowledgement = Self {
            code: integer(members.get("ac")?)?,
            version: members.get("av").and_then(integer),
            value: members.get("value"),
            description: members.get("ad").and_then(Value::as_str).unwrap_or_default(),
        };
        (acknowledgement.version.is_some() || acknowledgement.value.is_some()).then_some(acknowledgement)
    }

    fn told(&self) -> String {
        format!("ac {} {}", self.code, self.description).trim_end().to_owned()
    }
}

/// The IoT Edge runtime reports one version and one status for all of its desired properties.
fn edge_answer(reported: &Object, current: impl Fn(Option<i64>) -> bool) -> Answer {
    let status = reported.get("lastDesiredStatus");
    let code = status.and_then(|status| integer(status.get("code")?));
    if !current(reported.get("lastDesiredVersion").and_then(integer)) {
        return Answer::None;
    }
    match code {
        Some(200) => Answer::Confirmed,
        Some(code @ 400..) => {
            let description = status.and_then(|status| status.get("description")?.as_str()).unwrap_or_default();
            Answer::Refused(format!("lastDesiredStatus.code {code} {description}").trim_end().to_owned())
        }
        _ => Answer::None,
    }
}

/// Equal values; numbers also when equal as 32-bit floats, which is what small devices compute with. Any object is as good
/// as an empty one.
fn echoes(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Object(members), Value::Object(_)) if members.is_empty() => true,
        (Value::Number(a), Value::Number(b)) => equal(ours, theirs) || narrow(a).is_some_and(|a| narrow(b) == Some(a)),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| echoes(a, b)),
        _ => equal(ours, theirs),
    }
}

/// The number as a 32-bit float, if it is within their range.
fn narrow(number: &Number) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "the narrowing is the point")]
    let narrow = number.as_f64()? as f32;
    narrow.is_finite().then_some(narrow)
}

/// An integer, also one that a device writes as `200.0`.
fn integer(value: &Value) -> Option<i64> {
    i64::try_from(whole(value.as_number()?)?).ok()
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
mod laws;
#[cfg(test)]
mod tests;
