//! `HubConnection`: how to reach one IoT hub.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::device_twin::DriftPolicy;
use super::duration::Duration;
use super::shared::KeyRef;

/// How to reach one IoT hub: host, credential, and how often to look.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hubtwin.dev",
    version = "v1alpha1",
    kind = "HubConnection",
    plural = "hubconnections",
    shortname = "hub",
    category = "twins",
    namespaced,
    status = "HubConnectionStatus",
    derive = "PartialEq",
    doc = "How to reach one IoT hub: host, credential, and how often to look.",
    validation = Rule::new("self.spec.host == oldSelf.spec.host")
        .message("spec.host cannot change: make another connection"),
    validation = Rule::new("(self.spec.tier != 'F1' || self.spec.units == 1) && (self.spec.tier != 'S3' || self.spec.units <= 10)")
        .message("a hub of tier F1 has one unit, one of tier S3 at most 10"),
    printcolumn(name = "Host", type_ = "string", json_path = ".spec.host"),
    printcolumn(name = "Tier", type_ = "string", json_path = ".spec.tier"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct HubConnectionSpec {
    /// NAME or NAME:PORT of the hub. It must be one that the operator allows, and the one that the connection string
    /// names. Cannot change.
    #[schemars(
        length(min = 1, max = 260),
        regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$")
    )]
    pub host: String,
    /// The credential.
    pub auth: Auth,
    /// How the hub is used.
    #[serde(flatten)]
    pub usage: Usage,
    /// An extra root certificate in PEM, for hubs with a private certificate authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
}

/// How a hub is used: what both kinds of connection say in the same words, at the top of their spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// The hub's pricing tier; it decides the hub's limits and the default intervals.
    pub tier: Tier,
    /// How many units of the tier the hub has: 1 of F1, up to 200 of S1 and S2, up to 10 of S3.
    #[serde(default = "one_unit")]
    #[schemars(range(min = 1, max = 200))]
    pub units: i32,
    /// How much of the hub is taken.
    #[serde(default)]
    pub budget: Budget,
    /// How often the hub is asked what changed. Default 15s (F1: 5m), from 5s to 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('24h')")
        .message("pollInterval lies between 5s and 24h"))]
    pub poll_interval: Option<Duration>,
    /// How often all twins are looked over, for what polling cannot find: changed tags, deleted devices, connection state.
    /// Default 1h (F1: 24h), from 10s to 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')")
        .message("sweepInterval lies between 10s and 24h"))]
    pub sweep_interval: Option<Duration>,
    /// The status of a device that keeps reporting is written at most this often; from 1s to 24h.
    #[serde(default = "status_interval")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("statusInterval lies between 1s and 24h"))]
    pub status_interval: Duration,
    /// Whether tags and properties may hold arrays.
    #[serde(default)]
    pub allow_arrays: bool,
    /// Defaults for the twins of this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Defaults>,
}

fn one_unit() -> i32 {
    1
}

fn status_interval() -> Duration {
    Duration::from_secs(5)
}

/// How much of a hub is taken, in percent. Connections to one host share it, by the smallest figures among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Budget {
    /// Of the hub's documented rates of reads, writes, queries and identity operations.
    #[serde(default = "Budget::percent")]
    #[schemars(range(min = 1, max = 100))]
    pub percent: i32,
    /// The same with spec changes and deletions, which somebody waits for, counted in; at least as much as percent is taken.
    #[serde(default = "Budget::burst_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub burst_percent: i32,
    /// Of the messages that the hub grants in a day. To stay within it, intervals are stretched.
    #[serde(default = "Budget::daily_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub daily_percent: i32,
}

impl Budget {
    fn percent() -> i32 {
        50
    }

    fn burst_percent() -> i32 {
        80
    }

    fn daily_percent() -> i32 {
        10
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { percent: Self::percent(), burst_percent: Self::burst_percent(), daily_percent: Self::daily_percent() }
    }
}

/// The credential of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.connectionString)").message("auth needs exactly one of: connectionString"))]
pub struct Auth {
    /// A connection string of the hub, with the name and key of a shared access policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<ConnectionStringSource>,
}

/// Where the connection string is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStringSource {
    /// A key of a Secret in the connection's own namespace.
    pub secret_key_ref: KeyRef,
}

/// An extra root certificate: exactly one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)")
    .message("caBundle needs exactly one of: secretKeyRef, configMapKeyRef"))]
pub struct CaBundle {
    /// A key of a Secret in the connection's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a ConfigMap in the connection's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
}

/// Defaults for the twins of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Defaults {
    /// What to do when somebody else changes a leaf of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_policy: Option<DriftPolicy>,
}

/// The pricing tier of a hub that has twins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Tier {
    /// Free
    F1,
    /// Standard 1
    S1,
    /// Standard 2
    S2,
    /// Standard 3
    S3,
}

/// What is known of a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HubConnectionStatus {
    /// The generation that this status is about; -1 before the first look.
    pub observed_generation: i64,
    /// Ready, and Reconciling or Stalled beside it.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
    /// How changes at the hub are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<FeedStatus>,
    /// The budget of the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetStatus>,
    /// The credential in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialStatus>,
    /// The value of the annotation hubtwin.dev/reconcile-requested-at that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
}

/// The credential in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStatus {
    /// The resourceVersion of the Secret that it was read from.
    #[schemars(length(max = 64))]
    pub secret_resource_version: String,
}

/// The budget of a hub.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetStatus {
    /// How many other connections lead to the same host, and share the budget.
    #[schemars(range(min = 0))]
    pub shared_with: i32,
    /// The hub asked for fewer calls, or for none; until then it gets fewer, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_until: Option<Time>,
}

/// How changes at a hub are found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FeedStatus {
    /// Delta: by what changed since the watermark. Scan: by looking at all twins, as the hub does not find changes. Rotate: by
    /// asking for the twins in turn, as so much changes that this is cheaper.
    #[schemars(length(max = 16))]
    pub mode: String,
    /// How often the hub is asked: pollInterval, or more where the budget asks for it.
    pub effective_interval: Duration,
    /// The newest change that was read, by the hub's clock. Saved at most once a minute: a restart goes on from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Time>,
}
