//! Every state of every DeviceTwin, as the API server shows it to a watch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt as _;
use kube::core::{NotUsed, Object};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::kinds;

type Twin = Object<NotUsed, Status>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    observed_generation: i64,
    #[serde(default)]
    conditions: Vec<Condition>,
    twin: Option<Versions>,
    properties: Option<Properties>,
}

#[derive(Clone, Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Versions {
    version: i64,
}

#[derive(Clone, Debug, Deserialize)]
struct Properties {
    #[serde(default)]
    reported: Value,
}

/// What was seen of one object.
#[derive(Debug, Default)]
struct Seen {
    resource_version: String,
    generation: i64,
    ready: bool,
    version: i64,
    /// Changes of the object that were not changes of its spec.
    writes: u64,
    /// `count` of what the device reported, each value with when it was first seen.
    counts: Vec<(u64, Instant)>,
}

#[derive(Default)]
struct State {
    objects: HashMap<String, Seen>,
    went_back: u64,
}

/// Watches one namespace for as long as it lives.
pub struct Watch {
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Watch {
    pub fn new(client: Client, namespace: &str) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let api: Api<Twin> = Api::namespaced_with(client, namespace, &kinds::device_twin());
        let kept = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
            while let Some(event) = events.next().await {
                if let Ok(Event::Apply(twin) | Event::InitApply(twin)) = event {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).see(twin);
                }
            }
        });
        Self { state, task }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are Ready at their generation.
    pub fn ready(&self) -> usize {
        self.state().objects.values().filter(|seen| seen.ready).count()
    }

    /// Status writes of all objects whose name is wanted.
    pub fn writes(&self, wanted: impl Fn(&str) -> bool) -> u64 {
        self.state().objects.iter().filter(|(name, _)| wanted(name)).map(|(_, seen)| seen.writes).sum()
    }

    /// How often a status showed a lower version of its twin than before.
    pub fn went_back(&self) -> u64 {
        self.state().went_back
    }

    /// When the status first showed a count at least this high.
    pub fn shown(&self, name: &str, count: u64) -> Option<Instant> {
        let state = self.state();
        let counts = &state.objects.get(name)?.counts;
        counts.iter().find(|(shown, _)| *shown >= count).map(|(_, at)| *at)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn see(&mut self, twin: Twin) {
        let seen = self.objects.entry(twin.name_any()).or_default();
        let resource_version = twin.resource_version().unwrap_or_default();
        let generation = twin.metadata.generation.unwrap_or_default();
        if seen.resource_version == resource_version {
            return;
        }
        if !seen.resource_version.is_empty() && seen.generation == generation {
            seen.writes += 1;
        }
        let status = twin.status.unwrap_or_default();
        let is_ready = |condition: &Condition| condition.type_ == "Ready" && condition.status == "True";
        let version = status.twin.map_or(seen.version, |twin| twin.version);
        self.went_back += u64::from(version < seen.version);
        let count = status.properties.and_then(|properties| properties.reported["count"].as_u64());
        if let Some(count) = count
            && seen.counts.last().is_none_or(|(last, _)| *last < count)
        {
            seen.counts.push((count, Instant::now()));
        }
        seen.ready = status.observed_generation == generation && status.conditions.iter().any(is_ready);
        (seen.resource_version, seen.generation, seen.version) = (resource_version, generation, version);
    }
}
