//! How a call fails.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::observe::{Operation, Outcome};
use crate::twin::id::TwinId;

/// A call that failed. Displays the operation, its subject and what the hub said, without the cause.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    operation: Operation,
    subject: Option<TwinId>,
    failure: Failure,
}

/// What went wrong with one request, before it is known what it was for.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) detail: String,
    pub(super) rejection: Option<Rejection>,
    pub(super) retry_after: Option<Duration>,
    pub(super) timed_out: bool,
    pub(super) source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What the hub said when it refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The HTTP status.
    pub status: u16,
    /// The hub's code, such as `ArgumentInvalid` or, when it is not known by name, its number; may be empty.
    pub code: String,
    /// One line of at most 200 printable characters; may be empty.
    pub message: String,
}

/// The classes of failure. A closed set: callers decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The hub does not take the credential.
    Unauthorized,
    /// The hub takes the credential and refuses the operation.
    Forbidden,
    /// The hub's tier has no twins.
    WrongTier,
    /// The hub says that it has no such device.
    DeviceNotFound,
    /// The hub says that the device has no such module.
    ModuleNotFound,
    /// The etag is no longer the twin's.
    PreconditionFailed,
    /// It exists already.
    Conflict,
    /// The request breaks a rule of the hub.
    BadRequest,
    /// The section of the twin would grow beyond the hub's limit.
    TooLarge,
    /// Too many calls; later it will do.
    Throttled,
    /// The hub's messages of today are used up; it refuses everything until the next UTC day.
    QuotaExceeded,
    /// No answer of the hub: no connection, a time limit, a server error, somebody else's answer. Whether a write was
    /// carried out is unknown.
    Unreachable,
    /// No trusted connection: the server's certificate, or the TLS handshake.
    Tls,
}

impl Error {
    pub(super) fn new(operation: Operation, subject: Option<&TwinId>, failure: Failure) -> Self {
        Self(Box::new(Inner { operation, subject: subject.cloned(), failure }))
    }

    /// The class.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.failure.kind
    }

    /// What was asked.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// What the hub said; `None` when the answer was not the hub's, or there was none.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        self.0.failure.rejection.as_ref()
    }

    /// The pause that the hub asked for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.failure.retry_after
    }

    /// Whether the same call may succeed later with nothing changed by anybody.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.kind() {
            Kind::Throttled | Kind::QuotaExceeded | Kind::Unreachable => true,
            Kind::Unauthorized
            | Kind::Forbidden
            | Kind::WrongTier
            | Kind::DeviceNotFound
            | Kind::ModuleNotFound
            | Kind::PreconditionFailed
            | Kind::Conflict
            | Kind::BadRequest
            | Kind::TooLarge
            | Kind::Tls => false,
        }
    }

    /// Whether the time limit passed.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        self.0.failure.timed_out
    }

    /// The counter that this failure goes to.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.failure.outcome()
    }
}

impl Failure {
    pub(super) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), rejection: None, retry_after: None, timed_out: false, source: None }
    }

    pub(super) fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(super) fn outcome(&self) -> Outcome {
        match self.kind {
            Kind::Throttled | Kind::QuotaExceeded => Outcome::Throttled,
            Kind::Unreachable if self.timed_out => Outcome::TimedOut,
            Kind::Unreachable | Kind::Tls => Outcome::Failed,
            Kind::Unauthorized
            | Kind::Forbidden
            | Kind::WrongTier
            | Kind::DeviceNotFound
            | Kind::ModuleNotFound
            | Kind::PreconditionFailed
            | Kind::Conflict
            | Kind::BadRequest
            | Kind::TooLarge => Outcome::Refused,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { operation, subject, failure } = &*self.0;
        f.write_str(operation.describe())?;
        if let Some(subject) = subject {
            write!(f, " of {subject}")?;
        }
        write!(f, ": {}", failure.detail)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.failure.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthorized => "the hub does not take the credential",
            Self::Forbidden => "the hub refuses it",
            Self::WrongTier => "the hub's tier has no twins",
            Self::DeviceNotFound => "the hub has no such device",
            Self::ModuleNotFound => "the device has no such module",
            Self::PreconditionFailed => "the twin was changed by somebody else",
            Self::Conflict => "it exists already",
            Self::BadRequest => "the hub finds the request wrong",
            Self::TooLarge => "the twin would be too large",
            Self::Throttled => "the hub asks for fewer calls",
            Self::QuotaExceeded => "the hub's messages of today are used up",
            Self::Unreachable => "no answer of the hub",
            Self::Tls => "no trusted connection",
        })
    }
}
