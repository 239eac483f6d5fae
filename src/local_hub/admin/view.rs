//! What the page asks for. These calls are no part of the service API: they are not written down, counted or throttled.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::hub::Hub;
use super::super::machine::stamp::wire_time;
use super::super::machine::{EntityId, Seen, TwinRow};
use super::super::rest::query as pages;
use crate::query::{Row as _, parse_with};

/// Most rows of the list at once.
const MAX_ROWS: usize = 5_000;
/// Rows of a query's page where the page names none.
const QUERY_ROWS: usize = 50;

/// The routes of what the page asks for.
pub(super) fn router() -> Router<Arc<Hub>> {
    Router::new().route("/view/twins", get(twins)).route("/view/twin", get(twin)).route("/view/query", post(query))
}

#[derive(Debug, Deserialize)]
struct List {
    #[serde(default)]
    find: String,
    #[serde(default)]
    rows: usize,
}

#[derive(Debug, Default, Serialize)]
struct Listed {
    now: String,
    /// Twins of devices and modules, found or not.
    total: usize,
    connected: usize,
    /// Whether more are found than there are rows.
    more: bool,
    rows: Vec<Value>,
}

/// Connections are shown as they are, however late back ends see them.
fn seen(hub: &Hub) -> Seen {
    Seen { now: hub.now(), lag: SignedDuration::ZERO }
}

async fn twins(State(hub): State<Arc<Hub>>, Query(List { find, rows }): Query<List>) -> Json<Listed> {
    let (seen, rows, find) = (seen(&hub), rows.clamp(1, MAX_ROWS), find.to_lowercase());
    Json(hub.read(|machine| {
        let mut listed = Listed { now: wire_time(seen.now), ..Listed::default() };
        for (id, twin) in machine.rows(None, seen) {
            listed.total += 1;
            listed.connected += usize::from(twin.is_connected());
            let found = find.is_empty() || id.to_string().to_lowercase().contains(&find);
            if found && listed.rows.len() < rows {
                listed.rows.push(line(id, &twin));
            } else {
                listed.more |= found;
            }
        }
        listed
    }))
}

/// A twin in the list.
fn line(id: &EntityId, twin: &TwinRow<'_>) -> Value {
    let at = |path: &[&str]| twin.at(&path.iter().map(ToString::to_string).collect::<Vec<_>>());
    let mut line = json!({"deviceId": id.device});
    line.as_object_mut()
        .into_iter()
        .for_each(|line| line.extend(id.module.iter().map(|id| ("moduleId".into(), json!(id)))));
    for name in ["connectionState", "status", "lastActivityTime"] {
        line[name] = json!(at(&[name]));
    }
    line["desiredVersion"] = json!(at(&["properties", "desired", "$version"]));
    line["reportedVersion"] = json!(at(&["properties", "reported", "$version"]));
    line
}

#[derive(Debug, Deserialize)]
struct One {
    device: String,
    module: Option<String>,
}

async fn twin(State(hub): State<Arc<Hub>>, Query(One { device, module }): Query<One>) -> Response {
    let (seen, id) = (seen(&hub), EntityId { device, module });
    match hub.read(|machine| machine.row(&id, seen).map(|row| row.whole())) {
        Some(twin) => Json(json!({"now": wire_time(seen.now), "twin": twin})).into_response(),
        None => refusal(
            StatusCode::NOT_FOUND,
            json!({"message": format!("The hub holds no twin of {id}. It may have been deleted.")}),
        ),
    }
}

fn refusal(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}

#[derive(Debug, Deserialize)]
struct Asked {
    query: String,
    rows: Option<usize>,
    token: Option<String>,
}

/// The same answer that a back end gets, and for a mistake also its place.
async fn query(State(hub): State<Arc<Hub>>, Json(Asked { query, rows, token }): Json<Asked>) -> Response {
    let grant = pages::Grant::of(&hub.knobs());
    let parsed = match parse_with(&query, grant.functions) {
        Ok(parsed) => parsed,
        Err(error) => {
            let body = json!({"message": error.to_string(), "line": error.line, "column": error.column});
            return refusal(StatusCode::BAD_REQUEST, body);
        }
    };
    let rows = Some(rows.unwrap_or(QUERY_ROWS));
    let page = pages::Ask::new(&query, parsed, rows, token.as_deref(), grant)
        .and_then(|ask| hub.rows(|machine, seen| pages::run(&ask, machine, seen)));
    match page {
        Ok(pages::Page { rows, next, item_type }) => {
            Json(json!({"rows": rows, "next": next, "itemType": item_type})).into_response()
        }
        Err(failure) => refusal(StatusCode::BAD_REQUEST, json!({"message": failure.message})),
    }
}
