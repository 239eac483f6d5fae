//! The admin server: plain HTTP on loopback, for tests and for the curious.
//!
//! | call | does |
//! | --- | --- |
//! | `GET /counters` | calls since the start, by operation (`twin.get`) and by operation and status (`twin.get.200`) |
//! | `GET /events?since=SEQ` | the log of calls and changes after an entry, oldest first |
//! | `GET`, `PUT /knobs` | settings that hold until they are changed |
//! | `GET`, `POST`, `DELETE /faults` | faults that wait for their calls |

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use self::setting::Checked;
use super::hub::Hub;
use super::journal::Entry;
use super::knobs::{Fault, Knobs};

mod setting;

/// The routes of the admin server.
pub(super) fn router(hub: Arc<Hub>) -> Router {
    Router::new()
        .route("/counters", get(counters))
        .route("/events", get(events))
        .route("/knobs", get(knobs).put(set_knobs))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .with_state(hub)
}

async fn counters(State(hub): State<Arc<Hub>>) -> Json<BTreeMap<String, u64>> {
    Json(hub.journal().counters().clone())
}

#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn events(State(hub): State<Arc<Hub>>, Query(Since { since }): Query<Since>) -> Json<Vec<Entry>> {
    Json(hub.journal().since(since))
}

async fn knobs(State(hub): State<Arc<Hub>>) -> Json<Knobs> {
    Json(hub.knobs().clone())
}

async fn set_knobs(State(hub): State<Arc<Hub>>, Checked(new): Checked<Knobs>) -> Json<Knobs> {
    hub.set_knobs(new.clone());
    Json(new)
}

async fn faults(State(hub): State<Arc<Hub>>) -> Json<Vec<Fault>> {
    Json(hub.faults().waiting().to_vec())
}

async fn add_fault(State(hub): State<Arc<Hub>>, Checked(fault): Checked<Fault>) -> Json<Vec<Fault>> {
    let mut faults = hub.faults();
    faults.add(fault);
    Json(faults.waiting().to_vec())
}

async fn clear_faults(State(hub): State<Arc<Hub>>) -> Json<Vec<Fault>> {
    hub.faults().clear();
    Json(Vec::new())
}
