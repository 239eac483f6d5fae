//! The writes to one twin, carried out again: whether the hub did as it was told, who changed what last, and whether each
//! write of an operator was one that the rules allow.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::history::{Revision, Spec, Subject, section};
use super::log::{StatusWrite, Tick, TwinWrite, Who};
use super::step::Part;
use super::tree::{Leaves, Object, Path, get, leaves, merge, object, put, same, satisfied, show};

pub const PARTS: [Part; 2] = [Part::Tags, Part::Desired];

/// What is known of one twin.
pub struct Story<'a> {
    pub subjects: &'a [Subject],
    /// The writes to this twin that the hub carried out.
    pub writes: Vec<&'a TwinWrite>,
    /// The writes of operators whose answer was lost, whatever it was.
    pub unheard: Vec<&'a TwinWrite>,
    /// The writes of the status of this twin's objects.
    pub statuses: Vec<&'a StatusWrite>,
}

/// The contents of a twin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    pub tags: Object,
    pub desired: Object,
}

impl Contents {
    pub fn of(twin: &Value) -> Self {
        Self { tags: section(twin, Part::Tags), desired: section(twin, Part::Desired) }
    }

    pub fn part(&self, part: Part) -> &Object {
        match part {
            Part::Tags => &self.tags,
            Part::Desired => &self.desired,
        }
    }

    fn part_mut(&mut self, part: Part) -> &mut Object {
        match part {
            Part::Tags => &mut self.tags,
            Part::Desired => &mut self.desired,
        }
    }
}

/// A twin's life, from the making of its identity on.
#[derive(Default)]
pub struct Life<'a> {
    /// What it held after each write, in order.
    pub states: Vec<Contents>,
    /// Who changed each leaf last, and to what.
    pub last: [BTreeMap<Path, (&'a TwinWrite, Value)>; 2],
}

/// Carries out the writes of the life in which the hub shows `device_etag`.
pub fn replay<'a>(story: &Story<'a>, device_etag: &str) -> Result<Life<'a>, String> {
    let of = |write: &TwinWrite| {
        write.after.as_ref().map(|after| (after["deviceEtag"].to_string(), after["version"].as_i64()))
    };
    let mut writes: Vec<&TwinWrite> =
        story.writes.iter().copied().filter(|write| of(write).is_some_and(|(etag, _)| etag == device_etag)).collect();
    writes.sort_by_key(|write| of(write).and_then(|(_, version)| version));
    let mut life = Life { states: vec![Contents::default()], ..Life::default() };
    for write in writes {
        let before = life.states.last().cloned().unwrap_or_default();
        let after = Contents::of(write.after.as_ref().unwrap_or(&Value::Null));
        let expected = carried_out(&before, write);
        if after != expected {
            return Err(format!(
                "a write that nobody asked for, before {}: {after:?} against {expected:?}",
                told(write)
            ));
        }
        if matches!(write.who, Who::Operator(_)) {
            lawful(story, write, &before, &after)?;
        }
        for (part, last) in PARTS.into_iter().zip(&mut life.last) {
            let (old, new) = (leaves(before.part(part)), leaves(after.part(part)));
            last.retain(|at, _| new.contains_key(at));
            for (at, value) in &new {
                if old.get(at) != Some(value) {
                    last.insert(at.clone(), (write, value.clone()));
                }
            }
        }
        life.states.push(after);
    }
    Ok(life)
}

pub fn told(write: &TwinWrite) -> String {
    let TwinWrite { who, body, replaces, asked, answered, .. } = write;
    format!("{who:?} {} {body} (ticks {asked} to {answered})", if *replaces { "PUT" } else { "PATCH" })
}

fn carried_out(before: &Contents, write: &TwinWrite) -> Contents {
    let mut after = before.clone();
    for (part, at) in [(Part::Tags, "/tags"), (Part::Desired, "/properties/desired")] {
        let Some(Value::Object(sent)) = write.body.pointer(at) else { continue };
        if write.replaces {
            *after.part_mut(part) = sent.clone();
        } else {
            merge(after.part_mut(part), sent);
        }
    }
    after
}

