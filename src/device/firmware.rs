//! A firmware update: desired says which version, reported says how far the device has come. Pure.

use serde_json::{Value, json};

use super::behaviour::{Ack, acknowledge, acknowledgement, becoming};
use crate::twin::document::Object;

const FIRMWARE: &str = "firmware";

/// One thing that an updating device reports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// The version that the update leads to.
    pub(super) version: String,
    /// The word for it.
    pub(super) status: &'static str,
}

/// The steps that lead to the desired version; empty when there is none, or it runs already.
pub(super) fn steps(desired: &Object, reported: &Object) -> Vec<Step> {
    let Some(version) = version(desired.get(FIRMWARE)) else { return Vec::new() };
    if running(reported).as_ref() == Some(&version) {
        return Vec::new();
    }
    ["downloading", "applying", "done"].map(|status| Step { version: version.clone(), status }).into()
}

/// What a step reports: the old version until it is done, and then all that is desired of the firmware.
pub(super) fn report(step: &Step, ack: Ack, desired: &Object, version: i64, reported: &Object) -> Object {
    let target = desired.get(FIRMWARE).cloned().unwrap_or_default();
    let done = step.status == "done";
    let wrap = |value: Value| Object::from_iter([(FIRMWARE.to_owned(), value)]);
    match ack {
        Ack::Silent => Object::new(),
        Ack::PlugAndPlay => {
            let answer = acknowledgement(&target, if done { 200 } else { 202 }, version, step.status);
            becoming(reported.get(FIRMWARE), &answer).map(wrap).unwrap_or_default()
        }
        Ack::Echo if done => {
            let mut patch = acknowledge(Ack::Echo, &wrap(target), desired, version, reported);
            if let Value::Object(firmware) = patch.entry(FIRMWARE).or_insert_with(|| json!({})) {
                firmware.insert("status".to_owned(), json!(step.status));
            }
            patch
        }
        Ack::Echo => {
            let mut firmware = json!({"status": step.status});
            // The version that runs is told along, so that a first report shows it even where none was before.
            if let Some(old) = running(reported) {
                firmware["version"] = json!(old);
            }
            wrap(firmware)
        }
    }
}

/// A change without what belongs to an update that is under way: its last step acknowledges that.
pub(super) fn without_firmware(change: &Object) -> Object {
    change.iter().filter(|(key, _)| *key != FIRMWARE).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// The version that the device says it runs, in plain form or as a finished acknowledgement.
fn running(reported: &Object) -> Option<String> {
    let firmware = reported.get(FIRMWARE)?;
    match firmware.get("ac").and_then(Value::as_i64) {
        None => version(Some(firmware)),
        Some(200) => version(firmware.get("value")),
        Some(_) => None,
    }
}

fn version(firmware: Option<&Value>) -> Option<String> {
    firmware?.get("version")?.as_str().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::merge::merge_patch;

    fn object(value: Value) -> Object {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn an_update_runs_only_when_the_version_differs() {
        let cases = [
            (json!({}), json!({}), 0),
            (json!({"firmware": {"version": 3}}), json!({}), 0),
            (json!({"firmware": {"version": "2"}}), json!({}), 3),
            (json!({"firmware": {"version": "2"}}), json!({"firmware": {"version": "1"}}), 3),
            (json!({"firmware": {"version": "2"}}), json!({"firmware": {"version": "2"}}), 0),
            (json!({"firmware": {"version": "2"}}), json!({"firmware": {"ac": 202, "value": {"version": "2"}}}), 3),
            (json!({"firmware": {"version": "2"}}), json!({"firmware": {"ac": 200, "value": {"version": "2"}}}), 0),
        ];
        for (desired, reported, expected) in cases {
            assert_eq!(steps(&object(desired.clone()), &object(reported)).len(), expected, "{desired}");
        }
    }

    #[test]
    fn each_step_is_reported_and_the_last_confirms() {
        let desired = object(json!({"firmware": {"version": "2", "location": "https://example.org/2.bin"}}));
        let plain = [
            json!({"firmware": {"version": "1", "status": "downloading"}}),
            json!({"firmware": {"version": "1", "status": "applying"}}),
            json!({"firmware": {"version": "2", "location": "https://example.org/2.bin", "status": "done"}}),
        ];
        let target = desired["firmware"].clone();
        let pnp = [(202, "downloading"), (202, "applying"), (200, "done")]
            .map(|(code, text)| json!({"firmware": {"value": target.clone(), "ac": code, "av": 5, "ad": text}}));
        for (ack, expected) in [(Ack::Echo, plain), (Ack::PlugAndPlay, pnp)] {
            let mut reported = object(json!({"firmware": {"version": "1"}}));
            for (step, expected) in steps(&desired, &reported).iter().zip(expected) {
                let patch = report(step, ack, &desired, 5, &reported);
                merge_patch(&mut reported, &patch);
                assert_eq!(Value::Object(reported.clone()), expected);
            }
            assert!(steps(&desired, &reported).is_empty());
        }
    }
}
