//! The objects, as text, and what happened to them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::route::{Question, encode};

/// What is kept of the past; who is further behind lists anew.
const PAST: usize = 20_000;
/// Events in one piece of an answer.
const PIECE: usize = 200;

#[derive(Default)]
pub struct Store {
    state: Mutex<State>,
    /// The newest version.
    moved: watch::Sender<u64>,
    gone: AtomicBool,
}

#[derive(Default)]
struct State {
    collections: BTreeMap<String, BTreeMap<String, Bytes>>,
    version: u64,
    past: VecDeque<Event>,
    /// Watches that began before this version are over.
    cut: u64,
    calls: BTreeMap<String, u64>,
    made: u64,
}

struct Event {
    version: u64,
    collection: String,
    key: String,
    kind: &'static str,
    object: Bytes,
}

/// Where a watch is.
pub struct Cursor {
    /// What happened up to here is told.
    told: u64,
    /// The objects that are to be told first: after this key.
    initial: Option<String>,
    /// What keys begin with.
    prefix: String,
    over: bool,
}

/// What became of a change.
pub enum Applied {
    Changed(Bytes),
    Conflict,
    Missing,
}

pub fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

/// What the API server answers when it refuses.
pub fn status(code: u16, reason: &str) -> Value {
    let status = if code < 400 { "Success" } else { "Failure" };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": status, "message": reason, "reason": reason, "code": code})
}

impl Store {
    pub fn put(&self, collection: &str, mut object: Value) -> Bytes {
        let mut state = self.state();
        state.made += 1;
        let metadata = &mut object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if metadata["name"].is_null() {
            metadata["name"] = json!(format!("{}{:x}", text(&metadata["generateName"]), state.made));
        }
        let key = key(&text(&metadata["namespace"]), &text(&metadata["name"]));
        for (name, value) in [
            ("uid", json!(format!("{:08x}-0000-4000-8000-{:012x}", state.made, state.made))),
            ("generation", json!(1)),
            ("creationTimestamp", json!("2026-01-02T03:04:05Z")),
        ] {
            if metadata[name].is_null() {
                metadata[name] = value;
            }
        }
        let known = state.collections.get(collection).is_some_and(|objects| objects.contains_key(&key));
        self.happen(state, collection, &key, if known { "MODIFIED" } else { "ADDED" }, object)
    }

    pub fn get(&self, collection: &str, key: &str) -> Option<Bytes> {
        self.state().collections.get(collection)?.get(key).cloned()
    }

    pub fn delete(&self, collection: &str, key: &str) {
        let mut state = self.state();
        let gone = state.collections.get_mut(collection).and_then(|objects| objects.remove(key));
        if let Some(mut object) = gone.and_then(|gone| serde_json::from_slice::<Value>(&gone).ok()) {
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            self.tell(state, collection, key, "DELETED", Bytes::from(object.to_string()));
        }
    }

    /// Replaces, or merges: of a status the whole, of the rest key by key.
    pub fn change(
        &self,
        collection: &str,
        key: &str,
        replace: bool,
        subresource: Option<&str>,
        may_create: bool,
        change: Value,
    ) -> Applied {
        let state = self.state();
        let Some(old) = state.collections.get(collection).and_then(|objects| objects.get(key)) else {
            drop(state);
            return if may_create { Applied::Changed(self.put(collection, change)) } else { Applied::Missing };
        };
        let Ok(mut object) = serde_json::from_slice::<Value>(old) else { return Applied::Missing };
        let asked = &change["metadata"]["resourceVersion"];
        if asked.is_string() && *asked != object["metadata"]["resourceVersion"] {
            return Applied::Conflict;
        }
        let before = object["spec"].clone();
        match subresource {
            Some(part) => object[part] = change[part].clone(),
            None if replace => {
                let uid = object["metadata"]["uid"].clone();
                object = change;
                object["metadata"]["uid"] = uid;
            }
            None => merge(&mut object, change),
        }
        if object["spec"] != before {
            let generation = object["metadata"]["generation"].as_u64().unwrap_or_default();
            object["metadata"]["generation"] = json!(generation + 1);
        }
        Applied::Changed(self.happen(state, collection, key, "MODIFIED", object))
    }

    /// One page.
    pub fn list(&self, collection: &str, question: &Question) -> Bytes {
        let state = self.state();
        let none = BTreeMap::new();
        let objects = state.collections.get(collection).unwrap_or(&none);
        let after = question.after.as_deref().map_or(Unbounded, Excluded);
        let rest = objects.range::<str, _>((after, Unbounded)).filter(|(key, _)| key.starts_with(&question.prefix));
        let mut rest = rest.peekable();
        let (mut items, mut last) = (Vec::new(), String::new());
        for (key, object) in rest.by_ref().take(question.limit.unwrap_or(usize::MAX)) {
            items.push(object.clone());
            last.clone_from(key);
        }
        let more = if rest.peek().is_some() { encode(&last) } else { String::new() };
        let version = state.version;
        drop(state);
        let (group, plural) = collection.rsplit_once('/').unwrap_or_default();
        let mut text = format!(
            r#"{{"kind":"{plural}List","apiVersion":"{group}","metadata":{{"resourceVersion":"{version}","continue":"{more}"}},"items":["#
        )
        .into_bytes();
        for (number, item) in items.iter().enumerate() {
            if number > 0 {
                text.push(b',');
            }
            text.extend_from_slice(item);
        }
        text.extend_from_slice(b"]}");
        Bytes::from(text)
    }

