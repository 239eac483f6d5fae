//! One connection: reads, asks, writes, and keeps the clocks.

use std::sync::Arc;
use std::time::Duration;

use mqtt_protocol_core::mqtt::packet::v3_1_1::Connect;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::super::auth;
use super::super::code::Failure;
use super::super::hub::{Hub, Notice};
use super::super::journal::Call;
use super::super::machine::Reply;
use super::super::operations;
use super::codec::{self, Decoder, Packet, Refused};
use super::login::Login;
use super::requests::{Device, Next};

/// How long a client may take to say who it is.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take to read what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest silence the hub allows, also to clients that set no keep-alive.
const MAX_SILENCE: Duration = Duration::from_secs(1767);
/// Bytes that are read at once.
const READ_SIZE: usize = 8 * 1024;

/// Serves one client until it goes, misbehaves, is replaced, or `stop` is cancelled.
pub async fn serve<S>(hub: Arc<Hub>, mut stream: S, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut decoder = Decoder::new();
    let first = timeout(CONNECT_TIMEOUT, stop.run_until_cancelled(first_packets(&mut stream, &mut decoder))).await;
    let Ok(Some(Some(mut packets))) = first else { return };
    let accepted = match packets.next() {
        Some(Packet::Connect(connect)) => admit(&hub, &connect).await,
        Some(Packet::OtherVersion) => Err(Refused::Version),
        _ => return,
    };
    match accepted {
        Err(refused) => {
            let _ = write(&mut stream, &codec::connack(Err(refused))).await;
        }
        Ok(mut admitted) => {
            let mut out = codec::connack(Ok(admitted.present));
            let mut going = true;
            for packet in packets {
                going = going && matches!(admitted.device.packet(packet, &mut out).await, Ok(Next::Stay));
            }
            if write(&mut stream, &out).await && going {
                let _ = stop.run_until_cancelled(converse(&mut stream, &mut decoder, &mut admitted)).await;
            }
            let Admitted { device, number, .. } = admitted;
            hub.disconnected(&device.id, number);
            record(&hub, &device.id.to_string(), "device.disconnect", 200, "");
        }
    }
    // Clients wait for the end of the connection after DISCONNECT, and TLS wants its own goodbye.
    let _ = timeout(WRITE_TIMEOUT, stream.shutdown()).await;
}

/// A client that was let in.
struct Admitted {
    device: Device,
    number: u64,
    notices: mpsc::Receiver<Notice>,
    present: bool,
    silence: Duration,
    token_ends: Option<Instant>,
}

async fn first_packets<S: AsyncRead + Unpin>(
    stream: &mut S,
    decoder: &mut Decoder,
) -> Option<std::vec::IntoIter<Packet>> {
    let mut buffer = [0; READ_SIZE];
    loop {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        let packets = decoder.feed(&buffer[..count]).ok()?;
        if !packets.is_empty() {
            return Some(packets.into_iter());
        }
    }
}

async fn admit(hub: &Arc<Hub>, connect: &Connect) -> Result<Admitted, Refused> {
    let result = check(hub, connect).await;
    let (outcome, detail) = match &result {
        Ok(_) => (200, String::new()),
        Err((_, detail)) => (401, detail.clone()),
    };
    record(hub, connect.client_id(), "device.connect", outcome, &detail);
    result.map_err(|(refused, _)| refused)
}

async fn check(hub: &Arc<Hub>, connect: &Connect) -> Result<Admitted, (Refused, String)> {
    let no = |why: &str| (Refused::NotAuthorized, why.to_owned());
    let user_name = connect.user_name().unwrap_or("");
    let login = Login::parse(connect.client_id(), user_name).ok_or_else(|| no("client id or user name"))?;
    if hub.knobs().lacks(operations::DEVICE_CONNECT) {
        return Err(no("switched off"));
    }
    if !hub.names.contains(&login.host) {
        return Err(no("another host"));
    }
    let identity = hub.identity(&login.id).ok_or_else(|| no("no such identity"))?;
    let token = connect.password().and_then(|password| std::str::from_utf8(password).ok()).unwrap_or("");
    let now = hub.now().as_second();
    let expires = auth::device(token, &hub.names, &hub.policies, &login.id, &identity, now)
        .map_err(|denied| no(&denied.to_string()))?;
    let Login { id, api_version, model, .. } = login;
    let clean = connect.clean_session();
    let (reply, number, notices) = hub.connect(id.clone(), clean, model).await.map_err(|failure| {
        let Failure { code, message } = failure;
        let refused = if code.status >= 500 { Refused::Unavailable } else { Refused::NotAuthorized };
        (refused, format!("{} {message}", code.name))
    })?;
    let Reply::Session { present, session } = reply else { return Err(no("no session")) };
    let left = u64::try_from(expires.saturating_sub(now)).unwrap_or(0);
    Ok(Admitted {
        device: Device::new(Arc::clone(hub), id, session, api_version),
        number,
        notices,
        present,
        silence: silence(connect.keep_alive()),
        // Tokens that outlive the monotonic clock never end.
        token_ends: Instant::now().checked_add(Duration::from_secs(left)),
    })
}

/// One and a half keep-alives, as MQTT has it.
fn silence(keep_alive: u16) -> Duration {
    match keep_alive {
        0 => MAX_SILENCE,
        seconds => Duration::from_millis(u64::from(seconds) * 1500).min(MAX_SILENCE),
    }
}

/// Goes on until the client goes, misbehaves, falls silent, is replaced, or its token ends.
async fn converse<S>(stream: &mut S, decoder: &mut Decoder, admitted: &mut Admitted)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = [0; READ_SIZE];
    let mut deadline = Instant::now() + admitted.silence;
    let far = Instant::now() + MAX_SILENCE * 1000;
    loop {
        let mut out = Vec::new();
        let next = tokio::select! {
            read = timeout_at(deadline, stream.read(&mut buffer)) => {
                let Ok(Ok(count @ 1..)) = read else { return };
                deadline = Instant::now() + admitted.silence;
                let Ok(packets) = decoder.feed(&buffer[..count]) else { return };
                take(&mut admitted.device, packets, &mut out).await
            }
            notice = admitted.notices.recv() => {
                // The hub dropped its end: another connection took over, or the identity went.
                let Some(notice) = notice else { return };
                admitted.device.notice(&notice, &mut out).map_or(Next::Close, |()| Next::Stay)
            }
            () = tokio::time::sleep_until(admitted.token_ends.unwrap_or(far)) => return,
        };
        if !write(stream, &out).await || next == Next::Close {
            return;
        }
    }
}

async fn take(device: &mut Device, packets: Vec<Packet>, out: &mut Vec<u8>) -> Next {
    for packet in packets {
        match device.packet(packet, out).await {
            Ok(Next::Stay) => {}
            Ok(Next::Close) => return Next::Close,
            Err(malformed) => {
                tracing::debug!(device = %device.id, %malformed, "connection dropped");
                return Next::Close;
            }
        }
    }
    Next::Stay
}

async fn write<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> bool {
    let writing = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    matches!(timeout(WRITE_TIMEOUT, writing).await, Ok(Ok(())))
}

fn record(hub: &Hub, subject: &str, operation: &str, outcome: u16, detail: &str) {
    hub.record(&Call { who: subject, operation, subject, outcome, detail });
}
