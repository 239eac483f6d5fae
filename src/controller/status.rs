//! Writing status: whole, by server-side apply, with the resourceVersion that the decision was made from.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::api::{Api, Patch, PatchParams};
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Context;

const MANAGER: &str = "hubtwin";
const TIMEOUT: Duration = Duration::from_secs(10);

/// Statuses as we last wrote them, by uid.
#[derive(Debug)]
pub struct Written<S>(Mutex<HashMap<String, Entry<S>>>);

/// A status that we wrote.
#[derive(Clone, Debug)]
pub struct Entry<S> {
    /// The object's resourceVersion after the write.
    pub resource_version: String,
    /// The status.
    pub status: S,
    /// When we wrote it; `None` when it is not of our writing.
    pub at: Option<Instant>,
}

impl<S> Default for Written<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S: Clone> Written<S> {
    /// The status to go on from, with the resourceVersion that a write is to carry: the newer of the object's own and of
    /// what we wrote last.
    pub fn newest<K: Resource>(&self, object: &K, own: Option<&S>) -> (Option<S>, String) {
        let seen = object.meta().resource_version.clone().unwrap_or_default();
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match object.meta().uid.as_ref().and_then(|uid| entries.get(uid)) {
            Some(entry) if newer(&entry.resource_version, &seen) => {
                (Some(entry.status.clone()), entry.resource_version.clone())
            }
            _ => (own.cloned(), seen),
        }
    }

    /// How long ago we wrote this object's status; `None` if we did not.
    pub fn age<K: Resource>(&self, object: &K) -> Option<Duration> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(entries.get(object.meta().uid.as_ref()?)?.at?.elapsed())
    }

    /// Changes what is kept of a status that we wrote: what is not needed to go on from it.
    pub fn keep<K: Resource>(&self, object: &K, change: impl FnOnce(&mut S)) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = object.meta().uid.as_ref().and_then(|uid| entries.get_mut(uid)) {
            change(&mut entry.status);
        }
    }

    /// We changed something else of the object: what it is to go on from is the same, at another version.
    pub fn moved<K: Resource>(&self, object: &K, status: Option<S>, resource_version: String)
    where
        S: Default,
    {
        let Some(uid) = object.meta().uid.clone() else { return };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = entries.get(&uid).and_then(|entry| entry.at);
        entries.insert(uid, Entry { resource_version, status: status.unwrap_or_default(), at });
    }

    /// Forgets an object.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    fn put(&self, uid: String, entry: Entry<S>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, entry);
    }
}

/// Takes in what was written.
pub trait Keep<K, S> {
    /// A status was written, and the object is at this version now.
    fn wrote(&self, object: &K, status: &S, resource_version: String);
}

impl<K: Resource, S: Clone> Keep<K, S> for Written<S> {
    fn wrote(&self, object: &K, status: &S, resource_version: String) {
        if let Some(uid) = object.meta().uid.clone() {
            self.put(uid, Entry { resource_version, status: status.clone(), at: Some(Instant::now()) });
        }
    }
}

/// Resource versions of one resource compare as numbers (Kubernetes API concepts, "Resource versions").
pub(super) fn newer(ours: &str, seen: &str) -> bool {
    match (ours.parse::<u64>(), seen.parse::<u64>()) {
        (Ok(ours), Ok(seen)) => ours > seen,
        _ => false,
    }
}

/// How a status write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// The API server took it.
    Done,
    /// The object changed meanwhile, or is gone: gather again.
    Conflict,
}

/// A write to an object that failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server refused it or could not be reached.
    #[error("write {what} of {name}: {message}")]
    Refused {
        /// The status, or the finalizer.
        what: &'static str,
        /// The object.
        name: String,
        /// kube's own words, which include the cause.
        message: String,
    },
    /// No answer in time.
    #[error("write {what} of {name}: no answer from the API server within 10 s")]
    TimedOut {
        /// The status, or the finalizer.
        what: &'static str,
        /// The object.
        name: String,
    },
}

/// Waits for a write, not for ever; `None` when the object changed meanwhile, or is gone.
pub async fn bounded<T>(
    what: &'static str,
    name: &str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<Option<T>, WriteError> {
    let name = || name.to_owned();
    match tokio::time::timeout(TIMEOUT, call).await {
        Err(_) => Err(WriteError::TimedOut { what, name: name() }),
        Ok(Err(kube::Error::Api(answer))) if answer.is_conflict() || answer.is_not_found() => Ok(None),
        Ok(Err(error)) => Err(WriteError::Refused { what, name: name(), message: error.to_string() }),
        Ok(Ok(answer)) => Ok(Some(answer)),
    }
}

/// Writes the whole status of an object that was gathered at `resource_version`.
pub async fn write<K, S>(
    context: &Context,
    written: &impl Keep<K, S>,
    object: &K,
    resource_version: &str,
    status: &S,
) -> Result<Write, WriteError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    S: Serialize,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), &object.namespace().unwrap_or_default());
    write_by(context, written, (&api, object), resource_version, status).await
}

/// The same for an object of the cluster.
pub async fn write_cluster<K, S>(
    context: &Context,
    written: &impl Keep<K, S>,
    object: &K,
    resource_version: &str,
    status: &S,
) -> Result<Write, WriteError>
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope> + Clone + DeserializeOwned + Debug,
    S: Serialize,
{
    let api: Api<K> = Api::all(context.client.clone());
    write_by(context, written, (&api, object), resource_version, status).await
}

async fn write_by<K, S>(
    context: &Context,
    written: &impl Keep<K, S>,
    (api, object): (&Api<K>, &K),
    resource_version: &str,
    status: &S,
) -> Result<Write, WriteError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
    S: Serialize,
{
    let name = object.name_any();
    let mut metadata = json!({"name": name, "resourceVersion": resource_version});
    if let Some(namespace) = object.namespace() {
        metadata["namespace"] = namespace.into();
    }
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": metadata,
        "status": status,
    });
    let parameters = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(&body);
    let call = api.patch_status(&name, &parameters, &patch);
    let (outcome, result) = match bounded("the status", &name, call).await {
        Err(error @ WriteError::TimedOut { .. }) => ("timed_out", Err(error)),
        Err(error @ WriteError::Refused { .. }) => ("failed", Err(error)),
        Ok(None) => ("conflict", Ok(Write::Conflict)),
        Ok(Some(answer)) => {
            written.wrote(object, status, answer.resource_version().unwrap_or_default());
            ("ok", Ok(Write::Done))
        }
    };
    let kind = match K::kind(&()).as_ref() {
        "DeviceTwin" => "DeviceTwin",
        "TwinQuery" => "TwinQuery",
        "ClusterHubConnection" => "ClusterHubConnection",
        _ => "HubConnection",
    };
    context.metrics.status_writes.get_or_create(&vec![("kind", kind), ("outcome", outcome)]).inc();
    result
}
