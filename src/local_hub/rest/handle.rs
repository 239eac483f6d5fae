//! The one way through every operation: api-version, token, body, command, answer, journal.

use axum::body::Body;
use axum::extract::RawPathParams;
use axum::response::Response;
use http::header::AUTHORIZATION;
use http::request;
use percent_encoding::percent_decode_str;

use super::super::auth;
use super::super::code::{self, Failure};
use super::super::https::Cut;
use super::super::hub::Hub;
use super::super::journal::Call;
use super::super::knobs::Effect;
use super::super::machine::EntityId;
use super::answer::Answer;
use super::body::{Parts, command};
use super::operation::Operation;
use super::{bulk, query, version};

/// Largest body that is read: 100 identities with room to spare.
const MAX_BODY: usize = 1024 * 1024;
/// Longest detail in the log.
const MAX_DETAIL: usize = 200;

/// Answers one request.
pub(super) async fn handle(
    hub: &Hub,
    operation: Operation,
    params: Option<&RawPathParams>,
    head: request::Parts,
    body: Body,
) -> Response {
    // What is switched off is a path like any other that the hub does not have.
    let operation = if hub.knobs().lacks(operation.name()) { Operation::Unknown } else { operation };
    let id = params.and_then(entity);
    let subject = id.as_ref().map_or_else(|| head.uri.path().to_owned(), ToString::to_string);
    let mut who = String::from("-");
    let effect = hub.strike(operation.name(), &subject).await;
    let mut cut = false;
    let worked = match effect {
        Some(Effect::Status(status)) => Err(Failure::new(code::for_status(status), "a fault that was asked for")),
        Some(Effect::CutBefore) => {
            cut = true;
            Err(Failure::new(code::CLOSED, "a fault that was asked for"))
        }
        Some(Effect::CutAfter) => {
            cut = true;
            work(hub, operation, id, &head, body, &mut who).await
        }
        Some(Effect::Delay) | None => work(hub, operation, id, &head, body, &mut who).await,
    };
    let request_id = fastrand::u128(..);
    let tracking = format!("{request_id:032x}");
    let (answer, detail) = match worked {
        Ok(answer) => (answer, String::new()),
        Err(failure) => {
            let detail = format!("{} {}", failure.code.name, failure.message);
            (Answer::failure(&failure, &tracking, hub.now()), detail)
        }
    };
    let detail: String = detail.chars().take(MAX_DETAIL).collect();
    hub.record(&Call {
        who: &who,
        operation: operation.name(),
        subject: &subject,
        outcome: answer.status,
        detail: &detail,
    });
    if let Some(Cut(connection)) = head.extensions.get().filter(|_| cut) {
        connection.cancel();
        // The connection ends while this waits, so nothing is answered.
        std::future::pending::<()>().await;
    }
    answer.into_response(&guid(&tracking))
}

async fn work(
    hub: &Hub,
    operation: Operation,
    id: Option<EntityId>,
    head: &request::Parts,
    body: Body,
    who: &mut String,
) -> Result<Answer, Failure> {
    let parameters = head.uri.query().unwrap_or("");
    let api_version = parameter(parameters, "api-version")
        .filter(|version| version::known(version))
        .ok_or_else(|| Failure::new(code::INVALID_PROTOCOL_VERSION, "BadRequest"))?;
    authorize(hub, operation, head, who)?;
    let body = axum::body::to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| Failure::new(code::TOO_LARGE, format!("the body has more than {MAX_BODY} bytes")))?;
    let parts = Parts {
        id,
        top: parameter(parameters, "top"),
        headers: &head.headers,
        body: &body,
        arrays: version::arrays_of(api_version),
    };
    if operation == Operation::Query {
        let ask = query::ask(&head.headers, &body, query::Grant::of(&hub.knobs()))?;
        return hub.rows(|machine, seen| query::run(&ask, machine, seen)).map(Answer::from);
    }
    if operation == Operation::BulkIdentities {
        return bulk::run(hub, &body, parts.arrays).await;
    }
    match command(operation, &parts)? {
        Some(command) => Ok(Answer::of(operation, hub.apply(command).await?)),
        None => Err(Failure::new(code::NOT_FOUND, "there is no such operation")),
    }
}

/// Checks the token and notes the policy that signed it.
fn authorize(hub: &Hub, operation: Operation, head: &request::Parts, who: &mut String) -> Result<(), Failure> {
    let permission = match operation {
        Operation::WrongMethod => return Err(Failure::new(code::METHOD_NOT_ALLOWED, "the path takes another method")),
        _ => operation.permission().ok_or_else(|| Failure::new(code::NOT_FOUND, "there is no such path"))?,
    };
    let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("");
    let path: Vec<_> =
        head.uri.path().split('/').skip(1).map(|segment| percent_decode_str(segment).decode_utf8_lossy()).collect();
    let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
    let now = hub.now().as_second();
    match auth::service(token, &hub.names, &hub.policies, permission, &path, now) {
        Ok(policy) => {
            policy.clone_into(who);
            Ok(())
        }
        Err(denied) => {
            tracing::debug!(%denied, "token refused");
            Err(Failure::new(code::UNAUTHORIZED, "Unauthorized"))
        }
    }
}

fn entity(params: &RawPathParams) -> Option<EntityId> {
    let mut found = (None, None);
    for (name, value) in params {
        match name {
            "id" => found.0 = Some(value.to_owned()),
            "mid" => found.1 = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(EntityId { device: found.0?, module: found.1 })
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// 32 hexadecimal digits in the groups of a GUID.
fn guid(hex: &str) -> String {
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
