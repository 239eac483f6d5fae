//! What must hold of a twin and its objects once things are calm, by the rules and the story alone.

use std::collections::BTreeSet;

use serde_json::Value;

use super::claims::{Claims, Live, claims};
use super::converged;
use super::left::nothing_is_left;
use super::log::{StatusWrite, Tick};
use super::replay::{Contents, Life, PARTS, Story, generation, ledger, replay};
use super::rules::{Section, Verdict};
use super::step::Part;
use super::tree::{Leaves, Path, get, leaves, object, same, same_leaves, satisfied, show};

/// How many pointers a list in status holds.
const POINTERS: usize = 20;

/// What was seen of a twin and its objects.
pub struct Seen<'a> {
    pub story: &'a Story<'a>,
    pub live: Vec<Live<'a>>,
    pub twin: Option<&'a Value>,
}

/// What was met on the way, to be counted.
#[derive(Debug, Default)]
pub struct Met(pub Vec<String>);

pub fn judge(seen: &Seen<'_>) -> Result<Met, String> {
    let mut met = Met::default();
    let etag_of = |write: &&super::log::TwinWrite| write.after.as_ref().map(|after| after["deviceEtag"].to_string());
    let lives: BTreeSet<String> = seen.story.writes.iter().filter_map(etag_of).collect();
    for life in &lives {
        replay(seen.story, life)?;
    }
    ledgers_are_true(seen, lives.len() > 1)?;
    for me in &seen.live {
        status_is_right(seen, *me, &mut met)?;
    }
    if let Some(twin) = seen.twin {
        let life: Life<'_> = replay(seen.story, &twin["deviceEtag"].to_string())?;
        let last = life.states.last().expect("a life begins with nothing");
        if *last != Contents::of(twin) {
            return Err(format!("a write that nobody saw: {:?} against {last:?}", Contents::of(twin)));
        }
        nothing_is_left(seen.story, &life, &seen.live, &mut met)?;
    }
    Ok(met)
}

fn status_is_right(seen: &Seen<'_>, me: Live<'_>, met: &mut Met) -> Result<(), String> {
    let revision = me.subject.revisions.last().ok_or("the object has no revision")?;
    let (status, spec) = (me.status(), &revision.spec);
    if generation(status) != revision.generation || me.object["metadata"]["generation"] != revision.generation {
        return Err(format!("{}: generation {} is not observed: {status}", me.subject.name, revision.generation));
    }
    let held = ledger(status);
    let Expected { ready, verdicts } = expected(seen, me, held.as_ref());
    let beside = if ready.starts_with("True") || ready.ends_with("Suspended") {
        None
    } else if ready.ends_with("DeviceNotFound") {
        Some("Reconciling")
    } else {
        Some("Stalled")
    };
    conditions_are(status, revision.generation, &ready, beside)?;
    met.0.push(format!("at rest: {ready}"));
    let (Some(verdicts), Some(twin)) = (verdicts, seen.twin) else { return Ok(()) };
    for verdict in &verdicts {
        met.0.extend(verdict.rows.iter().map(|row| format!("row: {row}")));
    }
    let blocked = verdicts.iter().any(|verdict| !verdict.conflict.is_empty());
    let open = verdicts.iter().any(|verdict| !verdict.set.is_empty() || !verdict.remove.is_empty());
    if spec.observe {
        let planned = status["plan"]["count"].as_u64().unwrap_or(0) > 0;
        if !blocked && open != planned {
            return Err(format!("status.plan of an observer: {}, expected {verdicts:?}", status["plan"]));
        }
        return shows_the_twin(status, twin);
    }
    if open && !blocked {
        return Err(format!("there is still something to write: {verdicts:?}, ledger {held:?}"));
    }
    for (part, verdict) in PARTS.into_iter().zip(&verdicts) {
        let held = held.as_ref().map(|held| leaves(held.part(part))).unwrap_or_default();
        if !same_leaves(&held, &verdict.ledger) {
            return Err(format!("the ledger of {}: {held:?}, expected {:?}", part.prefix(), verdict.ledger));
        }
    }
    if !blocked {
        listed(status, "drift", &pointers(&verdicts, |verdict| verdict.drift.clone()))?;
        converged::judge(seen.story, me, twin, &ready, met)?;
    }
    shows_the_twin(status, twin)
}

