//! The JSON that the hub speaks, and how it becomes ours.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::sas::Key;
use crate::twin::document::{Object, without_system_members};
use crate::twin::id::{BadId, TwinId};
use crate::twin::view::{ConnectionState, Etag, Status, Twin};

/// A row or an answer that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// The row is no object.
    #[error("the row is no object")]
    NotAnObject,
    /// A member is missing, or of the wrong type.
    #[error("the row has no {0}, or not of its type")]
    Missing(&'static str),
    /// The id is none.
    #[error("the row's id is wrong")]
    Id(#[source] BadId),
}

/// A device's or module's identity. `Debug` does not show the keys.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Whose it is.
    pub id: TwinId,
    /// Changes when the id is deleted and made again.
    pub generation_id: String,
    /// The state of the identity; not that of its twin.
    pub etag: Option<Etag>,
    /// Whether the device may connect; modules have no status of their own.
    pub status: Option<Status>,
    /// Whether the device is connected.
    pub connection_state: Option<ConnectionState>,
    /// The first key; `None` for identities without symmetric keys.
    pub primary_key: Option<Key>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireIdentity {
    device_id: String,
    module_id: Option<String>,
    generation_id: Option<String>,
    etag: Option<String>,
    status: Option<String>,
    connection_state: Option<String>,
    authentication: Option<WireAuthentication>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAuthentication {
    symmetric_key: Option<WireKeys>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireKeys {
    primary_key: Option<String>,
}

impl Twin {
    /// Reads a twin out of an answer or a query's row. `deviceId`, `etag` and `version` must be there; everything else may
    /// be missing, and what is not known is passed over.
    ///
    /// # Errors
    ///
    /// When the row is no object, or lacks one of the three.
    pub fn from_row(row: Value) -> Result<Self, BadRow> {
        let Value::Object(mut row) = row else { return Err(BadRow::NotAnObject) };
        let device = row.get("deviceId").and_then(Value::as_str).ok_or(BadRow::Missing("deviceId"))?;
        let id = TwinId::parse(device, row.get("moduleId").and_then(Value::as_str)).map_err(BadRow::Id)?;
        let etag = row.get("etag").and_then(Value::as_str).ok_or(BadRow::Missing("etag"))?;
        let etag = Etag::new(etag);
        let version = row.get("version").and_then(Value::as_i64).ok_or(BadRow::Missing("version"))?;
        let status = row.get("status").and_then(Value::as_str).and_then(status);
        let connection_state = row.get("connectionState").and_then(Value::as_str).and_then(connection_state);
        let mut properties = object(row.remove("properties"));
        let desired = Section::from(properties.remove("desired"));
        let reported = Section::from(properties.remove("reported"));
        Ok(Self {
            id,
            etag,
            version,
            status,
            connection_state,
            tags: without_system_members(&object(row.remove("tags"))),
            desired: desired.content,
            reported: reported.content,
            desired_metadata: desired.metadata,
            reported_metadata: reported.metadata,
            desired_version: desired.version,
            reported_version: reported.version,
        })
    }
}

impl Identity {
    pub(super) fn from_answer(answer: Value) -> Result<Self, BadRow> {
        let wire: WireIdentity = serde_json::from_value(answer).map_err(|_| BadRow::Missing("deviceId"))?;
        let id = TwinId::parse(&wire.device_id, wire.module_id.as_deref()).map_err(BadRow::Id)?;
        let key = wire.authentication.and_then(|found| found.symmetric_key).and_then(|keys| keys.primary_key);
        Ok(Self {
            id,
            generation_id: wire.generation_id.unwrap_or_default(),
            etag: wire.etag.as_deref().map(Etag::new),
            status: wire.status.as_deref().and_then(status),
            connection_state: wire.connection_state.as_deref().and_then(connection_state),
            // Identities that prove themselves by certificates show null or empty keys.
            primary_key: key.and_then(|text| Key::parse(&text).ok()),
        })
    }

    /// The body that creates an identity; the hub makes the keys.
    pub(super) fn new_body(id: &TwinId) -> Value {
        let mut body = json!({"deviceId": id.device_id.as_str(), "authentication": {"type": "sas"}});
        match id.module() {
            None => body["status"] = json!("enabled"),
            Some(module) => body["moduleId"] = json!(module),
        }
        body
    }
}

/// A section of properties, its `$` members apart.
struct Section {
    content: Object,
    metadata: Object,
    version: i64,
}

impl Section {
    fn from(value: Option<Value>) -> Self {
        let mut content = object(value);
        let metadata = object(content.remove("$metadata"));
        let version = content.remove("$version").and_then(|version| version.as_i64()).unwrap_or(0);
        content.retain(|key, _| !key.starts_with('$'));
        Self { content, metadata, version }
    }
}

fn object(value: Option<Value>) -> Object {
    match value {
        Some(Value::Object(members)) => members,
        _ => Object::new(),
    }
}

fn status(text: &str) -> Option<Status> {
    match text {
        "enabled" => Some(Status::Enabled),
        "disabled" => Some(Status::Disabled),
        _ => None,
    }
}

fn connection_state(text: &str) -> Option<ConnectionState> {
    match text {
        "Connected" => Some(ConnectionState::Connected),
        "Disconnected" => Some(ConnectionState::Disconnected),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_twin_is_taken_apart() {
        let twin = Twin::from_row(json!({
            "deviceId": "pump-0042", "moduleId": "flow", "etag": "AAAAAAAAAAQ=", "version": 7, "status": "enabled",
            "connectionState": "Connected", "new": {"member": 1}, "tags": {"line": 4},
            "properties": {
                "desired": {"a": 1, "$metadata": {"$lastUpdated": "t"}, "$version": 3},
                "reported": {"b": 2, "$metadata": {"b": {}}, "$version": 5},
            },
        }))
        .unwrap();
        assert_eq!(twin.id.to_string(), "pump-0042/flow");
        assert_eq!((twin.etag.as_str(), twin.version), ("AAAAAAAAAAQ=", 7));
        assert_eq!((twin.desired_version, twin.reported_version), (3, 5));
        assert_eq!(Value::Object(twin.desired), json!({"a": 1}));
        assert_eq!(Value::Object(twin.reported), json!({"b": 2}));
        assert_eq!(Value::Object(twin.desired_metadata), json!({"$lastUpdated": "t"}));
        assert_eq!(twin.connection_state, Some(ConnectionState::Connected));
        assert_eq!(twin.status, Some(Status::Enabled));
    }

    #[test]
    fn little_is_needed() {
        let twin =
            Twin::from_row(json!({"deviceId": "d", "etag": "e", "version": 2, "status": 3, "tags": null})).unwrap();
        assert!(twin.tags.is_empty() && twin.desired.is_empty());
        assert_eq!((twin.desired_version, twin.status), (0, None));
        for (row, error) in [
            (json!([]), BadRow::NotAnObject),
            (json!({"etag": "e", "version": 2}), BadRow::Missing("deviceId")),
            (json!({"deviceId": "d", "version": 2}), BadRow::Missing("etag")),
            (json!({"deviceId": "d", "etag": "e", "version": "2"}), BadRow::Missing("version")),
            (json!({"deviceId": "..", "etag": "e", "version": 2}), BadRow::Id(BadId::Dots)),
        ] {
            assert_eq!(Twin::from_row(row.clone()), Err(error), "{row}");
        }
    }

    #[test]
    fn identities_hide_their_keys() {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let answer = json!({
            "deviceId": "d", "etag": "OTE1", "status": "enabled", "generationId": "1",
            "authentication": {"type": "sas", "symmetricKey": {"primaryKey": key, "secondaryKey": key}},
        });
        let identity = Identity::from_answer(answer).unwrap();
        assert!(!format!("{identity:?}").contains("AAEC"));
        assert_eq!(identity.primary_key.unwrap().expose(), key);
        let bare = json!({"deviceId": "d", "authentication": {"symmetricKey": {"primaryKey": null}}});
        assert!(Identity::from_answer(bare).unwrap().primary_key.is_none());
    }
}