/// Whether some spec and some ledger that the operator can have known allow what it did.
fn lawful(story: &Story<'_>, write: &TwinWrite, before: &Contents, after: &Contents) -> Result<(), String> {
    nothing_equal_is_sent(write, before)?;
    let mut why_not = Vec::new();
    for subject in story.subjects.iter().filter(|subject| subject.made <= write.answered) {
        let others = others(story, subject, write);
        let sent = sent(story, write);
        for revision in &known_revisions(story, subject, write) {
            for ledger in known_ledgers(story, subject, write, before) {
                match allows(revision, ledger.as_ref(), &sent, &others, before, after) {
                    Ok(()) => return Ok(()),
                    Err(why) => why_not.push(format!("{} at generation {}: {why}", subject.name, revision.generation)),
                }
            }
        }
    }
    Err(format!("not allowed: {}, of {before:?}: {why_not:#?}", told(write)))
}

/// Active revisions from the last one that a status told of to the newest; for an object that is being deleted and is to
/// take its leaves with it, the same with no leaves, too.
fn known_revisions(story: &Story<'_>, subject: &Subject, write: &TwinWrite) -> Vec<Revision> {
    let told = story.landed(subject, write.asked).next_back().map_or(0, |status| generation(&status.status));
    let known = subject.revisions.iter().filter(|r| r.generation >= told && r.from <= write.answered);
    let mut revisions: Vec<Revision> = known.clone().filter(|revision| revision.spec.active()).cloned().collect();
    if subject.deleting.is_some_and(|deleting| deleting <= write.answered) {
        let takes =
            known.filter(|revision| revision.spec.remove_keys && !revision.spec.observe && !revision.spec.suspend);
        revisions.extend(takes.map(|revision| Revision {
            spec: Spec { tags: Object::new(), desired: Object::new(), ..revision.spec.clone() },
            ..revision.clone()
        }));
    }
    revisions
}

/// What other objects name in a section.
struct Others {
    /// As the operator must have known: it told so in their statuses.
    known: BTreeSet<Path>,
    /// At any time.
    ever: BTreeSet<Path>,
}

fn others(story: &Story<'_>, subject: &Subject, write: &TwinWrite) -> [Others; 2] {
    let known = story.subjects.iter().filter(|other| other.uid != subject.uid && other.deleting.is_none());
    let known: Vec<&Revision> = known
        .filter_map(|other| {
            let told = story.landed(other, write.asked).rfind(|status| status.answered < write.asked)?;
            let last = other.revisions.iter().rfind(|revision| revision.from <= write.answered)?;
            (last.generation == generation(&told.status) && last.spec.active()).then_some(last)
        })
        .collect();
    let ever = story.subjects.iter().filter(|other| other.uid != subject.uid).flat_map(|other| &other.revisions);
    let ever: Vec<&Revision> = ever.collect();
    let named = |revisions: &[&Revision], part: Part| {
        revisions.iter().flat_map(|revision| revision.spec.leaves(part).into_keys()).collect()
    };
    PARTS.map(|part| Others { known: named(&known, part), ever: named(&ever, part) })
}

/// What the operator can have taken for its ledger: the last that the API server has, or what it wanted to write since.
/// Where the twin's version went back, the device was made again: the same ledgers, cut to what the new twin holds.
fn known_ledgers(story: &Story<'_>, subject: &Subject, write: &TwinWrite, before: &Contents) -> Vec<Option<Contents>> {
    let landed: Vec<&StatusWrite> = story.landed(subject, write.answered).collect();
    let since = landed.len().checked_sub(2).map_or(0, |index| landed[index].asked);
    let own = story.statuses.iter().filter(|status| {
        status.object == subject.name
            && status.asked >= since
            && status.asked <= write.answered
            && Who::Operator(status.operator) == write.who
    });
    let mut known: Vec<Option<Contents>> = own.map(|status| ledger(&status.status)).collect();
    known.extend(landed.iter().rev().take(2).map(|status| ledger(&status.status)));
    if landed.len() < 2 {
        known.push(None);
    }
    let shown = landed.iter().filter_map(|status| status.status["twin"]["version"].as_i64()).max();
    let version = write.after.as_ref().and_then(|after| after["version"].as_i64());
    if shown.zip(version).is_some_and(|(shown, version)| shown >= version) {
        let cut: Vec<_> = known.iter().map(|ledger| ledger.as_ref().map(|ledger| cut(ledger, before))).collect();
        known.extend(cut);
    }
    known.dedup();
    known
}

/// The leaves of a ledger that the twin holds.
fn cut(ledger: &Contents, before: &Contents) -> Contents {
    let mut kept = Contents::default();
    for part in PARTS {
        for (at, value) in leaves(ledger.part(part)) {
            if get(before.part(part), &at).is_some_and(|held| same(held, &value)) {
                put(kept.part_mut(part), &at, value);
            }
        }
    }
    kept
}

