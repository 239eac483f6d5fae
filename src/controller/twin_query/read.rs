//! Reads the pages of a query, and knows when to stop.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::super::hubs::{Hub, connection_trouble, told};
use super::output;
use super::results;
use super::rows::Rows;
use crate::api::conditions::Reason;
use crate::hub::{Caller, Class, Continuation, Error, Kind, Page};

/// The most rows of a page that a hub gives.
const PAGE: u32 = 100;

/// So many pages without a row, one after the other, are too many: a hub that gives nothing but further tokens has no end.
const EMPTY_PAGES: usize = 100;

/// What was read.
#[derive(Debug)]
pub(super) enum Found {
    /// The first rows, for a status.
    Rows(Rows),
    /// All of them, for an output, and their share of the memory that outputs may take.
    All { rows: Rows, _held: Vec<OwnedSemaphorePermit> },
}

/// Why nothing was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The hub refuses the text, in its own words.
    Rejected(String),
    /// It did not come to an answer.
    Trouble {
        /// Why.
        reason: Reason,
        /// For people.
        message: String,
        /// How long the hub wants to be left alone.
        pause: Option<Duration>,
    },
}

impl Found {
    /// Whether it tells whoever wants `wanted` rows all that it would be told; `read` were asked for.
    pub(super) fn tells(&self, wanted: usize, read: usize) -> bool {
        match self {
            Self::Rows(rows) => rows.complete || read >= wanted,
            Self::All { .. } => true,
        }
    }
}

/// Told how each call ended.
pub(super) type Note<'a> = &'a (dyn Fn(&Result<Page, Error>) + Send + Sync);

/// Reads what a status with up to `limit` rows shows.
pub(super) async fn rows(
    hub: &Hub,
    namespace: &str,
    text: &str,
    limit: usize,
    note: Note<'_>,
) -> Result<Found, Failed> {
    let bounds = results::bounds(limit);
    let mut rows = Rows::default();
    let mut pages = Pages::new(hub.caller(Class::TwinQuery, namespace), text, bounds.rows, note);
    while let Some(page) = pages.next().await? {
        if !rows.take(&page.item_type, page.rows, bounds) {
            return Ok(Found::Rows(rows));
        }
    }
    rows.complete = true;
    Ok(Found::Rows(rows))
}

/// Reads all rows for an output, up to its bounds; `room` counts the KiB that all outputs may take together.
pub(super) async fn all(
    hub: &Hub,
    namespace: &str,
    text: &str,
    room: &Arc<Semaphore>,
    note: Note<'_>,
) -> Result<Found, Failed> {
    let mut rows = Rows::default();
    let (mut permits, mut held) = (Vec::new(), 0);
    let mut pages = Pages::new(hub.caller(Class::TwinQuery, namespace), text, output::BOUNDS.rows, note);
    while let Some(page) = pages.next().await? {
        let more = rows.take(&page.item_type, page.rows, output::BOUNDS);
        let needed = (rows.bytes / 1024 + 1).saturating_sub(held);
        held += needed;
        let permit = room.clone().try_acquire_many_owned(u32::try_from(needed).unwrap_or(u32::MAX));
        permits.push(permit.map_err(|_| crowded())?);
        if !more {
            return Ok(Found::All { rows, _held: permits });
        }
    }
    rows.complete = true;
    Ok(Found::All { rows, _held: permits })
}

fn crowded() -> Failed {
    let message = "other outputs take the memory that the operator has for them; it is tried again".to_owned();
    Failed::Trouble { reason: Reason::Pending, message, pause: None }
}

/// The pages of a query, one after the other.
struct Pages<'a> {
    caller: Caller<'a>,
    text: &'a str,
    note: Note<'a>,
    size: u32,
    ended: bool,
    next: Option<Continuation>,
    guard: Guard,
}

impl<'a> Pages<'a> {
    fn new(caller: Caller<'a>, text: &'a str, rows: usize, note: Note<'a>) -> Self {
        let size = u32::try_from(rows).unwrap_or(PAGE).min(PAGE);
        Self { caller, text, note, size, ended: false, next: None, guard: Guard::default() }
    }

    async fn next(&mut self) -> Result<Option<Page>, Failed> {
        if self.ended {
            return Ok(None);
        }
        let first = self.next.is_none();
        let asked = self.caller.query(self.text, self.size, self.next.as_ref()).await;
        (self.note)(&asked);
        let mut page = asked.map_err(|error| failed(&error, first))?;
        self.next = page.continuation.take();
        self.ended = self.next.is_none();
        if let Some(token) = &self.next {
            self.guard.see(token, page.rows.is_empty()).map_err(endless)?;
        }
        Ok(Some(page))
    }
}

/// Tells a query that has no end by its pages.
#[derive(Default)]
struct Guard {
    hasher: RandomState,
    seen: HashSet<u64>,
    empty: usize,
}

impl Guard {
    fn see<T: std::hash::Hash>(&mut self, token: &T, empty: bool) -> Result<(), String> {
        self.empty = if empty { self.empty + 1 } else { 0 };
        if !self.seen.insert(self.hasher.hash_one(token)) {
            let pages = self.seen.len() + 1;
            return Err(format!("page {pages} of the query leads back to an earlier one"));
        }
        if self.empty >= EMPTY_PAGES {
            return Err(format!("{EMPTY_PAGES} pages of the query, one after the other, hold no row"));
        }
        Ok(())
    }
}

fn endless(what: String) -> Failed {
    let message = format!("{what}: reading was given up, for it would never end");
    Failed::Trouble { reason: Reason::HubUnreachable, message, pause: None }
}

/// A refused text is refused with the first page; later the hub does not take its own token.
fn failed(error: &Error, first: bool) -> Failed {
    if first && error.kind() == Kind::BadRequest {
        return Failed::Rejected(error.to_string());
    }
    let reason = connection_trouble(error).unwrap_or(Reason::HubUnreachable);
    Failed::Trouble { reason, message: told(error), pause: error.retry_after() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_lead_back_are_noticed() {
        let mut guard = Guard::default();
        assert!((0..1000).all(|token| guard.see(&token, false).is_ok()));
        let told = guard.see(&7, false).unwrap_err();
        assert_eq!(told, "page 1001 of the query leads back to an earlier one");
    }

    #[test]
    fn pages_without_rows_have_an_end() {
        let mut guard = Guard::default();
        assert!((0..99).all(|token| guard.see(&token, true).is_ok()));
        assert!(guard.see(&99, false).is_ok(), "a row begins the count anew");
        assert!((100..199).all(|token| guard.see(&token, true).is_ok()));
        assert!(guard.see(&199, true).is_err());
    }
}
