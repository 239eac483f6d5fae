//! Knobs, faults, limits and snapshots over the admin port.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::hub::{Hub, SnapshotError};
use super::super::journal::Call;
use super::super::knobs::{self, BadSetting, Fault, Knobs, Setting};
use super::super::operations;
use super::setting::{Checked, Refused, json_body};
use crate::twin::merge::merge_patch;

/// The routes of what can be set.
pub(super) fn router() -> Router<Arc<Hub>> {
    Router::new()
        .route("/knobs", get(knobs).put(set_knobs).patch(change_knobs))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/limits", get(limits))
        .route("/snapshots", get(snapshots))
        .route("/snapshots/{name}", put(take_snapshot).delete(delete_snapshot))
        .route("/failover", post(fail_over))
}

async fn knobs(State(hub): State<Arc<Hub>>) -> Json<Knobs> {
    Json(hub.knobs().clone())
}

async fn set_knobs(State(hub): State<Arc<Hub>>, Checked(new): Checked<Knobs>) -> Json<Knobs> {
    hub.set_knobs(new.clone());
    Json(new)
}

/// Changes what is given, and leaves the rest: a merge patch, `null` for the default.
async fn change_knobs(State(hub): State<Arc<Hub>>, request: Request) -> Result<Json<Knobs>, Refused> {
    let body = json_body(request).await?;
    let patch: Value =
        serde_json::from_slice(&body).map_err(|error| BadSetting::new(".", format!("no JSON: {error}")))?;
    let Value::Object(patch) = patch else { return Err(BadSetting::new(".", "not a JSON object").into()) };
    let current = hub.knobs().clone();
    let Ok(Value::Object(mut all)) = serde_json::to_value(current) else {
        return Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, ".", "knobs are no object"));
    };
    merge_patch(&mut all, &patch);
    let new: Knobs = knobs::read(Value::Object(all).to_string().as_bytes())?;
    hub.set_knobs(new.clone());
    Ok(Json(new))
}

async fn faults(State(hub): State<Arc<Hub>>) -> Json<Vec<Fault>> {
    Json(hub.faults().waiting().to_vec())
}

async fn add_fault(State(hub): State<Arc<Hub>>, Checked(fault): Checked<Fault>) -> Result<Json<Vec<Fault>>, Refused> {
    let mut faults = hub.faults();
    if !faults.add(fault) {
        let problem = format!("{} faults wait already; DELETE /faults forgets them", knobs::MAX_FAULTS);
        return Err(BadSetting::new(".", problem).into());
    }
    Ok(Json(faults.waiting().to_vec()))
}

async fn clear_faults(State(hub): State<Arc<Hub>>) -> Json<Vec<Fault>> {
    hub.faults().clear();
    Json(Vec::new())
}

async fn limits(State(hub): State<Arc<Hub>>) -> Json<Value> {
    Json(json!(hub.gauges()))
}

async fn snapshots(State(hub): State<Arc<Hub>>) -> Json<Value> {
    Json(json!(hub.snapshots()))
}

async fn take_snapshot(State(hub): State<Arc<Hub>>, Path(name): Path<String>) -> Result<Json<Value>, Refused> {
    Ok(Json(json!(hub.take_snapshot(&name)?)))
}

async fn delete_snapshot(State(hub): State<Arc<Hub>>, Path(name): Path<String>) -> Result<Json<Value>, Refused> {
    hub.delete_snapshot(&name)?;
    Ok(Json(json!(hub.snapshots())))
}

/// Which snapshot to go back to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Failover {
    snapshot: String,
}

impl Setting for Failover {
    fn check(&self) -> Result<(), BadSetting> {
        Ok(())
    }
}

async fn fail_over(
    State(hub): State<Arc<Hub>>,
    Checked(Failover { snapshot }): Checked<Failover>,
) -> Result<Json<Value>, Refused> {
    let done = hub.fail_over(&snapshot).await;
    let outcome = if done.is_ok() { 200 } else { 404 };
    let operation = operations::FAILOVER;
    hub.record(&Call { who: "admin", operation, subject: &snapshot, outcome, detail: "" });
    Ok(Json(json!(done?)))
}

impl From<SnapshotError> for Refused {
    fn from(error: SnapshotError) -> Self {
        let status = match error {
            SnapshotError::Name | SnapshotError::TooMany => StatusCode::BAD_REQUEST,
            SnapshotError::Unknown => StatusCode::NOT_FOUND,
            SnapshotError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, "snapshot", error.to_string())
    }
}
