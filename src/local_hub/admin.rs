//! The admin server: plain HTTP on loopback, for tests and for the curious.
//!
//! | call | does |
//! | --- | --- |
//! | `GET /` | a page that shows twins, queries and the log |
//! | `GET /counters` | calls since the start, by operation (`twin.get`) and by operation and status (`twin.get.200`) |
//! | `GET /events?since=SEQ&…` | the log of calls and changes after an entry, oldest first |
//! | `GET`, `PUT`, `PATCH /knobs` | settings that hold until they are changed |
//! | `GET`, `POST`, `DELETE /faults` | faults that wait for their calls |
//! | `POST /configurations/ID/apply` | writes desired properties as an automatic configuration does |
//! | `GET /limits` | how full the limits of the tier are |
//! | `GET /snapshots`, `PUT`, `DELETE /snapshots/NAME`, `POST /failover` | older states, and the way back to them |

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::routing::get;
use axum::{Json, Router, middleware};
use tokio_util::sync::CancellationToken;

use self::setting::Refused;
use super::hub::Hub;
use super::journal::{Entry, Filter};

mod configurations;
mod follow;
mod guard;
mod page;
mod setting;
mod settings;
#[cfg(test)]
mod tests;
mod view;

/// The routes of the admin server. What goes on for ever ends when `stop` is cancelled.
pub(super) fn router(hub: Arc<Hub>, stop: CancellationToken) -> Router {
    Router::new()
        .merge(page::router())
        .merge(view::router())
        .route("/counters", get(counters))
        .route("/events", get(events))
        .merge(settings::router())
        .merge(configurations::router())
        .with_state(Arc::clone(&hub))
        .merge(follow::router(hub, stop))
        .layer(middleware::from_fn(guard::guard))
}

async fn counters(State(hub): State<Arc<Hub>>) -> Json<BTreeMap<String, u64>> {
    Json(hub.journal().counters().clone())
}

async fn events(State(hub): State<Arc<Hub>>, RawQuery(query): RawQuery) -> Result<Json<Vec<Entry>>, Refused> {
    let wanted = Filter::parse(query.as_deref().unwrap_or(""))?;
    Ok(Json(hub.journal().find(&wanted)))
}
