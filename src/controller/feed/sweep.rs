//! The sweep: all claimed twins, spread over an interval, for what a poll cannot find: changed tags, deleted devices, the state of
//! connections.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::hubs::{Health, Hub};
use super::super::{Context, backoff};
use super::mode::{self, By, ROWS};
use super::pages::{self, Unread};
use super::{queries, rates, read, rows};
use crate::hub::{Class, Page};
use crate::twin::id::TwinId;

/// Sweeps until it is stopped.
pub(super) async fn run(context: Arc<Context>, hub: Arc<Hub>) {
    loop {
        let interval = hub.settings.sweep_interval.saturating_mul(hub.stretch().sweep);
        sweep(&context, &hub, backoff::jittered(interval)).await;
        hub.progress.swept();
    }
}

/// One sweep, which takes as long as the interval.
async fn sweep(context: &Context, hub: &Arc<Hub>, interval: Duration) {
    let began = Instant::now();
    let ids = context.twins.claimed(&hub.key);
    // What nobody claims is not followed: should it be claimed again, it is read anew.
    hub.views.retain(|id| context.twins.claims(&hub.key, id));
    let by = mode::sweep(ids.len(), interval, rates(hub));
    let chunks = ids.chunks(ROWS);
    let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX).max(1);
    for (number, chunk) in (1..).zip(chunks) {
        tokio::time::sleep_until(began + interval * number / count).await;
        if hub.health() != Health::Up {
            // The poll finds out when the hub is well again.
            continue;
        }
        let read = match by {
            By::Pages => by_pages(context, hub, chunk).await,
            By::Reads => by_reads(context, hub, chunk).await,
        };
        match read {
            Ok(()) => {}
            Err(Unread::Hub(error)) => {
                tracing::warn!(hub = hub.host, %error, "a part of a sweep failed");
                context.note_one(hub, &Err::<(), _>(error));
            }
            Err(unread) => tracing::error!(hub = hub.host, error = %unread, "a part of a sweep does not count"),
        }
    }
    tokio::time::sleep_until(began + interval).await;
}

/// Compares versions. What differs, or is not there, is read by the next reconcile: a missing row is never taken as a
/// deletion.
async fn by_pages(context: &Context, hub: &Hub, chunk: &[TwinId]) -> Result<(), Unread> {
    let mut seen = HashMap::new();
    for text in queries::brief(chunk) {
        let take = |page: Page| {
            seen.extend(page.rows.iter().filter_map(rows::Brief::from_row).map(|row| (row.id.clone(), row)))
        };
        pages::each(hub, Class::Sweep, &text, take).await?;
    }
    let settings = &context.settings;
    for id in chunk {
        let Some(known) = hub.views.look(id) else { continue };
        match rows::compare(&known, seen.get(id), settings.pace.index_delay, settings.clock.now()) {
            rows::Finding::Same => continue,
            rows::Finding::Older(since) => {
                hub.views.older(id, since);
                continue;
            }
            rows::Finding::Moved => hub.views.doubt(id),
            rows::Finding::Connection(version, state) => hub.views.connection(id, version, state),
        }
        context.twins.claiming(&hub.key, id).into_iter().for_each(|object| context.triggers.twin(object));
    }
    Ok(())
}

async fn by_reads(context: &Context, hub: &Arc<Hub>, chunk: &[TwinId]) -> Result<(), Unread> {
    for id in chunk {
        read(context, hub, Class::Sweep, id).await?;
    }
    Ok(())
}
