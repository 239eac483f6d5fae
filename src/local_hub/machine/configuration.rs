//! Automatic device configurations, as far as a twin shows them: which of them wrote a leaf, and which were applied.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Refusal;
use crate::twin::document::Object;

/// Longest id.
const MAX_ID_CHARS: usize = 128;
/// What an id may not hold beside white space, control characters and capital letters.
const FORBIDDEN: &str = "&^[]{}\\|\"<>/";
/// The year 1970 in ticks of 100 ns since the year 1.
const EPOCH_TICKS: i128 = 621_355_968_000_000_000;
const BY: &str = "$lastUpdatedBy";
const DIGEST: &str = "$lastUpdatedByDigest";

/// The id of an automatic configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConfigurationId(String);

impl ConfigurationId {
    /// Reads an id.
    ///
    /// # Errors
    /// When it is longer than an id may be, or holds what it may not.
    pub fn parse(id: &str) -> Result<Self, Refusal> {
        let count = id.chars().count();
        if !(1..=MAX_ID_CHARS).contains(&count) {
            let text = format!("the id of a configuration has {count} characters; 1 to {MAX_ID_CHARS}");
            return Err(Refusal::Invalid(text));
        }
        let odd = |c: &char| c.is_whitespace() || c.is_control() || c.is_uppercase() || FORBIDDEN.contains(*c);
        match id.chars().find(odd) {
            Some(odd) => Err(Refusal::Invalid(format!(
                "the id of a configuration holds {odd:?}; no capital letters, white space, nor {FORBIDDEN}"
            ))),
            None => Ok(Self(id.to_owned())),
        }
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a configuration writes beside each of its leaves.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    by: String,
    digest: String,
}

impl Mark {
    /// Public dumps of twins show ticks of a time as digest.
    pub(super) fn new(id: &ConfigurationId, now: Timestamp) -> Self {
        Self { by: id.0.clone(), digest: (now.as_nanosecond() / 100 + EPOCH_TICKS).to_string() }
    }

    /// Marks the leaves that `sent` names; `content` is the section that holds them now.
    pub(super) fn put(&self, metadata: &mut Object, sent: &Object, content: &Object) {
        for (key, sent) in sent {
            let Some(Value::Object(entry)) = metadata.get_mut(key) else { continue };
            match (sent, content.get(key)) {
                (Value::Object(sent), Some(Value::Object(inner))) if !inner.is_empty() => self.put(entry, sent, inner),
                _ => {
                    entry.insert(BY.to_owned(), json!(self.by));
                    entry.insert(DIGEST.to_owned(), json!(self.digest));
                }
            }
        }
    }

    /// Takes the marks away from an entry that is written anew.
    pub(super) fn drop(entry: &mut Object) {
        entry.remove(BY);
        entry.remove(DIGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_an_alphabet_and_a_length() {
        let long = "r".repeat(129);
        let cases = [
            ("rollout-7", true),
            ("a.b_c:d=é", true),
            ("", false),
            (long.as_str(), false),
            ("Rollout", false),
            ("a b", false),
            ("a/b", false),
            ("a]", false),
            ("a\u{7}", false),
        ];
        for (id, good) in cases {
            assert_eq!(ConfigurationId::parse(id).is_ok(), good, "{id:?}");
        }
    }
}
