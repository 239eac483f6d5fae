//! The service API over HTTPS: routes to operations, and one way through all of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use axum::handler::Handler;
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use http::{HeaderMap, Method};

use self::operation::Operation;
use super::hub::Hub;

mod answer;
mod body;
mod bulk;
mod handle;
mod operation;
mod query;
mod version;
mod websocket;

pub(super) use self::version::{arrays_of, known as known_version};

/// The routes of the service API.
pub fn router(hub: Arc<Hub>) -> Router {
    use Operation::{
        BulkIdentities, DeleteIdentity, GetIdentity, GetTwin, ListDevices, ListModules, PatchTwin, PutIdentity, Query,
        ReplaceTwin, ServiceStatistics, Statistics,
    };
    let identity = || get(GetIdentity).merge(put(PutIdentity)).merge(delete(DeleteIdentity));
    let twin = || get(GetTwin).merge(patch(PatchTwin).post(PatchTwin)).merge(put(ReplaceTwin));
    let devices = || -> MethodRouter<Arc<Hub>> { get(ListDevices).merge(post(BulkIdentities)) };
    let websockets =
        websocket::PATHS.into_iter().fold(Router::new(), |router, path| router.route(path, get(websocket::upgrade)));
    websockets
        .route("/devices", devices())
        // The Node SDK lists with a slash at the end.
        .route("/devices/", devices())
        .route("/devices/query", post(Query))
        .route("/devices/{id}", identity())
        .route("/devices/{id}/modules", get(ListModules))
        .route("/devices/{id}/modules/", get(ListModules))
        .route("/devices/{id}/modules/{mid}", identity())
        .route("/twins/{id}", twin())
        .route("/twins/{id}/modules/{mid}", twin())
        .route("/statistics/devices", get(Statistics))
        .route("/statistics/service", get(ServiceStatistics))
        .fallback(Operation::Unknown)
        .method_not_allowed_fallback(Operation::WrongMethod)
        .with_state(hub)
}

/// An operation is the handler of its routes.
impl Handler<(), Arc<Hub>> for Operation {
    type Future = Pin<Box<dyn Future<Output = Response> + Send>>;

    fn call(self, request: Request, hub: Arc<Hub>) -> Self::Future {
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            // Paths without parameters have none to extract.
            let params = RawPathParams::from_request_parts(&mut head, &hub).await.ok();
            handle::handle(&hub, self.really(&head.method, &head.headers), params.as_ref(), head, body).await
        })
    }
}

impl Operation {
    /// Java's HTTP library knows no PATCH: its SDK sends POST, and names the method that it means in a header.
    fn really(self, method: &Method, headers: &HeaderMap) -> Self {
        let meant = headers.get("x-http-method-override").is_some_and(|value| value == Method::PATCH.as_str());
        if self == Self::PatchTwin && method == Method::POST && !meant { Self::WrongMethod } else { self }
    }
}

#[cfg(test)]
mod tests;
