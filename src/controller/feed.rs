//! The feed of one connection: what changed at the hub, by one query an interval, and a sweep for what that cannot find.
//!
//! The cost of polling follows what changed, not the size of the fleet. Rows are handed to the DeviceTwin controller as
//! views; whole twins are read one by one only where the sweep finds a difference, and then by that controller.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fleet::TwinName;
use super::hubs::{Hub, View};
use super::{Context, Settings, backoff};
use crate::hub::{Class, Error, Page};
use crate::twin::id::TwinId;
use crate::twin::view::Twin;

mod queries;
mod rows;

use queries::{Source, Watermark};
pub use rows::Judgement;

/// How often the poll looks back by the index's documented delay.
const LOOK_BACK_INTERVAL: Duration = Duration::from_secs(600);
/// How soon a poll that failed is tried again: who waits for the hub waits for this.
const RETRY: Duration = Duration::from_secs(15);
/// Rows a page; the hub grants what it will.
const PAGE: u32 = 100;
/// The most pages that one query reads: at 100 rows each a million twins.
const MAX_PAGES: usize = 10_000;

/// Starts the feed; it ends with the hub's `stop` or the operator.
pub fn start(context: Arc<Context>, hub: Arc<Hub>) {
    guard(run(context.clone(), hub), context.fatal.clone());
}

/// Runs a task that must not die alone.
fn guard(task: impl Future<Output = ()> + Send + 'static, fatal: CancellationToken) {
    tokio::spawn(async move {
        let feed = tokio::spawn(task);
        if let Err(error) = feed.await
            && error.is_panic()
        {
            // A feed that died silently would look like a fleet where nothing happens.
            tracing::error!(%error, "a feed panicked: ending the program");
            fatal.cancel();
        }
    });
}

struct Feed {
    context: Arc<Context>,
    hub: Arc<Hub>,
    devices: Cursor,
    modules: Cursor,
}

/// How far one source was read.
struct Cursor {
    source: Source,
    watermark: Option<Watermark>,
    looked_back: Instant,
}

type Claims = HashMap<TwinId, Vec<TwinName>>;

async fn run(context: Arc<Context>, hub: Arc<Hub>) {
    let (stop, shutdown) = (hub.stop.clone(), context.shutdown.clone());
    let cursor = |source| Cursor { source, watermark: None, looked_back: Instant::now() };
    let (poll, sweep) = (hub.settings.poll_interval, hub.settings.sweep_interval);
    let mut feed =
        Feed { context, hub: hub.clone(), devices: cursor(Source::Devices), modules: cursor(Source::Modules) };
    let mut next_poll = Instant::now();
    let mut next_sweep = Instant::now() + backoff::jittered(sweep);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = shutdown.cancelled() => return,
            () = hub.poll_now.notified() => next_poll = Instant::now(),
            () = tokio::time::sleep_until(next_sweep.min(next_poll)) => {}
        }
        let round = async {
            if Instant::now() >= next_poll {
                let worked = feed.poll().await;
                next_poll = Instant::now() + backoff::jittered(if worked { poll } else { poll.min(RETRY) });
            }
            if Instant::now() >= next_sweep {
                let worked = feed.sweep().await;
                next_sweep = Instant::now() + backoff::jittered(if worked { sweep } else { sweep.min(poll) });
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = shutdown.cancelled() => return,
            () = round => {}
        }
    }
}

impl Feed {
    /// The twins that objects of this connection claim.
    fn claims(&self) -> Claims {
        let (twins, key) = (&self.context.twins, &self.hub.key);
        let with_objects = |id: TwinId| {
            let objects = twins.claiming(key, &id);
            (id, objects)
        };
        twins.claimed(key).into_iter().map(with_objects).collect()
    }

    /// Asks what changed; says whether the hub answered.
    async fn poll(&mut self) -> bool {
        let claims = self.claims();
        // What nobody claims is not followed: should it be claimed again, it is read anew.
        self.hub.views.retain(|id| claims.contains_key(id));
        let modules = claims.keys().any(|id| id.module_id.is_some());
        let (context, hub) = (self.context.clone(), self.hub.clone());
        let polled = async {
            poll_source(&context, &hub, &claims, &mut self.devices).await?;
            if modules {
                poll_source(&context, &hub, &claims, &mut self.modules).await?;
            }
            Ok(())
        };
        let polled = polled.await;
        // Only now that all rows were taken: whoever waits for the hub would read its twin by itself before.
        context.note(&hub, &polled);
        if let Err(error) = &polled {
            tracing::warn!(hub = hub.host, %error, "a poll failed");
        }
        polled.is_ok()
    }

