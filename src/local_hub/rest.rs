//! The service API over HTTPS: routes to operations, and one way through all of them.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;

use super::hub::Hub;

mod answer;
mod body;
mod bulk;
mod handle;
mod operation;
pub(super) mod query;
mod route;
mod spoil;
mod version;
mod websocket;

pub(super) use self::version::{arrays_of, known as known_version};

/// Everything that the port of the service API answers.
pub fn router(hub: Arc<Hub>) -> Router {
    let websockets =
        websocket::PATHS.into_iter().fold(Router::new(), |router, path| router.route(path, get(websocket::upgrade)));
    websockets.fallback(answer).with_state(hub)
}

async fn answer(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    handle::handle(&hub, request).await
}

#[cfg(test)]
mod tests;
