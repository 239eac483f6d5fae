//! Whether the device has followed, by section 4 of the design: written anew from its words.

use std::collections::BTreeSet;

use serde_json::Value;

use super::claims::Live;
use super::judge::Met;
use super::log::Tick;
use super::replay::{Story, generation, ledger};
use super::step::Part;
use super::tree::{Object, Path, get, leaves, object, same, show};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Confirmed,
    Refused,
    None,
}

/// Checks `Converged` and `status.pending` of an object whose spec is at the hub, or drifted.
pub fn judge(story: &Story<'_>, me: Live<'_>, twin: &Value, ready: &str, met: &mut Met) -> Result<(), String> {
    let Some(revision) = me.subject.revisions.last() else { return Ok(()) };
    let (status, spec) = (me.status(), revision.spec.leaves(Part::Desired));
    if ready != "True Synced" && ready != "False Drifted" {
        return Ok(());
    }
    let shown = pending(status);
    let (mut open, mut refused) = (BTreeSet::new(), false);
    for (at, value) in &spec {
        let told = format!("/properties/desired{}", show(at));
        match answer(twin, at, value) {
            Answer::Confirmed => {}
            Answer::Refused => {
                refused = true;
                open.insert(told);
            }
            // A confirmation once accepted for the same value stays.
            Answer::None if !shown.contains(&told) && confirmed_once(story, me, at, value) => {
                met.0.push("convergence: a confirmation stays".to_owned());
            }
            Answer::None => {
                open.insert(told);
            }
        }
    }
    if shown != open {
        return Err(format!("status.pending is {shown:?}, expected {open:?}"));
    }
    let expected = match (spec.is_empty(), refused, open.is_empty()) {
        (true, ..) => "True NothingDesired",
        (_, true, _) => "False DeviceRefused",
        (_, _, true) => "True Confirmed",
        _ => "Unknown WaitingForDevice",
    };
    met.0.push(format!("at rest: Converged {expected}"));
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let converged = conditions.find(|condition| condition["type"] == "Converged").ok_or("no Converged")?;
    let text = |key: &str| converged[key].as_str().unwrap_or_default().to_owned();
    let told = format!("{} {}", text("status"), text("reason"));
    if told == expected { Ok(()) } else { Err(format!("Converged={told}, expected {expected}; pending {open:?}")) }
}

fn pending(status: &Value) -> BTreeSet<String> {
    let paths = status["pending"]["paths"].as_array().into_iter().flatten();
    paths.filter_map(|path| path.as_str().map(ToOwned::to_owned)).collect()
}

/// Whether an earlier status shows the same value of ours as confirmed.
fn confirmed_once(story: &Story<'_>, me: Live<'_>, at: &Path, value: &Value) -> bool {
    let told = format!("/properties/desired{}", show(at));
    story.landed(me.subject, Tick::MAX).any(|write| {
        let named = me
            .subject
            .at(generation(&write.status))
            .is_some_and(|revision| revision.spec.leaves(Part::Desired).get(at).is_some_and(|then| same(then, value)));
        let held = ledger(&write.status).is_some_and(|held| leaves(&held.desired).contains_key(at));
        let mut conditions = write.status["conditions"].as_array().into_iter().flatten();
        let judged = conditions.any(|condition| condition["type"] == "Converged" && condition["reason"] != "NotSynced");
        named && held && judged && !pending(&write.status).contains(&told)
    })
}

fn answer(twin: &Value, at: &Path, value: &Value) -> Answer {
    let reported = object(twin.pointer("/properties/reported"));
    let bar = version_of(&object(twin.pointer("/properties/desired/$metadata")), at);
    let held = get(&reported, at);
    if held.is_some_and(|held| equal(value, held) && word(held).is_none()) {
        return Answer::Confirmed;
    }
    // At the leaf first, then above it: the nearest word on the present version counts, an older one if it fits.
    for depth in (1..=at.len()).rev() {
        let (place, below) = at.split_at(depth);
        let Some((code, version, told)) = get(&reported, place).and_then(word) else { continue };
        let fits = below.iter().try_fold(told, |told, key| told.get(key)).is_some_and(|told| equal(value, told));
        match (code, version >= bar) {
            (200, true) => return Answer::Confirmed,
            (200, false) if fits => return Answer::Confirmed,
            (400.., true) => return Answer::Refused,
            (_, true) => return Answer::None,
            _ => {}
        }
    }
    Answer::None
}

/// Code, version and value of an acknowledgement. Ours are whole; what a device reports otherwise has no `ac`.
fn word(reported: &Value) -> Option<(i64, i64, &Value)> {
    Some((reported.get("ac")?.as_i64()?, reported.get("av")?.as_i64()?, reported.get("value")?))
}

fn equal(ours: &Value, theirs: &Value) -> bool {
    same(ours, theirs) || (ours.as_object().is_some_and(Object::is_empty) && theirs.is_object())
}

/// The `$lastUpdatedVersion` of a leaf, or of what is nearest above it.
fn version_of(metadata: &Object, at: &Path) -> i64 {
    let of = |here: &Object| here.get("$lastUpdatedVersion").and_then(Value::as_i64);
    let (mut here, mut found) = (metadata, of(metadata));
    for key in at {
        let Some(Value::Object(next)) = here.get(key) else { break };
        here = next;
        found = of(here).or(found);
    }
    found.unwrap_or(0)
}
