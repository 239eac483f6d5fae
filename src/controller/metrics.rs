//! Counters of the operator. Labels come from closed sets.

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::hub::Pools;

mod budgets;

use budgets::Budgets;

type Labels = Vec<(&'static str, &'static str)>;

/// Names one object: for the few metrics of kinds of which there are few, and gone with the object.
type Named = Vec<(&'static str, String)>;

/// All metrics of the operator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Calls to hubs, by operation and outcome.
    pub hub_calls: Family<Labels, Counter>,
    /// Status writes, by kind and outcome.
    pub status_writes: Family<Labels, Counter>,
    /// Reconciles, by kind.
    pub reconciles: Family<Labels, Counter>,
    /// Rows of the last good run of each TwinQuery.
    pub query_rows: Family<Named, Gauge>,
    /// When each TwinQuery last got a good answer, in seconds since 1970.
    pub query_answered: Family<Named, Gauge>,
}

/// The labels of an object.
#[must_use]
pub fn named(namespace: &str, name: &str) -> Named {
    vec![("namespace", namespace.to_owned()), ("name", name.to_owned())]
}

impl Metrics {
    /// No call was made yet; the budgets are read each time the metrics are.
    #[must_use]
    pub fn new(budgets: Arc<Pools>) -> Self {
        let mut registry = Registry::with_prefix("hubtwin");
        let (hub_calls, status_writes, reconciles) = (Family::default(), Family::default(), Family::default());
        registry.register("hub_calls", "Calls to hubs, by operation and outcome", Family::clone(&hub_calls));
        registry.register("status_writes", "Status writes, by kind and outcome", Family::clone(&status_writes));
        registry.register("reconciles", "Reconciles, by kind", Family::clone(&reconciles));
        registry.register_collector(Box::new(Budgets(budgets)));
        let (query_rows, query_answered) = (Family::default(), Family::default());
        registry.register("twinquery_rows", "Rows of the last good run of a TwinQuery", Family::clone(&query_rows));
        registry.register(
            "twinquery_last_success_timestamp_seconds",
            "When a TwinQuery last got a good answer: time() less this is the age of its rows",
            Family::clone(&query_answered),
        );
        Self { registry, hub_calls, status_writes, reconciles, query_rows, query_answered }
    }

    /// The metrics in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            tracing::error!("the metrics could not be written");
        }
        text
    }
}
