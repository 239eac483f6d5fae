//! Answers as the service writes them.

use axum::body::Body;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CONTENT_TYPE, ETAG, HeaderName};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::super::code::Failure;
use super::super::doubts::ErrorForm;
use super::super::machine::Reply;
use super::super::machine::stamp::wire_time;
use super::operation::Operation;

/// The Node SDK takes a body for parsed only with the character set beside the type.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const ERROR_CODE: HeaderName = HeaderName::from_static("iothub-errorcode");

/// An answer that is about to be sent.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// The body, where there is one: JSON.
    pub(super) text: Option<String>,
    /// Further headers.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    /// A document with status 200.
    pub(super) fn document(body: &Value) -> Self {
        Self { status: 200, text: Some(body.to_string()), headers: Vec::new() }
    }

    /// The bytes of the body.
    pub(super) fn size(&self) -> usize {
        self.text.as_ref().map_or(0, String::len)
    }

    /// What a reply of the machine looks like over HTTP.
    pub(super) fn of(operation: Operation, reply: Reply) -> Self {
        let Reply::Document(body) = reply else { return Self { status: 204, text: None, headers: Vec::new() } };
        let mut answer = Self::document(&body);
        // Recorded traffic shows the header for identities, not for twins.
        if matches!(operation, Operation::GetIdentity | Operation::PutIdentity)
            && let Some(etag) = body.get("etag").and_then(Value::as_str)
            && let Ok(value) = HeaderValue::from_str(&format!("\"{etag}\""))
        {
            answer.headers.push((ETAG, value));
        }
        answer
    }

    /// A failure in one of the forms that answers of the service have.
    pub(super) fn failure(failure: &Failure, form: ErrorForm, tracking: &str, now: Timestamp) -> Self {
        let Failure { code, message } = failure;
        let body = match form {
            ErrorForm::A => {
                let stamp = now.to_zoned(TimeZone::UTC).strftime("%m/%d/%Y %H:%M:%S").to_string();
                json!({
                    "Message": format!("ErrorCode:{};{message}", code.name),
                    "ExceptionMessage": format!("Tracking ID:{tracking}-TimeStamp:{stamp}"),
                })
            }
            ErrorForm::B => {
                let inner = json!({
                    "errorCode": code.number, "trackingId": tracking, "message": message, "timestampUtc": wire_time(now),
                });
                json!({"Message": inner.to_string(), "ExceptionMessage": ""})
            }
        };
        let headers = vec![(ERROR_CODE, HeaderValue::from_static(code.name))];
        Self { status: code.status, text: Some(body.to_string()), headers }
    }

    /// The response with the headers that every response has.
    pub(super) fn into_response(self, request_id: &str) -> Response {
        let Self { status, text, headers } = self;
        let json = text.is_some();
        let mut response = Response::new(text.map_or_else(Body::empty, Body::from));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        if json {
            response.headers_mut().insert(CONTENT_TYPE, JSON);
        }
        if let Ok(id) = HeaderValue::from_str(request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        for (name, value) in headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