impl Story<'_> {
    /// The statuses of an object that the API server took, and whose writing had begun by then.
    pub fn landed(&self, subject: &Subject, until: Tick) -> impl DoubleEndedIterator<Item = &StatusWrite> {
        self.statuses.iter().copied().filter(move |s| s.landed.as_ref() == Some(&subject.uid) && s.asked <= until)
    }
}

/// The generation that a status is about.
pub fn generation(status: &Value) -> i64 {
    status["observedGeneration"].as_i64().unwrap_or(-1)
}

/// The ledger that a status shows.
pub fn ledger(status: &Value) -> Option<Contents> {
    let applied = status.get("applied")?;
    Some(Contents { tags: object(applied.get("tags")), desired: object(applied.get("desired")) })
}

/// The hub notifies devices also of equal values.
fn nothing_equal_is_sent(write: &TwinWrite, before: &Contents) -> Result<(), String> {
    for (part, at) in [(Part::Tags, "/tags"), (Part::Desired, "/properties/desired")] {
        let Some(Value::Object(sent)) = write.body.pointer(at) else { continue };
        if sent.is_empty() {
            return Err(format!("an empty section is sent: {}", told(write)));
        }
        for (at, value) in leaves(sent) {
            let there = get(before.part(part), &at);
            let idle =
                if value.is_null() { there.is_none() } else { there.is_some_and(|there| satisfied(&value, there)) };
            if idle {
                return Err(format!("{} changes nothing: {}", show(&at), told(write)));
            }
        }
    }
    Ok(())
}

/// What this operator has sent and not heard of: it may have landed, and where the hub holds it, it counts as ours.
fn sent(story: &Story<'_>, write: &TwinWrite) -> Vec<Contents> {
    let own = story.unheard.iter().filter(|sent| sent.who == write.who && sent.asked < write.asked);
    own.map(|sent| carried_out(&Contents::default(), sent)).collect()
}

fn allows(
    revision: &Revision,
    ledger: Option<&Contents>,
    sent: &[Contents],
    others: &[Others; 2],
    before: &Contents,
    after: &Contents,
) -> Result<(), String> {
    for (part, others) in PARTS.into_iter().zip(others) {
        let spec = revision.spec.leaves(part);
        let base = ledger.map(|ledger| leaves(ledger.part(part)));
        let (old, new) = (leaves(before.part(part)), leaves(after.part(part)));
        for (at, value) in &new {
            if old.get(at) == Some(value) || emptied(at, value, before.part(part), &others.ever) {
                continue;
            }
            may_set(revision, &spec, base.as_ref(), at, value, old.get(at))?;
        }
        for (at, value) in old.iter().filter(|(at, _)| !new.contains_key(*at)) {
            let filled = value.is_object() && get(after.part(part), at).is_some_and(Value::is_object);
            let held = base.as_ref().and_then(|base| base.get(at)).is_some_and(|base| same(base, value));
            let landed = || sent.iter().any(|sent| get(sent.part(part), at).is_some_and(|sent| same(sent, value)));
            let ours = held || landed();
            if !filled && (!ours || spec.contains_key(at)) {
                return Err(format!("{}{} = {value} goes, and is not ours to remove", part.prefix(), show(at)));
            }
            if !filled && others.known.contains(at) {
                return Err(format!("{}{} goes, and another object names it", part.prefix(), show(at)));
            }
        }
    }
    Ok(())
}

/// Whether the last leaf of an object went, and the object itself stays for another that names something below it.
fn emptied(at: &Path, value: &Value, before: &Object, others: &BTreeSet<Path>) -> bool {
    let empty = value.as_object().is_some_and(Object::is_empty);
    let had = get(before, at).and_then(Value::as_object).is_some_and(|object| !object.is_empty());
    empty && had && others.iter().any(|named| named != at && named.starts_with(at))
}

fn may_set(
    revision: &Revision,
    spec: &Leaves,
    base: Option<&Leaves>,
    at: &Path,
    value: &Value,
    old: Option<&Value>,
) -> Result<(), String> {
    if !spec.get(at).is_some_and(|ours| same(ours, value)) {
        return Err(format!("{} = {value} is not in the spec", show(at)));
    }
    match base.and_then(|base| base.get(at)) {
        Some(base) if same(base, value) && revision.spec.report => {
            Err(format!("{} is drift, to be reported", show(at)))
        }
        None if revision.spec.require_equal && old.is_some() => Err(format!("{} differs at first contact", show(at))),
        _ => Ok(()),
    }
}
