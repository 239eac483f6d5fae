//! How connections end, and what the log says of it: the codes of the service where it has some.

use super::super::live::Cut;
use super::codec::Malformed;

/// Why a connection of a device ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client said good-bye.
    Left,
    /// The client is gone without one.
    Lost,
    /// Nothing was heard of the client for too long.
    Silent,
    /// The client does not read what is sent to it.
    Deaf,
    /// The client sent something that has no place here.
    Malformed(Malformed),
    /// Its token is over.
    Expired,
    /// The hub ended it.
    Cut(Cut),
    /// Something was refused, and there is no answer that says so; or there were too many requests. The status.
    Refused(u16),
    /// A fault that was asked for.
    Fault,
    /// The hub stops.
    Stopped,
}

impl End {
    /// The status and the words for the log.
    pub(super) fn outcome(self) -> (u16, &'static str) {
        match self {
            Self::Left => (200, "disconnected by the client"),
            Self::Lost => (404, "404104 DeviceConnectionClosedRemotely: the client closed the connection"),
            Self::Silent => (404, "404104 DeviceConnectionClosedRemotely: the keep-alive is over"),
            Self::Deaf => (408, "the client does not read what is sent to it"),
            Self::Malformed(Malformed(why)) => (400, why),
            Self::Expired => (401, "401003 IoTHubUnauthorized: the token is over"),
            Self::Cut(Cut::Replaced) => (400, "400027 ConnectionForcefullyClosedOnNewConnection"),
            Self::Cut(Cut::Identity) => (401, "the identity was deleted, disabled, or given other credentials"),
            Self::Cut(Cut::Slow) => (408, "the client does not take its change notices"),
            Self::Refused(status) => (status, "a packet was refused"),
            Self::Fault => (499, "a fault that was asked for"),
            Self::Stopped => (503, "the hub stops"),
        }
    }

    /// Whether the will of the client is carried out.
    pub(super) fn unexpected(self) -> bool {
        self != Self::Left
    }
}

impl From<Malformed> for End {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}
