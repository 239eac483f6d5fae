//! Times on the wire, and the `$metadata` that carries them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::configuration::Mark;
use crate::twin::document::Object;

/// The time that stands for never.
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// A time as the service writes it: UTC, up to 7 digits of a second, without trailing zeros.
#[must_use]
pub fn wire_time(at: Timestamp) -> String {
    let whole = at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string();
    // A timestamp before 1970 has a negative subsecond part; the hub's clock never stands there.
    let ticks = at.subsec_nanosecond().max(0) / 100;
    if ticks == 0 {
        return format!("{whole}Z");
    }
    let fraction = format!("{ticks:07}");
    format!("{whole}.{}Z", fraction.trim_end_matches('0'))
}

/// As [`wire_time`], where `None` is [`NEVER`].
#[must_use]
pub fn wire_time_or_never(at: Option<Timestamp>) -> String {
    at.map_or_else(|| NEVER.to_owned(), wire_time)
}

/// What is written beside every property that a write names.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    /// When.
    pub(super) time: String,
    /// The `$version` of the write; `None` for reported properties, which carry none.
    pub(super) version: Option<u64>,
}

impl Stamp {
    fn put(&self, metadata: &mut Object) {
        // An object may stand where a configuration had set a leaf.
        Mark::drop(metadata);
        metadata.insert("$lastUpdated".to_owned(), json!(self.time));
        if let Some(version) = self.version {
            metadata.insert("$lastUpdatedVersion".to_owned(), json!(version));
        }
    }
}

/// Refreshes `metadata` for everything that `patch` names, equal values too; `content` is the section after the patch.
pub(super) fn refresh(metadata: &mut Object, patch: &Object, content: &Object, stamp: &Stamp) {
    stamp.put(metadata);
    for (key, sent) in patch {
        match (content.get(key), sent) {
            (None, _) => {
                metadata.remove(key);
            }
            (Some(Value::Object(inner)), Value::Object(sent)) => {
                let slot = metadata.entry(key.as_str()).or_insert_with(|| Value::Object(Object::new()));
                if let Value::Object(slot) = slot {
                    refresh(slot, sent, inner, stamp);
                }
            }
            // A leaf, whatever stood there before: an array has one entry for the whole.
            (Some(_), _) => {
                let mut entry = Object::new();
                stamp.put(&mut entry);
                metadata.insert(key.clone(), Value::Object(entry));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_service_writes_them() {
        let cases = [
            ("2020-07-28T22:17:23.785061Z", "2020-07-28T22:17:23.785061Z"),
            ("2020-07-28T22:17:23Z", "2020-07-28T22:17:23Z"),
            ("2020-07-28T22:17:23.123456789Z", "2020-07-28T22:17:23.1234567Z"),
            ("2020-07-28T22:17:23.000000099Z", "2020-07-28T22:17:23Z"),
        ];
        for (given, expected) in cases {
            assert_eq!(wire_time(given.parse().unwrap()), expected);
        }
        assert_eq!(wire_time_or_never(None), NEVER);
    }
}
