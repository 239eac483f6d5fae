//! What the hub holds although nobody asks for it: it belongs to others, or there is an excuse.

use serde_json::Value;

use super::claims::{Live, meet};
use super::history::{Revision, Subject};
use super::judge::{Met, ready_reason};
use super::log::{Tick, TwinWrite, Who};
use super::replay::{Contents, Life, PARTS, Story, ledger, told};
use super::step::Part;
use super::tree::{Path, leaves, same, show};

/// What the hub holds beside specs and ledgers was last changed by others; what the rules let stay aside.
pub fn nothing_is_left(story: &Story<'_>, life: &Life<'_>, live: &[Live<'_>], met: &mut Met) -> Result<(), String> {
    for (part, last) in PARTS.into_iter().zip(&life.last) {
        let asked_for = |at: &Path| {
            live.iter().any(|live| {
                let spec = live.subject.revisions.last().map(|revision| revision.spec.leaves(part));
                let held = ledger(live.status()).map(|held| leaves(held.part(part)));
                [spec, held].into_iter().flatten().any(|leaves| leaves.contains_key(at))
            })
        };
        for (at, (write, value)) in last {
            if matches!(write.who, Who::Foreign) || asked_for(at) {
                continue;
            }
            match excuse(story, part, at, value, write) {
                Some(excuse) => met.0.push(excuse.to_owned()),
                None => {
                    let what = format!("{}{} is left at the hub", part.prefix(), show(at));
                    return Err(format!("{what}; set by {}", told(write)));
                }
            }
        }
    }
    Ok(())
}

/// Whether a ledger has the leaf with this value.
fn holds(held: &Contents, part: Part, at: &Path, value: &Value) -> bool {
    leaves(held.part(part)).get(at).is_some_and(|held| same(held, value))
}

/// Why a leaf that an operator set may stay although nobody asks for it any more.
fn excuse(story: &Story<'_>, part: Part, at: &Path, value: &Value, write: &TwinWrite) -> Option<&'static str> {
    let Who::Operator(operator) = write.who else { return None };
    let holds = |status: &Value| ledger(status).is_some_and(|held| holds(&held, part, at, value));
    let asked_for = story.subjects.iter().filter(|subject| subject.named(part, at, value, Tick::MAX));
    for subject in asked_for {
        let mut landed = story.landed(subject, Tick::MAX).filter(|status| status.answered >= write.asked);
        let saved = landed.any(|status| holds(&status.status));
        let gone = subject.deleted.filter(|deleted| *deleted > write.asked || subject.made <= write.answered);
        if gone.is_some() && !(subject.took_leaves && saved) {
            return Some("left: the object was deleted, and its leaves stay");
        }
        if subject.made <= write.answered && !saved && lost_by_death(story, subject, part, at, value, write, operator) {
            return Some("left: the documented hole");
        }
    }
    if emptied(story, part, at, value) {
        return Some("left: emptied while another object named something below it");
    }
    handed_over(story, part, at, value, write).then_some("left: handed over to an object that then let it go")
}

/// An object whose last leaf went, and that stayed for another that named something below it: the plan removes no ancestor
/// of what another object claims.
fn emptied(story: &Story<'_>, part: Part, at: &Path, value: &Value) -> bool {
    let below = |named: &Path| named != at && named.starts_with(at);
    let names = |revision: &Revision| revision.spec.leaves(part).keys().any(below);
    let empty = value.as_object().is_some_and(serde_json::Map::is_empty);
    empty && story.subjects.iter().filter(|subject| subject.revisions.iter().any(names)).count() > 1
}

/// The hole: the last operator that knew the leaf died with what it knew, and the leaf left the spec before another one
/// had read the twin.
fn lost_by_death(
    story: &Story<'_>,
    subject: &Subject,
    part: Part,
    at: &Path,
    value: &Value,
    write: &TwinWrite,
    operator: u64,
) -> bool {
    let holds = |status: &Value| ledger(status).is_some_and(|held| holds(&held, part, at, value));
    let statuses = || story.statuses.iter().filter(|status| status.object == subject.name);
    let knew = statuses().filter(|status| status.asked >= write.asked && holds(&status.status));
    let (last, since) = knew
        .map(|status| (status.operator, status.asked))
        .chain([(operator, write.answered)])
        .max()
        .expect("one at least");
    let later = || statuses().filter(|status| status.operator > last);
    // These reasons are told of a twin that was read, for a spec that writes.
    let reasons = ["Synced", "Conflict", "Drifted", "Contested"];
    let read =
        later().filter(|status| reasons.contains(&ready_reason(&status.status))).map(|status| status.asked).min();
    let by_another = |write: &&&TwinWrite| matches!(write.who, Who::Operator(other) if other > last);
    let died =
        later().next().is_some() || story.writes.iter().any(|write| by_another(&write)) || subject.deleted.is_some();
    let end = read.unwrap_or(Tick::MAX);
    let names = |revision: &Revision| revision.spec.leaves(part).get(at).is_some_and(|ours| same(ours, value));
    died && subject.between(since, end).any(|revision| !names(revision))
}

/// Another object named a place that meets this leaf, after it was written.
fn handed_over(story: &Story<'_>, part: Part, at: &Path, value: &Value, write: &TwinWrite) -> bool {
    let owners = story.subjects.iter().filter(|subject| subject.named(part, at, value, Tick::MAX)).count();
    let claimants = story.subjects.iter().filter(|subject| {
        let named = |revision: &&Revision| revision.spec.leaves(part).keys().any(|named| meet(named, at));
        subject.deleted.is_none_or(|deleted| deleted > write.asked) && subject.revisions.iter().any(|r| named(&r))
    });
    owners > 0 && claimants.count() > 1
}
