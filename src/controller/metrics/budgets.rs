//! The budgets of hubs, read when the metrics are.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::hub::{Pools, Readings};

/// Shows the budgets of all hubs.
pub(super) struct Budgets(pub(super) Arc<Pools>);

impl fmt::Debug for Budgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Budgets")
    }
}

impl Collector for Budgets {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Readings { permits, waiting, throttled, fractions, messages, messages_share } = self.0.readings();
        let by_class = |(class, count): (crate::hub::Class, u64)| (class.as_str(), count);
        family(
            &mut encoder,
            "budget_permits",
            "Calls to hubs that the budget let through, by class",
            MetricType::Counter,
            permits.into_iter().map(by_class).map(|(class, count)| (("class", class), ConstCounter::new(count))),
        )?;
        family(
            &mut encoder,
            "budget_waiting",
            "Calls that wait for the budget now, by class",
            MetricType::Gauge,
            waiting.into_iter().map(by_class).map(|(class, count)| (("class", class), ConstGauge::new(count))),
        )?;
        let throttled = ConstCounter::new(throttled);
        let text = "Answers by which a hub asked for fewer calls";
        throttled.encode(encoder.encode_descriptor("budget_throttled", text, None, MetricType::Counter)?)?;
        family(
            &mut encoder,
            "budget_rate_fraction",
            "The share of the budget's rate that is used, by lane; of all hubs, the least",
            MetricType::Gauge,
            fractions.into_iter().map(|(lane, fraction)| (("lane", lane.as_str()), ConstGauge::new(fraction))),
        )?;
        let (messages, share) = (ConstGauge::new(messages), ConstGauge::new(messages_share));
        let text = "Messages of hubs used since midnight, UTC";
        messages.encode(encoder.encode_descriptor("budget_messages", text, None, MetricType::Gauge)?)?;
        let text = "The share used of the messages that the budget grants until midnight, UTC; of all hubs, the most";
        share.encode(encoder.encode_descriptor("budget_messages_share", text, None, MetricType::Gauge)?)
    }
}

/// One metric with a value for each label.
fn family<M: EncodeMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    kind: MetricType,
    values: impl Iterator<Item = ((&'static str, &'static str), M)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for (label, value) in values {
        value.encode(metric.encode_family(&[label])?)?;
    }
    Ok(())
}
