//! Requests to commands.

use http::HeaderMap;
use http::header::IF_MATCH;
use serde_json::Value;

use super::super::code::{self, Failure};
use super::super::machine::{Command, Desired, Draft, EntityId, Precondition, Refusal, SectionsBody};
use super::operation::Operation;
use crate::twin::document::Object;
use crate::twin::rules::Arrays;

/// Most identities in one list, and the number for every other value of `top`.
const MAX_LIST: usize = 1000;

/// A request, taken apart.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) id: Option<EntityId>,
    pub(super) top: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    pub(super) arrays: Arrays,
}

/// The command that a request stands for; `None` for operations that are more than one command.
pub(super) fn command(operation: Operation, parts: &Parts<'_>) -> Result<Option<Command>, Failure> {
    let id = || {
        let missing = || Failure::new(code::ARGUMENT_INVALID, "the path names no device");
        parts.id.clone().ok_or_else(missing)
    };
    Ok(Some(match operation {
        Operation::GetIdentity => Command::GetIdentity(id()?),
        Operation::ListDevices => Command::ListDevices { top: top(parts.top) },
        Operation::ListModules => Command::ListModules { device: id()?.device },
        Operation::PutIdentity => {
            let id = id()?;
            let draft = Draft::parse(&id, &object(parts.body)?)?;
            Command::PutIdentity { id, draft, precondition: identity_precondition(parts.headers) }
        }
        Operation::DeleteIdentity => {
            Command::DeleteIdentity { id: id()?, precondition: identity_precondition(parts.headers) }
        }
        Operation::GetTwin => Command::GetTwin(id()?),
        Operation::PatchTwin => Command::PatchTwin {
            id: id()?,
            body: sections(&object(parts.body)?, parts.arrays, Nulls::Patch)?,
            precondition: twin_precondition(parts.headers),
        },
        Operation::ReplaceTwin => Command::ReplaceTwin {
            id: id()?,
            body: sections(&object(parts.body)?, parts.arrays, Nulls::Refused)?,
            precondition: twin_precondition(parts.headers),
        },
        Operation::Statistics => Command::Statistics,
        Operation::ServiceStatistics => Command::ServiceStatistics,
        Operation::BulkIdentities
        | Operation::Query
        | Operation::Jobs
        | Operation::Unsupported
        | Operation::Unknown
        | Operation::WrongMethod => return Ok(None),
    }))
}

fn top(top: Option<&str>) -> usize {
    top.and_then(|top| top.parse().ok()).filter(|top| (1..=MAX_LIST).contains(top)).unwrap_or(MAX_LIST)
}

/// Reads a body that must be JSON.
pub(super) fn json(body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|error| Refusal::Malformed(format!("the body is not JSON: {error}")).into())
}

/// Reads a body that must be a JSON object.
pub(super) fn object(body: &[u8]) -> Result<Object, Failure> {
    match json(body)? {
        Value::Object(object) => Ok(object),
        _ => Err(Refusal::Malformed("the body is not a JSON object".to_owned()).into()),
    }
}

/// What `null` for a whole section means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    /// Remove every desired property; tags are left alone.
    Patch,
    /// A mistake.
    Refused,
}

/// Reads tags and desired properties. Everything else is tolerated: clients send back what they have read.
pub(super) fn sections(body: &Object, arrays: Arrays, nulls: Nulls) -> Result<SectionsBody, Failure> {
    let section = |name: &str, value: Option<&Value>| match value {
        None => Ok(None),
        Some(Value::Null) if nulls == Nulls::Refused => {
            Err(Refusal::Invalid(format!("Value of Property or Tag cannot be null. Error in Property/Tag {name}")))
        }
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::Object(members)) => {
            let own = members.iter().filter(|(key, _)| *key != "$metadata" && *key != "$version");
            Ok(Some(Some(own.map(|(key, value)| (key.clone(), value.clone())).collect::<Object>())))
        }
        Some(_) => Err(not_an_object(name)),
    };
    let tags = section("tags", body.get("tags"))?;
    let tags_null = tags == Some(None);
    let properties = match body.get("properties") {
        None | Some(Value::Null) => None,
        Some(Value::Object(properties)) => Some(properties),
        Some(_) => return Err(not_an_object("properties").into()),
    };
    let desired = section("desired", properties.and_then(|properties| properties.get("desired")))?;
    let desired = desired.map(|desired| desired.map_or(Desired::Clear, Desired::Properties));
    Ok(SectionsBody { tags: tags.flatten(), tags_null, desired, arrays: Some(arrays) })
}

fn not_an_object(name: &str) -> Refusal {
    Refusal::Invalid(format!("Provided json is not a valid 'tags' or 'properties' object: '{name}' is not an object."))
}

/// Without quotes an etag of a twin is silently ignored, as the service does.
fn twin_precondition(headers: &HeaderMap) -> Precondition {
    match if_match(headers) {
        None => Precondition::None,
        Some("*" | "\"*\"") => Precondition::Exists,
        Some(text) => quoted(text).map_or(Precondition::None, |etag| Precondition::Etag(etag.to_owned())),
    }
}

/// As for twins, and `""` stands for none: some clients send it to create.
fn identity_precondition(headers: &HeaderMap) -> Precondition {
    match twin_precondition(headers) {
        Precondition::Etag(etag) if etag.is_empty() => Precondition::None,
        other => other,
    }
}

fn if_match(headers: &HeaderMap) -> Option<&str> {
    headers.get(IF_MATCH).and_then(|value| value.to_str().ok()).map(str::trim)
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(IF_MATCH, value.parse().unwrap())])
    }

    #[test]
    fn preconditions_need_quotes() {
        let etag = || Precondition::Etag("AAAAAAAAAAE=".to_owned());
        let cases = [
            ("*", Precondition::Exists, Precondition::Exists),
            ("\"*\"", Precondition::Exists, Precondition::Exists),
            ("\"AAAAAAAAAAE=\"", etag(), etag()),
            ("AAAAAAAAAAE=", Precondition::None, Precondition::None),
            ("\"\"", Precondition::Etag(String::new()), Precondition::None),
        ];
        for (text, twin, identity) in cases {
            assert_eq!(twin_precondition(&headers(text)), twin, "{text}");
            assert_eq!(identity_precondition(&headers(text)), identity, "{text}");
        }
        assert_eq!(twin_precondition(&HeaderMap::new()), Precondition::None);
    }
}
