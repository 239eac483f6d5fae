//! What is kept of one DeviceTwin.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::Instant;

use kube::ResourceExt as _;
use kube::core::ObjectMeta;

use super::super::hubs::HubKey;
use super::digest::digest;
use super::name::TwinName;
use super::packed::Packed;
use crate::api::conditions::find;
use crate::api::{DeviceTwin, DeviceTwinStatus, RECONCILE_REQUESTED_AT};
use crate::twin::id::TwinId;

/// One DeviceTwin.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) hub: Arc<HubKey>,
    /// The list that last showed it.
    pub(super) list: u32,
    /// A hash of the uid.
    pub(super) uid: u64,
    /// The newest resourceVersion that we know of.
    pub(super) version: Box<str>,
    /// Whether it is of our own writing: what the watch shows may be older.
    pub(super) ours: bool,
    pub(super) flags: Flags,
    /// The digest of what status shows of the reported properties.
    pub(super) reported: Option<u64>,
    /// When we last wrote the status.
    pub(super) written: Option<Instant>,
    /// The ids, where they are not the name alone.
    ids: Option<Box<Ids>>,
    generation: i64,
    observed: i64,
    /// A hash of the request for a reconcile.
    asked: u64,
    /// Metadata and spec.
    object: Packed,
    /// The status, but for the reported properties.
    status: Packed,
}

#[derive(Debug)]
struct Ids {
    device: Option<Box<str>>,
    module: Option<Box<str>>,
}

/// What counts and order go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) ready: bool,
    pub(super) converged: bool,
    pub(super) drifted: bool,
    pub(super) deleting: bool,
    pub(super) suspended: bool,
    pub(super) module: bool,
}

/// Where an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The generation of its spec.
    pub generation: i64,
    /// The generation that its status is about; negative before the first look.
    pub observed: i64,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether status says Ready.
    pub ready: bool,
}

/// How the objects of a connection stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub total: usize,
    /// Those that are Ready.
    pub ready: usize,
    /// Those that are Converged.
    pub converged: usize,
    /// Those with drift.
    pub drifted: usize,
    /// Those that are about a module's twin.
    pub modules: usize,
}

impl Counts {
    fn each(&mut self, other: Self, change: fn(usize, usize) -> usize) {
        self.total = change(self.total, other.total);
        self.ready = change(self.ready, other.ready);
        self.converged = change(self.converged, other.converged);
        self.drifted = change(self.drifted, other.drifted);
        self.modules = change(self.modules, other.modules);
    }

    pub(super) fn add(&mut self, other: Self) {
        self.each(other, usize::saturating_add);
    }

    pub(super) fn subtract(&mut self, other: Self) {
        self.each(other, usize::saturating_sub);
    }
}

impl Entry {
    pub(super) fn new(mut twin: DeviceTwin, hub: Arc<HubKey>, list: u32) -> Self {
        let status = twin.status.take();
        let (name, spec) = (twin.name_any(), &twin.spec);
        let device = spec.device_id.as_deref().filter(|device| **device != *name).map(Box::from);
        let module = spec.module_id.as_deref().map(Box::from);
        let asked = hash(&twin.annotations().get(RECONCILE_REQUESTED_AT));
        let mut entry = Self {
            hub,
            list,
            uid: hash(&twin.metadata.uid),
            version: twin.metadata.resource_version.take().unwrap_or_default().into(),
            ours: false,
            flags: Flags {
                deleting: twin.metadata.deletion_timestamp.is_some(),
                suspended: spec.suspend,
                module: module.is_some(),
                ..Flags::default()
            },
            reported: None,
            written: None,
            generation: twin.metadata.generation.unwrap_or_default(),
            observed: -1,
            asked,
            ids: (device.is_some() || module.is_some()).then(|| Box::new(Ids { device, module })),
            object: Packed::new(&pared(twin)),
            status: Packed::new(&()),
        };
        entry.put_status(status);
        entry
    }

    /// Whether this is about that very object, not about one that was made again under its name.
    pub(super) fn is(&self, twin: &DeviceTwin) -> bool {
        self.uid == hash(&twin.metadata.uid)
    }

