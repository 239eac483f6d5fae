//! The labels of namespaces, and what objects in them may do with a connection.
//!
//! Namespaces are watched, by their metadata only, once an access entry selects by labels; before that nobody needs them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt as _};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::access::{Access, Asks, Labels, Rights, decide};
use super::hubs::{Hub, HubKey};
use crate::api::cluster_hub_connection::{AccessEntry, AccessKind};
use crate::api::conditions::{Reason, Status, Verdict};

/// The labels of all namespaces, once somebody needed them.
#[derive(Debug, Default)]
pub struct Namespaces {
    known: RwLock<Known>,
    needed: CancellationToken,
}

#[derive(Debug, Default)]
struct Known {
    labels: HashMap<String, Labels>,
    listed: bool,
}

/// An object that wants to use a connection.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// Its kind.
    pub kind: AccessKind,
    /// Its namespace.
    pub namespace: &'a str,
    /// The device; `None` for a query.
    pub device: Option<&'a str>,
}

impl Namespaces {
    /// Judges by the labels as far as they are known; needing them starts the watch.
    fn judge(&self, name: &str, entries: &[AccessEntry], user: User<'_>) -> Access {
        let User { kind, namespace, device } = user;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let none = Labels::new();
        // A namespace that is not listed is about to come or go: it has no labels.
        let labels = known.listed.then(|| known.labels.get(namespace).unwrap_or(&none));
        let access = decide(name, entries, Asks { kind, namespace, labels, device });
        if access == Access::LabelsNeeded {
            self.needed.cancel();
        }
        access
    }

    /// Takes an event in; answers whether labels that count are others now.
    fn take(&self, event: Event<PartialObjectMeta<Namespace>>) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => {
                known.labels.clear();
                false
            }
            Event::InitApply(namespace) => {
                known.labels.insert(namespace.name_any(), namespace.labels().clone());
                false
            }
            Event::InitDone => {
                known.listed = true;
                true
            }
            Event::Apply(namespace) => {
                let labels = namespace.labels().clone();
                known.labels.insert(namespace.name_any(), labels.clone()) != Some(labels)
            }
            Event::Delete(namespace) => {
                known.labels.remove(&namespace.name_any());
                false
            }
        }
    }
}

/// Watches namespaces from when their labels are needed; who may gain or lose by a change is told.
pub(super) async fn watch(context: &Context) {
    context.namespaces.needed.cancelled().await;
    let api: Api<PartialObjectMeta<Namespace>> = Api::all(context.client.clone());
    let mut events =
        std::pin::pin!(watcher::watcher(api, watcher::Config::default()).default_backoff().inspect_err(|error| {
            tracing::warn!(%error, "the labels of namespaces cannot be read");
        }));
    loop {
        match events.try_next().await {
            Ok(Some(event)) => {
                if context.namespaces.take(event) {
                    tell(context);
                }
            }
            // The watcher's own back-off waits before the next try.
            Err(_) => {}
            Ok(None) => return std::future::pending().await,
        }
    }
}

/// Who uses a connection that selects by labels is told.
fn tell(context: &Context) {
    for connection in context.cluster_connections.state() {
        if connection.spec.access.iter().any(|entry| entry.namespace_selector.is_some()) {
            context.trigger_users(&HubKey::of_cluster(&connection));
        }
    }
}

impl Context {
    /// What an object may do with the connection that it names, or why it may not use it. Of a connection that is gone the
    /// entries count that it had: its hub is kept for a while to finish deletions.
    ///
    /// # Errors
    /// When it may not use it, or nobody knows yet.
    pub fn rights(&self, key: &HubKey, hub: Option<&Hub>, user: User<'_>) -> Result<Rights, Verdict> {
        let HubKey::Cluster(name) = key else { return Ok(Rights::ALL) };
        let access = match (self.connection(key), hub) {
            (Some(connection), _) => self.namespaces.judge(name, connection.access().unwrap_or_default(), user),
            (None, Some(hub)) => self.namespaces.judge(name, &hub.access(), user),
            (None, None) => return Err(self.unresolved(key)),
        };
        match access {
            Access::Allowed(rights) => Ok(rights),
            Access::Refused(text) => Err(Verdict::new(Status::False, Reason::NotAllowed, text)),
            Access::LabelsNeeded => {
                let text = "the labels of the namespace are not known yet";
                Err(Verdict::new(Status::False, Reason::Pending, text))
            }
        }
    }
}
