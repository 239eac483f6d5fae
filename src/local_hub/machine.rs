//! The hub as a pure state machine: a command goes in, a reply and events come out. Time and randomness are handed in;
//! there is no async, no socket and no file here. REST and MQTT are adapters around it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound::{Excluded, Unbounded};

use serde_json::json;

use super::doubts::DisabledTwin;
use crate::twin::document::Object;

pub use self::command::{Command, Desired, Event, Fresh, Moment, Outcome, Precondition, Reply, SectionsBody};
pub use self::configuration::ConfigurationId;
pub use self::connection::Seen;
pub use self::draft::Draft;
pub use self::identity::{Authentication, Identity};
pub use self::record::{Record, Session, TwinRow};
pub use self::refusal::Refusal;

mod command;
mod configuration;
mod connection;
mod draft;
mod identity;
mod record;
mod refusal;
mod section;
pub mod stamp;
mod twin;

/// Most modules of one device.
pub const MAX_MODULES: usize = 50;

/// The modules of an edge device's runtime: they come and go with it.
const SYSTEM_MODULES: [&str; 2] = ["$edgeAgent", "$edgeHub"];

/// The name of a device, or of a module on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId {
    /// The device.
    pub device: String,
    /// The module; `None` for the device itself.
    pub module: Option<String>,
}

impl EntityId {
    /// A device.
    pub fn device(device: impl Into<String>) -> Self {
        Self { device: device.into(), module: None }
    }

    /// A module of a device.
    pub fn module(device: impl Into<String>, module: impl Into<String>) -> Self {
        Self { device: device.into(), module: Some(module.into()) }
    }

    /// The refusal that says that it is not there.
    fn missing(&self) -> Refusal {
        match self.module {
            None => Refusal::DeviceNotFound(self.device.clone()),
            Some(_) => Refusal::ModuleNotFound(self.to_string()),
        }
    }

    /// Whether it belongs to the runtime of an edge device.
    fn is_system(&self) -> bool {
        self.module.as_deref().is_some_and(|module| SYSTEM_MODULES.contains(&module))
    }

    /// Refuses to make, change or delete what belongs to the runtime of an edge device.
    fn must_be_ours(&self) -> Result<(), Refusal> {
        if self.is_system() { Err(Refusal::SystemModule(self.to_string())) } else { Ok(()) }
    }

    fn taken(&self) -> Refusal {
        match self.module {
            None => Refusal::DeviceExists(self.device.clone()),
            Some(_) => Refusal::ModuleExists(self.to_string()),
        }
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.module {
            None => f.write_str(&self.device),
            Some(module) => write!(f, "{}/{module}", self.device),
        }
    }
}

/// Every identity of the hub with its twin. Modules sort behind their device.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    records: BTreeMap<EntityId, Record>,
}

impl Machine {
    /// A hub that holds what was stored before. Nobody is connected yet.
    pub fn restore(records: impl IntoIterator<Item = (EntityId, Record)>) -> Self {
        let mut records: BTreeMap<_, _> = records.into_iter().collect();
        records.values_mut().for_each(|record: &mut Record| record.connection.reset());
        Self { records }
    }

    /// What is known of a device or module.
    #[must_use]
    pub fn get(&self, id: &EntityId) -> Option<&Record> {
        self.records.get(id)
    }

    /// The twins of all devices, or of all modules, in the order of their ids, after `after` where it is given.
    pub fn twins(
        &self,
        modules: bool,
        after: Option<&EntityId>,
        seen: Seen,
    ) -> impl Iterator<Item = (&EntityId, TwinRow<'_>)> {
        self.rows(after, seen).filter(move |(id, _)| id.module.is_some() == modules)
    }

    /// The twins of all devices, each before those of its modules.
    pub fn rows(&self, after: Option<&EntityId>, seen: Seen) -> impl Iterator<Item = (&EntityId, TwinRow<'_>)> {
        let from = after.map_or(Unbounded, Excluded);
        self.records.range::<EntityId, _>((from, Unbounded)).map(move |(id, record)| (id, TwinRow { id, record, seen }))
    }

