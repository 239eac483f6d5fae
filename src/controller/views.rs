//! What is known of the twins of one connection: little of each, and the whole twin only as long as it is needed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;

use super::feed::Judgement;
use crate::twin::id::TwinId;
use crate::twin::view::{ConnectionState, Etag, Twin};

/// Twins as last read, by id. Within a twin's life no version ever goes back, in whatever order answers come.
#[derive(Debug, Default)]
pub struct Views(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    views: HashMap<TwinId, View>,
    /// Counts what was taken in.
    taken: u64,
}

/// A twin as last read.
#[derive(Clone, Debug)]
pub struct View {
    /// Counts every change.
    pub version: i64,
    /// The state of tags and desired properties.
    pub etag: Etag,
    /// When a property changed last, by the hub's clock.
    pub updated: Option<Timestamp>,
    /// Whether the device is connected.
    pub connection: Option<ConnectionState>,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it may be another by now: only a read of the twin tells.
    pub doubted: bool,
    /// Since when rows show an older twin than this.
    pub older_rows_since: Option<Timestamp>,
    /// The whole twin, from the row or the answer that brought it until what follows from it was recorded.
    pub whole: Option<Arc<Twin>>,
    pub(super) taken: u64,
}

/// When a call about a twin began, in the order of what was taken in.
#[derive(Clone, Copy, Debug)]
pub struct Began(u64);

/// Where a view comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A query's row, which may be old.
    Row,
    /// The answer to a read or a write of this one twin.
    Read,
    /// The status of an object: an operator before this one read it.
    Status,
}

impl View {
    /// What is known of a twin once it was read, without the whole of it.
    #[must_use]
    pub fn of(twin: &Twin, origin: Origin) -> Self {
        Self {
            version: twin.version,
            etag: twin.etag.clone(),
            updated: twin.updated(),
            connection: twin.connection_state,
            origin,
            doubted: false,
            older_rows_since: None,
            whole: None,
            taken: 0,
        }
    }

    /// What a status tells of a twin, which did not change after `updated`.
    #[must_use]
    pub fn told(version: i64, etag: Etag, connection: Option<ConnectionState>, updated: Option<Timestamp>) -> Self {
        let origin = Origin::Status;
        Self {
            version,
            etag,
            updated,
            connection,
            origin,
            doubted: false,
            older_rows_since: None,
            whole: None,
            taken: 0,
        }
    }
}

impl Views {
    /// What is known of a twin.
    pub fn look(&self, id: &TwinId) -> Option<View> {
        self.read().views.get(id).cloned()
    }

    /// The twin that changed last but not after `latest`, and when. What only a status tells does not count.
    pub fn newest(&self, latest: Option<Timestamp>) -> Option<(TwinId, Timestamp)> {
        let known = self.read();
        let times = known.views.iter().filter(|(_, view)| view.origin != Origin::Status);
        let times = times.filter_map(|(id, view)| Some((id, view.updated?)));
        let newest = times.filter(|(_, updated)| Some(*updated) <= latest).max_by_key(|(_, updated)| *updated);
        newest.map(|(id, updated)| (id.clone(), updated))
    }

    /// The earliest time of a last change, of these twins; `None` where it is not known of all.
    pub fn oldest(&self, of: impl Fn(&TwinId) -> bool) -> Option<Timestamp> {
        let known = self.read();
        let times: Option<Vec<Timestamp>> =
            known.views.iter().filter(|(id, _)| of(id)).map(|(_, view)| view.updated).collect();
        times?.into_iter().min()
    }

    /// To be called before a read or a write of one twin.
    pub fn begin(&self) -> Began {
        Began(self.read().taken)
    }

    /// Takes in the answer to a read or a write, and gives the twin as it is known then. A lower version is believed, unless
    /// the higher one became known while the call was under way: then this answer is the older one.
    pub fn answer(&self, id: TwinId, twin: Twin, began: Began) -> Arc<Twin> {
        let mut known = self.write();
        let twin = Arc::new(twin);
        if let Some(view) = known.views.get(&id)
            && view.version > twin.version
            && view.taken > began.0
        {
            return view.whole.clone().unwrap_or(twin);
        }
        known.put(id, twin.clone(), Origin::Read);
        twin
    }

    /// Judges a row against what is known, and takes it in, or not, before anything else is.
    pub fn row(&self, row: Twin, judge: impl FnOnce(Option<&View>, &Twin) -> Judgement) -> Judgement {
        let mut known = self.write();
        let id = row.id.clone();
        let judgement = judge(known.views.get(&id), &row);
        match judgement {
            Judgement::Drop => {}
            Judgement::Take => known.put(id, Arc::new(row), Origin::Row),
            Judgement::Read => known.doubt(&id),
            Judgement::Older(since) => known.older(&id, since),
        }
        judgement
    }

    /// Takes in what a status tells of a twin that is not known yet: a restart reads nothing that is written down.
    pub fn describe(&self, id: TwinId, view: View) {
        self.write().views.entry(id).or_insert(view);
    }

    /// A row shows an older twin than is known, and did not before.
    pub fn older(&self, id: &TwinId, since: Timestamp) {
        self.write().older(id, since);
    }

    /// Only the connection of a twin is another, at a version.
    pub fn connection(&self, id: &TwinId, version: i64, state: ConnectionState) {
        if let Some(view) = self.write().views.get_mut(id).filter(|view| view.version == version) {
            view.connection = Some(state);
            if let Some(whole) = &mut view.whole {
                *whole = Arc::new(Twin { connection_state: Some(state), ..(**whole).clone() });
            }
        }
    }

    /// What follows from this version of a twin was recorded: the whole of it is needed no longer.
    pub fn release(&self, id: &TwinId, version: i64) {
        if let Some(view) = self.write().views.get_mut(id).filter(|view| view.version <= version) {
            view.whole = None;
        }
    }

    /// Forgets all twins but these.
    pub fn retain(&self, keep: impl Fn(&TwinId) -> bool) {
        self.write().views.retain(|id, _| keep(id));
    }

    /// The twin may be another than the one known, so that the next reconcile reads it. Rows that are older than what was
    /// known are so all the same.
    pub fn doubt(&self, id: &TwinId) {
        self.write().doubt(id);
    }

    /// Forgets a twin that is gone.
    pub fn forget(&self, id: &TwinId) {
        self.write().views.remove(id);
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, id: TwinId, twin: Arc<Twin>, origin: Origin) {
        self.taken += 1;
        let view = View { taken: self.taken, ..View::of(&twin, origin) };
        self.views.insert(id, View { whole: Some(twin), ..view });
    }

    fn doubt(&mut self, id: &TwinId) {
        if let Some(view) = self.views.get_mut(id) {
            view.doubted = true;
            view.whole = None;
        }
    }

    fn older(&mut self, id: &TwinId, since: Timestamp) {
        if let Some(view) = self.views.get_mut(id) {
            view.older_rows_since.get_or_insert(since);
        }
    }
}
