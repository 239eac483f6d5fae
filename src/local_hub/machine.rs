//! The hub as a pure state machine: a command goes in, a reply and events come out. Time and randomness are handed in;
//! there is no async, no socket and no file here. REST and MQTT are adapters around it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound::{Excluded, Unbounded};

use serde_json::{Value, json};

use crate::twin::document::Object;

pub use self::command::{Command, Desired, Event, Fresh, Outcome, Precondition, Reply, SectionsBody};
pub use self::identity::{Authentication, Draft, Identity};
pub use self::record::{Record, Session};
pub use self::refusal::Refusal;

mod command;
mod identity;
mod record;
mod refusal;
mod section;
pub mod stamp;
mod twin;

/// Most modules of one device.
pub const MAX_MODULES: usize = 50;

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
#[derive(Debug, Default)]
pub struct Machine {
    records: BTreeMap<EntityId, Record>,
}

impl Machine {
    /// A hub that holds what was stored before. Nobody is connected yet.
    pub fn restore(records: impl IntoIterator<Item = (EntityId, Record)>) -> Self {
        let mut records: BTreeMap<_, _> = records.into_iter().collect();
        records.values_mut().for_each(|record: &mut Record| record.connected = false);
        Self { records }
    }

    /// What is known of a device or module.
    #[must_use]
    pub fn get(&self, id: &EntityId) -> Option<&Record> {
        self.records.get(id)
    }

    /// The twin documents of all devices, or of all modules, in the order of their ids, after `after` where it is given.
    pub fn twins(&self, modules: bool, after: Option<&EntityId>) -> impl Iterator<Item = (&EntityId, Value)> {
        let from = after.map_or(Unbounded, Excluded);
        self.records
            .range::<EntityId, _>((from, Unbounded))
            .filter(move |(id, _)| id.module.is_some() == modules)
            .map(|(id, record)| (id, record.twin_document(id)))
    }

    /// Carries a command out. A refusal changes nothing.
    pub fn apply(&mut self, now: jiff::Timestamp, fresh: &Fresh, command: Command) -> Outcome {
        let mut outcome = Outcome::default();
        let reply = match command {
            Command::GetIdentity(id) => self.existing(&id).map(|record| Reply::Document(record.identity_document(&id))),
            Command::ListDevices { top } => Ok(self.list(|id| id.module.is_none(), top)),
            Command::ListModules { device } => self.list_modules(&device),
            Command::PutIdentity { id, draft, precondition } => {
                self.put_identity(now, fresh, &id, draft, &precondition, &mut outcome)
            }
            Command::DeleteIdentity { id, precondition } => self.delete(&id, &precondition, &mut outcome),
            Command::Statistics => Ok(self.statistics()),
            Command::ServiceStatistics => {
                let connected = self.records.iter().filter(|(id, record)| id.module.is_none() && record.connected);
                Ok(Reply::Document(json!({"connectedDeviceCount": connected.count()})))
            }
            Command::GetTwin(id) => self.existing(&id).map(|record| Reply::Document(record.twin_document(&id))),
            Command::PatchTwin { id, body, precondition } => {
                self.write_twin(&id, &precondition, &mut outcome, |record| record.twin.patch(now, body))
            }
            Command::ReplaceTwin { id, body, precondition } => {
                self.write_twin(&id, &precondition, &mut outcome, |record| record.twin.replace(now, body))
            }
            Command::SeedTwin { id, body } => self.write_twin(&id, &Precondition::Exists, &mut outcome, |record| {
                record.twin.seed(now, body).map(|()| None)
            }),
            Command::DeviceGetTwin(id) => {
                self.existing(&id).map(|record| Reply::Document(record.twin.device_document()))
            }
            Command::Report { id, patch, arrays, version } => self.existing_mut(&id).and_then(|record| {
                let version = record.twin.report(now, &patch, arrays, version)?;
                record.last_activity = Some(now);
                outcome.touched.push(id);
                Ok(Reply::Version(version))
            }),
            Command::Connect { id, clean, model } => self.connect(now, id, clean, model, &mut outcome),
            Command::Disconnect(id) => self.existing_mut(&id).map(|record| {
                record.connected = false;
                record.connection_changed = Some(now);
                record.last_activity = Some(now);
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

    fn list(&self, wanted: impl Fn(&EntityId) -> bool, top: usize) -> Reply {
        let found = self.records.iter().filter(|(id, _)| wanted(id)).take(top);
        Reply::Document(found.map(|(id, record)| record.identity_document(id)).collect())
    }

    fn list_modules(&self, device: &str) -> Result<Reply, Refusal> {
        self.existing(&EntityId::device(device))?;
        let modules = self.modules_of(device).filter_map(|id| Some((id, self.records.get(id)?)));
        Ok(Reply::Document(modules.map(|(id, record)| record.identity_document(id)).collect()))
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
        now: jiff::Timestamp,
        fresh: &Fresh,
        id: &EntityId,
        draft: Draft,
        precondition: &Precondition,
        outcome: &mut Outcome,
    ) -> Result<Reply, Refusal> {
        if let Some(record) = self.records.get_mut(id) {
            match precondition {
                Precondition::None => return Err(id.taken()),
                Precondition::Exists => {}
                Precondition::Etag(etag) if *etag == record.identity.etag() => {}
                Precondition::Etag(_) => return Err(Refusal::IdentityEtagMismatch),
            }
            record.identity.update(draft, fresh, now);
            if !record.identity.enabled {
                outcome.events.push(Event::Disconnect(id.clone()));
            }
        } else {
            if *precondition != Precondition::None {
                return Err(id.missing());
            }
            if id.module.is_some() {
                self.existing(&EntityId::device(&id.device))?;
                if self.modules_of(&id.device).count() >= MAX_MODULES {
                    return Err(Refusal::TooManyModules(id.device.clone()));
                }
            }
            let identity = Identity::create(draft, fresh);
            self.records.insert(id.clone(), Record::new(identity, id.module.is_none().then_some(now)));
        }
        outcome.touched.push(id.clone());
        self.existing(id).map(|record| Reply::Document(record.identity_document(id)))
    }

    fn delete(&mut self, id: &EntityId, precondition: &Precondition, outcome: &mut Outcome) -> Result<Reply, Refusal> {
        let record = self.existing(id)?;
        if let Precondition::Etag(etag) = precondition
            && *etag != record.identity.etag()
        {
            return Err(Refusal::IdentityEtagMismatch);
        }
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
        id: &EntityId,
        precondition: &Precondition,
        outcome: &mut Outcome,
        write: impl FnOnce(&mut Record) -> Result<Option<Object>, Refusal>,
    ) -> Result<Reply, Refusal> {
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
        Ok(Reply::Document(record.twin_document(id)))
    }

    fn connect(
        &mut self,
        now: jiff::Timestamp,
        id: EntityId,
        clean: bool,
        model: Option<String>,
        outcome: &mut Outcome,
    ) -> Result<Reply, Refusal> {
        let record = self.existing_mut(&id)?;
        if !record.identity.enabled {
            return Err(Refusal::DeviceDisabled(id.to_string()));
        }
        record.connected = true;
        record.connection_changed = Some(now);
        record.last_activity = Some(now);
        let present = !clean && record.session != Session::default();
        // A clean session forgets, and a newly announced model is part of the twin: both are stored.
        if (clean && record.session != Session::default()) || record.model_id != model {
            outcome.touched.push(id);
        }
        if clean {
            record.session = Session::default();
        }
        record.model_id = model;
        Ok(Reply::Session { present, session: record.session.clone() })
    }
}

#[cfg(test)]
mod tests;