    /// The object, but for what the device reports.
    pub(super) fn whole(&self, name: &TwinName) -> Option<DeviceTwin> {
        let mut twin: DeviceTwin = self.object.open()?;
        twin.metadata.name = Some(name.name().to_owned());
        twin.metadata.namespace = Some(name.namespace().to_owned());
        twin.metadata.resource_version = Some(self.version.to_string());
        twin.status = self.status();
        Some(twin)
    }

    pub(super) fn status(&self) -> Option<DeviceTwinStatus> {
        self.status.open().flatten()
    }

    /// Puts a status in place of the one before.
    pub(super) fn put_status(&mut self, mut status: Option<DeviceTwinStatus>) {
        let properties = status.as_mut().and_then(|status| status.properties.take());
        self.reported = properties.map(|properties| digest(&properties.reported.0));
        let is_true = |type_: &str| {
            status
                .as_ref()
                .and_then(|status| find(&status.conditions, type_))
                .is_some_and(|found| found.status == "True")
        };
        self.flags.ready = is_true("Ready");
        self.flags.converged = is_true("Converged");
        self.flags.drifted = status.as_ref().is_some_and(|status| status.drift.is_some());
        self.observed = status.as_ref().map_or(-1, |status| status.observed_generation);
        self.status = Packed::new(&status);
    }

    /// Goes on from the status of an entry that is newer.
    pub(super) fn keep_status_of(&mut self, newer: &Self) {
        self.version.clone_from(&newer.version);
        self.ours = newer.ours;
        self.reported = newer.reported;
        self.observed = newer.observed;
        self.status = newer.status.clone();
        let Flags { ready, converged, drifted, .. } = newer.flags;
        self.flags = Flags { ready, converged, drifted, ..self.flags };
    }

    /// The object is at another version by our own doing.
    pub(super) fn moved(&mut self, version: String) {
        self.version = version.into();
        self.ours = true;
    }

    pub(super) fn asks_for_work_after(&self, before: &Self) -> bool {
        (self.uid, self.generation, self.asked) != (before.uid, before.generation, before.asked)
    }

    pub(super) fn standing(&self) -> Standing {
        let Self { generation, observed, flags, .. } = *self;
        Standing { generation, observed, deleting: flags.deleting, ready: flags.ready }
    }

    pub(super) fn tally(&self) -> Counts {
        let Flags { ready, converged, drifted, module, .. } = self.flags;
        let one = usize::from;
        Counts { total: 1, ready: one(ready), converged: one(converged), drifted: one(drifted), modules: one(module) }
    }

    /// The ids that the object names; `None` when they are none.
    pub(super) fn id(&self, name: &TwinName) -> Option<TwinId> {
        let device = self.ids.as_ref().and_then(|ids| ids.device.as_deref());
        let module = self.ids.as_ref().and_then(|ids| ids.module.as_deref());
        TwinId::parse(device.unwrap_or(name.name()), module).ok()
    }

    /// Whether the object names these ids.
    pub(super) fn names(&self, name: &TwinName, id: &TwinId) -> bool {
        let device = self.ids.as_ref().and_then(|ids| ids.device.as_deref());
        let module = self.ids.as_ref().and_then(|ids| ids.module.as_deref());
        device.unwrap_or(name.name()) == id.device_id.as_str() && module == id.module()
    }

    /// Whether the object is to be kept in step with this twin.
    pub(super) fn claims(&self, name: &TwinName, id: &TwinId) -> bool {
        !self.flags.suspended && self.names(name, id)
    }
}

/// What no decision needs is left out: labels, managed fields, all annotations but our own.
fn pared(twin: DeviceTwin) -> DeviceTwin {
    let old = twin.metadata;
    let asked = old.annotations.and_then(|mut all| all.remove_entry(RECONCILE_REQUESTED_AT));
    let metadata = ObjectMeta {
        uid: old.uid,
        generation: old.generation,
        creation_timestamp: old.creation_timestamp,
        deletion_timestamp: old.deletion_timestamp,
        finalizers: old.finalizers,
        annotations: asked.map(|entry| [entry].into()),
        ..ObjectMeta::default()
    };
    DeviceTwin { metadata, spec: twin.spec, status: None }
}

fn hash(value: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
