//! An identity with its twin, and the documents that are made of the two.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::connection::{Connection, Seen};
use super::draft::SCOPE;
use super::stamp::wire_time_or_never;
use super::twin::Twin;
use super::{EntityId, Identity};
use crate::twin::document::Object;

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
        }
    }

    /// The identity as the registry shows it.
    pub(super) fn identity_document(&self, id: &EntityId, seen: Seen) -> Value {
        let mut document = self.identity.document(id);
        let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
        put("connectionState", json!(self.connection.state(seen)));
        put("connectionStateUpdatedTime", json!(wire_time_or_never(self.connection.changed())));
        put("lastActivityTime", json!(wire_time_or_never(self.last_activity)));
        put("cloudToDeviceMessageCount", json!(0));
        self.put_scopes(id, &mut document);
        Value::Object(document)
    }

    /// The twin as back ends see it, in the order of members that the service has.
    pub(super) fn twin_document(&self, id: &EntityId, seen: Seen) -> Value {
        let identity = &self.identity;
        let mut document = Object::new();
        let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
        put("deviceId", json!(id.device));
        if let Some(module) = &id.module {
            put("moduleId", json!(module));
        }
        put("etag", json!(self.twin.etag()));
        put("deviceEtag", json!(identity.etag()));
        put("status", json!(identity.status()));
        if let Some(reason) = &identity.status_reason {
            put("statusReason", json!(reason));
        }
        put("statusUpdateTime", json!(wire_time_or_never(identity.status_updated)));
        put("connectionState", json!(self.connection.state(seen)));
        put("lastActivityTime", json!(wire_time_or_never(self.last_activity)));
        put("cloudToDeviceMessageCount", json!(0));
        put("authenticationType", json!(identity.authentication.as_str()));
        put("x509Thumbprint", identity.thumbprint_document());
        put("modelId", json!(self.model_id.as_deref().unwrap_or("")));
        put("version", json!(self.twin.version));
        if !self.twin.tags.is_empty() {
            put("tags", Value::Object(self.twin.tags.clone()));
        }
        put("properties", self.twin.properties());
        if id.module.is_none() {
            put("capabilities", json!({"iotEdge": identity.edge}));
        }
        self.put_scopes(id, &mut document);
        Value::Object(document)
    }

    /// An edge device is a scope of its own, below those of its parents; another device may be in the scope of its parent.
    fn put_scopes(&self, id: &EntityId, document: &mut Object) {
        if id.module.is_some() {
            return;
        }
        let identity = &self.identity;
        let own = identity.edge.then(|| format!("{SCOPE}{}-{}", id.device, identity.generation()));
        if let Some(scope) = own.or_else(|| identity.device_scope.clone()) {
            document.insert("deviceScope".to_owned(), json!(scope));
        }
        let parents: Vec<&String> = match &identity.device_scope {
            Some(scope) if !identity.edge => vec![scope],
            _ => identity.parent_scopes.iter().collect(),
        };
        if !parents.is_empty() {
            document.insert("parentScopes".to_owned(), json!(parents));
        }
    }
}
