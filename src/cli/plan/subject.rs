//! The DeviceTwins among the manifests, and what they want.

use std::collections::HashMap;

use jiff::Timestamp;

use super::super::check::Report;
use super::super::manifests::Files;
use super::same_host;
use crate::api::DeviceTwin;
use crate::controller::device_twin::{Wanted, validate};
use crate::hub::Host;
use crate::manifest::Manifest;
use crate::manifest::check::{Checked, Severity};
use crate::manifest::node::Node;
use crate::twin::claims::{Claimant, Claims, settle};
use crate::twin::id::TwinId;
use crate::twin::plan::DriftPolicy;
use crate::twin::rules::Arrays;

/// Whether the operator would write for an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acts {
    Writes,
    Observes,
    Suspended,
}

/// One DeviceTwin.
pub(super) struct Subject {
    /// `FILE:LINE`
    pub(super) place: String,
    /// As the manifest says; `""` where it says none.
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) acts: Acts,
    /// Whether an identity that is missing would be created.
    pub(super) creates: bool,
    /// What is wrong with the manifest, one line each, or what it wants.
    pub(super) wanted: Result<Wanted, Vec<String>>,
}

/// The DeviceTwins, in the order of the files.
pub(super) fn subjects(files: &Files, report: &Report<'_>, hub: &Host) -> Vec<Subject> {
    let connections: Vec<&Manifest> = report
        .checked
        .iter()
        .map(|checked| checked.manifest)
        .filter(|manifest| manifest.kind().ends_with("HubConnection"))
        .collect();
    let all = report.checked.iter().zip(&report.places);
    all.filter(|(checked, _)| checked.manifest.kind() == "DeviceTwin")
        .map(|(checked, file)| {
            let manifest = checked.manifest;
            let suspended = manifest.node.at(&["spec", "suspend"]).map(Node::value) == Some(true.into());
            Subject {
                place: format!("{}:{}", files.0[*file].name, manifest.node.at.line),
                namespace: manifest.namespace().to_owned(),
                name: manifest.name().to_owned(),
                acts: match manifest.text(&["spec", "mode"]) {
                    _ if suspended => Acts::Suspended,
                    "Observe" => Acts::Observes,
                    _ => Acts::Writes,
                },
                creates: manifest.text(&["spec", "identity", "policy"]) == "CreateIfMissing",
                wanted: wanted(checked, connection(manifest, &connections), hub),
            }
        })
        .collect()
}

/// The connection that a twin names, when it is among the manifests.
fn connection<'a>(twin: &Manifest, connections: &[&'a Manifest]) -> Option<&'a Manifest> {
    let kind = match twin.text(&["spec", "hubRef", "kind"]) {
        "" => "HubConnection",
        kind => kind,
    };
    let name = twin.text(&["spec", "hubRef", "name"]);
    let near = |found: &&&Manifest| kind != "HubConnection" || found.namespace() == twin.namespace();
    let named = |found: &&&Manifest| found.kind() == kind && found.name() == name;
    connections.iter().filter(near).find(|found| named(found)).copied()
}

fn wanted(checked: &Checked<'_>, connection: Option<&Manifest>, hub: &Host) -> Result<Wanted, Vec<String>> {
    if checked.is_wrong() {
        let errors = checked.findings.iter().filter(|finding| finding.severity == Severity::Error);
        return Err(errors
            .map(|found| format!("line {}: {}: {}", found.at.line, found.pointer, found.message))
            .collect());
    }
    if let Some(host) = connection.and_then(|connection| connection.text(&["spec", "host"]).parse::<Host>().ok())
        && !same_host(&host, hub)
    {
        return Err(vec![format!("its connection names the hub {host}, and this plan is made against {hub}")]);
    }
    let twin: DeviceTwin =
        serde_json::from_value(checked.manifest.node.value()).map_err(|error| vec![error.to_string()])?;
    let allows = |connection: &Manifest| connection.node.at(&["spec", "allowArrays"]).map(Node::value);
    let arrays = match connection.map(allows) {
        // Elsewhere: the check has warned of arrays.
        None | Some(Some(serde_json::Value::Bool(true))) => Arrays::Allowed,
        Some(_) => Arrays::Refused,
    };
    let drift = match connection.map(|connection| connection.text(&["spec", "defaults", "driftPolicy"])) {
        Some("Report") => DriftPolicy::Report,
        _ => DriftPolicy::Correct,
    };
    validate(&twin, arrays, drift)
}

/// What the other manifests claim of the twin of each: a leaf that moves from one to the other is handed over, and not removed.
/// That no two claim the same leaf was checked.
pub(super) fn claims(subjects: &[Subject]) -> Vec<Claims> {
    let mut twins: HashMap<&TwinId, Vec<(usize, Claimant<'_>)>> = HashMap::new();
    for (index, subject) in subjects.iter().enumerate().filter(|(_, subject)| subject.acts == Acts::Writes) {
        if let Ok(wanted) = &subject.wanted {
            twins.entry(&wanted.id).or_default().push((index, claimant(subject, wanted)));
        }
    }
    let of = |(index, subject): (usize, &Subject)| {
        let Ok(wanted) = &subject.wanted else { return Claims::default() };
        let all = twins.get(&wanted.id).into_iter().flatten();
        let others: Vec<Claimant<'_>> = all.filter(|(other, _)| *other != index).map(|(_, other)| *other).collect();
        settle(&claimant(subject, wanted), &others)
    };
    subjects.iter().enumerate().map(of).collect()
}

fn claimant<'a>(subject: &'a Subject, wanted: &'a Wanted) -> Claimant<'a> {
    let Subject { namespace, name, .. } = subject;
    // Age decides only where leaves meet, and they do not.
    Claimant { created: Timestamp::UNIX_EPOCH, namespace, name, wants: &wanted.ours, holds: None }
}
