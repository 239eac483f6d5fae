//! Identity documents as callers send them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Authentication, EntityId, Refusal};
use crate::twin::document::Object;

/// Longest id of a device or module.
const MAX_ID_CHARS: usize = 128;
/// What an id may hold beside letters and digits.
const ID_PUNCTUATION: &str = "-:.+%_#*?!(),=@;$'";
/// Longest reason for a status.
const MAX_REASON_CHARS: usize = 128;
/// Lengths of a symmetric key in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// Lengths of a thumbprint in hexadecimal digits: SHA-1 and SHA-256.
const THUMBPRINT_DIGITS: [usize; 2] = [40, 64];
/// What the scope of an edge device begins with.
pub(super) const SCOPE: &str = "ms-azure-iot-edge://";

/// What a caller asks an identity to be. What is absent stays as it is, or takes its default.
#[derive(Clone, Default)]
pub struct Draft {
    pub(super) enabled: Option<bool>,
    pub(super) status_reason: Option<String>,
    pub(super) authentication: Option<Authentication>,
    pub(super) keys: [Option<String>; 2],
    pub(super) thumbprints: [Option<String>; 2],
    pub(super) edge: Option<bool>,
    pub(super) device_scope: Option<String>,
    pub(super) parent_scopes: Option<Vec<String>>,
    pub(super) managed_by: Option<String>,
}

impl std::fmt::Debug for Draft {
    /// Without keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl Draft {
    /// Reads an identity document that must be about `id`.
    ///
    /// # Errors
    /// When the document names another id or holds a value that the registry does not take.
    pub fn parse(id: &EntityId, body: &Object) -> Result<Self, Refusal> {
        for (name, expected) in [("deviceId", Some(&id.device)), ("moduleId", id.module.as_ref())] {
            let Some(expected) = expected else { continue };
            valid_id(name, expected)?;
            if text(body, name)?.is_some_and(|given| given != expected) {
                return Err(invalid(format!("{name} in the body does not match the request")));
            }
        }
        let enabled = match text(body, "status")? {
            None => None,
            Some(status) if status.eq_ignore_ascii_case("enabled") => Some(true),
            Some(status) if status.eq_ignore_ascii_case("disabled") => Some(false),
            Some(status) => return Err(invalid(format!("status '{status}' is not valid: enabled or disabled"))),
        };
        let status_reason = text(body, "statusReason")?.map(str::to_owned);
        if let Some(length) =
            status_reason.as_ref().map(|reason| reason.chars().count()).filter(|length| *length > MAX_REASON_CHARS)
        {
            return Err(invalid(format!("statusReason has {length} characters; at most {MAX_REASON_CHARS}")));
        }
        let mut draft = Self {
            enabled,
            status_reason,
            edge: edge(body)?,
            device_scope: text(body, "deviceScope")?.filter(|scope| !scope.is_empty()).map(str::to_owned),
            parent_scopes: parent_scopes(body)?,
            managed_by: text(body, "managedBy")?.map(str::to_owned),
            ..Self::default()
        };
        for scope in draft.device_scope.iter().chain(draft.parent_scopes.iter().flatten()) {
            if !scope.starts_with(SCOPE) {
                return Err(Refusal::InvalidScope(format!("scope '{scope}' does not begin with {SCOPE}")));
            }
        }
        if let Some(authentication) = member(body, "authentication")? {
            draft.take_authentication(authentication)?;
        }
        Ok(draft)
    }

    fn take_authentication(&mut self, body: &Object) -> Result<(), Refusal> {
        self.keys = pair(body, "symmetricKey", ["primaryKey", "secondaryKey"])?;
        self.thumbprints = pair(body, "x509Thumbprint", ["primaryThumbprint", "secondaryThumbprint"])?;
        for key in self.keys.iter().flatten() {
            let bytes = STANDARD.decode(key).map_err(|_| invalid("a symmetric key is not base64".to_owned()))?;
            if !KEY_BYTES.contains(&bytes.len()) {
                let (least, most) = (KEY_BYTES.start(), KEY_BYTES.end());
                return Err(invalid(format!("a symmetric key has {} bytes; {least} to {most}", bytes.len())));
            }
        }
        for thumbprint in self.thumbprints.iter().flatten() {
            let digits = thumbprint.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !digits || !THUMBPRINT_DIGITS.contains(&thumbprint.len()) {
                return Err(invalid("a thumbprint has 40 or 64 hexadecimal digits".to_owned()));
            }
        }
        self.authentication = match text(body, "type")? {
            Some(name) => Some(
                Authentication::parse(name)
                    .ok_or_else(|| invalid(format!("authentication type '{name}' is not valid")))?,
            ),
            None if self.thumbprints.iter().any(Option::is_some) => Some(Authentication::SelfSigned),
            None => None,
        };
        Ok(())
    }
}

fn invalid(text: String) -> Refusal {
    Refusal::Invalid(text)
}

