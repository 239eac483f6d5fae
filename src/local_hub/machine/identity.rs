//! Identities: who may connect, and with which keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Draft, EntityId, Fresh};
use crate::twin::document::Object;

/// How a device proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Authentication {
    /// By tokens signed with one of its keys.
    Sas,
    /// By a certificate whose thumbprint is registered.
    SelfSigned,
    /// By a certificate of a registered authority.
    CertificateAuthority,
    /// Not at all.
    None,
}

impl Authentication {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sas => "sas",
            Self::SelfSigned => "selfSigned",
            Self::CertificateAuthority => "certificateAuthority",
            Self::None => "none",
        }
    }

    /// The way of this name, in any case.
    pub(super) fn parse(name: &str) -> Option<Self> {
        [Self::Sas, Self::SelfSigned, Self::CertificateAuthority, Self::None]
            .into_iter()
            .find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }
}

/// An identity as it is registered.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Whether it may connect.
    pub enabled: bool,
    /// How it proves who it is.
    pub authentication: Authentication,
    /// Its keys, base64; empty where it has none.
    pub keys: [String; 2],
    /// The thumbprints of its certificates.
    pub thumbprints: [Option<String>; 2],
    generation: String,
    etag: u64,
    pub(super) status_reason: Option<String>,
    pub(super) status_updated: Option<Timestamp>,
    pub(super) edge: bool,
    /// The scope of the parent of a device that is no edge device.
    pub(super) device_scope: Option<String>,
    /// The scopes of the parents of an edge device.
    pub(super) parent_scopes: Vec<String>,
    managed_by: Option<String>,
}

impl std::fmt::Debug for Identity {
    /// Without keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl Identity {
    /// A new identity. Keys that the draft leaves out are the fresh ones.
    pub(super) fn create(draft: Draft, fresh: &Fresh) -> Self {
        let mut identity = Self {
            enabled: true,
            authentication: Authentication::Sas,
            keys: Default::default(),
            thumbprints: [None, None],
            generation: fresh.generation.clone(),
            etag: u64::from(fresh.etag),
            status_reason: None,
            status_updated: None,
            edge: false,
            device_scope: None,
            parent_scopes: Vec::new(),
            managed_by: None,
        };
        identity.take(draft, fresh);
        identity
    }

    /// The identity of a module that belongs to the runtime of an edge device.
    pub(super) fn system(fresh: &Fresh) -> Self {
        let draft = Draft {
            authentication: Some(Authentication::None),
            managed_by: Some("iotEdge".to_owned()),
            ..Draft::default()
        };
        Self::create(draft, fresh)
    }

    /// Changes what the draft names. Keys stay unless they are given.
    pub(super) fn update(&mut self, draft: Draft, fresh: &Fresh, now: Timestamp) {
        self.etag += 1;
        if draft.enabled.is_some_and(|enabled| enabled != self.enabled) {
            self.status_updated = Some(now);
        }
        self.take(draft, fresh);
    }

    fn take(&mut self, draft: Draft, fresh: &Fresh) {
        let Draft {
            enabled,
            status_reason,
            authentication,
            keys,
            thumbprints,
            edge,
            device_scope,
            parent_scopes,
            managed_by,
        } = draft;
        self.enabled = enabled.unwrap_or(self.enabled);
        self.status_reason = status_reason;
        self.edge = edge.unwrap_or(self.edge);
        self.device_scope = device_scope.or(self.device_scope.take());
        self.parent_scopes = parent_scopes.unwrap_or(std::mem::take(&mut self.parent_scopes));
        self.managed_by = managed_by.or(self.managed_by.take());
        self.authentication = authentication.unwrap_or(self.authentication);
        match self.authentication {
            Authentication::Sas => {
                self.thumbprints = [None, None];
                for ((slot, given), fresh) in self.keys.iter_mut().zip(keys).zip(&fresh.keys) {
                    if let Some(given) = given {
                        *slot = given;
                    } else if slot.is_empty() {
                        slot.clone_from(fresh);
                    }
                }
            }
            Authentication::SelfSigned => {
                self.keys = Default::default();
                for (slot, given) in self.thumbprints.iter_mut().zip(thumbprints) {
                    *slot = given.or(slot.take());
                }
            }
            Authentication::CertificateAuthority | Authentication::None => {
                self.keys = Default::default();
                self.thumbprints = [None, None];
            }
        }
    }

    /// The etag without quotes: base64 of a decimal number.
    pub(super) fn etag(&self) -> String {
        STANDARD.encode(self.etag.to_string())
    }

    pub(super) fn status(&self) -> &'static str {
        if self.enabled { "enabled" } else { "disabled" }
    }

    pub(super) fn thumbprint_document(&self) -> Value {
        json!({"primaryThumbprint": self.thumbprints[0], "secondaryThumbprint": self.thumbprints[1]})
    }

    /// The members of the identity document that do not depend on the connection.
    pub(super) fn document(&self, id: &EntityId) -> Object {
        let key = |index: usize| Some(&self.keys[index]).filter(|key| !key.is_empty());
        let mut document = Object::new();
        let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
        put("deviceId", json!(id.device));
        put("generationId", json!(self.generation));
        put("etag", json!(self.etag()));
        put(
            "authentication",
            json!({
                "symmetricKey": {"primaryKey": key(0), "secondaryKey": key(1)},
                "x509Thumbprint": self.thumbprint_document(),
                "type": self.authentication.as_str(),
            }),
        );
        match &id.module {
            Some(module) => {
                put("moduleId", json!(module));
                put("managedBy", json!(self.managed_by));
            }
            None => {
                put("status", json!(self.status()));
                put("statusReason", json!(self.status_reason));
                put("statusUpdatedTime", json!(super::stamp::wire_time_or_never(self.status_updated)));
                put("capabilities", json!({"iotEdge": self.edge}));
            }
        }
        document
    }

    pub(super) fn generation(&self) -> &str {
        &self.generation
    }
}
