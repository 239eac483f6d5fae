//! `DeviceTwin`: one device twin or module twin.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::json_object::JsonObject;
use super::shared::{HubRef, Pointers};

/// One device twin or module twin: its tags and desired properties go to the hub, its reported properties come back.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hubtwin.dev",
    version = "v1alpha1",
    kind = "DeviceTwin",
    plural = "devicetwins",
    shortname = "dt",
    category = "twins",
    namespaced,
    status = "DeviceTwinStatus",
    derive = "PartialEq",
    doc = "One device twin or module twin: its tags and desired properties go to the hub, its reported properties come back.",
    selectable = ".spec.deviceId",
    selectable = ".spec.moduleId",
    selectable = ".spec.hubRef.name",
    selectable = ".spec.hubRef.kind",
    validation = Rule::new("(has(self.spec.deviceId) ? self.spec.deviceId : self.metadata.name) == (has(oldSelf.spec.deviceId) ? oldSelf.spec.deviceId : oldSelf.metadata.name)")
        .message("spec.deviceId cannot change: make another DeviceTwin"),
    validation = Rule::new("(has(self.spec.deviceId) ? self.spec.deviceId : self.metadata.name).size() <= 128")
        .message("a device id has at most 128 characters: set spec.deviceId, or use a shorter metadata.name"),
    validation = Rule::new("has(self.spec.moduleId) == has(oldSelf.spec.moduleId) && (!has(self.spec.moduleId) || self.spec.moduleId == oldSelf.spec.moduleId)")
        .message("spec.moduleId cannot change: make another DeviceTwin"),
    validation = Rule::new("self.spec.hubRef == oldSelf.spec.hubRef")
        .message("spec.hubRef cannot change: make another DeviceTwin"),
    printcolumn(name = "Hub", type_ = "string", json_path = ".spec.hubRef.name"),
    printcolumn(name = "Device", type_ = "string", json_path = ".status.hub.deviceId"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Converged", type_ = "string", json_path = ".status.conditions[?(@.type==\"Converged\")].status"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.twin.desiredVersion"),
    printcolumn(name = "Reported", type_ = "integer", json_path = ".status.twin.reportedVersion"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Drift", type_ = "integer", json_path = ".status.drift.count", priority = 1),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.pending.count", priority = 1),
    printcolumn(name = "Connection", type_ = "string", json_path = ".status.connection.state", priority = 1),
    printcolumn(name = "Last write", type_ = "date", json_path = ".status.lastWriteTime", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTwinSpec {
    /// The connection to the hub. Cannot change.
    pub hub_ref: HubRef,
    /// Id of the device at the hub. Default: metadata.name. Cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9\-:.+%_#*?!(),=@;$']+$"))]
    #[x_kube(validation = Rule::new("self != '.' && self != '..'").message("\".\" and \"..\" are no ids"))]
    pub device_id: Option<String>,
    /// Id of the module, for a module twin. Cannot change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9\-:.+%_#*?!(),=@;$']+$"))]
    #[x_kube(validation = Rule::new("self != '.' && self != '..'").message("\".\" and \"..\" are no ids"))]
    pub module_id: Option<String>,
    /// Tags: seen by back ends only, never by the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "json_object")]
    pub tags: Option<JsonObject>,
    /// The properties that this object sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<SpecProperties>,
    /// Whether the twin is written at all.
    #[serde(default)]
    pub mode: Mode,
    /// What to do on first contact with a value that differs.
    #[serde(default)]
    pub adoption: Adoption,
    /// What to do when somebody else changes a leaf of ours. Default: the connection's, else Correct.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_policy: Option<DriftPolicy>,
    /// What deleting this object does at the hub.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// What to do when the hub does not know the device or module.
    #[serde(default)]
    pub identity: Identity,
    /// When the device counts as having followed.
    #[serde(default)]
    pub convergence: Convergence,
    /// What status shows of the reported properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// Pauses reading and writing; status stays as it is.
    #[serde(default)]
    pub suspend: bool,
}

fn json_object(generator: &mut SchemaGenerator) -> Schema {
    JsonObject::json_schema(generator)
}

/// The properties that an object sets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpecProperties {
    /// Desired properties: the device is notified of changes and follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "json_object")]
    pub desired: Option<JsonObject>,
}

/// Whether the twin is written at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// The leaves of the spec are kept at the hub.
    #[default]
    Manage,
    /// Nothing is written; status.plan shows what would be.
    Observe,
}

/// What to do on first contact with a value that differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Adoption {
    /// Set it.
    #[default]
    Overwrite,
    /// Write nothing of this object, and say Conflict.
    RequireEqual,
}

/// What to do when somebody else changes a leaf of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    /// Set it back.
    Correct,
    /// List it in status.drift and leave it.
    Report,
}

