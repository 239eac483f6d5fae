//! One connection: reads, asks, writes, and keeps the clocks.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::super::certificate::Thumbprints;
use super::super::hub::Hub;
use super::super::journal::Call;
use super::super::live::{Notice, Ties};
use super::super::operations;
use super::admission::{self, Admitted};
use super::codec::{self, Decoder, Malformed, Packet, Refused};
use super::end::End;
use super::requests::{Device, Next};

/// How long a client may take to say who it is.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to read what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to take part in the end of its connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that are read at once. Every connection has so many: most of what devices send fits, and the rest comes in parts.
const READ_SIZE: usize = 2 * 1024;
/// Answers are sent when there are this many bytes of them, or nothing more to do.
const WRITE_SIZE: usize = 64 * 1024;

/// Serves one client until it goes, misbehaves, is replaced, or `stop` is cancelled. `certificate` is the one that the
/// client showed in the TLS handshake.
pub async fn serve<S>(hub: Arc<Hub>, mut stream: S, certificate: Option<Thumbprints>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut input = Input { decoder: Decoder::new(), buffer: vec![0; READ_SIZE], at: 0, filled: 0 };
    let first = timeout(CONNECT_TIMEOUT, stop.run_until_cancelled(input.first(&mut stream))).await;
    match first {
        Ok(Some(Some(Ok(Packet::Connect(connect))))) => {
            match admission::admit(&hub, &connect, certificate.as_ref()).await {
                Ok(admitted) => converse(&hub, &mut stream, &mut input, admitted, &stop).await,
                Err(refused) => refuse(&mut stream, refused).await,
            }
        }
        Ok(Some(Some(Ok(Packet::OtherVersion)))) => {
            record(&hub, "-", operations::DEVICE_CONNECT, 400, "another version of MQTT");
            refuse(&mut stream, Refused::Version).await;
        }
        Ok(Some(Some(Ok(_)))) => record(&hub, "-", operations::DEVICE_CONNECT, 400, "another packet before CONNECT"),
        Ok(Some(Some(Err(Malformed(why))))) => record(&hub, "-", operations::DEVICE_CONNECT, 400, why),
        // Gone again without a word, or the hub stops.
        Ok(Some(None) | None) => {}
        Err(_) => record(&hub, "-", operations::DEVICE_CONNECT, 408, "no CONNECT in time"),
    }
    // Clients wait for the end of the connection after DISCONNECT, and TLS wants its own goodbye.
    let _ = timeout(CLOSE_TIMEOUT, stream.shutdown()).await;
}

async fn refuse<S: AsyncWrite + Unpin>(stream: &mut S, refused: Refused) {
    // It is refused either way.
    let _ = timeout(WRITE_TIMEOUT, write(stream, &codec::refused(refused))).await;
}

/// Welcomes a client and goes on with it to the end.
async fn converse<S>(hub: &Arc<Hub>, stream: &mut S, input: &mut Input, admitted: Admitted, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Admitted { id, api_version, session, ties, present, silence, expires, will } = admitted;
    let Ties { number, mut notices, cut } = ties;
    let device = Device::new(Arc::clone(hub), id, session, api_version, cut);
    let mut talk = Talk { stream, input, device, out: codec::accepted(present) };
    let end = stop.run_until_cancelled(talk.run(&mut notices, silence, expires)).await.unwrap_or(End::Stopped);
    let id = talk.device.id;
    hub.disconnected(&id, number);
    let subject = id.to_string();
    if will && end.unexpected() {
        record(hub, &subject, operations::DEVICE_MESSAGE, 200, "will");
    }
    let (outcome, detail) = end.outcome();
    record(hub, &subject, operations::DEVICE_DISCONNECT, outcome, detail);
}

/// What a connection wakes up for.
enum Happened {
    /// Something was read.
    Read,
    /// The device has to be told something.
    Notice(Notice),
}

