//! The hub's rules for a DeviceTwin's tags and desired properties.

use serde_json::Value;

use super::super::read::Manifest;
use super::{Faults, Measure, Severity, pointer};
use crate::twin::document::{Object, Section, leaves};
use crate::twin::pointer::Pointer;
use crate::twin::rules::{self, Arrays, Rule};

/// What is known of the connection's word on arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// The connection is in the set, and allows them or not.
    Known(Arrays),
    /// The connection is elsewhere.
    Unknown,
}

/// Where a section stands in a manifest.
pub(super) fn section_path(section: Section) -> &'static [&'static str] {
    match section {
        Section::Tags => &["spec", "tags"],
        Section::Desired | Section::Reported => &["spec", "properties", "desired"],
    }
}

/// Tells every breach.
pub(super) fn check(manifest: &Manifest, allowance: Allowance, faults: &mut Faults<'_>) {
    let content = |section| match manifest.node.at(section_path(section)).map(super::Node::value) {
        Some(Value::Object(members)) => members,
        _ => Object::new(),
    };
    let desired = content(Section::Desired);
    for (section, members) in [(Section::Tags, &content(Section::Tags)), (Section::Desired, &desired)] {
        let place = section_path(section);
        let arrays = if allowance == Allowance::Known(Arrays::Allowed) { Arrays::Allowed } else { Arrays::Refused };
        for violation in rules::check(section, members, arrays) {
            let at = below(place, &violation.pointer);
            let unsure = violation.rule == Rule::Array && allowance == Allowance::Unknown;
            let message = told(section, &violation.pointer, &violation.to_string());
            let severity = if unsure { Severity::Warning } else { Severity::Error };
            faults.put(severity, &at, message, Some(Measure::of(&violation)));
        }
        for warning in rules::warnings(section, members) {
            faults.warning(&below(place, &warning.pointer), told(section, &warning.pointer, &warning.to_string()));
        }
    }
    ignored(manifest, &desired, faults);
}

fn below(place: &[&str], at: &Pointer) -> Pointer {
    place.iter().copied().chain(at.keys().iter().map(String::as_str)).collect()
}

/// What a rule says without the place, which it gives in the twin and not in the manifest.
fn told(section: Section, at: &Pointer, text: &str) -> String {
    let at = section.absolute(at).shortened(256);
    text.strip_prefix(&format!("{at}: ")).unwrap_or(text).to_owned()
}

/// A path to be ignored that has nothing to ignore is a mistake, as a rule.
fn ignored(manifest: &Manifest, desired: &Object, faults: &mut Faults<'_>) {
    let list = ["spec", "convergence", "ignore"];
    let Some(Value::Array(paths)) = manifest.node.at(&list).map(super::Node::value) else { return };
    let ours = leaves(desired);
    for (index, path) in paths.iter().enumerate() {
        let Some(Ok(ignored)) = path.as_str().map(str::parse::<Pointer>) else { continue };
        if !ours.keys().any(|leaf| ignored.contains(leaf)) {
            let at = pointer(&list).child(&index.to_string());
            faults.warning(&at, format!("{} is no part of spec.properties.desired", ignored.shortened(256)));
        }
    }
}
