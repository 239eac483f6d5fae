//! A twin at a hub as the manifest of a DeviceTwin that changes nothing there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::check::is_subdomain;
use super::node::Node;
use super::{emit, read, scalar};
use crate::twin::document::{self, Leaves, Object, Section, from_leaves, leaves};
use crate::twin::id::TwinId;
use crate::twin::pointer::Pointer;
use crate::twin::rules::{self, Arrays, Rule};
use crate::twin::value::equal;
use crate::twin::view::Twin;

/// Longest part of a name that is made of an id; a hash and the end of a file's name still fit behind it.
const MAX_STEM: usize = 200;

/// Names of objects, each given once.
#[derive(Debug, Default)]
pub struct Names(BTreeSet<String>);

/// What every manifest says.
#[derive(Clone, Debug)]
pub struct Common {
    /// The kind of the connection; `None`: the default.
    pub hub_kind: Option<String>,
    /// The name of the connection.
    pub hub_name: String,
    /// The namespace; `None`: whichever it is applied to.
    pub namespace: Option<String>,
}

/// A manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The text, a YAML document without `---`.
    pub text: String,
    /// What a person should know: what was left out and why. One line each; the text has them as comments.
    pub notes: Vec<String>,
}

impl Names {
    /// A name for the object of a twin: the device's id where it is one, else the likeness of the id and a hash, so that the
    /// same twin gets the same name every time.
    pub fn take(&mut self, id: &TwinId) -> String {
        let device = id.device_id.as_str();
        if id.module().is_none() && device.len() <= MAX_STEM && is_subdomain(device) && self.0.insert(device.to_owned())
        {
            return device.to_owned();
        }
        let whole = format!("{device}\n{}", id.module().unwrap_or_default());
        let hash: String = Sha256::digest(whole.as_bytes()).iter().fold(String::new(), |mut hash, byte| {
            let _ = write!(hash, "{byte:02x}");
            hash
        });
        let stem = stem(&id.to_string());
        for length in [8, 16, 40] {
            let name = format!("{stem}-{}", &hash[..length]);
            if self.0.insert(name.clone()) {
                return name;
            }
        }
        format!("{stem}-{}", &hash[..40])
    }
}

/// The likeness of an id that may begin a name.
fn stem(id: &str) -> String {
    let lower = id.to_ascii_lowercase();
    let allowed = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '.';
    let mapped: String = lower.chars().map(|character| if allowed(character) { character } else { '-' }).collect();
    let parts = mapped.split('.').map(|part| part.trim_matches('-')).filter(|part| !part.is_empty());
    let joined = parts.collect::<Vec<_>>().join(".");
    let cut = joined[..joined.len().min(MAX_STEM)].trim_end_matches(['-', '.']);
    if cut.is_empty() { "twin".to_owned() } else { cut.to_owned() }
}

/// The manifest of a twin. Reported properties are the device's, and leaves that a configuration of the hub wrote are the
/// configuration's: they are left out. So is what the rules forbid, with a note.
#[must_use]
pub fn export(twin: &Twin, name: &str, common: &Common) -> Exported {
    let mut notes = Vec::new();
    let tags = section(Section::Tags, leaves(&twin.tags), &mut notes);
    let desired = by_people(twin, &mut notes);
    let desired = section(Section::Desired, desired, &mut notes);
    let body = body(twin, name, common, &tags, &desired);
    if !reads_back(&body, &tags, &desired) {
        notes.push("this manifest does not read back as the twin: compare it by hand".to_owned());
    }
    let mut text = String::new();
    for note in &notes {
        let _ = writeln!(text, "# {note}");
    }
    text.push_str(&body);
    Exported { text, notes }
}