    /// The twin of a device or module.
    #[must_use]
    pub fn row<'m>(&'m self, id: &'m EntityId, seen: Seen) -> Option<TwinRow<'m>> {
        self.records.get(id).map(|record| TwinRow { id, record, seen })
    }

    /// Every identity with its twin.
    pub fn records(&self) -> impl Iterator<Item = (&EntityId, &Record)> {
        self.records.iter()
    }

    /// Puts a record in place as it was at another time or place, or takes it away.
    pub fn put(&mut self, id: EntityId, record: Option<Record>) {
        match record {
            Some(record) => self.records.insert(id, record),
            None => self.records.remove(&id),
        };
    }

    /// Goes back to an older state, as a hub that failed over: everybody is cut off, and everything may have changed.
    pub fn fail_over(&mut self, older: Machine) -> Outcome {
        let Self { mut records } = older;
        records.values_mut().for_each(|record| record.connection.reset());
        let touched: Vec<EntityId> =
            self.records.keys().chain(records.keys()).cloned().collect::<BTreeSet<_>>().into_iter().collect();
        let events = self.records.keys().cloned().map(Event::Disconnect).collect();
        self.records = records;
        Outcome { reply: Ok(Reply::Nothing), events, touched, seen: Vec::new() }
    }

    /// Carries a command out. A refusal changes nothing.
    pub fn apply(&mut self, moment: &Moment<'_>, command: Command) -> Outcome {
        let mut outcome = Outcome::default();
        let (now, seen) = (moment.now, moment.seen());
        let reply = match command {
            Command::GetIdentity(id) => {
                self.existing(&id).map(|record| Reply::Document(record.identity_document(&id, seen)))
            }
            Command::ListDevices { top } => Ok(self.list(top, seen)),
            Command::ListModules { device } => self.list_modules(&device, seen),
            Command::PutIdentity { id, draft, precondition } => {
                self.put_identity(moment, &id, draft, &precondition, &mut outcome)
            }
            Command::DeleteIdentity { id, precondition } => self.delete(&id, &precondition, &mut outcome),
            Command::Statistics => Ok(self.statistics()),
            Command::ServiceStatistics => {
                let devices = self.records.iter().filter(|(id, _)| id.module.is_none());
                let connected = devices.filter(|(_, record)| record.connection.shown(seen));
                Ok(Reply::Document(json!({"connectedDeviceCount": connected.count()})))
            }
            Command::GetTwin(id) => {
                self.served(moment, &id, false).map(|record| Reply::Document(record.twin_document(&id, seen)))
            }
            Command::PatchTwin { id, body, precondition } => {
                self.write_twin(moment, &id, &precondition, &mut outcome, |record| {
                    record.twin.patch(now, body, moment.doubts)
                })
            }
            Command::ReplaceTwin { id, body, precondition } => {
                self.write_twin(moment, &id, &precondition, &mut outcome, |record| {
                    record.twin.replace(now, body, moment.doubts)
                })
            }
            Command::Configure { id, configuration, desired } => {
                self.write_twin(moment, &id, &Precondition::None, &mut outcome, |record| {
                    record.configure(now, configuration, desired)
                })
            }
            Command::Create { id, draft, body } => self.create(moment, &id, draft, body, &mut outcome),
            Command::DeviceGetTwin(id) => {
                self.existing(&id).map(|record| Reply::Document(record.twin.device_document()))
            }
            Command::Report { id, patch, arrays, version } => self.existing_mut(&id).and_then(|record| {
                let version = record.twin.report(now, &patch, arrays, version, moment.doubts)?;
                record.last_activity = Some(now);
                outcome.touched.push(id);
                Ok(Reply::Version(version))
            }),
            Command::Connect { id, clean, model } => self.connect(moment, id, clean, model, &mut outcome),
            Command::Disconnect(id) => self.existing_mut(&id).map(|record| {
                record.connection.change(false, seen);
                record.last_activity = Some(now);
                outcome.seen.push(id);
                Reply::Nothing
            }),
            Command::Subscribe { id, session } => self.existing_mut(&id).map(|record| {
                if record.session != session {
                    record.session = session;
                    outcome.touched.push(id);
                }
                Reply::Nothing
            }),
        };
        outcome.reply = reply;
        outcome
    }