/// What deleting an object does at the hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Nothing: the twin stays as it is.
    #[default]
    Retain,
    /// The leaves that the object owns are removed first.
    RemoveKeys,
}

/// What to do when the hub does not know the device or module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Whether it has to be there.
    #[serde(default)]
    pub policy: IdentityPolicy,
}

/// Whether a device or module has to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IdentityPolicy {
    /// It has to be registered by somebody else; it is waited for.
    #[default]
    Require,
    /// It is created with keys that the hub makes, unless this object saw it before: what was removed on purpose stays
    /// removed.
    CreateIfMissing,
}

/// When the device counts as having followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Convergence {
    /// How long the device may take, from the change at the hub; from 5s to 720h.
    #[serde(default = "convergence_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('720h')")
        .message("timeout lies between 5s and 720h"))]
    pub timeout: Duration,
    /// JSON pointers into desired that the device need not confirm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024), regex(pattern = "^(/([^~/]|~[01])*)+$")))]
    pub ignore: Vec<String>,
    /// Whether Ready waits for the device.
    #[serde(default)]
    pub gate: Gate,
}

/// Whether Ready waits for the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Gate {
    /// Ready says what the hub holds.
    #[default]
    None,
    /// Ready also waits until Converged is True.
    Ready,
}

impl Default for Convergence {
    fn default() -> Self {
        Self { timeout: convergence_timeout(), ignore: Vec::new(), gate: Gate::None }
    }
}

fn convergence_timeout() -> Duration {
    Duration::from_secs(24 * 3600)
}

/// What status shows of the reported properties.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mirror {
    /// JSON pointers into reported; absent: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 1024), regex(pattern = "^(/([^~/]|~[01])*)+$")))]
    pub reported_paths: Option<Vec<String>>,
}

/// What is known of a twin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceTwinStatus {
    /// The generation that this status is about; -1 before the first look.
    pub observed_generation: i64,
    /// Ready, Converged, and Reconciling or Stalled beside Ready.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
    /// The twin that the rest of status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<TwinAt>,
    /// The versions of the twin as last read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twin: Option<TwinVersions>,
    /// The properties of the twin as last read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub properties: Option<StatusProperties>,
    /// When the device last reported, by the hub's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_time: Option<Time>,
    /// The device's connection to the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<Connection>,
    /// The ledger: our leaves as last written or adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// What would be written: in Observe mode, or when a write is held back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Pointers>,
    /// Leaves of ours that somebody else changed and that stay changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Pointers>,
    /// Desired leaves of ours that the device has not confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pointers>,
    /// When the hub was last written to for this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_write_time: Option<Time>,
    /// The value of the annotation hubtwin.dev/reconcile-requested-at that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
}

/// Which twin, at which hub.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TwinAt {
    /// The hub's host.
    #[schemars(length(max = 260))]
    pub host: String,
    /// The device's id.
    #[schemars(length(max = 128))]
    pub device_id: String,
    /// The module's id, for a module twin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub module_id: Option<String>,
}

/// The versions of a twin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TwinVersions {
    /// The etag, which moves with every back-end write.
    #[schemars(length(max = 128))]
    pub etag: String,
    /// The version of the whole twin.
    pub version: i64,
    /// The version of desired.
    pub desired_version: i64,
    /// The version of reported.
    pub reported_version: i64,
}

/// The properties of a twin as last read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatusProperties {
    /// What the device reports.
    #[serde(default)]
    pub reported: JsonObject,
}

/// A device's connection to its hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// Connected or Disconnected, as the hub says; it may lag by minutes.
    #[schemars(length(max = 32))]
    pub state: String,
    /// When this state was first seen.
    pub observed_time: Time,
}

/// The ledger: our leaves as last written or adopted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// Of tags.
    #[serde(default)]
    pub tags: JsonObject,
    /// Of desired.
    #[serde(default)]
    pub desired: JsonObject,
}
