//! What a device knows of its twin, and how the hub's messages change it. Pure.

use serde_json::Value;

use crate::twin::document::{Object, without_system_members};
use crate::twin::merge::merge_patch;

/// The device's own copy of its twin.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    /// The desired properties, without `$` members.
    pub(super) desired: Object,
    /// The `$version` of desired.
    pub(super) version: i64,
    /// The reported properties, without `$` members.
    pub(super) reported: Object,
}

/// What a notice of a change means.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Notice {
    /// It was taken; the change, nulls included.
    Taken(Object),
    /// Known before.
    Old,
    /// One or more before it are missing, or it is malformed: the twin must be read.
    Gap,
}

impl State {
    /// Reads the answer to a request for the twin: `{"desired": …, "reported": …}`.
    pub(super) fn from_answer(body: &[u8]) -> Option<Self> {
        let document: Object = serde_json::from_slice(body).ok()?;
        let section = |name: &str| document.get(name).and_then(Value::as_object);
        let desired = section("desired")?;
        Some(Self {
            version: desired.get("$version")?.as_i64()?,
            desired: without_system_members(desired),
            reported: section("reported").map(without_system_members).unwrap_or_default(),
        })
    }

    /// Takes a notice when it is the very next.
    pub(super) fn notice(&mut self, body: &[u8]) -> Notice {
        let Ok(change) = serde_json::from_slice::<Object>(body) else { return Notice::Gap };
        let Some(version) = change.get("$version").and_then(Value::as_i64) else { return Notice::Gap };
        if version <= self.version {
            return Notice::Old;
        }
        if version != self.version + 1 {
            return Notice::Gap;
        }
        let change = without_system_members(&change);
        merge_patch(&mut self.desired, &change);
        self.version = version;
        Notice::Taken(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn notices_are_taken_in_order_only() {
        let body = json!({"desired": {"a": 1, "b": 2, "$version": 3}, "reported": {"$version": 1}}).to_string();
        let mut state = State::from_answer(body.as_bytes()).unwrap();
        let mut tell = |notice: Value| state.notice(notice.to_string().as_bytes());
        assert_eq!(tell(json!({"a": 9, "$version": 3})), Notice::Old);
        assert_eq!(tell(json!({"a": 9, "$version": 5})), Notice::Gap);
        assert_eq!(tell(json!({"a": 9})), Notice::Gap);
        assert!(matches!(tell(json!({"a": 2, "b": null, "$version": 4})), Notice::Taken(_)));
        assert_eq!(Value::Object(state.desired), json!({"a": 2}));
        assert_eq!(state.version, 4);
    }

    #[test]
    fn an_answer_needs_desired_and_its_version() {
        for body in ["", "[]", "{}", r#"{"desired": {}}"#] {
            assert_eq!(State::from_answer(body.as_bytes()), None, "{body}");
        }
    }
}