/// Refuses what is no id of a device or module.
fn valid_id(name: &str, id: &str) -> Result<(), Refusal> {
    let legal = |c: char| c.is_ascii_alphanumeric() || ID_PUNCTUATION.contains(c);
    if !(1..=MAX_ID_CHARS).contains(&id.chars().count()) {
        return Err(invalid(format!("{name} has {} characters; 1 to {MAX_ID_CHARS}", id.chars().count())));
    }
    match id.chars().find(|c| !legal(*c)) {
        Some(odd) => Err(invalid(format!("{name} holds {odd:?}; letters, digits and {ID_PUNCTUATION}"))),
        None => Ok(()),
    }
}

/// A text; `null` is as good as absent.
fn text<'b>(body: &'b Object, name: &str) -> Result<Option<&'b str>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(format!("{name} is not a string"))),
    }
}

/// An object; `null` is as good as absent.
fn member<'b>(body: &'b Object, name: &str) -> Result<Option<&'b Object>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(member)) => Ok(Some(member)),
        Some(_) => Err(invalid(format!("{name} is not an object"))),
    }
}

/// Two texts of an object; empty ones are as good as absent.
fn pair(body: &Object, group: &str, names: [&str; 2]) -> Result<[Option<String>; 2], Refusal> {
    let Some(group) = member(body, group)? else { return Ok([None, None]) };
    let [first, second] = names.map(|name| text(group, name));
    Ok([first?, second?].map(|text| text.filter(|text| !text.is_empty()).map(str::to_owned)))
}

fn edge(body: &Object) -> Result<Option<bool>, Refusal> {
    match member(body, "capabilities")?.and_then(|capabilities| capabilities.get("iotEdge")) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(edge)) => Ok(Some(*edge)),
        Some(_) => Err(invalid("capabilities.iotEdge is not true or false".to_owned())),
    }
}

fn parent_scopes(body: &Object) -> Result<Option<Vec<String>>, Refusal> {
    let wrong = || invalid("parentScopes is not a list of strings".to_owned());
    match body.get("parentScopes") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(scopes)) => {
            let texts = scopes.iter().map(|scope| scope.as_str().map(str::to_owned).ok_or_else(wrong));
            texts.collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(body: Value) -> Result<Draft, Refusal> {
        Draft::parse(&EntityId::device("d1"), body.as_object().unwrap())
    }

    #[test]
    fn what_the_registry_does_not_take_is_named() {
        let long = "r".repeat(129);
        let cases = [
            (json!({"deviceId": "d2"}), "deviceId in the body does not match the request"),
            (json!({"deviceId": 1}), "deviceId is not a string"),
            (json!({"status": "off"}), "status 'off' is not valid: enabled or disabled"),
            (json!({"statusReason": long}), "statusReason has 129 characters; at most 128"),
            (json!({"capabilities": {"iotEdge": "yes"}}), "capabilities.iotEdge is not true or false"),
            (json!({"capabilities": []}), "capabilities is not an object"),
            (json!({"authentication": "sas"}), "authentication is not an object"),
            (json!({"authentication": {"type": "key"}}), "authentication type 'key' is not valid"),
            (json!({"authentication": {"symmetricKey": {"primaryKey": "%"}}}), "a symmetric key is not base64"),
            (
                json!({"authentication": {"symmetricKey": {"primaryKey": "YWJj"}}}),
                "a symmetric key has 3 bytes; 16 to 64",
            ),
            (
                json!({"authentication": {"x509Thumbprint": {"primaryThumbprint": "AB"}}}),
                "a thumbprint has 40 or 64 hexadecimal digits",
            ),
            (json!({"deviceScope": "x"}), "scope 'x' does not begin with ms-azure-iot-edge://"),
            (json!({"parentScopes": "x"}), "parentScopes is not a list of strings"),
        ];
        for (body, expected) in cases {
            assert_eq!(parse(body.clone()).unwrap_err().to_string(), expected, "{body}");
        }
    }

    #[test]
    fn nulls_and_empty_keys_are_as_good_as_absent() {
        let key = "AAECAwQFBgcICQoLDA0ODw==";
        let draft = parse(json!({
            "deviceId": "d1", "statusReason": null, "capabilities": null,
            "authentication": {"type": "SAS", "symmetricKey": {"primaryKey": "", "secondaryKey": key}},
        }))
        .unwrap();
        assert_eq!(draft.keys, [None, Some(key.to_owned())]);
        assert_eq!(draft.authentication, Some(Authentication::Sas));
    }

    #[test]
    fn ids_have_an_alphabet_and_a_length() {
        let legal = "AZaz09-:.+%_#*?!(),=@;$'";
        for (id, ok) in [
            (legal, true),
            (&"d".repeat(128), true),
            ("", false),
            (&"d".repeat(129), false),
            ("a b", false),
            ("ä", false),
            ("a/b", false),
        ] {
            assert_eq!(valid_id("deviceId", id).is_ok(), ok, "{id}");
        }
    }
}
