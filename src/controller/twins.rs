//! Runs the controller of DeviceTwins: what the watch, the feeds and the clock ask for goes into the queue, and from there to
//! [`device_twin::reconcile`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::runtime::watcher::{self, Event};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};

use super::fleet::{Gone, Seen, Standing, TwinName};
use super::hubs::{Entry, Health, HubKey};
use super::queue::{Lane, Queue};
use super::status::WriteError;
use super::{Context, device_twin};
use crate::api::DeviceTwin;
use crate::hub::{Class, Room};

/// What the DeviceTwin controller is asked for.
#[derive(Clone, Debug)]
pub enum Ask {
    /// An object is to be looked at.
    Look(TwinName),
    /// What an object needs to know of its twin is at hand.
    Told(TwinName),
    /// All objects of a connection are to be looked at.
    Users(Arc<HubKey>),
    /// The objects of a connection that are not in sync are to be looked at.
    Waiting(Arc<HubKey>),
}

type Changes = futures::stream::BoxStream<'static, Result<Event<DeviceTwin>, watcher::Error>>;
type Done = Result<Option<Duration>, WriteError>;

/// Runs until shutdown, and then until what runs has ended. Ends by itself only after a panic.
pub(super) async fn run(context: Arc<Context>, mut changes: Changes, mut asks: mpsc::UnboundedReceiver<Ask>) {
    let mut work = Work { context, queue: Queue::default(), tasks: JoinSet::new(), running: HashMap::new() };
    let shutdown = work.context.shutdown.clone();
    loop {
        work.start();
        let wake = work.queue.wakes_at().map(tokio::time::Instant::from_std);
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(change) = changes.next() => work.change(change),
            Some(ask) = asks.recv() => work.ask(ask),
            Some(done) = work.tasks.join_next_with_id() => {
                if work.done(done).is_err() {
                    return;
                }
            }
            () = tokio::time::sleep_until(wake.unwrap_or_else(tokio::time::Instant::now)), if wake.is_some() => {}
        }
    }
    while let Some(done) = work.tasks.join_next_with_id().await {
        if work.done(done).is_err() {
            return;
        }
    }
}

/// A reconcile panicked.
struct Panicked;

struct Work {
    context: Arc<Context>,
    queue: Queue<TwinName>,
    tasks: JoinSet<Done>,
    running: HashMap<Id, (TwinName, String)>,
}

impl Work {
    /// Starts what may run.
    fn start(&mut self) {
        let now = Instant::now();
        while let Some(name) = self.queue.due(now) {
            self.push(name, false);
        }
        loop {
            let hubs = &self.context.hubs;
            // A hub that does not answer takes no calls: what is to be told of that is told at once.
            let room = |key: &HubKey, class: Class| match hubs.get(key) {
                Some(Entry::Usable(hub)) if hub.health() == Health::Up => hub.room(class),
                Some(Entry::Usable(_) | Entry::Broken(_)) | None => Room::Now,
            };
            let Some(name) = self.queue.next(now, room) else { break };
            let Some(twin) = self.context.twins.get(&name) else {
                self.queue.finished(&name);
                continue;
            };
            let uid = twin.uid().unwrap_or_default();
            let task = self.tasks.spawn(device_twin::reconcile(Arc::new(twin), self.context.clone()));
            self.running.insert(task.id(), (name, uid));
        }
    }

    fn change(&mut self, change: Result<Event<DeviceTwin>, watcher::Error>) {
        let twins = self.context.twins.clone();
        match change {
            // The watch begins anew by itself.
            Err(error) => tracing::warn!(%error, "the watch of DeviceTwins broke"),
            Ok(Event::Init) => twins.begin(),
            Ok(Event::InitApply(twin) | Event::Apply(twin)) => {
                if let Seen::Changed(name) = twins.take(twin) {
                    self.push(name, false);
                }
            }
            Ok(Event::InitDone) => {
                twins.end().into_iter().for_each(|gone| self.forget(gone));
                self.context.twins_listed.cancel();
            }
            Ok(Event::Delete(twin)) => {
                twins.remove(&TwinName::of(&twin)).into_iter().for_each(|gone| self.forget(gone))
            }
        }
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Look(name) => self.push(name, false),
            Ask::Told(name) => self.push(name, true),
            Ask::Users(hub) => self.push_all(&hub, |_| true),
            Ask::Waiting(hub) => self.push_all(&hub, |standing| !synced(standing)),
        }
    }

    fn push_all(&mut self, hub: &HubKey, wanted: impl Fn(Standing) -> bool) {
        for name in self.context.twins.of_hub(hub, wanted) {
            self.push(name, false);
        }
    }

    /// Puts an object into its lane; `told`: it needs no read.
    fn push(&mut self, name: TwinName, told: bool) {
        let Some((standing, hub)) = self.context.twins.standing(&name) else { return };
        self.queue.push(name.clone(), name.shared_namespace(), Lane { class: class(standing, told), hub });
    }

    /// Frees what was kept of a deleted object. Whoever waits for its leaves may take them.
    fn forget(&mut self, Gone { name, uid, others }: Gone) {
        self.queue.forget(&name);
        self.context.memory.forget(&uid);
        self.context.backoff.forget(&uid);
        others.into_iter().for_each(|other| self.push(other, false));
    }

    fn done(&mut self, done: Result<(Id, Done), JoinError>) -> Result<(), Panicked> {
        let (id, result) = match done {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "a reconcile panicked: ending the program");
                self.context.fatal.cancel();
                return Err(Panicked);
            }
        };
        let Some((name, uid)) = self.running.remove(&id) else { return Ok(()) };
        let again = self.queue.finished(&name);
        if self.context.twins.standing(&name).is_none() {
            // It went while it ran.
            self.context.memory.forget(&uid);
            self.context.backoff.forget(&uid);
            return Ok(());
        }
        let later = result.unwrap_or_else(|error| {
            tracing::warn!(kind = "DeviceTwin", %error, "a reconcile failed");
            Some(self.context.backoff.next(&uid))
        });
        match (again, later) {
            (Some(lane), _) => self.queue.push(name.clone(), name.shared_namespace(), lane),
            (None, Some(delay)) => self.queue.schedule(name, Instant::now() + delay),
            (None, None) => {}
        }
        Ok(())
    }
}

/// What the first call of a reconcile is for, as far as it can be known before.
fn class(standing: Standing, told: bool) -> Option<Class> {
    match standing {
        Standing { deleting: true, .. } => Some(Class::Deletion),
        Standing { observed: ..0, .. } => Some(Class::FirstRead),
        Standing { observed, generation, .. } if observed != generation => Some(Class::SpecChange),
        // It has what it needs, or needs nothing.
        _ if told || synced(standing) => None,
        _ => Some(Class::ReportedRefresh),
    }
}

/// Whether status says that the hub holds this generation.
fn synced(Standing { generation, observed, deleting, ready }: Standing) -> bool {
    ready && observed == generation && !deleting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_goes_before_a_new_fleet_and_what_needs_no_call_before_all() {
        let settled = Standing { generation: 3, observed: 3, deleting: false, ready: true };
        let unready = Standing { ready: false, ..settled };
        for (standing, told, expected) in [
            (settled, false, None),
            (unready, true, None),
            (unready, false, Some(Class::ReportedRefresh)),
            (Standing { generation: 4, ..settled }, false, Some(Class::SpecChange)),
            (Standing { observed: -1, ..settled }, true, Some(Class::FirstRead)),
            (Standing { deleting: true, ..settled }, true, Some(Class::Deletion)),
        ] {
            assert_eq!(class(standing, told), expected, "{standing:?} {told}");
        }
    }
}
