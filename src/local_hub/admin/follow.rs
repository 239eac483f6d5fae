//! The log as it grows, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures::{Stream, StreamExt as _, stream};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::super::hub::Hub;
use super::super::journal::Filter;

/// Most streams at a time.
const MAX_STREAMS: usize = 32;
/// Most entries that are taken from the log at once. A reader that is slower than the log misses what the log forgets.
const BATCH: usize = 200;
/// Most entries from before its start that a stream begins with.
const MAX_BACK: u64 = 1_000;
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Who follows, until when.
#[derive(Clone)]
struct Streams {
    hub: Arc<Hub>,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
}

/// The route of the stream. Streams end when `stop` is cancelled.
pub(super) fn router(hub: Arc<Hub>, stop: CancellationToken) -> Router {
    let streams = Streams { hub, permits: Arc::new(Semaphore::new(MAX_STREAMS)), stop };
    Router::new().route("/view/events", get(events)).with_state(streams)
}

#[derive(Debug, Deserialize)]
struct Back {
    #[serde(default)]
    back: u64,
}

/// A browser whose stream was interrupted says which entry it saw last.
async fn events(State(streams): State<Streams>, Query(Back { back }): Query<Back>, headers: HeaderMap) -> Response {
    let Streams { hub, permits, stop } = streams;
    let Ok(permit) = permits.try_acquire_owned() else {
        let told = serde_json::json!({"message": format!("{MAX_STREAMS} pages follow already; close one")});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(told)).into_response();
    };
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let last = *hub.journal().watch().borrow();
    // A number from before a restart says nothing about this log.
    let since = seen.filter(|seen| *seen <= last).unwrap_or_else(|| last.saturating_sub(back.min(MAX_BACK)));
    let stream = entries(hub, since, permit).take_until(stop.cancelled_owned());
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

/// The entries after `since`, in batches as they come. Nothing is kept for a reader but its place in the log.
fn entries(hub: Arc<Hub>, since: u64, permit: OwnedSemaphorePermit) -> impl Stream<Item = Result<Event, Infallible>> {
    let changed = hub.journal().watch();
    stream::unfold((hub, changed, since, permit), |(hub, mut changed, since, permit)| async move {
        // Also true at once when something came meanwhile. The hub holds the sender as long as it lives.
        changed.wait_for(|last| *last > since).await.ok()?;
        let batch = hub.journal().find(&Filter { since, limit: Some(BATCH), ..Filter::default() });
        let since = batch.last().map_or(since, |entry| entry.seq);
        let events = batch.into_iter().map(|entry| {
            Ok(Event::default()
                .event("entry")
                .id(entry.seq.to_string())
                .json_data(entry)
                .unwrap_or_else(|_| Event::default()))
        });
        Some((stream::iter(events.collect::<Vec<_>>()), (hub, changed, since, permit)))
    })
    .flatten()
}
