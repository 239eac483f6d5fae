//! The Kubernetes kinds of group `hubtwin.dev`: schema, conditions and nothing else.

pub mod cluster_hub_connection;
pub mod conditions;
mod crds;
pub mod device_twin;
mod duration;
mod events;
pub mod hub_connection;
mod json_object;
mod shared;
pub mod twin_query;

pub use cluster_hub_connection::{ClusterHubConnection, ClusterHubConnectionSpec};
pub use crds::crds;
pub use device_twin::{DeviceTwin, DeviceTwinSpec, DeviceTwinStatus};
pub use duration::Duration;
pub use events::EventReason;
pub use hub_connection::{HubConnection, HubConnectionSpec, HubConnectionStatus};
pub use json_object::JsonObject;
pub use shared::{HubKind, HubRef, KeyRef, POINTER_BYTES, POINTERS, Pointers, RECONCILE_REQUESTED_AT, requested};
pub use twin_query::{OutputStatus, TwinQuery, TwinQuerySpec, TwinQueryStatus};
