//! What goes into the machine and what comes out of it.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::super::doubts::Doubts;
use super::{ConfigurationId, Draft, EntityId, Refusal, Seen, Session};
use crate::twin::document::Object;
use crate::twin::rules::Arrays;

/// One thing that is asked of the hub.
#[derive(Clone, Debug)]
pub enum Command {
    /// Read an identity.
    GetIdentity(EntityId),
    /// Read the identities of devices, at most `top`.
    ListDevices {
        /// Most identities to answer with.
        top: usize,
    },
    /// Read the identities of the modules of a device.
    ListModules {
        /// The device.
        device: String,
    },
    /// Create an identity (no precondition) or update one.
    PutIdentity {
        /// Whose.
        id: EntityId,
        /// What the caller asks for.
        draft: Draft,
        /// Whether it must be there already.
        precondition: Precondition,
    },
    /// Delete an identity, its twin and its modules.
    DeleteIdentity {
        /// Whose.
        id: EntityId,
        /// Which identity etag it must have.
        precondition: Precondition,
    },
    /// Count devices.
    Statistics,
    /// Count connections.
    ServiceStatistics,
    /// Read a twin as a back end.
    GetTwin(EntityId),
    /// Merge into tags and desired properties.
    PatchTwin {
        /// Whose.
        id: EntityId,
        /// The patch.
        body: SectionsBody,
        /// Which twin etag it must have.
        precondition: Precondition,
    },
    /// Replace tags and desired properties, whichever are given.
    ReplaceTwin {
        /// Whose.
        id: EntityId,
        /// The new content.
        body: SectionsBody,
        /// Which twin etag it must have.
        precondition: Precondition,
    },
    /// Create an identity and its twin with this content. The content is part of the creation: only the metadata shows it.
    Create {
        /// Whose.
        id: EntityId,
        /// What the caller asks for.
        draft: Draft,
        /// The first content of the twin.
        body: SectionsBody,
    },
    /// Set desired properties as an automatic configuration does.
    Configure {
        /// Whose.
        id: EntityId,
        /// The configuration.
        configuration: ConfigurationId,
        /// The properties, without `null`.
        desired: Object,
    },
    /// Read a twin as its device.
    DeviceGetTwin(EntityId),
    /// Merge into reported properties, as the device.
    Report {
        /// Whose.
        id: EntityId,
        /// The patch.
        patch: Object,
        /// Whether arrays are allowed.
        arrays: Arrays,
        /// The reported `$version` that must be current.
        version: Option<u64>,
    },
    /// A device came.
    Connect {
        /// Who.
        id: EntityId,
        /// Whether it asks to forget its subscriptions.
        clean: bool,
        /// The model that it announces.
        model: Option<String>,
    },
    /// A device went.
    Disconnect(EntityId),
    /// A device changed its subscriptions.
    Subscribe {
        /// Who.
        id: EntityId,
        /// All of them, as they are now.
        session: Session,
    },
}

/// What `If-Match` asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    None,
    /// That it is there (`*`).
    Exists,
    /// That it has this etag.
    Etag(String),
}

/// Tags and desired properties of a request, without the members that belong to the hub.
#[derive(Clone, Debug, Default)]
pub struct SectionsBody {
    /// The tags, where given.
    pub tags: Option<Object>,
    /// Whether `tags` are `null`.
    pub tags_null: bool,
    /// The desired properties, where given.
    pub desired: Option<Desired>,
    /// Whether arrays are allowed.
    pub arrays: Option<Arrays>,
}

/// The desired part of a request.
#[derive(Clone, Debug)]
pub enum Desired {
    /// Properties.
    Properties(Object),
    /// `null`: a patch that removes every property.
    Clear,
}

/// All that a command depends on beside itself and the state.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The hub's time.
    pub now: Timestamp,
    /// Randomness for this one command.
    pub fresh: &'a Fresh,
    /// How what is in doubt is answered.
    pub doubts: &'a Doubts,
    /// How long it takes until a connection that came or went is shown.
    pub connection_lag: SignedDuration,
}

impl Moment<'_> {
    /// How connections are shown now.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen { now: self.now, lag: self.connection_lag }
    }
}

/// Randomness for one command.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// Two keys, base64 of 32 bytes each.
    pub keys: [String; 2],
    /// 18 decimal digits.
    pub generation: String,
    /// Where the counter behind the etag of a new identity starts.
    pub etag: u32,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done.
    Nothing,
    /// A document, or a list of them.
    Document(Value),
    /// The new `$version` of reported.
    Version(u64),
    /// The session that a connection goes on with.
    Session {
        /// Whether it was there before.
        present: bool,
        /// Its subscriptions.
        session: Session,
    },
}

/// Something that others have to be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Desired properties were written.
    DesiredChanged {
        /// Whose.
        id: EntityId,
        /// What the device is told, without `$version`.
        notice: Object,
        /// The new `$version`.
        version: u64,
    },
    /// The identity was updated: its connection, if any, has to be judged anew.
    IdentityChanged(EntityId),
    /// The connection of this device, if any, has to end.
    Disconnect(EntityId),
}

/// Everything that a command brought about.
#[derive(Debug)]
pub struct Outcome {
    /// The answer.
    pub reply: Result<Reply, Refusal>,
    /// Who has to be told.
    pub events: Vec<Event>,
    /// Whose record changed in a way that has to be stored.
    pub touched: Vec<EntityId>,
    /// Whose record changed in a way that is seen, but not stored.
    pub seen: Vec<EntityId>,
}

impl Default for Outcome {
    fn default() -> Self {
        Self { reply: Ok(Reply::Nothing), events: Vec::new(), touched: Vec::new(), seen: Vec::new() }
    }
}