/// What Ready must say, and what the rules say of the twin where it counts.
struct Expected {
    ready: String,
    verdicts: Option<[Verdict; 2]>,
}

fn expected(seen: &Seen<'_>, me: Live<'_>, held: Option<&Contents>) -> Expected {
    let only = |ready: &str| Expected { ready: ready.to_owned(), verdicts: None };
    let spec = &me.subject.revisions.last().expect("looked at above").spec;
    if spec.suspend {
        let holds = |part: &Part| held.is_some_and(|held| same_leaves(&leaves(held.part(*part)), &spec.leaves(*part)));
        let in_sync = PARTS.iter().all(holds) && spec.broken.is_none() && !drifted_before(seen.story, me);
        return only(if in_sync { "True Suspended" } else { "False Suspended" });
    }
    if spec.broken.is_some() {
        return only("False InvalidTwin");
    }
    let Some(twin) = seen.twin else { return only("False DeviceNotFound") };
    let others: Vec<Live<'_>> = seen.live.iter().copied().filter(|other| other.subject.uid != me.subject.uid).collect();
    let hub = Contents::of(twin);
    let verdicts = PARTS.map(|part| {
        let ledger: Option<Leaves> = held.map(|held| leaves(held.part(part)));
        let Claims { claimed, lost } = claims(me, &others, part);
        Section {
            spec: &spec.leaves(part),
            ledger: ledger.as_ref(),
            hub: hub.part(part),
            claimed: &claimed,
            lost: &lost,
            require_equal: spec.require_equal,
            report: spec.report,
        }
        .judge()
    });
    let any = |of: fn(&Verdict) -> bool| verdicts.iter().any(of);
    let ready = if spec.observe {
        "True Observing"
    } else if any(|verdict| !verdict.conflict.is_empty()) {
        "False Conflict"
    } else if any(|verdict| !verdict.drift.is_empty()) {
        "False Drifted"
    } else {
        "True Synced"
    };
    Expected { ready: ready.to_owned(), verdicts: Some(verdicts) }
}

/// Whether the last look before the suspension found that the hub differs.
fn drifted_before(story: &Story<'_>, me: Live<'_>) -> bool {
    let active = |status: &&StatusWrite| {
        me.subject.at(generation(&status.status)).is_some_and(|revision| !revision.spec.suspend)
    };
    let last = story.landed(me.subject, Tick::MAX).rfind(active);
    last.is_some_and(|StatusWrite { status, .. }| {
        let planned = status["plan"]["count"].as_u64().unwrap_or(0) > 0;
        planned || ["Drifted", "Contested"].contains(&ready_reason(status))
    })
}

pub fn ready_reason(status: &Value) -> &str {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.filter(|condition| condition["type"] == "Ready");
    ready.next().and_then(|ready| ready["reason"].as_str()).unwrap_or_default()
}

fn conditions_are(status: &Value, generation: i64, ready: &str, beside: Option<&str>) -> Result<(), String> {
    let conditions = status["conditions"].as_array().ok_or("no conditions")?;
    let text = |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    let mut types: Vec<String> = conditions.iter().map(|condition| text(condition, "type")).collect();
    types.sort();
    let mut expected: Vec<&str> = ["Converged", "Ready"].into_iter().chain(beside).collect();
    expected.sort_unstable();
    if types != expected {
        return Err(format!("conditions {types:?}, expected {expected:?} with Ready {ready}: {conditions:?}"));
    }
    for condition in conditions {
        if condition["observedGeneration"] != generation {
            return Err(format!("a condition of another generation than {generation}: {condition}"));
        }
        let told = format!("{} {}", text(condition, "status"), text(condition, "reason"));
        if condition["type"] == "Ready" && told != ready {
            return Err(format!("Ready={told} ({}), expected {ready}", text(condition, "message")));
        }
    }
    Ok(())
}

