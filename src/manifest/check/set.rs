//! Objects against each other: the same object twice, and two objects that set the same leaf of one twin.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::node::{Node, Position};
use super::super::read::Manifest;
use super::device_twin::{Allowance, section_path};
use super::{Checked, Finding, Severity, pointer};
use crate::hub::Host;
use crate::twin::claims;
use crate::twin::document::{Leaves, Section, leaves};
use crate::twin::plan::{Place, Sections};
use crate::twin::pointer::Pointer;
use crate::twin::rules::Arrays;

/// The connections of a set, by kind, namespace and name.
pub(super) struct Connections(BTreeMap<Reference, Connection>);

type Reference = (String, String, String);

struct Connection {
    host: Option<Host>,
    arrays: Arrays,
}

/// Finds the connections.
pub(super) fn connections(set: &[&Manifest]) -> Connections {
    let ours = set.iter().filter(|manifest| manifest.kind().ends_with("HubConnection"));
    Connections(
        ours.map(|manifest| {
            let key = (manifest.kind().to_owned(), manifest.namespace().to_owned(), manifest.name().to_owned());
            let allowed = manifest.node.at(&["spec", "allowArrays"]).map(Node::value) == Some(Value::Bool(true));
            let arrays = if allowed { Arrays::Allowed } else { Arrays::Refused };
            (key, Connection { host: manifest.text(&["spec", "host"]).parse().ok(), arrays })
        })
        .collect(),
    )
}

impl Connections {
    fn of(&self, manifest: &Manifest) -> Option<&Connection> {
        self.0.get(&reference(manifest))
    }

    /// What the connection of a twin says about arrays.
    pub(super) fn arrays(&self, manifest: &Manifest) -> Allowance {
        self.of(manifest).map_or(Allowance::Unknown, |connection| Allowance::Known(connection.arrays))
    }
}

/// The connection that an object names.
fn reference(manifest: &Manifest) -> Reference {
    let kind = match manifest.text(&["spec", "hubRef", "kind"]) {
        "" => "HubConnection",
        kind => kind,
    };
    let namespace = if kind == "HubConnection" { manifest.namespace() } else { "" };
    (kind.to_owned(), namespace.to_owned(), manifest.text(&["spec", "hubRef", "name"]).to_owned())
}

/// Which twin an object is about: the hub, by its host where that is known, the device, the module.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Twin {
    hub: Result<Host, Reference>,
    device: String,
    module: String,
}

/// Tells of each object what another one of the set makes wrong.
pub(super) fn check(checked: &mut [Checked<'_>], connections: &Connections, place: &dyn Fn(usize, Position) -> String) {
    let mut objects: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    let mut twins: BTreeMap<Twin, Vec<usize>> = BTreeMap::new();
    let mut found = Vec::new();
    for (index, checked) in checked.iter().enumerate() {
        let manifest = checked.manifest;
        let (kind, namespace, name) = (manifest.kind(), manifest.namespace(), manifest.name());
        if name.is_empty() {
            continue;
        }
        if let Some(first) = objects.insert((kind, namespace, name), index) {
            let first = place(first, Position::default());
            let at = pointer(&["metadata", "name"]);
            found.push((index, at, format!("this object was there before, at {first}: kubectl would apply both")));
            continue;
        }
        if kind == "DeviceTwin" && claims(manifest) {
            twins.entry(twin(manifest, connections)).or_default().push(index);
        }
    }
    for several in twins.values().filter(|several| several.len() > 1) {
        overlaps(checked, several, place, &mut found);
    }
    for (index, pointer, message) in found {
        let at = checked[index].manifest.node.position(&pointer);
        checked[index].findings.push(Finding { severity: Severity::Error, at, pointer, message, measure: None });
    }
}

/// Whether the object takes part in who owns what: one that only observes does not.
fn claims(manifest: &Manifest) -> bool {
    manifest.text(&["spec", "mode"]) != "Observe"
}

fn twin(manifest: &Manifest, connections: &Connections) -> Twin {
    let host = connections.of(manifest).and_then(|connection| connection.host.clone());
    let device = match manifest.text(&["spec", "deviceId"]) {
        "" => manifest.name(),
        device => device,
    };
    Twin {
        hub: host.ok_or_else(|| reference(manifest)),
        device: device.to_owned(),
        module: manifest.text(&["spec", "moduleId"]).to_owned(),
    }
}

/// The leaves that a manifest sets.
fn set(manifest: &Manifest) -> Sections<Leaves> {
    let content = |section| match manifest.node.at(section_path(section)).map(Node::value) {
        Some(Value::Object(members)) => leaves(&members),
        _ => Leaves::new(),
    };
    Sections { tags: content(Section::Tags), desired: content(Section::Desired) }
}

fn overlaps(
    checked: &[Checked<'_>],
    several: &[usize],
    place: &dyn Fn(usize, Position) -> String,
    found: &mut Vec<(usize, Pointer, String)>,
) {
    let sets: Vec<(usize, Sections<Leaves>)> =
        several.iter().map(|index| (*index, set(checked[*index].manifest))).collect();
    for (later, (index, ours)) in sets.iter().enumerate() {
        for (other, theirs) in &sets[..later] {
            let manifest = checked[*other].manifest;
            let mut met = claims::overlaps(ours, theirs);
            met.dedup_by(|(a, _), (b, _)| a == b);
            for (our, their) in met {
                let place = place(*other, manifest.node.position(&in_manifest(&their)));
                let message = format!(
                    "DeviceTwin {} sets it too, at {place}, for the same twin: only one of the two would be written",
                    manifest.name()
                );
                found.push((*index, in_manifest(&our), message));
            }
        }
    }
}

fn in_manifest(place: &Place) -> Pointer {
    let keys = place.at.keys().iter().map(String::as_str);
    section_path(place.section).iter().copied().chain(keys).collect()
}