    /// The twin for a back end, which may fare otherwise when the identity is disabled.
    fn served(&self, moment: &Moment<'_>, id: &EntityId, write: bool) -> Result<&Record, Refusal> {
        let record = self.existing(id)?;
        let hidden = match moment.doubts.disabled_twin {
            DisabledTwin::Served => false,
            DisabledTwin::ReadOnly => write,
            DisabledTwin::NotFound => true,
        };
        if hidden && !record.identity.enabled { Err(id.missing()) } else { Ok(record) }
    }

    fn existing(&self, id: &EntityId) -> Result<&Record, Refusal> {
        if id.module.is_some() && !self.records.contains_key(&EntityId::device(&id.device)) {
            return Err(Refusal::DeviceNotFound(id.device.clone()));
        }
        self.records.get(id).ok_or_else(|| id.missing())
    }

    fn existing_mut(&mut self, id: &EntityId) -> Result<&mut Record, Refusal> {
        self.existing(id)?;
        self.records.get_mut(id).ok_or_else(|| id.missing())
    }

    fn modules_of<'a>(&'a self, device: &'a str) -> impl Iterator<Item = &'a EntityId> {
        self.records
            .range(EntityId::device(device)..)
            .map(|(id, _)| id)
            .take_while(move |id| id.device == device)
            .skip(1)
    }

    fn list(&self, top: usize, seen: Seen) -> Reply {
        let found = self.records.iter().filter(|(id, _)| id.module.is_none()).take(top);
        Reply::Document(found.map(|(id, record)| record.identity_document(id, seen)).collect())
    }

    fn list_modules(&self, device: &str, seen: Seen) -> Result<Reply, Refusal> {
        self.existing(&EntityId::device(device))?;
        let modules = self.modules_of(device).filter_map(|id| Some((id, self.records.get(id)?)));
        Ok(Reply::Document(modules.map(|(id, record)| record.identity_document(id, seen)).collect()))
    }

    fn statistics(&self) -> Reply {
        let devices = || self.records.iter().filter(|(id, _)| id.module.is_none()).map(|(_, record)| &record.identity);
        let enabled = devices().filter(|identity| identity.enabled).count();
        let total = devices().count();
        Reply::Document(json!({
            "totalDeviceCount": total, "enabledDeviceCount": enabled, "disabledDeviceCount": total - enabled,
        }))
    }

    fn put_identity(
        &mut self,
        moment: &Moment<'_>,
        id: &EntityId,
        draft: Draft,
        precondition: &Precondition,
        outcome: &mut Outcome,
    ) -> Result<Reply, Refusal> {
        let Some(record) = self.records.get_mut(id) else {
            if *precondition != Precondition::None {
                self.existing(id)?;
            }
            return self.create(moment, id, draft, SectionsBody::default(), outcome);
        };
        match precondition {
            Precondition::None => return Err(id.taken()),
            Precondition::Exists => {}
            Precondition::Etag(etag) if *etag == record.identity.etag() => {}
            Precondition::Etag(_) => return Err(Refusal::IdentityEtagMismatch),
        }
        id.must_be_ours()?;
        record.identity.update(draft, moment.fresh, moment.now);
        outcome.events.push(Event::IdentityChanged(id.clone()));
        if !record.identity.enabled {
            // Its modules go with it.
            let modules = self.modules_of(&id.device).filter(|_| id.module.is_none()).cloned();
            outcome.events.extend(modules.map(Event::Disconnect));
        }
        outcome.touched.push(id.clone());
        self.add_system_modules(moment, id, outcome);
        self.existing(id).map(|record| Reply::Document(record.identity_document(id, moment.seen())))
    }

