//! What an automatic device configuration does to one twin, when it is asked to. There is no configuration behind it: no
//! target condition, no priority, nobody who applies it again.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::super::code::Failure;
use super::super::hub::{Charge, Hub};
use super::super::journal::{self, Call};
use super::super::knobs::{BadSetting, Setting};
use super::super::machine::{Command, ConfigurationId, EntityId, Reply};
use super::super::operations;
use super::setting::{Checked, Refused};
use crate::twin::document::Object;

/// The routes of configurations.
pub(super) fn router() -> Router<Arc<Hub>> {
    Router::new().route("/configurations/{id}/apply", post(apply))
}

/// Where a configuration is applied, and what it sets there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Target {
    device_id: String,
    module_id: Option<String>,
    desired: Object,
}

impl Setting for Target {
    fn check(&self) -> Result<(), BadSetting> {
        if self.desired.is_empty() {
            return Err(BadSetting::new("desired", "is empty; a configuration sets at least one property"));
        }
        Ok(())
    }
}

/// Answers the twin as it is then.
async fn apply(
    State(hub): State<Arc<Hub>>,
    Path(name): Path<String>,
    Checked(Target { device_id, module_id, desired }): Checked<Target>,
) -> Result<Json<Value>, Refused> {
    let configuration = ConfigurationId::parse(&name)
        .map_err(|refusal| Refused::new(StatusCode::BAD_REQUEST, "id", refusal.to_string()))?;
    let id = EntityId { device: device_id, module: module_id };
    let (subject, body) = (id.to_string(), Value::Object(desired.clone()).to_string());
    let done = carry_out(&hub, Command::Configure { id, configuration, desired }, body.len()).await;
    let (outcome, detail) = match &done {
        Ok(_) => (200, name),
        Err(failure) => (failure.code.status, format!("{name}: {} {}", failure.code.name, failure.message)),
    };
    let detail = journal::detail(&detail);
    let operation = operations::CONFIGURATION_APPLY;
    let call = Call { who: "admin", operation, subject: &subject, outcome, detail: &detail };
    hub.record_with(&call, Some(body).filter(|body| body.len() <= journal::MAX_BODY));
    Ok(Json(done?))
}

async fn carry_out(hub: &Hub, command: Command, bytes: usize) -> Result<Value, Failure> {
    hub.admit(operations::CONFIGURATION_APPLY, Charge::Once).await?;
    let reply = hub.apply(command).await?;
    hub.charge(operations::CONFIGURATION_APPLY, bytes, None);
    Ok(match reply {
        Reply::Document(twin) => twin,
        _ => Value::Null,
    })
}

impl From<Failure> for Refused {
    fn from(Failure { code, message }: Failure) -> Self {
        let field = match code.name {
            "DeviceNotFound" => "deviceId",
            "ModuleNotFound" => "moduleId",
            "ArgumentInvalid" | "DeviceModelMaxPropertiesExceeded" => "desired",
            _ => ".",
        };
        let status = StatusCode::from_u16(code.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, field, format!("{}: {message}", code.name))
    }
}
