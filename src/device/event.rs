//! What devices tell about themselves, one line an event.

use std::fmt;

use crate::twin::id::TwinId;

/// Something that happened to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The device or module.
    pub id: TwinId,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The hub took the connection.
    Connected,
    /// The connection ended, or could not be made; the device tries again.
    Disconnected(String),
    /// The desired properties were read, or have changed; their version.
    Desired(i64),
    /// The hub took a report.
    Reported,
    /// The hub took an acknowledgement; the version of desired that it is about.
    Acknowledged(i64),
    /// The hub took a step of a firmware update.
    Firmware {
        /// Where the update leads to.
        version: String,
        /// How far it is.
        status: &'static str,
    },
    /// The hub refused a request; its status and text.
    Refused(u16, String),
    /// The hub did not answer a request in time.
    Unanswered,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Disconnected(why) => write!(f, "disconnected: {why}"),
            Self::Desired(version) => write!(f, "desired version {version}"),
            Self::Reported => f.write_str("reported"),
            Self::Acknowledged(version) => write!(f, "acknowledged desired version {version}"),
            Self::Firmware { version, status } => write!(f, "firmware {version}: {status}"),
            Self::Refused(status, text) => write!(f, "refused with {status}: {text}"),
            Self::Unanswered => f.write_str("no answer in time, reading the twin again"),
        }
    }
}