fn pointers(verdicts: &[Verdict; 2], of: impl Fn(&Verdict) -> BTreeSet<Path>) -> BTreeSet<String> {
    let both = PARTS.into_iter().zip(verdicts);
    both.flat_map(|(part, verdict)| of(verdict).into_iter().map(move |at| format!("{}{}", part.prefix(), show(&at))))
        .collect()
}

/// A list of pointers in status, with its true count; absent when there is nothing to list.
fn listed(status: &Value, name: &str, expected: &BTreeSet<String>) -> Result<(), String> {
    let shown = &status[name];
    let paths: BTreeSet<String> = shown["paths"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|path| path.as_str().map(ToOwned::to_owned))
        .collect();
    let whole = expected.len() > POINTERS || paths == *expected;
    let counted = shown["count"].as_u64().unwrap_or(0) == expected.len() as u64;
    if whole && counted { Ok(()) } else { Err(format!("status.{name} is {shown}, expected {expected:?}")) }
}

fn shows_the_twin(status: &Value, twin: &Value) -> Result<(), String> {
    let versions = [
        ("etag", &twin["etag"]),
        ("version", &twin["version"]),
        ("desiredVersion", &twin["properties"]["desired"]["$version"]),
        ("reportedVersion", &twin["properties"]["reported"]["$version"]),
    ];
    for (name, there) in versions {
        if status["twin"][name] != *there {
            return Err(format!("status.twin.{name} is {}, the hub has {there}", status["twin"][name]));
        }
    }
    let mut reported = object(twin.pointer("/properties/reported"));
    reported.retain(|key, _| !key.starts_with('$'));
    let shown = object(status.pointer("/properties/reported"));
    // What the API server keeps is equal by value: it has no 1.0.
    if !same(&Value::Object(shown.clone()), &Value::Object(reported.clone())) {
        return Err(format!("status shows reported {shown:?}, the hub has {reported:?}"));
    }
    Ok(())
}

/// Every leaf in a ledger was at the hub while a spec named it, and none leaves it that the spec still names: unless the
/// device was made again, or another object is about the twin.
fn ledgers_are_true(seen: &Seen<'_>, made_again: bool) -> Result<(), String> {
    let alone = !made_again && seen.story.subjects.len() < 2;
    let mut states = vec![Contents::default()];
    states.extend(seen.story.writes.iter().filter_map(|write| write.after.as_ref()).map(Contents::of));
    for subject in seen.story.subjects {
        let mut before = Contents::default();
        for write in seen.story.landed(subject, Tick::MAX) {
            let Some(revision) = subject.at(generation(&write.status)) else { continue };
            let now = ledger(&write.status).unwrap_or_default();
            for part in PARTS {
                let (old, new) = (leaves(before.part(part)), leaves(now.part(part)));
                for (at, value) in new.iter().filter(|(at, value)| old.get(*at) != Some(value)) {
                    let was = states.iter().any(|s| get(s.part(part), at).is_some_and(|there| satisfied(value, there)));
                    if !was {
                        let at = show(at);
                        return Err(format!(
                            "{}{at} = {value} is in the ledger and was never at the hub",
                            part.prefix()
                        ));
                    }
                }
                let spec = revision.spec.leaves(part);
                let left = old.keys().find(|at| !new.contains_key(*at) && spec.contains_key(*at));
                if let Some(at) = left.filter(|_| alone) {
                    let at = show(at);
                    return Err(format!(
                        "{}{at} left the ledger although the spec names it: {}",
                        part.prefix(),
                        write.status
                    ));
                }
            }
            before = now;
        }
    }
    Ok(())
}
