//! Desired or reported properties with their metadata and version.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Refusal;
use super::configuration::Mark;
use super::stamp::{Stamp, refresh, wire_time, wire_time_or_never};
use crate::query::below;
use crate::twin::document::{Object, Section};
use crate::twin::merge::merge_patch;
use crate::twin::rules::{self, Arrays};

/// A section that has a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Properties {
    pub(super) content: Object,
    metadata: Object,
    pub(super) version: u64,
}

impl Properties {
    /// An empty section. Modules start without a time.
    pub(super) fn new(created: Option<Timestamp>) -> Self {
        let mut metadata = Object::new();
        metadata.insert("$lastUpdated".to_owned(), json!(wire_time_or_never(created)));
        Self { content: Object::new(), metadata, version: 1 }
    }

    /// Takes `content` as what the section holds after `sent` was written to it.
    pub(super) fn store(&mut self, now: Timestamp, section: Section, sent: &Object, content: Object) {
        self.version += 1;
        let version = (section == Section::Desired).then_some(self.version);
        refresh(&mut self.metadata, sent, &content, &Stamp { time: wire_time(now), version });
        self.content = content;
    }

    /// Marks what was just sent as written by a configuration.
    pub(super) fn mark(&mut self, sent: &Object, mark: &Mark) {
        mark.put(&mut self.metadata, sent, &self.content);
    }

    /// Forgets the metadata of single properties, before a replacement writes all of it anew.
    pub(super) fn forget_metadata(&mut self) {
        self.metadata.retain(|key, _| key.starts_with('$'));
    }

    /// The section as back ends see it.
    pub(super) fn document(&self) -> Value {
        let mut document = self.content.clone();
        document.insert("$metadata".to_owned(), Value::Object(self.metadata.clone()));
        document.insert("$version".to_owned(), json!(self.version));
        Value::Object(document)
    }

    /// The value at a path of the section as back ends see it, which is made only where it has to be.
    pub(super) fn at(&self, keys: &[String]) -> Option<Cow<'_, Value>> {
        let Some((first, rest)) = keys.split_first() else { return Some(Cow::Owned(self.document())) };
        match first.as_str() {
            "$version" => rest.is_empty().then(|| Cow::Owned(json!(self.version))),
            "$metadata" => within(&self.metadata, rest),
            _ => within(&self.content, keys),
        }
    }

    /// The section as the device sees it: without metadata.
    pub(super) fn device_document(&self) -> Value {
        let mut document = self.content.clone();
        document.insert("$version".to_owned(), json!(self.version));
        Value::Object(document)
    }
}

/// The value at a path below an object; the object itself without a key.
pub(super) fn within<'o>(object: &'o Object, keys: &[String]) -> Option<Cow<'o, Value>> {
    match keys.split_first() {
        None => Some(Cow::Owned(Value::Object(object.clone()))),
        Some((first, rest)) => below(object.get(first)?, rest).map(Cow::Borrowed),
    }
}

/// What a section holds after a patch, or the rule that forbids it.
pub(super) fn patched(section: Section, current: &Object, patch: &Object, arrays: Arrays) -> Result<Object, Refusal> {
    if let Some(violation) = rules::check_patch(section, patch, arrays).first() {
        return Err(violation.into());
    }
    let mut result = current.clone();
    merge_patch(&mut result, patch);
    within_size(section, current, result)
}

/// What a section holds after a replacement, or the rule that forbids it.
pub(super) fn replaced(section: Section, current: &Object, new: &Object, arrays: Arrays) -> Result<Object, Refusal> {
    values(section, new, arrays)?;
    within_size(section, current, new.clone())
}

/// What a section holds after properties were set in it, or the rule that forbids it: as a patch that removes nothing.
pub(super) fn merged(section: Section, current: &Object, new: &Object, arrays: Arrays) -> Result<Object, Refusal> {
    values(section, new, arrays)?;
    let mut result = current.clone();
    merge_patch(&mut result, new);
    within_size(section, current, result)
}

/// Refuses what no property may be, `null` too.
fn values(section: Section, new: &Object, arrays: Arrays) -> Result<(), Refusal> {
    let violations = rules::check(section, new, arrays);
    match violations.iter().find(|violation| violation.rule != rules::Rule::Size) {
        Some(violation) => Err(violation.into()),
        None => Ok(()),
    }
}

/// Only growth above the limit is refused: a section that is too large may shrink. Depth is that of the result, for a
/// patch names full paths from the root of the section.
fn within_size(section: Section, current: &Object, result: Object) -> Result<Object, Refusal> {
    let bytes = rules::size(&result);
    if bytes > rules::max_bytes(section) && bytes > rules::size(current) {
        return Err(Refusal::TooLarge(section));
    }
    Ok(result)
}