    pub fn begin(&self, question: &Question) -> Cursor {
        let initial = question.initial_events.then(String::new);
        let told =
            if question.initial_events || question.version == 0 { self.state().version } else { question.version };
        Cursor { told, initial, prefix: question.prefix.clone(), over: false }
    }

    /// The next events of a watch, one a line; `None` when it is over.
    pub async fn follow(&self, collection: &str, cursor: &mut Cursor) -> Option<Bytes> {
        let mut moved = self.moved.subscribe();
        loop {
            if cursor.over || self.is_gone() {
                return None;
            }
            let lines = self.step(collection, cursor);
            if !lines.is_empty() {
                return Some(Bytes::from(lines));
            }
            moved.changed().await.ok()?;
        }
    }

    fn step(&self, collection: &str, cursor: &mut Cursor) -> Vec<u8> {
        let state = self.state();
        let mut lines = Vec::new();
        if let Some(after) = cursor.initial.take() {
            let objects = state.collections.get(collection);
            let rest =
                objects.into_iter().flat_map(|objects| objects.range::<str, _>((Excluded(after.as_str()), Unbounded)));
            let rest = rest.filter(|(key, _)| key.starts_with(&cursor.prefix));
            for (key, object) in rest.take(PIECE) {
                line(&mut lines, "ADDED", object);
                cursor.initial = Some(key.clone());
            }
            if cursor.initial.is_none() {
                let end = json!({"kind": "Bookmark", "apiVersion": "hubtwin.dev/v1alpha1", "metadata": {
                    "resourceVersion": cursor.told.to_string(), "annotations": {"k8s.io/initial-events-end": "true"}}});
                line(&mut lines, "BOOKMARK", end.to_string().as_bytes());
            }
            return lines;
        }
        let oldest = state.past.front().map_or(state.version, |event| event.version - 1);
        if cursor.told < state.cut || cursor.told < oldest {
            line(&mut lines, "ERROR", status(410, "Expired").to_string().as_bytes());
            cursor.over = true;
            return lines;
        }
        let first = state.past.partition_point(|event| event.version <= cursor.told);
        for event in state.past.range(first..).take(PIECE) {
            cursor.told = event.version;
            if event.collection == collection && event.key.starts_with(&cursor.prefix) {
                line(&mut lines, event.kind, &event.object);
            }
        }
        lines
    }

    pub fn cut(&self) {
        let mut state = self.state();
        state.version += 1;
        state.cut = state.version;
        self.moved.send_replace(state.version);
    }

    pub fn set_gone(&self, gone: bool) {
        self.gone.store(gone, Ordering::Release);
        self.moved.send_replace(self.state().version);
    }

    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub fn count(&self, verb: &str, collection: &str, subresource: Option<&str>) {
        let plural = collection.rsplit('/').next().unwrap_or_default();
        let name = subresource.map_or_else(|| format!("{verb} {plural}"), |part| format!("{verb} {plural}/{part}"));
        *self.state().calls.entry(name).or_default() += 1;
    }

    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.state().calls.clone()
    }

    fn happen(
        &self,
        mut state: MutexGuard<'_, State>,
        collection: &str,
        key: &str,
        kind: &'static str,
        mut object: Value,
    ) -> Bytes {
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let text = Bytes::from(object.to_string());
        state.collections.entry(collection.to_owned()).or_default().insert(key.to_owned(), text.clone());
        self.tell(state, collection, key, kind, text.clone());
        text
    }

    fn tell(&self, mut state: MutexGuard<'_, State>, collection: &str, key: &str, kind: &'static str, object: Bytes) {
        let (collection, key) = (collection.to_owned(), key.to_owned());
        let event = Event { version: state.version, collection, key, kind, object };
        state.past.push_back(event);
        if state.past.len() > PAST {
            state.past.pop_front();
        }
        self.moved.send_replace(state.version);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(lines: &mut Vec<u8>, kind: &str, object: &[u8]) {
    lines.extend_from_slice(format!(r#"{{"type":"{kind}","object":"#).as_bytes());
    lines.extend_from_slice(object);
    lines.extend_from_slice(b"}\n");
}

/// RFC 7396.
fn merge(object: &mut Value, change: Value) {
    let Value::Object(changes) = change else {
        *object = change;
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in changes {
        if value.is_null() {
            if let Some(object) = object.as_object_mut() {
                object.remove(&name);
            }
        } else {
            merge(&mut object[&name], value);
        }
    }
}