    /// Compares versions of all claimed twins. What differs, or is not there, is read by the next reconcile: a missing
    /// row is never taken as a deletion.
    async fn sweep(&mut self) -> bool {
        let claims = self.claims();
        let mut seen = HashMap::new();
        for source in [Source::Devices, Source::Modules] {
            if !claims.keys().any(|id| source.holds(id)) {
                continue;
            }
            let text = queries::sweep(source);
            let read = each_page(&self.hub, Class::Sweep, &text, |page| {
                let rows = page.rows.iter().filter_map(rows::Brief::from_row);
                seen.extend(rows.filter(|row| claims.contains_key(&row.id)).map(|row| (row.id.clone(), row)));
            });
            let read = read.await;
            self.context.note(&self.hub, &read);
            if let Err(error) = read {
                tracing::warn!(hub = self.hub.host, %error, "a sweep failed");
                return false;
            }
        }
        for (id, objects) in &claims {
            let Some(known) = self.hub.views.get(id) else { continue };
            let settings = &self.context.settings;
            let now = settings.clock.now();
            match rows::compare(rows_known(&known), seen.get(id), settings.pace.index_delay, now) {
                rows::Finding::Same => continue,
                rows::Finding::Older(since) => {
                    self.hub.views.older(id, since);
                    continue;
                }
                rows::Finding::Moved => self.hub.views.forget(id),
                rows::Finding::Connection(version, state) => self.hub.views.connection(id, version, state),
            }
            objects.iter().for_each(|object| self.context.triggers.twin(object.clone()));
        }
        true
    }
}

/// One poll of one source. It counts only when all its pages were read.
async fn poll_source(context: &Context, hub: &Arc<Hub>, claims: &Claims, cursor: &mut Cursor) -> Result<(), Error> {
    let look_back = cursor.looked_back.elapsed() >= LOOK_BACK_INTERVAL;
    let texts = match &cursor.watermark {
        Some(watermark) => vec![queries::delta(cursor.source, watermark, look_back)],
        // Nothing was read yet: the claimed twins, whole. With no claims it still shows that the hub answers.
        None => queries::whole(cursor.source, claims.keys()),
    };
    let mut newest = None;
    for text in texts {
        each_page(hub, Class::Poll, &text, |page| {
            let twins: Vec<Twin> = page.rows.into_iter().filter_map(|row| Twin::from_row(row).ok()).collect();
            // Only of the first page that has rows: what changes after it was answered is newer than all that it shows.
            newest = newest.or_else(|| twins.iter().filter_map(Watermark::of).max());
            twins.into_iter().for_each(|twin| take(context, hub, claims, twin));
        })
        .await?;
    }
    cursor.watermark = newest.max(cursor.watermark.take());
    if look_back {
        cursor.looked_back = Instant::now();
    }
    Ok(())
}

/// Takes a row in, when it says something new of a claimed twin.
fn take(context: &Context, hub: &Arc<Hub>, claims: &Claims, row: Twin) {
    let Some(objects) = claims.get(&row.id) else { return };
    let Settings { clock, pace, .. } = &context.settings;
    let judge =
        |known: Option<&View>, row: &Twin| rows::judge(known.map(rows_known), row, pace.index_delay, clock.now());
    match hub.views.row(row, judge) {
        Judgement::Drop | Judgement::Older(_) => return,
        Judgement::Take | Judgement::Read => {}
    }
    objects.iter().for_each(|object| context.triggers.told(object.clone()));
}

fn rows_known(view: &View) -> rows::Known<'_> {
    rows::Known { twin: &view.twin, older_since: view.older_rows_since }
}

/// Hands out the pages of a query as they come: a fleet need not fit into memory twice.
async fn each_page(hub: &Hub, class: Class, text: &str, mut take: impl FnMut(Page)) -> Result<(), Error> {
    let caller = hub.caller(class, hub.key.namespace().unwrap_or_default());
    let mut next = None;
    for _ in 0..MAX_PAGES {
        let mut page = caller.query(text, PAGE, next.as_ref()).await?;
        next = page.continuation.take();
        take(page);
        if next.is_none() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_to_who_ends_the_program() {
        let fatal = CancellationToken::new();
        guard(async {}, fatal.clone());
        guard(async { panic!("a test of what a panic does") }, fatal.clone());
        tokio::time::timeout(Duration::from_secs(10), fatal.cancelled()).await.unwrap();
    }
}
