//! Calls within the budget: the calls of a [`Client`], each of which says what it is for and for whom.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::budget::{Class, Ended, Held, Lane, Why};
use super::client::{Client, Continuation, IfMatch, Page, Tally, TwinPatch};
use super::error::{Error, Failure, Kind};
use super::observe::Operation;
use super::pool::Seat;
use super::wire::Identity;
use crate::twin::id::TwinId;
use crate::twin::view::Twin;

/// Makes calls of one class for one namespace. Each call waits until the budget has room for it. While the hub takes no calls
/// at all they fail at once, as [`Kind::Throttled`] or [`Kind::QuotaExceeded`], and do not reach the hub.
#[derive(Clone, Debug)]
pub struct Caller<'a> {
    client: Client,
    seat: &'a Seat,
    class: Class,
    namespace: &'a str,
}

/// Whether work may start that needs a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Its call would hardly wait.
    Now,
    /// Not yet: ask again then.
    At(Instant),
}

/// What a call is about.
struct About<'a> {
    lane: Lane,
    operation: Operation,
    subject: Option<&'a TwinId>,
}

impl<'a> Caller<'a> {
    /// A caller by this client, within the budget of its hub.
    #[must_use]
    pub fn new(client: Client, seat: &'a Seat, class: Class, namespace: &'a str) -> Self {
        Self { client, seat, class, namespace }
    }

    /// [`Client::get_twin`].
    ///
    /// # Errors
    ///
    /// See [`Kind`].
    pub async fn get_twin(&self, id: &TwinId) -> Result<Twin, Error> {
        let about = About { lane: Lane::Reads, operation: Operation::GetTwin, subject: Some(id) };
        let (client, tally) = self.tallied();
        self.within(about, &tally, client.get_twin(id)).await
    }

    /// [`Client::patch_twin`].
    ///
    /// # Errors
    ///
    /// See [`Kind`].
    pub async fn patch_twin(&self, id: &TwinId, patch: &TwinPatch, if_match: IfMatch<'_>) -> Result<Twin, Error> {
        let about = About { lane: Lane::Writes, operation: Operation::PatchTwin, subject: Some(id) };
        let (client, tally) = self.tallied();
        self.within(about, &tally, client.patch_twin(id, patch, if_match)).await
    }

    /// [`Client::query`].
    ///
    /// # Errors
    ///
    /// See [`Kind`].
    pub async fn query(&self, query: &str, page_size: u32, continuation: Option<&Continuation>) -> Result<Page, Error> {
        let about = About { lane: Lane::Queries, operation: Operation::Query, subject: None };
        let (client, tally) = self.tallied();
        self.within(about, &tally, client.query(query, page_size, continuation)).await
    }

    /// [`Client::create_identity`].
    ///
    /// # Errors
    ///
    /// See [`Kind`].
    pub async fn create_identity(&self, id: &TwinId) -> Result<Identity, Error> {
        let about = About { lane: Lane::Identity, operation: Operation::CreateIdentity, subject: Some(id) };
        let (client, tally) = self.tallied();
        self.within(about, &tally, client.create_identity(id)).await
    }

    fn tallied(&self) -> (Client, Tally) {
        let tally = Tally::default();
        (self.client.tallied(&tally), tally)
    }

    /// Makes a call once it may be made.
    async fn within<T>(
        &self,
        about: About<'_>,
        tally: &Tally,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let About { lane, operation, subject } = about;
        let Seat { pool, number } = self.seat;
        let permit = pool.permit(*number, lane, self.class, self.namespace).await;
        let permit = permit.map_err(|held| Error::new(operation, subject, failure(held)))?;
        let result = call.await;
        permit.end(ended(&result), tally.load(Ordering::Relaxed));
        result
    }
}

/// A call that was not made. The words are the same for as long as the cause is: they are shown in a status.
fn failure(held: Held) -> Failure {
    match held.why {
        Why::QuotaExceeded => Failure::new(
            Kind::QuotaExceeded,
            "the hub's messages of today are used up; until the next UTC day it is asked once an hour",
        ),
        Why::Throttled => Failure::new(Kind::Throttled, "the hub asked for a pause"),
    }
}

fn ended<T>(result: &Result<T, Error>) -> Ended {
    let Err(error) = result else { return Ended::Done };
    match error.kind() {
        Kind::Throttled => Ended::Throttled(error.retry_after()),
        Kind::QuotaExceeded => Ended::QuotaExceeded,
        Kind::Unauthorized => Ended::Unauthorized,
        Kind::Unreachable if error.timed_out() => Ended::TimedOut,
        Kind::Unreachable | Kind::Tls => Ended::Unknown,
        Kind::Forbidden
        | Kind::WrongTier
        | Kind::DeviceNotFound
        | Kind::ModuleNotFound
        | Kind::PreconditionFailed
        | Kind::Conflict
        | Kind::BadRequest
        | Kind::TooLarge => Ended::Answered,
    }
}
