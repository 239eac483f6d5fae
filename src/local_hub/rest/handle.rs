//! The one way through every operation: fault, api-version, token, limits, body, command, answer, journal.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use http::request;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::super::auth;
use super::super::code::{self, Failure};
use super::super::doubts::ErrorForm;
use super::super::https::Cut;
use super::super::hub::{Charge, Hub};
use super::super::journal::{self, Call};
use super::super::knobs::{Effect, WrongToken};
use super::answer::Answer;
use super::body::{Parts, command};
use super::operation::Operation;
use super::route::{Route, meant, route};
use super::spoil::spoil;
use super::{bulk, query, version};

/// Largest body that is read: 100 identities with room to spare.
const MAX_BODY: usize = 1024 * 1024;
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// What is found out about a call while it is worked on.
struct Trace {
    /// The policy that signed its token.
    who: String,
    /// What was sent, for the log.
    body: Option<String>,
}

/// Answers one request.
pub(super) async fn handle(hub: &Hub, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Route { operation, id } = route(&meant(&head.method, &head.headers), head.uri.path());
    // What is switched off is a path like any other that the hub does not have.
    let operation = if hub.knobs().lacks(operation.name()) { Operation::Unknown } else { operation };
    let subject = id.as_ref().map_or_else(|| head.uri.path().to_owned(), ToString::to_string);
    let mut trace = Trace { who: "-".to_owned(), body: None };
    let effect = hub.strike(operation.name(), &subject).await;
    let worked = match effect.as_ref().and_then(Effect::instead) {
        Some(failure) => Err(failure),
        None => {
            let route = Route { operation, id };
            work(hub, route, &head, body, effect.as_ref(), &mut trace).await
        }
    };
    let tracking = format!("{:032x}", fastrand::u128(..));
    let (answer, detail) = match worked {
        Ok(answer) => (answer, String::new()),
        Err(failure) => {
            let detail = format!("{} {}", failure.code.name, failure.message);
            (refusal(hub, operation, &failure, &tracking), detail)
        }
    };
    let detail = journal::detail(&detail);
    let Trace { who, body } = trace;
    let call =
        Call { who: &who, operation: operation.name(), subject: &subject, outcome: answer.status, detail: &detail };
    hub.record_with(&call, body);
    let cut = effect.as_ref().is_some_and(Effect::cuts);
    if let Some(Cut(connection)) = head.extensions.get().filter(|_| cut) {
        connection.cancel();
        // The connection ends while this waits, so nothing is answered.
        std::future::pending::<()>().await;
    }
    let Some(effect) = effect else { return answer.into_response(&guid(&tracking)) };
    let text = answer.text.clone().unwrap_or_default();
    spoil(&effect, answer.into_response(&guid(&tracking)), &text)
}

fn refusal(hub: &Hub, operation: Operation, failure: &Failure, tracking: &str) -> Answer {
    let (form, retry_after) = {
        let knobs = hub.knobs();
        (knobs.doubts.missing_twin, knobs.limits.as_ref().and_then(|limits| limits.retry_after_s))
    };
    let form = if operation == Operation::GetTwin && failure.code.status == 404 { form } else { ErrorForm::A };
    let mut answer = Answer::failure(failure, form, tracking, hub.now());
    if let Some(seconds) = retry_after.filter(|_| matches!(failure.code.status, 429 | 503)) {
        answer.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
    }
    answer
}

async fn work(
    hub: &Hub,
    Route { operation, id }: Route,
    head: &request::Parts,
    body: Body,
    effect: Option<&Effect>,
    trace: &mut Trace,
) -> Result<Answer, Failure> {
    there(operation)?;
    let parameters = head.uri.query().unwrap_or("");
    let api_version = parameter(parameters, "api-version")
        .filter(|version| version::known(version))
        .ok_or_else(|| Failure::new(code::INVALID_PROTOCOL_VERSION, "BadRequest"))?;
    authorize(hub, operation, head, &mut trace.who)?;
    let body = read(body).await?;
    let write = matches!(operation, Operation::PatchTwin | Operation::ReplaceTwin);
    trace.body = Some(&body).filter(|body| write && body.len() <= journal::MAX_BODY).and_then(|body| {
        // What is no JSON is told by the detail.
        serde_json::from_slice(body).ok().map(|body: Value| body.to_string())
    });
    let arrays = version::arrays_of(api_version);
    let (headers, name) = (&head.headers, operation.name());
    match operation {
        Operation::Query => {
            let ask = query::ask(headers, &body, query::Grant::of(&hub.knobs()))?;
            hub.admit(name, if ask.is_first() { Charge::Once } else { Charge::FurtherPage }).await?;
            let page = hub.rows(|machine, seen| query::run(&ask, machine, seen))?;
            let rows = page.count();
            let mut answer = Answer::from(page);
            hub.charge(name, answer.size(), Some(rows));
            match effect {
                Some(Effect::Continuation(WrongToken::Loops)) => query::continue_with(&mut answer, &ask.token()),
                Some(Effect::Continuation(WrongToken::Endless)) => {
                    query::continue_with(&mut answer, &ask.token_after(rows));
                }
                Some(Effect::Continuation(WrongToken::Garbage)) => query::continue_with(&mut answer, "bm9uc2Vuc2U"),
                _ => {}
            }
            Ok(answer)
        }
        Operation::BulkIdentities => bulk::run(hub, &body, arrays).await,
        _ => {
            hub.admit(name, Charge::Once).await?;
            let parts = Parts { id, top: parameter(parameters, "top"), headers, body: &body, arrays };
            let Some(command) = command(operation, &parts)? else {
                return Err(Failure::new(code::NOT_FOUND, "there is no such operation"));
            };
            let answer = Answer::of(operation, hub.apply(command).await?);
            // A write counts by what was sent, a read by what is answered.
            hub.charge(name, if write { body.len() } else { answer.size() }, None);
            Ok(answer)
        }
    }
}

/// Refuses what the hub does not have, before anything else is looked at.
fn there(operation: Operation) -> Result<(), Failure> {
    match operation {
        Operation::WrongMethod => Err(Failure::new(code::METHOD_NOT_ALLOWED, "the path takes another method")),
        Operation::Unknown => Err(Failure::new(code::NOT_FOUND, "there is no such path")),
        Operation::Jobs => Err(Failure::new(code::NOT_SUPPORTED, "this local hub has no jobs")),
        Operation::Unsupported => Err(Failure::new(code::NOT_SUPPORTED, "this local hub does not have this")),
        _ => Ok(()),
    }
}

/// Checks the token and notes the policy that signed it.
fn authorize(hub: &Hub, operation: Operation, head: &request::Parts, who: &mut String) -> Result<(), Failure> {
    let Some(permission) = operation.permission() else { return Ok(()) };
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

async fn read(body: Body) -> Result<axum::body::Bytes, Failure> {
    match tokio::time::timeout(BODY_TIMEOUT, axum::body::to_bytes(body, MAX_BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => Err(Failure::new(code::TOO_LARGE, format!("the body has more than {MAX_BODY} bytes"))),
        Err(_) => {
            let seconds = BODY_TIMEOUT.as_secs();
            Err(Failure::new(code::for_status(408), format!("the body did not come within {seconds} s")))
        }
    }
}

fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// 32 hexadecimal digits in the groups of a GUID.
fn guid(hex: &str) -> String {
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
