//! `ClusterHubConnection`: a hub connection that an administrator owns and shares with namespaces.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::hub_connection::{HubConnectionStatus, Usage};

/// How to reach one IoT hub, and which namespaces may use it for what.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hubtwin.dev",
    version = "v1alpha1",
    kind = "ClusterHubConnection",
    plural = "clusterhubconnections",
    shortname = "chub",
    category = "twins",
    status = "HubConnectionStatus",
    derive = "PartialEq",
    doc = "How to reach one IoT hub, and which namespaces may use it for what. Nobody may without an access entry.",
    validation = Rule::new("self.spec.host == oldSelf.spec.host")
        .message("spec.host cannot change: make another connection"),
    printcolumn(name = "Host", type_ = "string", json_path = ".spec.host"),
    printcolumn(name = "Tier", type_ = "string", json_path = ".spec.tier"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterHubConnectionSpec {
    /// NAME or NAME:PORT of the hub. It must be one that the operator allows, and the one that the connection string
    /// names. Cannot change.
    #[schemars(
        length(min = 1, max = 260),
        regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$")
    )]
    pub host: String,
    /// The credential.
    pub auth: ClusterAuth,
    /// How the hub is used.
    #[serde(flatten)]
    pub usage: Usage,
    /// An extra root certificate in PEM, for hubs with a private certificate authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<ClusterCaBundle>,
    /// Who may use this connection, and for what; nobody may without an entry. What several entries give adds up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub access: Vec<AccessEntry>,
}

/// The credential of a connection: exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.connectionString)")
    .message("auth needs exactly one of: connectionString"))]
pub struct ClusterAuth {
    /// A connection string of the hub, with the name and key of a shared access policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<ClusterConnectionStringSource>,
}

/// Where the connection string is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterConnectionStringSource {
    /// A key of a Secret.
    pub secret_key_ref: ClusterKeyRef,
}

/// A reference to one key of a Secret or ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterKeyRef {
    /// Namespace of the Secret or ConfigMap.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the Secret or ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key within it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// An extra root certificate: exactly one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)")
    .message("caBundle needs exactly one of: secretKeyRef, configMapKeyRef"))]
pub struct ClusterCaBundle {
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<ClusterKeyRef>,
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ClusterKeyRef>,
}

/// Who may use a connection, and for what. An entry without namespaces and without a selector matches nobody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.deviceIdPrefixes) && self.kinds.exists(kind, kind == 'TwinQuery'))")
    .message("a query cannot be held to deviceIdPrefixes: give TwinQuery an entry of its own"))]
pub struct AccessEntry {
    /// These namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub namespaces: Option<Vec<String>>,
    /// And the namespaces with these labels; `{}`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Devices whose id starts with one of these; absent: every device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 128)))]
    pub device_id_prefixes: Option<Vec<String>>,
    /// Kinds of objects that may use the connection.
    #[serde(default = "device_twins")]
    #[schemars(length(min = 1, max = 2))]
    pub kinds: Vec<AccessKind>,
    /// What DeviceTwins may do beside reading and writing twins; absent: nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub allow: Vec<Right>,
}

fn device_twins() -> Vec<AccessKind> {
    vec![AccessKind::DeviceTwin]
}

/// A kind of object that uses a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum AccessKind {
    /// Twins.
    DeviceTwin,
    /// Queries, which see every device of the hub.
    TwinQuery,
}

/// What a DeviceTwin may do beside reading and writing twins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Right {
    /// `identity.policy: CreateIfMissing` may create devices and modules.
    CreateIdentity,
    /// `deletionPolicy: RemoveKeys` may remove keys when an object is deleted.
    RemoveKeys,
}
