//! The TLS accept loop: bounded in connections and in the time of a handshake.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::certificate::Thumbprints;

/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A pause after a failed accept, which is most often a lack of file descriptors: it does not get better at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A stream with TLS.
pub type Stream = TlsStream<TcpStream>;

/// The certificate that the client showed in the handshake, where it did.
#[must_use]
pub fn certificate_of(stream: &Stream) -> Option<Thumbprints> {
    let (_, tls) = stream.get_ref();
    tls.peer_certificates()?.first().map(|certificate| Thumbprints::of(certificate))
}

/// Accepts until `stop` is cancelled, at most `connections` at a time, and hands each stream to `each`, which ends soon
/// after `stop` is cancelled. Returns when the last one has ended.
pub async fn accept<F, Fut>(
    listener: TcpListener,
    tls: TlsAcceptor,
    connections: usize,
    stop: CancellationToken,
    each: F,
) where
    F: Fn(Stream, CancellationToken) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let permits = Arc::new(Semaphore::new(connections));
    let tasks = TaskTracker::new();
    while let Some(Ok(permit)) = stop.run_until_cancelled(Arc::clone(&permits).acquire_owned()).await {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, stop, each) = (tls.clone(), stop.clone(), each.clone());
        tasks.spawn(async move {
            let _permit = permit;
            if let Some(stream) = handshake(&tls, stream, &stop).await {
                each(stream, stop).await;
            }
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn handshake(tls: &TlsAcceptor, stream: TcpStream, stop: &CancellationToken) -> Option<Stream> {
    // Answers are small; waiting to fill a segment only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "set TCP_NODELAY");
    }
    let shaking = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream));
    match stop.run_until_cancelled(shaking).await? {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
            if let Some(rustls::Error::InvalidCertificate(cause)) = cause {
                // Nothing else tells why: the client hears of an alert, and the log begins behind the handshake.
                tracing::warn!(?cause, "a client's certificate cannot be used; it has to be X.509 version 3");
            } else {
                tracing::debug!(%error, "TLS handshake");
            }
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::io::AsyncReadExt as _;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    use super::super::tls::Authority;
    use super::*;

    /// An accept loop with room for so many; where it is, what it accepts, and what ends it when it is dropped.
    async fn accepting(room: usize) -> (SocketAddr, mpsc::UnboundedReceiver<Stream>, tokio_util::sync::DropGuard) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = Authority::generate().unwrap().server_config(&["localhost".to_owned()]).unwrap();
        let (accepted, streams) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let each = move |stream: Stream, stop: CancellationToken| {
            let accepted = accepted.clone();
            async move {
                let _ = accepted.send(stream);
                stop.cancelled().await;
            }
        };
        tokio::spawn(accept(listener, tls.into(), room, stop.clone(), each));
        (address, streams, stop.drop_guard())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_shake_hands_is_dropped_after_10_seconds() {
        let (address, mut streams, _stop) = accepting(8).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let start = Instant::now();
        assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);
        assert!((10..12).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        assert!(streams.try_recv().is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_beyond_the_limit_wait_for_their_turn() {
        let (address, _streams, _stop) = accepting(2).await;
        let mut held = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
        let mut third = TcpStream::connect(address).await.unwrap();
        let start = Instant::now();
        // The first two are given up after 10 seconds; only then is the third looked at.
        assert_eq!(third.read(&mut [0; 8]).await.unwrap(), 0);
        assert!((20..22).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
        for stream in &mut held {
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
        }
    }
}
