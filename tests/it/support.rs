//! What the tests stand on: a real API server shared by all, and for each test a namespace, a local hub and an operator
//! of its own.

mod alone;
mod api_faults;
mod cluster;
mod command;
mod device;
mod gate;
mod objects;
mod program;
pub mod sources;
mod stage;
mod wait;

pub use alone::alone;
pub use api_faults::ApiFaults;
pub use cluster::{Cluster, crd_warnings, kubeconfig};
pub use command::{Ran, hubtwin};
pub use device::{Ack, SimulatedDevice};
pub use gate::Gate;
pub use objects::{
    CLUSTER_CONNECTION, CONFIG_MAP, CONNECTION, Manifest, QUERY, SECRET, TWIN, cluster_connection, connection, query,
    secret, twin,
};
pub use program::Program;
pub use stage::{Stage, settings_of};
pub use wait::{eventually, is_true};

use std::path::PathBuf;

/// The root of the repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