fn body(twin: &Twin, name: &str, common: &Common, tags: &Object, desired: &Object) -> String {
    let Common { hub_kind, hub_name, namespace } = common;
    let device = twin.id.device_id.as_str();
    let mut out =
        format!("apiVersion: hubtwin.dev/v1alpha1\nkind: DeviceTwin\nmetadata:\n  name: {}\n", emit::text(name));
    let mut line = |depth: usize, key: &str, text: &str| {
        let _ = writeln!(out, "{}{key}: {}", "  ".repeat(depth), emit::text(text));
    };
    if let Some(namespace) = namespace {
        line(1, "namespace", namespace);
    }
    let _ = writeln!(out, "spec:\n  hubRef:");
    let mut line = |depth: usize, key: &str, text: &str| {
        let _ = writeln!(out, "{}{key}: {}", "  ".repeat(depth), emit::text(text));
    };
    if let Some(kind) = hub_kind {
        line(2, "kind", kind);
    }
    line(2, "name", hub_name);
    if device != name {
        line(1, "deviceId", device);
    }
    if let Some(module) = twin.id.module() {
        line(1, "moduleId", module);
    }
    if !tags.is_empty() {
        let _ = write!(out, "  tags:\n{}", emit::members(tags, 4));
    }
    if !desired.is_empty() {
        let _ = write!(out, "  properties:\n    desired:\n{}", emit::members(desired, 6));
    }
    out
}

/// The desired leaves that no automatic configuration wrote.
fn by_people(twin: &Twin, notes: &mut Vec<String>) -> Leaves {
    let mut others: BTreeSet<String> = BTreeSet::new();
    let mut kept = leaves(&twin.desired);
    let all = kept.len();
    kept.retain(|at, _| {
        let by = document::get(&twin.desired_metadata, at).and_then(|found| found.get("$lastUpdatedBy")?.as_str());
        others.extend(by.map(ToOwned::to_owned));
        by.is_none()
    });
    if !others.is_empty() {
        let names: Vec<String> = others.into_iter().map(|name| shown(&name)).collect();
        notes.push(format!("left out: {} desired that configurations wrote ({})", all - kept.len(), names.join(", ")));
    }
    kept
}

/// The leaves of a section that a manifest may hold, numbers as the API server stores them.
fn section(section: Section, mut found: Leaves, notes: &mut Vec<String>) -> Object {
    for value in found.values_mut() {
        store(value);
    }
    for violation in rules::check(section, &from_leaves(&found), Arrays::Allowed) {
        notes.push(match violation.rule {
            Rule::Size => shown(&violation.to_string()),
            _ => format!("left out: {}", shown(&violation.to_string())),
        });
        if violation.rule != Rule::Size {
            found.retain(|at, _| !(at.contains(&violation.pointer) || violation.pointer.contains(at)));
        }
    }
    let arrays: Vec<&Pointer> = found.iter().filter(|(_, value)| value.is_array()).map(|(at, _)| at).collect();
    if let Some(first) = arrays.first() {
        let first = shown(&section.absolute(first).shortened(256));
        notes.push(format!("{} of arrays, first {first}: the connection needs allowArrays: true", arrays.len()));
    }
    from_leaves(&found)
}

/// A number becomes what the API server makes of it.
fn store(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(stored) = number.as_f64().and_then(scalar::stored) {
                *number = stored;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(store),
        Value::Object(members) => members.values_mut().for_each(store),
        _ => {}
    }
}

/// Whether the text says what it should: the promise that importing changes nothing is not left to the writer alone.
fn reads_back(text: &str, tags: &Object, desired: &Object) -> bool {
    let (objects, troubles) = read(text);
    let [object] = objects.as_slice() else { return false };
    let same = |path: &[&str], expected: &Object| {
        let found = object.node.at(path).map(Node::value);
        equal(&found.unwrap_or_else(|| Value::Object(Object::new())), &Value::Object(expected.clone()))
    };
    troubles.is_empty() && same(&["spec", "tags"], tags) && same(&["spec", "properties", "desired"], desired)
}

/// A text that may stand in a comment.
fn shown(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
        {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

#[cfg(test)]
mod tests;
