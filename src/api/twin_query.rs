//! `TwinQuery`: one saved query and its latest results.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::duration::Duration;
use super::json_object::JsonObject;
use super::shared::HubRef;

/// One saved query and its latest results.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "hubtwin.dev",
    version = "v1alpha1",
    kind = "TwinQuery",
    plural = "twinqueries",
    shortname = "tq",
    category = "twins",
    namespaced,
    status = "TwinQueryStatus",
    derive = "PartialEq",
    doc = "One saved query and its latest results.",
    validation = Rule::new("self.spec.hubRef == oldSelf.spec.hubRef")
        .message("spec.hubRef cannot change: make another TwinQuery"),
    printcolumn(name = "Hub", type_ = "string", json_path = ".spec.hubRef.name"),
    printcolumn(name = "Count", type_ = "integer", json_path = ".status.count"),
    printcolumn(name = "Truncated", type_ = "boolean", json_path = ".status.truncated"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Changed", type_ = "date", json_path = ".status.resultsTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Query", type_ = "string", json_path = ".spec.query", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct TwinQuerySpec {
    /// The connection to the hub. Cannot change.
    pub hub_ref: HubRef,
    /// The query, in the hub's query language; at most 8192 characters.
    #[schemars(length(min = 1, max = 8192))]
    pub query: String,
    /// How often the hub is asked, with jitter; from 10s to 24h.
    #[serde(default = "interval")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')")
        .message("interval lies between 10s and 24h"))]
    pub interval: Duration,
    /// Rows kept in status, and never more than 256 KiB of JSON.
    #[serde(default = "limit")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: i32,
    /// Pauses the query; the last results stay.
    #[serde(default)]
    pub suspend: bool,
    /// Where all rows are written, whatever the limit; status then holds no rows, only their count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
}

/// Where all rows of a query are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// ConfigMaps in the namespace of the query.
    pub config_map: ConfigMapOutput,
}

/// ConfigMaps that hold all rows: the shards NAME-0, NAME-1, ... and an index NAME.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapOutput {
    /// Name of the index, and the beginning of the names of the shards. A ConfigMap that this query did not make is never
    /// written.
    #[schemars(length(min = 1, max = 240), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
}

fn interval() -> Duration {
    Duration::from_secs(60)
}

fn limit() -> i32 {
    100
}

/// The latest results of a query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TwinQueryStatus {
    /// The generation that this status is about; -1 before the first look.
    pub observed_generation: i64,
    /// Ready, and Reconciling or Stalled beside it.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    #[schemars(length(max = 8))]
    pub conditions: Vec<Condition>,
    /// Rows shown or, with an output, written to it; with truncated there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Whether the hub has more rows than are shown, or written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated: Option<bool>,
    /// What the rows are, as the hub names it: Twin, Raw, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub item_type: Option<String>,
    /// The rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub results: Option<Vec<JsonObject>>,
    /// When these results were first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results_time: Option<Time>,
    /// How often the hub is asked now: the interval, or a multiple of it while the daily budget of the connection is short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_interval: Option<Duration>,
    /// The ConfigMaps that this query made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputStatus>,
    /// The value of the annotation hubtwin.dev/reconcile-requested-at that was last acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
}

/// The ConfigMaps that a query made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputStatus {
    /// Name of the index.
    #[schemars(length(max = 253))]
    pub config_map: String,
    /// How many shards the index names.
    pub shards: i32,
}
