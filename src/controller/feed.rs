//! The feed of one connection: what changed at the hub, by one query an interval, and a sweep for what that cannot find.
//!
//! The cost of polling follows what changed, not the size of the fleet. Rows are handed to the DeviceTwin controller as
//! views; whole twins are read one by one only where the sweep finds a difference.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::hubs::Hub;
use super::views::View;
use super::{Context, Settings, backoff};
use crate::api::DeviceTwinStatus;
use crate::hub::{Class, Error, Kind, Lane, Page};
use crate::twin::id::TwinId;
use crate::twin::view::{ConnectionState, Etag, Twin};

mod mode;
mod pages;
mod progress;
mod queries;
mod rows;
mod sweep;

use mode::{By, Cost, Mode, Next, ROWS, Rates};
use pages::Unread;
pub use progress::Progress;
use queries::{Source, Watermark};
pub use rows::Judgement;

/// How often the poll looks back by the index's documented delay.
const LOOK_BACK_INTERVAL: Duration = Duration::from_secs(600);
/// How soon a poll that failed is tried again: who waits for the hub waits for this.
const RETRY: Duration = Duration::from_secs(15);
/// So many polls in a row cost what the dearest of them did.
const COSTS: usize = 3;
/// So often a query of changes may miss what it should find before it is believed that it does.
const MISSES: u32 = 3;

/// Starts the feed; it ends with the hub's `stop` or the operator.
pub fn start(context: Arc<Context>, hub: Arc<Hub>) {
    let fatal = context.fatal.clone();
    guard(until_stopped(context.clone(), hub.clone(), poll(context.clone(), hub.clone())), fatal.clone());
    guard(until_stopped(context.clone(), hub.clone(), sweep::run(context, hub)), fatal);
}

async fn until_stopped(context: Arc<Context>, hub: Arc<Hub>, task: impl Future<Output = ()>) {
    tokio::select! {
        () = hub.stop.cancelled() => {}
        () = context.shutdown.cancelled() => {}
        () = task => {}
    }
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
    /// Whether the hub finds changes.
    finds: bool,
    misses: u32,
    /// The pages of the last polls.
    costs: VecDeque<usize>,
    mode: Mode,
}

/// How far one source was read.
struct Cursor {
    source: Source,
    watermark: Option<Watermark>,
    /// When it last looked back; `None`: not yet.
    looked_back: Option<Instant>,
}

async fn poll(context: Arc<Context>, hub: Arc<Hub>) {
    // Before that nobody knows which twins are claimed, and what their statuses tell.
    context.listed.cancelled().await;
    describe(&context, &hub);
    let cursor = |source| Cursor { source, watermark: hub.progress.saved().map(Watermark::saved), looked_back: None };
    let (devices, modules) = (cursor(Source::Devices), cursor(Source::Modules));
    let mut feed = Feed {
        context,
        hub: hub.clone(),
        devices,
        modules,
        finds: true,
        misses: 0,
        costs: VecDeque::new(),
        mode: Mode::Delta,
    };
    loop {
        let began = Instant::now();
        let pause = feed.round().await;
        tokio::select! {
            () = tokio::time::sleep_until(began + backoff::jittered(pause)) => {}
            () = hub.poll_now.notified() => {}
        }
    }
}

/// What status tells of twins need not be read again.
fn describe(context: &Context, hub: &Hub) {
    for id in context.twins.claimed(&hub.key) {
        let objects = context.twins.claiming(&hub.key, &id);
        let views = objects.iter().filter_map(|object| view(hub, &context.twins.get(object)?.status?));
        if let Some(view) = views.max_by_key(|view| view.version) {
            hub.views.describe(id, view);
        }
    }
}

fn view(hub: &Hub, status: &DeviceTwinStatus) -> Option<View> {
    let (at, versions) = (status.hub.as_ref()?, status.twin.as_ref()?);
    let connection = status.connection.as_ref().and_then(|connection| match connection.state.as_str() {
        "Connected" => Some(ConnectionState::Connected),
        "Disconnected" => Some(ConnectionState::Disconnected),
        _ => None,
    });
    let view = View::told(versions.version, Etag::new(&versions.etag), connection, hub.progress.saved());
    (at.host == hub.host).then_some(view)
}

impl Feed {
    /// One poll, and how long after its begin the next one is due.
    async fn round(&mut self) -> Duration {
        let interval = self.hub.settings.poll_interval.saturating_mul(self.hub.stretch().poll);
        let polled = match self.mode {
            Mode::Delta | Mode::Scan => self.poll().await,
            Mode::Rotate => self.rotate().await,
        };
        let pages = match self.took(polled) {
            Some(pages) => pages,
            None => return interval.min(RETRY),
        };
        self.check().await;
        self.costs.truncate(COSTS - 1);
        self.costs.push_front(pages);
        let cost = Cost {
            pages: self.costs.iter().copied().max().unwrap_or_default(),
            claimed: self.context.twins.counts(&self.hub.key).total,
        };
        let Next { mode, interval } = mode::next(self.finds, cost, interval, rates(&self.hub));
        if mode != self.mode {
            tracing::info!(hub = self.hub.host, mode = mode.as_str(), "changes are looked for in another way");
            self.costs.clear();
        }
        self.mode = mode;
        if self.hub.progress.tell(mode, interval, self.watermark()) {
            self.context.triggers.hub(&self.hub.key);
        }
        interval
    }

