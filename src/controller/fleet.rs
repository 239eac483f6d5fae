//! The DeviceTwins as last seen, kept small: of each what decisions need, packed, and none of what the device reports.
//!
//! What we wrote ourselves is newer than what the watch has shown so far; it goes in here at once.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use kube::ResourceExt as _;

use super::hubs::HubKey;
use super::status::{Keep, newer};
use crate::api::{DeviceTwin, DeviceTwinStatus};
use crate::twin::id::TwinId;

mod digest;
mod entry;
mod few;
mod name;
mod packed;

pub use digest::digest;
use entry::Entry;
pub use entry::{Counts, Standing};
use few::Few;
pub use name::TwinName;

/// All DeviceTwins.
#[derive(Debug, Default)]
pub struct Fleet(RwLock<All>);

#[derive(Debug, Default)]
struct All {
    entries: HashMap<TwinName, Entry>,
    /// The objects by a hash of the ids that they name, at whatever hub.
    by_twin: HashMap<u64, Few<TwinName>>,
    hubs: HashMap<Arc<HubKey>, Counts>,
    namespaces: HashSet<Arc<str>>,
    /// Counts the lists: what the last one did not show is gone.
    list: u32,
    hasher: std::hash::RandomState,
}

/// What an event of the watch changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing that asks for work: our own write, or a status.
    Same,
    /// A spec, a finalizer, a request, or an object that is new to us.
    Changed(TwinName),
}

/// What to go on from.
#[derive(Clone, Debug, PartialEq)]
pub struct Newest {
    /// The status, but for the reported properties.
    pub status: Option<DeviceTwinStatus>,
    /// What a write is to carry.
    pub resource_version: String,
    /// The digest of what status shows of the reported properties; `None` when it shows none.
    pub reported: Option<u64>,
}

/// An object that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its name.
    pub name: TwinName,
    /// Its uid.
    pub uid: String,
    /// The other objects that may be about its twin.
    pub others: Vec<TwinName>,
}

impl Fleet {
    /// A list begins.
    pub fn begin(&self) {
        let mut all = self.write();
        all.list = all.list.wrapping_add(1);
    }

    /// A list is whole: the objects that it did not show are gone.
    pub fn end(&self) -> Vec<Gone> {
        let mut all = self.write();
        let list = all.list;
        let gone: Vec<TwinName> =
            all.entries.iter().filter(|(_, entry)| entry.list != list).map(|(name, _)| name.clone()).collect();
        gone.iter().filter_map(|name| all.remove(name)).collect()
    }

    /// Takes an object in as the watch shows it.
    pub fn take(&self, twin: DeviceTwin) -> Seen {
        self.write().take(twin)
    }

    /// An object was deleted.
    pub fn remove(&self, name: &TwinName) -> Option<Gone> {
        self.write().remove(name)
    }

    /// The object as last known, but for what the device reports.
    pub fn get(&self, name: &TwinName) -> Option<DeviceTwin> {
        self.read().entries.get(name)?.whole(name)
    }

    /// What to go on from: the newest status, be it the watch's or of our own writing.
    pub fn newest(&self, twin: &DeviceTwin) -> Newest {
        let all = self.read();
        match all.entries.get(&TwinName::of(twin)).filter(|entry| entry.is(twin)) {
            Some(entry) => {
                Newest { status: entry.status(), resource_version: entry.version.to_string(), reported: entry.reported }
            }
            None => Newest {
                status: twin.status.clone(),
                resource_version: twin.resource_version().unwrap_or_default(),
                reported: None,
            },
        }
    }

    /// Where an object stands, and its connection.
    pub fn standing(&self, name: &TwinName) -> Option<(Standing, Arc<HubKey>)> {
        self.read().entries.get(name).map(|entry| (entry.standing(), entry.hub.clone()))
    }

    /// How long ago we wrote this object's status; `None` if we did not.
    pub fn age(&self, name: &TwinName) -> Option<Duration> {
        Some(self.read().entries.get(name)?.written?.elapsed())
    }

