//! A twin and the writes to it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::doubts::{Counter, Doubts, EmptyWrite, PutNotice, Sections};
use super::Refusal;
use super::command::{Desired, SectionsBody};
use super::configuration::Mark;
use super::section::{Properties, merged, patched, replaced};
use crate::twin::document::{Object, Section};
use crate::twin::rules::Arrays;

/// Tags, desired and reported properties and their counters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Twin {
    /// Counts the writes of back ends, from 1 on.
    etag: u64,
    /// Counts all writes, from 2 on.
    pub(super) version: u64,
    pub(super) tags: Object,
    desired: Properties,
    reported: Properties,
}

/// What a write of a back end would leave.
struct Written {
    tags: Option<Object>,
    /// What was sent, and what the section holds then.
    desired: Option<(Object, Object)>,
}

impl Twin {
    pub(super) fn new(created: Option<Timestamp>) -> Self {
        Self {
            etag: 1,
            version: 2,
            tags: Object::new(),
            desired: Properties::new(created),
            reported: Properties::new(created),
        }
    }

    /// The etag without quotes: base64 of the counter as 8 bytes, most significant first.
    pub(super) fn etag(&self) -> String {
        STANDARD.encode(self.etag.to_be_bytes())
    }

    pub(super) fn desired_version(&self) -> u64 {
        self.desired.version
    }

    /// Merges a patch. Answers what the device is told: the desired patch as it was sent. Absent and empty sections are
    /// no write at all, unless the doubts say otherwise.
    pub(super) fn patch(
        &mut self,
        now: Timestamp,
        body: SectionsBody,
        doubts: &Doubts,
    ) -> Result<Option<Object>, Refusal> {
        let SectionsBody { tags, tags_null, desired, arrays } = body;
        let arrays = arrays.unwrap_or(Arrays::Allowed);
        let tags = tags.filter(|tags| !tags.is_empty());
        let mut tags = tags.map(|patch| patched(Section::Tags, &self.tags, &patch, arrays)).transpose()?;
        if tags_null && doubts.tags_null == Sections::Clears {
            tags = Some(Object::new());
        }
        let patch = desired.map(|desired| match desired {
            Desired::Properties(patch) => patch,
            Desired::Clear => self.desired.content.keys().map(|key| (key.clone(), Value::Null)).collect(),
        });
        let counts = |patch: &Object| !patch.is_empty() || doubts.empty_desired == EmptyWrite::Counts;
        let desired = match patch.filter(counts) {
            Some(patch) => {
                let content = patched(Section::Desired, &self.desired.content, &patch, arrays)?;
                Some((patch, content))
            }
            None => None,
        };
        if tags.is_none() && desired.is_none() && doubts.empty_patch == EmptyWrite::Counts {
            tags = Some(self.tags.clone());
        }
        if tags.is_some() && desired.is_none() && doubts.tags_patch == Counter::Rises {
            self.desired.version += 1;
        }
        Ok(self.store(now, Written { tags, desired }))
    }

    /// Replaces the sections that are given. Answers what the device is told: the new content, and `null` for what went.
    pub(super) fn replace(
        &mut self,
        now: Timestamp,
        body: SectionsBody,
        doubts: &Doubts,
    ) -> Result<Option<Object>, Refusal> {
        let SectionsBody { tags, tags_null: _, desired, arrays } = body;
        let arrays = arrays.unwrap_or(Arrays::Allowed);
        let omitted = || (doubts.put_omitted == Sections::Clears).then(Object::new);
        let tags = tags.or_else(omitted).map(|new| replaced(Section::Tags, &self.tags, &new, arrays)).transpose()?;
        let new = match desired {
            Some(Desired::Properties(new)) => Some(new),
            Some(Desired::Clear) => Some(Object::new()),
            None => omitted(),
        };
        let Some(new) = new else { return Ok(self.store(now, Written { tags, desired: None })) };
        let content = replaced(Section::Desired, &self.desired.content, &new, arrays)?;
        let notice = match doubts.put_notice {
            PutNotice::WithNulls => with_removals(&self.desired.content, &new),
            PutNotice::NewContent => new.clone(),
        };
        self.desired.forget_metadata();
        self.store(now, Written { tags, desired: Some((new, content)) });
        Ok(Some(notice))
    }

    /// Sets desired properties as a configuration does, and marks them. Answers what the device is told.
    pub(super) fn configure(&mut self, now: Timestamp, mark: &Mark, new: Object) -> Result<Option<Object>, Refusal> {
        let content = merged(Section::Desired, &self.desired.content, &new, Arrays::Allowed)?;
        let sent = self.store(now, Written { tags: None, desired: Some((new, content)) });
        Ok(sent.inspect(|sent| self.desired.mark(sent, mark)))
    }

    /// Merges a patch of the device and answers the new version of reported.
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        patch: &Object,
        arrays: Arrays,
        version: Option<u64>,
        doubts: &Doubts,
    ) -> Result<u64, Refusal> {
        let current = self.reported.version;
        if version.is_some_and(|version| version != current) {
            return Err(Refusal::VersionMismatch { current });
        }
        let content = patched(Section::Reported, &self.reported.content, patch, arrays)?;
        self.reported.store(now, Section::Reported, patch, content);
        self.version += 1;
        if doubts.reported_etag == Counter::Rises {
            self.etag += 1;
        }
        Ok(self.reported.version)
    }

    /// Takes the content that a twin is made with. Counters stay where creation has put them: desired is written at
    /// version 1.
    pub(super) fn seed(&mut self, now: Timestamp, body: SectionsBody) -> Result<(), Refusal> {
        let before = self.clone();
        self.desired.version = 0;
        if let Err(refusal) = self.patch(now, body, &Doubts::default()) {
            *self = before;
            return Err(refusal);
        }
        (self.etag, self.version, self.desired.version) = (before.etag, before.version, before.desired.version);
        Ok(())
    }

    /// The value at a path below `properties`.
    pub(super) fn property(&self, keys: &[String]) -> Option<Cow<'_, Value>> {
        let Some((section, rest)) = keys.split_first() else { return Some(Cow::Owned(self.properties())) };
        match section.as_str() {
            "desired" => self.desired.at(rest),
            "reported" => self.reported.at(rest),
            _ => None,
        }
    }

    /// `properties` as back ends see them.
    pub(super) fn properties(&self) -> Value {
        json!({"desired": self.desired.document(), "reported": self.reported.document()})
    }

    /// The twin as its device sees it: no tags, no metadata.
    pub(super) fn device_document(&self) -> Value {
        json!({"desired": self.desired.device_document(), "reported": self.reported.device_document()})
    }

    /// One request bumps etag and version once, whatever it holds.
    fn store(&mut self, now: Timestamp, written: Written) -> Option<Object> {
        let Written { tags, desired } = written;
        if tags.is_none() && desired.is_none() {
            return None;
        }
        self.etag += 1;
        self.version += 1;
        if let Some(tags) = tags {
            self.tags = tags;
        }
        desired.map(|(sent, content)| {
            self.desired.store(now, Section::Desired, &sent, content);
            sent
        })
    }
}

/// `new`, with `null` for each key of `old` that it lacks, at every level that is an object in both.
fn with_removals(old: &Object, new: &Object) -> Object {
    let mut notice = new.clone();
    for (key, was) in old {
        match (was, new.get(key)) {
            (_, None) => {
                notice.insert(key.clone(), Value::Null);
            }
            (Value::Object(was), Some(Value::Object(is))) => {
                notice.insert(key.clone(), Value::Object(with_removals(was, is)));
            }
            _ => {}
        }
    }
    notice
}
