//! Up to 100 identities in one call. Items are carried out one by one; one that fails does not stop the others.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::super::code::{self, Failure};
use super::super::hub::{Charge, Hub};
use super::super::machine::{Command, Draft, EntityId, Precondition};
use super::answer::Answer;
use super::body::{Nulls, json, sections};
use super::operation::Operation;
use crate::twin::document::Object;
use crate::twin::rules::Arrays;

/// Most items of one call.
const MAX_ITEMS: usize = 100;

/// What an item asks for; names are compared without regard to case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Create,
    Update,
    UpdateIfMatch,
    Delete,
    DeleteIfMatch,
    UpdateTwin,
    UpdateTwinIfMatch,
}

impl Mode {
    const ALL: [(&'static str, Self); 7] = [
        ("create", Self::Create),
        ("update", Self::Update),
        ("updateIfMatchETag", Self::UpdateIfMatch),
        ("delete", Self::Delete),
        ("deleteIfMatchETag", Self::DeleteIfMatch),
        ("updateTwin", Self::UpdateTwin),
        ("updateTwinIfMatchETag", Self::UpdateTwinIfMatch),
    ];

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, mode)| mode)
    }
}

/// Carries the items out. The answer has status 400 when one failed, with the same body.
pub(super) async fn run(hub: &Hub, body: &[u8], arrays: Arrays) -> Result<Answer, Failure> {
    let invalid = |text: &str| Failure::new(code::ARGUMENT_INVALID, text);
    let Value::Array(items) = json(body)? else { return Err(invalid("the body is not an array")) };
    if items.is_empty() || items.len() > MAX_ITEMS {
        return Err(Failure::new(
            code::ARGUMENT_INVALID,
            format!("the array has {} items; 1 to {MAX_ITEMS} are allowed", items.len()),
        ));
    }
    hub.admit(Operation::BulkIdentities.name(), Charge::Times(items.len() as u64)).await?;
    let mut errors = Vec::new();
    let mut seen = HashSet::new();
    for item in &items {
        let id = id_of(item);
        let done = match (&id, item.as_object()) {
            (Some(id), _) if !seen.insert(id.clone()) => {
                Err(Failure::new(code::DEFINED_MULTIPLE_TIMES, format!("'{id}' stands in the request more than once")))
            }
            (Some(id), Some(item)) => carry_out(hub, id, item, arrays).await,
            _ => Err(invalid("an item has no id")),
        };
        if let Err(failure) = done {
            errors.push(json!({
                "deviceId": id.as_ref().map(|id| &id.device),
                "moduleId": id.as_ref().and_then(|id| id.module.as_ref()),
                "errorCode": failure.code.number,
                "errorStatus": failure.message,
                "operation": item.get("importMode"),
            }));
        }
    }
    let successful = errors.is_empty();
    let mut answer = Answer::document(&json!({"isSuccessful": successful, "errors": errors, "warnings": []}));
    if !successful {
        answer.status = 400;
    }
    Ok(answer)
}

fn id_of(item: &Value) -> Option<EntityId> {
    let text = |name: &str| item.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    Some(EntityId { device: text("id")?, module: text("moduleId") })
}

async fn carry_out(hub: &Hub, id: &EntityId, item: &Object, arrays: Arrays) -> Result<(), Failure> {
    let text = |names: [&str; 2]| names.into_iter().find_map(|name| item.get(name).and_then(Value::as_str));
    let mode = match text(["importMode", "importmode"]) {
        None => Mode::Create,
        Some(name) => Mode::parse(name)
            .ok_or_else(|| Failure::new(code::ARGUMENT_INVALID, format!("importMode '{name}' is not valid")))?,
    };
    let etag = |names| match text(names) {
        None | Some("*") => Precondition::Exists,
        Some(etag) => Precondition::Etag(etag.trim_matches('"').to_owned()),
    };
    // The two SDKs spell it differently.
    let identity_etag = || etag(["eTag", "etag"]);
    let put = |precondition| -> Result<Command, Failure> {
        Ok(Command::PutIdentity { id: id.clone(), draft: Draft::parse(id, item)?, precondition })
    };
    let patch = |precondition| -> Result<Command, Failure> {
        Ok(Command::PatchTwin { id: id.clone(), body: sections(item, arrays, Nulls::Patch)?, precondition })
    };
    let command = match mode {
        Mode::Create => {
            let body = sections(item, arrays, Nulls::Patch)?;
            Command::Create { id: id.clone(), draft: Draft::parse(id, item)?, body }
        }
        Mode::Update => put(Precondition::Exists)?,
        Mode::UpdateIfMatch => put(identity_etag())?,
        Mode::Delete => Command::DeleteIdentity { id: id.clone(), precondition: Precondition::Exists },
        Mode::DeleteIfMatch => Command::DeleteIdentity { id: id.clone(), precondition: identity_etag() },
        Mode::UpdateTwin => patch(Precondition::Exists)?,
        Mode::UpdateTwinIfMatch => patch(etag(["twinETag", "twinEtag"]))?,
    };
    hub.apply(command).await.map(|_| ())
}
