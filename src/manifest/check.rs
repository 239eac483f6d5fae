//! Every rule that a manifest can break, found without a cluster and without a hub.

use std::fmt;

use serde_json::{Value, json};

use super::node::{Content, Node, Position};
use super::read::Manifest;
use crate::twin::pointer::Pointer;
use crate::twin::rules::Violation;

mod cel;
mod device_twin;
mod hub_connection;
mod kinds;
mod metadata;
mod schema;
mod set;
mod twin_query;

pub use kinds::Kinds;
pub(super) use metadata::is_subdomain;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// kubectl, the operator or the hub refuses it.
    Error,
    /// It may not be what is meant.
    Warning,
}

/// What is wrong with a manifest, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// Where in the file.
    pub at: Position,
    /// Where in the object; the root for the object itself.
    pub pointer: Pointer,
    /// The rule, the figure, and what to do.
    pub message: String,
    /// The same for programs, when it is a rule of the hub.
    pub measure: Option<Measure>,
}

/// A rule of the hub that is broken.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// The rule's name.
    pub rule: &'static str,
    /// What was measured.
    pub measured: String,
    /// What is allowed, where it is a figure.
    pub limit: Option<String>,
}

impl Measure {
    fn of(violation: &Violation) -> Self {
        Self { rule: violation.rule.name(), measured: violation.measured.clone(), limit: violation.limit() }
    }
}

/// An object of a set, and what was found about it.
#[derive(Debug)]
pub struct Checked<'a> {
    /// The object.
    pub manifest: &'a Manifest,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Checked<'_> {
    /// Whether there is an error.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// Checks objects of our group as one set: each by itself, and all against each other. `place` names an object's place for
/// messages about another one.
pub fn check<'a>(kinds: &Kinds, set: &[&'a Manifest], place: &dyn Fn(usize, Position) -> String) -> Vec<Checked<'a>> {
    let connections = set::connections(set);
    let mut checked: Vec<Checked<'a>> =
        set.iter().map(|manifest| Checked { manifest, findings: one(kinds, manifest, &connections) }).collect();
    set::check(&mut checked, &connections, place);
    for checked in &mut checked {
        checked.findings.sort_by(|a, b| (a.at, a.severity, &a.message).cmp(&(b.at, b.severity, &b.message)));
        checked.findings.dedup();
    }
    checked
}

fn one(kinds: &Kinds, manifest: &Manifest, connections: &set::Connections) -> Vec<Finding> {
    let mut faults = Faults { root: &manifest.node, found: Vec::new() };
    surprises(&manifest.node, &Pointer::root(), &mut faults);
    metadata::check(manifest, &mut faults);
    let Some(kind) = kinds.get(manifest, &mut faults) else { return faults.found };
    let before = faults.errors();
    schema::check(kinds, kind, manifest, &mut faults);
    if faults.errors() == before {
        cel::check(kinds, kind, manifest, &mut faults);
    }
    match manifest.kind() {
        "DeviceTwin" => device_twin::check(manifest, connections.arrays(manifest), &mut faults),
        "TwinQuery" => twin_query::check(manifest, &mut faults),
        _ => hub_connection::check(manifest, &mut faults),
    }
    faults.found
}

/// The findings about one object, as they are found.
struct Faults<'a> {
    root: &'a Node,
    found: Vec<Finding>,
}

impl Faults<'_> {
    fn put(&mut self, severity: Severity, pointer: &Pointer, message: impl Into<String>, measure: Option<Measure>) {
        let (at, pointer) = (self.root.position(pointer), pointer.clone());
        self.found.push(Finding { severity, at, pointer, message: message.into(), measure });
    }

    fn error(&mut self, pointer: &Pointer, message: impl Into<String>) {
        self.put(Severity::Error, pointer, message, None);
    }

    fn warning(&mut self, pointer: &Pointer, message: impl Into<String>) {
        self.put(Severity::Warning, pointer, message, None);
    }

    fn errors(&self) -> usize {
        self.found.iter().filter(|finding| finding.severity == Severity::Error).count()
    }
}

/// What kubectl reads other than it looks.
fn surprises(node: &Node, at: &Pointer, faults: &mut Faults<'_>) {
    match &node.content {
        Content::Scalar(scalar) => {
            if let Some(surprise) = &scalar.surprise {
                faults.warning(at, surprise.to_string());
            }
        }
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                surprises(item, &at.child(&index.to_string()), faults);
            }
        }
        Content::Map(map) => {
            for key in &map.twice {
                faults.warning(&at.child(&key.text), "the key stands twice; kubectl takes the last");
            }
            for member in &map.members {
                let here = at.child(&member.key.text);
                if let Some(surprise) = &member.key.surprise {
                    faults.warning(&here, format!("as a key: {surprise}"));
                }
                surprises(&member.value, &here, faults);
            }
        }
    }
}

/// The path of keys.
fn pointer(keys: &[&str]) -> Pointer {
    keys.iter().copied().collect()
}

/// What a finding is to a program.
#[must_use]
pub fn as_json(file: &str, manifest: &Manifest, finding: &Finding) -> Value {
    let mut found = json!({
        "file": file, "line": finding.at.line, "column": finding.at.column, "severity": finding.severity.to_string(),
        "kind": manifest.kind(), "name": manifest.name(), "pointer": finding.pointer.to_string(),
        "message": finding.message,
    });
    for (key, text) in [("namespace", Some(manifest.namespace())), ("source", manifest.source.as_deref())] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            found[key] = json!(text);
        }
    }
    if let Some(Measure { rule, measured, limit }) = &finding.measure {
        found["rule"] = json!(rule);
        found["measured"] = json!(measured);
        if let Some(limit) = limit {
            found["limit"] = json!(limit);
        }
    }
    found
}
