//! HTTP 1.1 on one TLS stream.

use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::serve::Stream;

/// How long a client may take for the headers of a request; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(120);

/// In a request's extensions: cancelled, it cuts the connection that the request came on.
#[derive(Clone, Debug)]
pub(super) struct Cut(pub(super) CancellationToken);

/// Serves one connection until it ends, or `stop` is cancelled and the call under way is answered.
pub(super) async fn serve(router: Router, stream: Stream, stop: CancellationToken) {
    let cut = CancellationToken::new();
    let marked = Cut(cut.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(marked.clone());
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cut.cancelled() => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection");
    }
}
