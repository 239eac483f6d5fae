//! An identity with its twin, and the documents that are made of the two.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::configuration::{ConfigurationId, Mark};
use super::connection::{Connection, Seen};
use super::draft::SCOPE;
use super::section::within;
use super::stamp::wire_time_or_never;
use super::twin::Twin;
use super::{EntityId, Identity, Refusal};
use crate::query::{Row, below};
use crate::twin::document::Object;

/// Most configurations of one twin, as many as a hub has.
const MAX_CONFIGURATIONS: usize = 100;

/// The members of a twin in the order that the service has.
const MEMBERS: [&str; 20] = [
    "deviceId",
    "moduleId",
    "etag",
    "deviceEtag",
    "status",
    "statusReason",
    "statusUpdateTime",
    "connectionState",
    "lastActivityTime",
    "cloudToDeviceMessageCount",
    "authenticationType",
    "x509Thumbprint",
    "modelId",
    "version",
    "tags",
    "properties",
    "configurations",
    "capabilities",
    "deviceScope",
    "parentScopes",
];

/// Everything that the hub keeps of one device or module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The identity.
    pub identity: Identity,
    /// The subscriptions that outlive its connections.
    pub session: Session,
    pub(super) twin: Twin,
    pub(super) connection: Connection,
    pub(super) last_activity: Option<Timestamp>,
    pub(super) model_id: Option<String>,
    /// The automatic configurations that were applied to it.
    #[serde(default)]
    configurations: BTreeSet<ConfigurationId>,
}

/// What a device is subscribed to, each with the granted QoS (0 or 1). Kept until it connects with a clean session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Answers to its twin requests.
    pub responses: Option<u8>,
    /// Changes of its desired properties.
    pub desired: Option<u8>,
    /// Direct methods; granted, never used.
    pub methods: Option<u8>,
    /// Messages to it; granted, never used.
    pub messages: Option<u8>,
}

impl Record {
    pub(super) fn new(identity: Identity, created: Option<Timestamp>) -> Self {
        Self {
            identity,
            session: Session::default(),
            twin: Twin::new(created),
            connection: Connection::default(),
            last_activity: None,
            model_id: None,
            configurations: BTreeSet::new(),
        }
    }

    /// Applies a configuration. Answers what the device is told.
    pub(super) fn configure(
        &mut self,
        now: Timestamp,
        configuration: ConfigurationId,
        desired: Object,
    ) -> Result<Option<Object>, Refusal> {
        if self.configurations.len() >= MAX_CONFIGURATIONS && !self.configurations.contains(&configuration) {
            return Err(Refusal::TooManyConfigurations(MAX_CONFIGURATIONS));
        }
        let notice = self.twin.configure(now, &Mark::new(&configuration, now), desired)?;
        self.configurations.insert(configuration);
        Ok(notice)
    }

    /// The identity as the registry shows it.
    pub(super) fn identity_document(&self, id: &EntityId, seen: Seen) -> Value {
        let mut document = self.identity.document(id);
        let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
        put("connectionState", json!(self.connection.state(seen)));
        put("connectionStateUpdatedTime", json!(wire_time_or_never(self.connection.changed())));
        put("lastActivityTime", json!(wire_time_or_never(self.last_activity)));
        put("cloudToDeviceMessageCount", json!(0));
        document.extend(self.scope(id).map(|scope| ("deviceScope".to_owned(), json!(scope))));
        document.extend(self.parent_scopes(id).map(|scopes| ("parentScopes".to_owned(), json!(scopes))));
        Value::Object(document)
    }

    /// The twin as back ends see it, in the order of members that the service has.
    pub(super) fn twin_document(&self, id: &EntityId, seen: Seen) -> Value {
        let members = MEMBERS.iter().filter_map(|name| Some(((*name).to_owned(), self.member(id, name, seen)?)));
        Value::Object(members.collect())
    }

    /// One member of the twin; `None` where this twin has none of the name.
    fn member(&self, id: &EntityId, name: &str, seen: Seen) -> Option<Value> {
        let identity = &self.identity;
        Some(match name {
            "deviceId" => json!(id.device),
            "moduleId" => json!(id.module.as_ref()?),
            "etag" => json!(self.twin.etag()),
            "deviceEtag" => json!(identity.etag()),
            "status" => json!(identity.status()),
            "statusReason" => json!(identity.status_reason.as_ref()?),
            "statusUpdateTime" => json!(wire_time_or_never(identity.status_updated)),
            "connectionState" => json!(self.connection.state(seen)),
            "lastActivityTime" => json!(wire_time_or_never(self.last_activity)),
            "cloudToDeviceMessageCount" => json!(0),
            "authenticationType" => json!(identity.authentication.as_str()),
            "x509Thumbprint" => identity.thumbprint_document(),
            "modelId" => json!(self.model_id.as_deref().unwrap_or("")),
            "version" => json!(self.twin.version),
            "tags" if self.twin.tags.is_empty() => return None,
            "tags" => Value::Object(self.twin.tags.clone()),
            "properties" => self.twin.properties(),
            "configurations" if self.configurations.is_empty() => return None,
            "configurations" => {
                let applied = |id: &ConfigurationId| (id.as_str().to_owned(), json!({"status": "Applied"}));
                Value::Object(self.configurations.iter().map(applied).collect())
            }
            "capabilities" if id.module.is_none() => json!({"iotEdge": identity.edge}),
            "deviceScope" => json!(self.scope(id)?),
            "parentScopes" => json!(self.parent_scopes(id)?),
            _ => return None,
        })
    }

    /// An edge device is a scope of its own; another device may be in the scope of its parent.
    fn scope(&self, id: &EntityId) -> Option<String> {
        let identity = &self.identity;
        let own = identity.edge.then(|| format!("{SCOPE}{}-{}", id.device, identity.generation()));
        own.or_else(|| identity.device_scope.clone()).filter(|_| id.module.is_none())
    }

    /// The scopes that it stands below; `None` without one.
    fn parent_scopes(&self, id: &EntityId) -> Option<Vec<&String>> {
        let identity = &self.identity;
        let parents: Vec<&String> = match &identity.device_scope {
            Some(scope) if !identity.edge => vec![scope],
            _ => identity.parent_scopes.iter().collect(),
        };
        Some(parents).filter(|parents| id.module.is_none() && !parents.is_empty())
    }
}

/// A twin as queries look at it: what they do not ask for is not made.
#[derive(Clone, Copy, Debug)]
pub struct TwinRow<'r> {
    pub(super) id: &'r EntityId,
    pub(super) record: &'r Record,
    pub(super) seen: Seen,
}

impl TwinRow<'_> {
    /// Whether it is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.record.connection.shown(self.seen)
    }
}

impl Row for TwinRow<'_> {
    fn at(&self, keys: &[String]) -> Option<Cow<'_, Value>> {
        let (first, rest) = keys.split_first()?;
        match first.as_str() {
            "tags" if !rest.is_empty() => within(&self.record.twin.tags, rest),
            "properties" => self.record.twin.property(rest),
            name => {
                let member = self.record.member(self.id, name, self.seen)?;
                if rest.is_empty() { Some(Cow::Owned(member)) } else { below(&member, rest).cloned().map(Cow::Owned) }
            }
        }
    }

    fn whole(&self) -> Value {
        self.record.twin_document(self.id, self.seen)
    }
}