    /// We changed something else of the object: what it is to go on from is the same, at another version.
    pub fn moved(&self, twin: &DeviceTwin, resource_version: String) {
        if let Some(entry) = self.write().entries.get_mut(&TwinName::of(twin)).filter(|entry| entry.is(twin))
            && newer(&resource_version, &entry.version)
        {
            entry.moved(resource_version);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects of a connection.
    pub fn of_hub(&self, hub: &HubKey, wanted: impl Fn(Standing) -> bool) -> Vec<TwinName> {
        let all = self.read();
        let of_hub = all.entries.iter().filter(|(_, entry)| *entry.hub == *hub && wanted(entry.standing()));
        of_hub.map(|(name, _)| name.clone()).collect()
    }

    /// The objects of a connection that claim a twin, suspended ones left out.
    pub fn claiming(&self, hub: &HubKey, id: &TwinId) -> Vec<TwinName> {
        let all = self.read();
        let of_hub =
            |name: &&TwinName| all.entries.get(*name).is_some_and(|entry| *entry.hub == *hub && entry.claims(name, id));
        all.named(id).filter(of_hub).cloned().collect()
    }

    /// Whether an object of a connection claims a twin; suspended ones do not.
    pub fn claims(&self, hub: &HubKey, id: &TwinId) -> bool {
        let all = self.read();
        all.named(id)
            .any(|name| all.entries.get(name).is_some_and(|entry| *entry.hub == *hub && entry.claims(name, id)))
    }

    /// The twins that objects of a connection claim, each once, in order.
    pub fn claimed(&self, hub: &HubKey) -> Vec<TwinId> {
        let all = self.read();
        let of_hub = all.entries.iter().filter(|(_, entry)| *entry.hub == *hub && !entry.flags.suspended);
        let mut ids: Vec<TwinId> = of_hub.filter_map(|(name, entry)| entry.id(name)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The objects, but for this one, that name the same ids at whatever hub.
    pub fn others(&self, twin: &DeviceTwin) -> Vec<TwinName> {
        let Some(id) = super::device_twin::id(twin) else { return Vec::new() };
        let own = TwinName::of(twin);
        let all = self.read();
        let named = all.named(&id).filter(|other| **other != own);
        named.filter(|other| all.entries.get(*other).is_some_and(|entry| entry.names(other, &id))).cloned().collect()
    }

    /// How the objects of a connection stand.
    pub fn counts(&self, hub: &HubKey) -> Counts {
        self.read().hubs.get(hub).copied().unwrap_or_default()
    }

    fn read(&self) -> RwLockReadGuard<'_, All> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, All> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keep<DeviceTwin, DeviceTwinStatus> for Fleet {
    fn wrote(&self, twin: &DeviceTwin, status: &DeviceTwinStatus, resource_version: String) {
        let mut all = self.write();
        let name = TwinName::of(twin);
        let Some(entry) = all.entries.get_mut(&name).filter(|entry| entry.is(twin)) else { return };
        entry.written = Some(Instant::now());
        if !newer(&resource_version, &entry.version) {
            // The watch was faster than the answer, and may have shown a later change by now.
            return;
        }
        let (hub, before) = (entry.hub.clone(), entry.tally());
        entry.moved(resource_version);
        entry.put_status(Some(status.clone()));
        let after = entry.tally();
        all.count(&hub, Some(before), Some(after));
    }
}

impl All {
    fn take(&mut self, twin: DeviceTwin) -> Seen {
        let (list, name) = (self.list, TwinName::of(&twin));
        let (name, hub) = self.interned(&name, HubKey::of_twin(&twin));
        let old = self.entries.remove(&name);
        let mut new = Entry::new(twin, hub.clone(), list);
        if let Some(old) = old.as_ref().filter(|old| old.uid == new.uid) {
            new.written = old.written;
            if old.ours && !newer(&new.version, &old.version) {
                // Its status is older than the one that we wrote. Spec and metadata are only ever known by the watch.
                new.keep_status_of(old);
            }
        }
        let changed = old.as_ref().is_none_or(|old| new.asks_for_work_after(old));
        if let Some(old) = &old {
            self.count(&old.hub, Some(old.tally()), None);
        }
        self.count(&hub, None, Some(new.tally()));
        let (before, after) = (old.and_then(|old| old.id(&name)), new.id(&name));
        if before != after {
            before.iter().for_each(|id| self.unname(id, &name));
            if let Some(id) = &after {
                let hash = self.hasher.hash_one(id);
                self.by_twin.entry(hash).or_default().add(name.clone());
            }
        }
        self.entries.insert(name.clone(), new);
        if changed { Seen::Changed(name) } else { Seen::Same }
    }

    fn remove(&mut self, name: &TwinName) -> Option<Gone> {
        let entry = self.entries.remove(name)?;
        self.count(&entry.hub, Some(entry.tally()), None);
        let id = entry.id(name);
        id.iter().for_each(|id| self.unname(id, name));
        let others = id.iter().flat_map(|id| self.named(id)).cloned().collect();
        let uid = entry.whole(name)?.uid().unwrap_or_default();
        Some(Gone { name: name.clone(), uid, others })
    }

    fn named(&self, id: &TwinId) -> impl Iterator<Item = &TwinName> {
        self.by_twin.get(&self.hasher.hash_one(id)).into_iter().flat_map(Few::iter)
    }

    fn unname(&mut self, id: &TwinId, name: &TwinName) {
        let hash = self.hasher.hash_one(id);
        if let Some(names) = self.by_twin.get_mut(&hash) {
            names.remove(name);
            if names.is_empty() {
                self.by_twin.remove(&hash);
            }
        }
    }

    /// The same texts, held once.
    fn interned(&mut self, name: &TwinName, hub: HubKey) -> (TwinName, Arc<HubKey>) {
        let hub = match self.hubs.get_key_value(&hub) {
            Some((known, _)) => known.clone(),
            None => Arc::new(hub),
        };
        if let Some((known, _)) = self.entries.get_key_value(name) {
            return (known.clone(), hub);
        }
        let namespace = match self.namespaces.get(name.namespace()) {
            Some(known) => known.clone(),
            None => {
                let new: Arc<str> = name.namespace().into();
                self.namespaces.insert(new.clone());
                new
            }
        };
        (TwinName::new(namespace, name.name()), hub)
    }

    fn count(&mut self, hub: &Arc<HubKey>, before: Option<Counts>, after: Option<Counts>) {
        let counts = self.hubs.entry(hub.clone()).or_default();
        before.iter().for_each(|before| counts.subtract(*before));
        after.iter().for_each(|after| counts.add(*after));
    }
}

#[cfg(test)]
mod tests;