/// A conversation under way.
struct Talk<'c, S> {
    stream: &'c mut S,
    input: &'c mut Input,
    device: Device,
    /// What is to be sent.
    out: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<'_, S> {
    async fn run(&mut self, notices: &mut mpsc::Receiver<Notice>, silence: Duration, expires: Option<i64>) -> End {
        // What came together with the CONNECT waits already.
        if let Err(end) = self.packets().await {
            return end;
        }
        let hub = Arc::clone(&self.device.hub);
        let over = expired(&hub, expires);
        tokio::pin!(over);
        let mut deadline = Instant::now() + silence;
        loop {
            let happened = tokio::select! {
                // A connection that is cut takes nothing more, whatever has come by then.
                biased;
                end = self.device.cut() => return end,
                happened = async {
                    tokio::select! {
                        () = &mut over => Err(End::Expired),
                        read = timeout_at(deadline, self.input.read(self.stream)) => match read {
                            Err(_) => Err(End::Silent),
                            Ok(false) => Err(End::Lost),
                            Ok(true) => Ok(Happened::Read),
                        },
                        Some(notice) = notices.recv() => Ok(Happened::Notice(notice)),
                    }
                } => happened,
            };
            let next = match happened {
                Err(end) => Err(end),
                Ok(Happened::Read) => {
                    deadline = Instant::now() + silence;
                    self.packets().await
                }
                Ok(Happened::Notice(notice)) => match self.device.notice(&notice, &mut self.out).await {
                    Ok(()) => self.flush().await,
                    Err(end) => Err(end),
                },
            };
            if let Err(end) = next {
                return end;
            }
        }
    }

    /// Carries out what has been read, and sends the answers.
    async fn packets(&mut self) -> Result<(), End> {
        loop {
            let carried = match self.input.next() {
                Err(malformed) => Err(malformed.into()),
                Ok(None) => return self.flush().await,
                Ok(Some(packet)) => self.device.packet(packet, &mut self.out).await,
            };
            match carried {
                Ok(Next::Stay) if self.out.len() < WRITE_SIZE => {}
                Ok(Next::Stay) => self.flush().await?,
                Ok(Next::Close) => return self.flush().await.and(Err(End::Left)),
                // What came before it in good order is answered.
                Err(end @ (End::Malformed(_) | End::Refused(_))) => return self.flush().await.and(Err(end)),
                Err(end) => return Err(end),
            }
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        let writing = timeout(WRITE_TIMEOUT, write(self.stream, &self.out));
        let written = tokio::select! {
            end = self.device.cut() => return Err(end),
            written = writing => written,
        };
        // One large answer does not stay with the connection for good.
        self.out = Vec::new();
        match written {
            Err(_) => Err(End::Deaf),
            Ok(Err(_)) => Err(End::Lost),
            Ok(Ok(())) => Ok(()),
        }
    }
}

/// Returns when a token is over by the hub's clock, which may be moved.
async fn expired(hub: &Hub, expires: Option<i64>) {
    let Some(expires) = expires else { return std::future::pending().await };
    let mut clock = hub.clock();
    loop {
        let left = expires.saturating_sub(hub.now().as_second());
        let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) else { return };
        tokio::select! {
            () = sleep(Duration::from_secs(left)) => {}
            _ = clock.changed() => {}
        }
    }
}

/// What was read and not yet taken.
struct Input {
    decoder: Decoder,
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
}

impl Input {
    /// Reads on; whether there was something.
    async fn read<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> bool {
        let Ok(count @ 1..) = stream.read(&mut self.buffer).await else { return false };
        (self.at, self.filled) = (0, count);
        true
    }

    /// The next packet that is complete.
    fn next(&mut self) -> Result<Option<Packet>, Malformed> {
        let mut rest = &self.buffer[self.at..self.filled];
        let packet = self.decoder.next(&mut rest);
        self.at = self.filled - rest.len();
        packet
    }

    /// The first packet; `None` at the end of the stream.
    async fn first<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> Option<Result<Packet, Malformed>> {
        while self.read(stream).await {
            if let Some(packet) = self.next().transpose() {
                return Some(packet);
            }
        }
        None
    }
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> std::io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    stream.write_all(bytes).await?;
    stream.flush().await
}

fn record(hub: &Hub, subject: &str, operation: &str, outcome: u16, detail: &str) {
    hub.record(&Call { who: subject, operation, subject, outcome, detail });
}