    /// Takes in how a poll went; `None` when it does not count.
    fn took(&mut self, polled: Result<usize, Unread>) -> Option<usize> {
        // Only now that all rows were taken: whoever waits for the hub would read its twin by itself before.
        let (answers, pages) = match polled {
            Ok(pages) => (Ok(()), Some(pages)),
            Err(Unread::Hub(error)) => {
                tracing::warn!(hub = self.hub.host, %error, "a poll failed");
                if error.kind() == Kind::BadRequest && self.mode == Mode::Delta && self.delta() {
                    // The hub refuses to look for changes: all of it is looked at, from the next poll on.
                    (self.finds, self.mode) = (false, Mode::Scan);
                }
                (Err(error), None)
            }
            Err(unread) => {
                tracing::error!(hub = self.hub.host, error = %unread, "a poll does not count");
                (Ok(()), None)
            }
        };
        self.context.note(&self.hub, &answers);
        pages
    }

    /// Whether the last poll asked for changes.
    fn delta(&self) -> bool {
        self.devices.watermark.is_some() || self.modules.watermark.is_some()
    }

    fn watermark(&self) -> Option<Timestamp> {
        self.devices.watermark.max(self.modules.watermark).map(Watermark::time)
    }

    fn sources(&mut self) -> impl Iterator<Item = &mut Cursor> {
        let modules = self.context.twins.counts(&self.hub.key).modules > 0;
        [&mut self.devices].into_iter().chain(modules.then_some(&mut self.modules))
    }

    /// Asks what changed, or for everything; how many pages that took.
    async fn poll(&mut self) -> Result<usize, Unread> {
        let (context, hub, mode) = (self.context.clone(), self.hub.clone(), self.mode);
        let mut pages = 0;
        for cursor in self.sources() {
            pages += poll_source(&context, &hub, mode, cursor).await?;
        }
        Ok(pages)
    }

    /// Asks for the claimed twins in turn; how many pages it would take to ask for changes instead.
    async fn rotate(&mut self) -> Result<usize, Unread> {
        let ids = self.context.twins.claimed(&self.hub.key);
        let (by, turn) = mode::cheaper(ids.len(), rates(&self.hub));
        let mut first: Option<Watermark> = None;
        for chunk in ids.chunks(ROWS) {
            let began = Instant::now();
            match by {
                By::Reads => {
                    for id in chunk {
                        read(&self.context, &self.hub, Class::Poll, id).await?;
                    }
                }
                By::Pages => {
                    let mut newest = None;
                    for text in queries::chunk(chunk) {
                        let take = |page: Page| newest = newest.max(take_all(&self.context, &self.hub, page.rows));
                        pages::each(&self.hub, Class::Poll, &text, take).await?;
                    }
                    first = first.or(newest);
                }
            }
            let part = turn.mul_f64(chunk.len() as f64 / ids.len().max(1) as f64);
            tokio::time::sleep_until(began + part.min(self.hub.settings.poll_interval)).await;
        }
        let mut rows = 0;
        let (context, hub) = (self.context.clone(), self.hub.clone());
        for cursor in self.sources() {
            // What was read first was so at least.
            cursor.watermark = cursor.watermark.max(first);
            if let Some(watermark) = &cursor.watermark {
                rows += count(&hub, &queries::count(cursor.source, watermark)).await?;
            }
        }
        context.note(&hub, &Ok(()));
        Ok(rows.div_ceil(ROWS).max(1))
    }

    /// Whether the query of changes finds what it should: a change that was read before.
    async fn check(&mut self) {
        if !self.hub.progress.check_is_due() {
            return;
        }
        // What a row showed, or what no index is too late for.
        let Settings { clock, pace, .. } = &self.context.settings;
        let delay = SignedDuration::try_from(pace.index_delay).unwrap_or_default();
        let old = clock.now().checked_sub(delay).ok();
        let Some((id, updated)) = self.hub.views.newest(self.watermark().max(old)) else { return };
        let text = queries::check(&id, updated);
        let found = match count(&self.hub, &text).await {
            Ok(rows) => rows > 0,
            Err(Unread::Hub(error)) if error.kind() == Kind::BadRequest => false,
            // Another time.
            Err(_) => return,
        };
        self.hub.progress.checked();
        self.misses = if found { 0 } else { self.misses + 1 };
        let finds = self.misses < MISSES && (found || self.finds);
        if finds != self.finds {
            tracing::warn!(hub = self.hub.host, finds, "whether the hub finds changes by the time of the last update");
        }
        self.finds = finds;
    }
}

