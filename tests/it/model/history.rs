//! What the users of one twin did: every revision of every object that was about it.

use serde_json::{Map, Value, json};

use super::super::support::{Manifest, twin};
use super::log::Tick;
use super::step::Part;
use super::tree::{Leaves, Object, Path, leaves, same};

/// A spec, as its user means it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    pub tags: Object,
    pub desired: Object,
    /// A section that holds a key which the hub does not allow.
    pub broken: Option<Part>,
    pub observe: bool,
    pub suspend: bool,
    pub require_equal: bool,
    pub report: bool,
    pub remove_keys: bool,
}

#[derive(Clone, Debug)]
pub struct Revision {
    /// When the edit was asked for.
    pub from: Tick,
    pub generation: i64,
    pub spec: Spec,
}

/// An object, from its making to its deletion.
#[derive(Clone, Debug)]
pub struct Subject {
    pub name: String,
    pub uid: String,
    pub made: Tick,
    /// By the API server's clock, in whole seconds.
    pub created: String,
    /// When its deletion was asked for.
    pub deleting: Option<Tick>,
    pub deleted: Option<Tick>,
    /// Whether its deletion was to take its leaves away.
    pub took_leaves: bool,
    pub revisions: Vec<Revision>,
}

impl Spec {
    pub fn part(&self, part: Part) -> &Object {
        match part {
            Part::Tags => &self.tags,
            Part::Desired => &self.desired,
        }
    }

    pub fn part_mut(&mut self, part: Part) -> &mut Object {
        match part {
            Part::Tags => &mut self.tags,
            Part::Desired => &mut self.desired,
        }
    }

    pub fn leaves(&self, part: Part) -> Leaves {
        leaves(self.part(part))
    }

    /// Whether the hub is read and written for it.
    pub fn active(&self) -> bool {
        !self.observe && !self.suspend && self.broken.is_none()
    }

    pub fn manifest(&self, name: &str, about: &str) -> Manifest {
        let whole = |part: Part| {
            let mut section = self.part(part).clone();
            if self.broken == Some(part) {
                section.insert("no.dots".to_owned(), json!(1));
            }
            Value::Object(section)
        };
        let or = |on: bool, yes: &str, no: &str| json!(if on { yes } else { no });
        let (device, module) = about.split_once('/').map_or((about, None), |(device, module)| (device, Some(module)));
        let mut manifest = twin(name)
            .tags(whole(Part::Tags))
            .desired(whole(Part::Desired))
            .set("spec.deviceId", json!(device))
            .set("spec.mode", or(self.observe, "Observe", "Manage"))
            .set("spec.suspend", json!(self.suspend))
            .set("spec.adoption", or(self.require_equal, "RequireEqual", "Overwrite"))
            .set("spec.driftPolicy", or(self.report, "Report", "Correct"))
            .set("spec.deletionPolicy", or(self.remove_keys, "RemoveKeys", "Retain"));
        if let Some(module) = module {
            manifest = manifest.set("spec.moduleId", json!(module));
        }
        manifest
    }
}

impl Subject {
    /// Whether some revision up to then named this leaf with this value.
    pub fn named(&self, part: Part, at: &Path, value: &Value, until: Tick) -> bool {
        self.revisions.iter().any(|revision| {
            let named = revision.spec.leaves(part);
            revision.from <= until && named.get(at).is_some_and(|ours| same(ours, value))
        })
    }

    /// The revision of a generation: the last edit that gave it, for edits that change nothing give none.
    pub fn at(&self, generation: i64) -> Option<&Revision> {
        self.revisions.iter().rev().find(|revision| revision.generation == generation)
    }

    /// The revisions that may have been current at some time from `start` to `end`.
    pub fn between(&self, start: Tick, end: Tick) -> impl Iterator<Item = &Revision> {
        let until = |index: usize| self.revisions.get(index + 1).map_or(Tick::MAX, |next| next.from);
        self.revisions
            .iter()
            .enumerate()
            .filter(move |(index, revision)| revision.from <= end && until(*index) >= start)
            .map(|(_, r)| r)
    }
}

/// A section of a twin as the hub shows it, without what the hub adds.
pub fn section(twin: &Value, part: Part) -> Object {
    let shown = match part {
        Part::Tags => twin.get("tags"),
        Part::Desired => twin.pointer("/properties/desired"),
    };
    let shown = shown.and_then(Value::as_object).cloned().unwrap_or_default();
    shown.into_iter().filter(|(key, _)| !key.starts_with('$')).collect::<Map<_, _>>()
}
