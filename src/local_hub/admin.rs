//! The admin server: plain HTTP on loopback, for tests and for the curious.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use super::hub::Hub;
use super::journal::Entry;

/// The routes of the admin server.
pub(super) fn router(hub: Arc<Hub>) -> Router {
    Router::new().route("/counters", get(counters)).route("/events", get(events)).with_state(hub)
}

/// Calls since the start: by operation (`twin.get`) and by operation and status (`twin.get.200`).
async fn counters(State(hub): State<Arc<Hub>>) -> Json<BTreeMap<String, u64>> {
    Json(hub.journal().counters().clone())
}

#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

/// The log after entry `since`, oldest first.
async fn events(State(hub): State<Arc<Hub>>, Query(Since { since }): Query<Since>) -> Json<Vec<Entry>> {
    Json(hub.journal().since(since))
}
