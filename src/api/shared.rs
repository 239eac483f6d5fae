//! What several kinds have in common.

use kube::{KubeSchema, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The annotation that asks for a fresh read or query now; any value, echoed in `status.lastHandledReconcileAt`.
pub const RECONCILE_REQUESTED_AT: &str = "hubtwin.dev/reconcile-requested-at";

/// The value of [`RECONCILE_REQUESTED_AT`], as much of it as status echoes.
#[must_use]
pub fn requested(object: &impl ResourceExt) -> Option<String> {
    object.annotations().get(RECONCILE_REQUESTED_AT).map(|text| text.chars().take(256).collect())
}

/// The longest pointer shown in status, in bytes.
pub const POINTER_BYTES: usize = 256;

/// The most pointers that a list in status holds; the true count stands beside it.
pub const POINTERS: usize = 20;

/// The kind of connection that a reference names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum HubKind {
    /// A connection in the object's own namespace.
    #[default]
    HubConnection,
    /// A connection that an administrator shares with namespaces.
    ClusterHubConnection,
}

/// A reference to a hub connection: a HubConnection in the object's own namespace, or a ClusterHubConnection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HubRef {
    /// Kind of the connection.
    #[serde(default)]
    pub kind: HubKind,
    /// Name of the connection.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A reference to one key of a Secret or ConfigMap in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// Name of the Secret or ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key within it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A list of JSON pointers that start at the root of the twin, with the true count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pointers {
    /// How many there are.
    pub count: i64,
    /// The first 20 of them, each cut to 256 bytes.
    #[serde(default)]
    #[schemars(length(max = 20))]
    pub paths: Vec<String>,
}
