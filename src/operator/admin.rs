//! `/healthz`, `/readyz`, `/metrics`.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::controller::Context;

type Ready = Arc<OnceLock<Arc<Context>>>;

pub(super) async fn serve(listener: TcpListener, ready: Ready, shutdown: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(ready);
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

async fn readyz(State(ready): State<Ready>) -> impl IntoResponse {
    match ready.get() {
        Some(_) => (StatusCode::OK, "ok"),
        None => (StatusCode::SERVICE_UNAVAILABLE, "not every kind of hubtwin.dev was listed yet"),
    }
}

async fn metrics(State(ready): State<Ready>) -> impl IntoResponse {
    let text = ready.get().map_or_else(|| "# EOF\n".to_owned(), |context| context.metrics.text());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