/// One poll of one source; how many pages it took. It counts only when all its pages were read.
async fn poll_source(context: &Context, hub: &Arc<Hub>, mode: Mode, cursor: &mut Cursor) -> Result<usize, Unread> {
    if cursor.watermark.is_none() {
        // Twins that were all read one by one: what changed since then did so after the oldest of them.
        cursor.watermark = hub.views.oldest(|id| cursor.source.holds(id)).map(Watermark::saved);
    }
    let look_back = cursor.looked_back.is_none_or(|at| at.elapsed() >= LOOK_BACK_INTERVAL);
    let texts = match (mode, &cursor.watermark) {
        (Mode::Scan, _) => vec![queries::scan(cursor.source)],
        (Mode::Delta | Mode::Rotate, Some(watermark)) => vec![queries::delta(cursor.source, watermark, look_back)],
        // Nothing was read yet. With no claims it still shows that the hub answers.
        (Mode::Delta | Mode::Rotate, None) => unknown(context, hub, cursor.source),
    };
    let (mut newest, mut pages) = (None, 0);
    for text in texts {
        let read = pages::each(hub, Class::Poll, &text, |page| {
            // Only of the first page that has rows: what changes after it was answered is newer than all that it shows.
            newest = newest.or(take_all(context, hub, page.rows));
        });
        pages += read.await?;
    }
    cursor.watermark = newest.max(cursor.watermark.take());
    if look_back {
        cursor.looked_back = Some(Instant::now());
    }
    Ok(pages)
}

/// Queries for claimed twins of which nothing is known; at least one.
fn unknown(context: &Context, hub: &Hub, source: Source) -> Vec<String> {
    let claims = context.twins.claimed(&hub.key);
    // Neither are those known whose status was written by an operator that saved no watermark.
    let unknown = |id: &TwinId| hub.views.look(id).is_none_or(|view| view.updated.is_none());
    let ids = claims.iter().filter(|id| source.holds(id) && unknown(id));
    let mut ids: Vec<&TwinId> = ids.collect();
    ids.truncate(mode::first(ids.len(), rates(hub)));
    queries::whole(source, ids.into_iter())
}

/// Takes in all rows of a page; the newest change in them.
fn take_all(context: &Context, hub: &Arc<Hub>, rows: Vec<Value>) -> Option<Watermark> {
    let mut newest = None;
    let mut odd = 0;
    for row in rows {
        match Twin::from_row(row) {
            Ok(twin) => {
                newest = newest.max(Watermark::of(&twin));
                take(context, hub, twin);
            }
            Err(_) => odd += 1,
        }
    }
    if odd > 0 {
        tracing::warn!(hub = hub.host, odd, "rows of the hub that are no twins are passed over");
    }
    newest
}

/// Takes a row in, when it says something new of a claimed twin.
fn take(context: &Context, hub: &Arc<Hub>, row: Twin) {
    let objects = context.twins.claiming(&hub.key, &row.id);
    if objects.is_empty() {
        return;
    }
    let Settings { clock, pace, .. } = &context.settings;
    let judge = |known: Option<&View>, row: &Twin| rows::judge(known, row, pace.index_delay, clock.now());
    match hub.views.row(row, judge) {
        Judgement::Drop | Judgement::Older(_) => {}
        Judgement::Take => objects.into_iter().for_each(|object| context.triggers.told(object)),
        Judgement::Read => objects.into_iter().for_each(|object| context.triggers.twin(object)),
    }
}

/// Reads a twin, and takes it in when it is another than the one known. Whether it is gone is for its object to find out.
async fn read(context: &Context, hub: &Arc<Hub>, class: Class, id: &TwinId) -> Result<(), Error> {
    let (known, began) = (hub.views.look(id), hub.views.begin());
    match hub.caller(class, hub.key.namespace().unwrap_or_default()).get_twin(id).await {
        Ok(twin) => {
            let same = |view: &View| {
                let View { version, etag, connection, .. } = view;
                (*version, etag, *connection) == (twin.version, &twin.etag, twin.connection_state)
            };
            if known.as_ref().is_some_and(same) {
                return Ok(());
            }
            hub.views.answer(id.clone(), twin, began);
            context.twins.claiming(&hub.key, id).into_iter().for_each(|object| context.triggers.told(object));
        }
        Err(error) if matches!(error.kind(), Kind::DeviceNotFound | Kind::ModuleNotFound) => {
            hub.views.doubt(id);
            context.twins.claiming(&hub.key, id).into_iter().for_each(|object| context.triggers.twin(object));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// How many rows a query counts.
async fn count(hub: &Hub, text: &str) -> Result<usize, Unread> {
    let mut rows = 0;
    pages::each(hub, Class::Poll, text, |page| {
        rows +=
            page.rows.iter().filter_map(|row| usize::try_from(row.get(queries::COUNT)?.as_u64()?).ok()).sum::<usize>();
    })
    .await?;
    Ok(rows)
}

fn rates(hub: &Hub) -> Rates {
    Rates { pages: hub.rate(Lane::Queries), reads: hub.rate(Lane::Reads) }
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
