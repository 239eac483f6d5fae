//! The bodies that the admin server takes: JSON, checked, with a clear answer about the field that is wrong.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::json;

use super::super::knobs::{self, BadSetting, Setting};

/// Largest body that is read.
const MAX_BODY: usize = 64 * 1024;

/// A body that was read and found good.
#[derive(Debug)]
pub(super) struct Checked<T>(pub(super) T);

/// Why a call of the admin server is refused.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    setting: BadSetting,
}

impl Refused {
    /// A refusal about one field, or `.` for the whole.
    pub(super) fn new(status: StatusCode, field: &str, problem: impl Into<String>) -> Self {
        Self { status, setting: BadSetting::new(field, problem) }
    }
}

impl From<BadSetting> for Refused {
    fn from(setting: BadSetting) -> Self {
        Self { status: StatusCode::BAD_REQUEST, setting }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let BadSetting { field, problem } = self.setting;
        (self.status, Json(json!({"error": {"field": field, "message": problem}}))).into_response()
    }
}

impl<T: Setting, S: Sync> FromRequest<S> for Checked<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        Ok(Self(knobs::read(&json_body(request).await?)?))
    }
}

/// The type has to be named, so that no page of a browser can write here without being asked.
pub(super) async fn json_body(request: Request) -> Result<Vec<u8>, Refused> {
    let named = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    if !named.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        let problem = "the request needs the header content-type: application/json";
        return Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, ".", problem));
    }
    read(request.into_body()).await
}

async fn read(body: Body) -> Result<Vec<u8>, Refused> {
    match to_bytes(body, MAX_BODY).await {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(_) => {
            let problem = format!("the body could not be read, or has more than {MAX_BODY} bytes");
            Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, ".", problem))
        }
    }
}
