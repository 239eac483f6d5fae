//! Whether a client is let in, and with which answer.

use std::time::Duration;

use mqtt_protocol_core::mqtt::packet::v3_1_1::Connect;

use super::super::auth::{self, Denied, Shown};
use super::super::certificate::Thumbprints;
use super::super::code::Failure;
use super::super::hub::{Charge, Hub};
use super::super::journal::Call;
use super::super::knobs::Effect;
use super::super::live::Ties;
use super::super::machine::{EntityId, Reply, Session};
use super::super::operations::DEVICE_CONNECT;
use super::super::rest;
use super::codec::Refused;
use super::login::{Login, LoginError};

/// The longest silence the hub allows, also to clients that set no keep-alive: the idle limit of the service's load
/// balancer.
const MAX_SILENCE: Duration = Duration::from_secs(1767);

/// A client that was let in.
pub(super) struct Admitted {
    pub(super) id: EntityId,
    pub(super) api_version: Option<String>,
    /// Its subscriptions.
    pub(super) session: Session,
    pub(super) ties: Ties,
    /// Whether its session was there before.
    pub(super) present: bool,
    /// How long it may say nothing.
    pub(super) silence: Duration,
    /// When its token ends, in seconds since 1970.
    pub(super) expires: Option<i64>,
    /// Whether it left a will.
    pub(super) will: bool,
}

/// A refusal, and what the log says of it.
type No = (Refused, String);

/// Judges a CONNECT and writes it down.
pub(super) async fn admit(
    hub: &Hub,
    connect: &Connect,
    certificate: Option<&Thumbprints>,
) -> Result<Admitted, Refused> {
    let effect = hub.strike(DEVICE_CONNECT, connect.client_id()).await;
    let result = match effect.as_ref().and_then(Effect::instead) {
        Some(failure) if effect == Some(Effect::CutBefore) => Err((Refused::Silently, failure.message)),
        Some(failure) => Err((for_status(failure.code.status), failure.message)),
        None => check(hub, connect, certificate).await,
    };
    let (outcome, detail) = match &result {
        Ok(_) => (200, ""),
        Err((refused, detail)) => (status(*refused), detail.as_str()),
    };
    let subject = connect.client_id();
    hub.record(&Call { who: subject, operation: DEVICE_CONNECT, subject, outcome, detail });
    match (result, effect) {
        (Ok(admitted), Some(Effect::CutAfter)) => {
            hub.disconnected(&admitted.id, admitted.ties.number);
            Err(Refused::Silently)
        }
        (result, _) => result.map_err(|(refused, _)| refused),
    }
}

/// How a status that a fault asks for is told to a client that connects.
fn for_status(status: u16) -> Refused {
    if (400..429).contains(&status) { Refused::NotAuthorized } else { Refused::Unavailable }
}

/// The status in the log.
fn status(refused: Refused) -> u16 {
    match refused {
        Refused::Version | Refused::Identifier | Refused::Form => 400,
        Refused::NotAuthorized => 401,
        Refused::Unavailable => 503,
        Refused::Silently => 499,
    }
}

async fn check(hub: &Hub, connect: &Connect, certificate: Option<&Thumbprints>) -> Result<Admitted, No> {
    let no = |refused, why: &str| (refused, why.to_owned());
    if hub.knobs().lacks(DEVICE_CONNECT) {
        return Err(no(Refused::Silently, "switched off"));
    }
    let login = Login::parse(connect.client_id(), connect.user_name().unwrap_or("")).map_err(|error| match error {
        LoginError::ClientId => no(Refused::Identifier, "the client id is not DEVICE or DEVICE/MODULE"),
        LoginError::UserName => no(Refused::Form, "the user name is not HOST/CLIENT-ID/?api-version=VERSION"),
    })?;
    if login.api_version.as_deref().is_some_and(|version| !rest::known_version(version)) {
        return Err(no(Refused::Form, "unknown api-version"));
    }
    if !hub.names.contains(&login.host) {
        return Err(no(Refused::NotAuthorized, "another host"));
    }
    let identity = hub.identity(&login.id).ok_or_else(|| no(Refused::NotAuthorized, "no such identity"))?;
    let token = std::str::from_utf8(connect.password().unwrap_or_default());
    let token = token.map_err(|_| no(Refused::Form, "the password is not text"))?;
    let (shown, now) = (Shown { token, certificate }, hub.now().as_second());
    let (proof, expires) =
        auth::device(shown, &hub.names, &hub.policies, &login.id, &identity, now).map_err(|denied| {
            let refused = if denied == Denied::Malformed { Refused::Form } else { Refused::NotAuthorized };
            no(refused, &denied.to_string())
        })?;
    let Login { id, api_version, model, .. } = login;
    hub.admit(DEVICE_CONNECT, Charge::Once).await.map_err(|Failure { code, message }| {
        // There is no other answer for "later".
        (Refused::Unavailable, format!("{} {message}", code.name))
    })?;
    let connected = hub.connect(id.clone(), proof, connect.clean_session(), model).await;
    let (reply, ties) = connected.map_err(|Failure { code, message }| {
        let refused = if code.status >= 500 { Refused::Unavailable } else { Refused::NotAuthorized };
        (refused, format!("{} {message}", code.name))
    })?;
    let Reply::Session { present, session } = reply else { return Err(no(Refused::Unavailable, "no session")) };
    Ok(Admitted {
        id,
        api_version,
        session,
        ties,
        present,
        silence: silence(connect.keep_alive()),
        expires,
        will: connect.will_flag(),
    })
}

/// One and a half keep-alives, as MQTT has it.
fn silence(keep_alive: u16) -> Duration {
    match keep_alive {
        0 => MAX_SILENCE,
        seconds => Duration::from_millis(u64::from(seconds) * 1500).min(MAX_SILENCE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_one_and_a_half_keep_alives_up_to_the_cap() {
        for (keep_alive, seconds) in
            [(1, 1.5), (60, 90.0), (1177, 1765.5), (1179, 1767.0), (u16::MAX, 1767.0), (0, 1767.0)]
        {
            assert_eq!(silence(keep_alive), Duration::from_secs_f64(seconds), "{keep_alive}");
        }
    }
}
