//! HTTP 1.1 on one TLS stream, and what such a connection may become.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::certificate::Thumbprints;
use super::patience::Patience;
use super::serve::{Stream, certificate_of};

/// How long a client may take for the headers of a request; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a client may take nothing of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a hub that stops waits for a call under way, which may wait for its turn or for the end of a fault.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest head of a request, in bytes; a larger one is answered 431.
const MAX_HEAD: usize = 64 * 1024;

/// In a request's extensions: cancelled, it cuts the connection that the request came on.
#[derive(Clone, Debug)]
pub(super) struct Cut(pub(super) CancellationToken);

type Next = Pin<Box<dyn Future<Output = ()> + Send>>;

/// In a request's extensions: the connection that it came on, for a request that makes something else of it.
#[derive(Clone)]
pub(super) struct Connection {
    certificate: Option<Thumbprints>,
    stop: CancellationToken,
    next: Arc<Mutex<Option<Next>>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Connection {
    /// Says how the connection goes on when HTTP is through with it. It stays the same connection: it counts as one, and
    /// the hub waits for it when it stops. `next` is given the client's certificate and the call to stop.
    pub(super) fn go_on<F>(&self, next: impl FnOnce(Option<Thumbprints>, CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let next = next(self.certificate.clone(), self.stop.clone());
        *self.slot() = Some(Box::pin(next));
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Next>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one connection until it ends, or `stop` is cancelled and the call under way is answered.
pub(super) async fn serve(router: Router, stream: Stream, stop: CancellationToken) {
    let certificate = certificate_of(&stream);
    let connection = Connection { certificate, stop: stop.clone(), next: Arc::default() };
    // What HTTP needs is given back before the connection goes on as something else.
    Box::pin(http(router, stream, stop, connection.clone())).await;
    let next = connection.slot().take();
    if let Some(next) = next {
        next.await;
    }
}

async fn http(router: Router, stream: Stream, stop: CancellationToken, this: Connection) {
    let cut = CancellationToken::new();
    let marked = Cut(cut.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(marked.clone());
        request.extensions_mut().insert(this.clone());
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(Patience::new(stream, WRITE_TIMEOUT)), service)
        .with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = cut.cancelled() => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let Ok(ended) = tokio::time::timeout(STOP_TIMEOUT, connection).await else { return };
            ended
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection");
    }
}
