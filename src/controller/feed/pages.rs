//! The pages of a query, as they come.

use super::super::hubs::Hub;
use super::mode::ROWS;
use crate::hub::{Class, Error, Page};

/// The most pages that one query reads: at 100 rows each a million twins, which is as many as a hub can have.
const MAX_PAGES: usize = 10_000;

/// Why not all pages were read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// A call failed.
    #[error(transparent)]
    Hub(#[from] Error),
    /// There is no end of pages.
    #[error("a query has more than {MAX_PAGES} pages, more than a hub has twins")]
    Endless,
}

/// Hands out the pages of a query as they come, for a fleet need not fit into memory twice; how many there were. A page that
/// leads back to itself is the client's to refuse.
pub(super) async fn each(hub: &Hub, class: Class, text: &str, mut take: impl FnMut(Page)) -> Result<usize, Unread> {
    let caller = hub.caller(class, hub.key.namespace().unwrap_or_default());
    let mut next = None;
    for number in 1..=MAX_PAGES {
        let mut page = caller.query(text, u32::try_from(ROWS).unwrap_or(100), next.as_ref()).await?;
        let after = page.continuation.take();
        take(page);
        match after {
            None => return Ok(number),
            after => next = after,
        }
    }
    Err(Unread::Endless)
}
