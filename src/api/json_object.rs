//! Free-form JSON inside a typed object.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::twin::document::Object;
use crate::twin::value::equal;

/// A JSON object whose content is the user's. The API server keeps all of it (`preserve-unknown-fields`) and treats it as
/// one value (`atomic`), so that server-side apply can empty it and managed fields stay small.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonObject(pub Object);

/// Equal as twins see it: the API server stores `1.0` as `1`, and that is no difference.
impl PartialEq for JsonObject {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().all(|(key, value)| other.0.get(key).is_some_and(|theirs| equal(value, theirs)))
    }
}

impl JsonSchema for JsonObject {
    fn schema_name() -> Cow<'static, str> {
        "JsonObject".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true,
            "x-kubernetes-map-type": "atomic",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_api_server_stores_is_equal_to_what_was_sent() {
        let read = |text: &str| serde_json::from_str::<JsonObject>(text).unwrap();
        assert_eq!(read(r#"{"t": {"max": 21.0}}"#), read(r#"{"t": {"max": 21}}"#));
        assert_ne!(read(r#"{"t": {"max": 21.5}}"#), read(r#"{"t": {"max": 21}}"#));
        assert_ne!(read(r#"{"t": 1}"#), read(r#"{"t": 1, "u": 1}"#));
    }
}
