//! What the outside learns about each call: exactly one outcome.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// What was asked of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A twin is read.
    GetTwin,
    /// A twin is patched.
    PatchTwin,
    /// One page of a query.
    Query,
    /// An identity is read.
    GetIdentity,
    /// An identity is created.
    CreateIdentity,
    /// An identity is deleted.
    DeleteIdentity,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The hub did it.
    Ok,
    /// The hub answered that it will not: not found, precondition, bad request, not allowed.
    Refused,
    /// The hub asked for fewer calls, or its quota is used up.
    Throttled,
    /// No answer of the hub: no connection, a broken one, a server error, somebody else's answer.
    Failed,
    /// The time limit passed.
    TimedOut,
    /// The caller gave up before the end.
    Cancelled,
}

/// One finished call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub operation: Operation,
    /// How it ended.
    pub outcome: Outcome,
    /// From just before sending to the end of the answer.
    pub elapsed: Duration,
    /// Bytes of the answer's body that were read; the hub meters by them.
    pub answer_bytes: usize,
}

/// Told about each call, once, when it ends. Must return at once.
pub type Observer = Arc<dyn Fn(&Call) + Send + Sync>;

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 6] =
        [Self::GetTwin, Self::PatchTwin, Self::Query, Self::GetIdentity, Self::CreateIdentity, Self::DeleteIdentity];

    /// A stable word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GetTwin => "get_twin",
            Self::PatchTwin => "patch_twin",
            Self::Query => "query",
            Self::GetIdentity => "get_identity",
            Self::CreateIdentity => "create_identity",
            Self::DeleteIdentity => "delete_identity",
        }
    }

    /// The words of a message.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::GetTwin => "get the twin",
            Self::PatchTwin => "patch the twin",
            Self::Query => "query",
            Self::GetIdentity => "get the identity",
            Self::CreateIdentity => "create the identity",
            Self::DeleteIdentity => "delete the identity",
        }
    }
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Refused, Self::Throttled, Self::Failed, Self::TimedOut, Self::Cancelled];

    /// A stable word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Tells the observer when dropped, so that a call whose future is dropped half-way counts too.
pub(super) struct Watch<'a> {
    observer: Option<&'a Observer>,
    operation: Operation,
    outcome: Outcome,
    since: Instant,
    pub(super) answer_bytes: usize,
}

impl<'a> Watch<'a> {
    pub(super) fn start(observer: Option<&'a Observer>, operation: Operation) -> Self {
        Self { observer, operation, outcome: Outcome::Cancelled, since: Instant::now(), answer_bytes: 0 }
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let Some(observer) = self.observer else { return };
        observer(&Call {
            operation: self.operation,
            outcome: self.outcome,
            elapsed: self.since.elapsed(),
            answer_bytes: self.answer_bytes,
        });
    }
}
