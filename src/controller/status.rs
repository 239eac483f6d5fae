//! Writing status: whole, by server-side apply, with the resourceVersion that the decision was made from.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::api::{Api, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::Context;
use crate::api::{DeviceTwin, DeviceTwinStatus};

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
    /// When.
    pub at: Instant,
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
        Some(entries.get(object.meta().uid.as_ref()?)?.at.elapsed())
    }

    /// Forgets an object.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    fn put(&self, uid: String, entry: Entry<S>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, entry);
    }
}

/// Statuses whose ledger is ahead of the object: the hub took a write, and the status write did not land. Kept until one
/// does, for a spec that changed meanwhile may no longer name a leaf that is at the hub.
#[derive(Debug, Default)]
pub struct Unsaved(Mutex<HashMap<String, DeviceTwinStatus>>);

impl Unsaved {
    /// The status that was to be written.
    pub fn get(&self, twin: &DeviceTwin) -> Option<DeviceTwinStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&twin.uid()?).cloned()
    }

    /// Keeps a status that is about to be written.
    pub fn keep(&self, twin: &DeviceTwin, status: &DeviceTwinStatus) {
        if let Some(uid) = twin.uid() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(uid, status.clone());
        }
    }

    /// Forgets an object: it was written, or is gone.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// Resource versions of one resource compare as numbers (Kubernetes API concepts, "Resource versions").
fn newer(ours: &str, seen: &str) -> bool {
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

/// A status write that failed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server refused it or could not be reached.
    #[error("write the status of {name}: {message}")]
    Refused {
        /// The object.
        name: String,
        /// kube's own words, which include the cause.
        message: String,
    },
    /// No answer in time.
    #[error("write the status of {name}: no answer from the API server within 10 s")]
    TimedOut {
        /// The object.
        name: String,
    },
}

/// Writes the whole status of an object that was gathered at `resource_version`.
pub async fn write<K, S>(
    context: &Context,
    written: &Written<S>,
    object: &K,
    resource_version: &str,
    status: &S,
) -> Result<Write, WriteError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
    S: Serialize + Clone,
{
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let body = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name, "namespace": namespace, "resourceVersion": resource_version},
        "status": status,
    });
    let parameters = PatchParams::apply(MANAGER).force();
    let patch = Patch::Apply(&body);
    let call = api.patch_status(&name, &parameters, &patch);
    let (outcome, result) = match tokio::time::timeout(TIMEOUT, call).await {
        Err(_) => ("timed_out", Err(WriteError::TimedOut { name })),
        Ok(Err(kube::Error::Api(answer))) if answer.is_conflict() || answer.is_not_found() => {
            ("conflict", Ok(Write::Conflict))
        }
        Ok(Err(error)) => ("failed", Err(WriteError::Refused { name, message: error.to_string() })),
        Ok(Ok(answer)) => {
            let entry = Entry {
                resource_version: answer.resource_version().unwrap_or_default(),
                status: status.clone(),
                at: Instant::now(),
            };
            if let Some(uid) = object.uid() {
                written.put(uid, entry);
            }
            ("ok", Ok(Write::Done))
        }
    };
    let kind = match K::kind(&()).as_ref() {
        "DeviceTwin" => "DeviceTwin",
        "TwinQuery" => "TwinQuery",
        _ => "HubConnection",
    };
    context.metrics.status_writes.get_or_create(&vec![("kind", kind), ("outcome", outcome)]).inc();
    result
}