    fn create(
        &mut self,
        moment: &Moment<'_>,
        id: &EntityId,
        draft: Draft,
        body: SectionsBody,
        outcome: &mut Outcome,
    ) -> Result<Reply, Refusal> {
        if self.records.contains_key(id) {
            return Err(id.taken());
        }
        if id.module.is_some() {
            self.existing(&EntityId::device(&id.device))?;
            id.must_be_ours()?;
            let own = self.modules_of(&id.device).filter(|module| !module.is_system()).count();
            if own >= MAX_MODULES {
                return Err(Refusal::TooManyModules(id.device.clone()));
            }
        }
        let identity = Identity::create(draft, moment.fresh);
        let mut record = Record::new(identity, id.module.is_none().then_some(moment.now));
        record.twin.seed(moment.now, body)?;
        let document = record.identity_document(id, moment.seen());
        self.records.insert(id.clone(), record);
        outcome.touched.push(id.clone());
        self.add_system_modules(moment, id, outcome);
        Ok(Reply::Document(document))
    }

    /// An edge device has the two modules of its runtime from the start.
    fn add_system_modules(&mut self, moment: &Moment<'_>, id: &EntityId, outcome: &mut Outcome) {
        let edge = id.module.is_none() && self.records.get(id).is_some_and(|record| record.identity.edge);
        for name in SYSTEM_MODULES.into_iter().filter(|_| edge) {
            let module = EntityId::module(&id.device, name);
            if !self.records.contains_key(&module) {
                self.records.insert(module.clone(), Record::new(Identity::system(moment.fresh), None));
                outcome.touched.push(module);
            }
        }
    }

    fn delete(&mut self, id: &EntityId, precondition: &Precondition, outcome: &mut Outcome) -> Result<Reply, Refusal> {
        let record = self.existing(id)?;
        if let Precondition::Etag(etag) = precondition
            && *etag != record.identity.etag()
        {
            return Err(Refusal::IdentityEtagMismatch);
        }
        id.must_be_ours()?;
        let mut gone = vec![id.clone()];
        if id.module.is_none() {
            gone.extend(self.modules_of(&id.device).cloned());
        }
        for id in gone {
            self.records.remove(&id);
            outcome.events.push(Event::Disconnect(id.clone()));
            outcome.touched.push(id);
        }
        Ok(Reply::Nothing)
    }

    fn write_twin(
        &mut self,
        moment: &Moment<'_>,
        id: &EntityId,
        precondition: &Precondition,
        outcome: &mut Outcome,
        write: impl FnOnce(&mut Record) -> Result<Option<Object>, Refusal>,
    ) -> Result<Reply, Refusal> {
        self.served(moment, id, true)?;
        let record = self.existing_mut(id)?;
        if let Precondition::Etag(etag) = precondition
            && *etag != record.twin.etag()
        {
            return Err(Refusal::TwinEtagMismatch(id.to_string()));
        }
        if let Some(notice) = write(record)? {
            let version = record.twin.desired_version();
            outcome.events.push(Event::DesiredChanged { id: id.clone(), notice, version });
        }
        outcome.touched.push(id.clone());
        Ok(Reply::Document(record.twin_document(id, moment.seen())))
    }

    fn connect(
        &mut self,
        moment: &Moment<'_>,
        id: EntityId,
        clean: bool,
        model: Option<String>,
        outcome: &mut Outcome,
    ) -> Result<Reply, Refusal> {
        // The modules of a disabled device stay away as well.
        if !self.existing(&EntityId::device(&id.device))?.identity.enabled {
            return Err(Refusal::DeviceDisabled(id.to_string()));
        }
        let record = self.existing_mut(&id)?;
        if !record.identity.enabled {
            return Err(Refusal::DeviceDisabled(id.to_string()));
        }
        record.connection.change(true, moment.seen());
        record.last_activity = Some(moment.now);
        let present = !clean && record.session != Session::default();
        // A clean session forgets, and a newly announced model is part of the twin: both are stored.
        let store = (clean && record.session != Session::default()) || record.model_id != model;
        if store { &mut outcome.touched } else { &mut outcome.seen }.push(id);
        if clean {
            record.session = Session::default();
        }
        record.model_id = model;
        Ok(Reply::Session { present, session: record.session.clone() })
    }
}

#[cfg(test)]
mod tests;
