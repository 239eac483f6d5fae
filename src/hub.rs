//! Client of an IoT hub's service API: reads and writes twins and identities, and asks queries.
//!
//! One request is one bounded call: no redirects, no retries, a time limit, a size limit, one outcome told to the observer.
//! What to do about a failure is the caller's to decide, by [`Error::kind`].
//!
//! Source: the Azure IoT Hub REST API reference (service), api-version 2021-04-12.

mod answer;
mod auth;
mod budget;
mod caller;
mod client;
mod codes;
mod connection_string;
mod error;
mod host;
mod observe;
mod pool;
mod transport;
mod wire;

pub use auth::Credential;
pub use budget::{Class, Lane, Size, Stretch, Tier};
pub use caller::{Caller, Room};
pub use client::{Client, Continuation, IfMatch, Page, TwinPatch};
pub use connection_string::{ConnectionString, ConnectionStringError, Role};
pub use error::{Error, Kind, Rejection};
pub use host::{BadHost, Host};
pub use observe::{Call, Observer, Operation, Outcome};
pub use pool::{Pools, Readings, Seat, Wall};
pub use transport::{ClientError, Settings};
pub use wire::{BadRow, Identity};

pub use crate::twin::id::{BadId, DeviceId, ModuleId, TwinId};
pub use crate::twin::view::{ConnectionState, Etag, Status, Twin};
