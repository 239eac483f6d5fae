//! The limits of a tier, as they are set.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::throttle::{Plan, Shape, Tier};
use super::setting::BadSetting;

/// Longest burst, and longest wait in a queue: an hour.
const MAX_SHAPE_MS: u64 = 3_600_000;
/// Most calls that may wait for each limit.
const MAX_BACKLOG: usize = 100_000;
/// Longest wait that clients can be told: a day.
const MAX_RETRY_AFTER_S: u64 = 86_400;

/// What was bought, and how strictly it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// The tier.
    pub tier: Tier,
    /// How many units of it.
    #[serde(default = "one")]
    pub units: u64,
    /// How much of the documented rates there is, in percent, 1 to 100.
    #[serde(default = "hundred")]
    pub percent: u64,
    /// Messages in one day; absent for those of the tier.
    #[serde(default)]
    pub daily_messages: Option<u64>,
    /// How much above a rate is served at once: what the rate allows in so many milliseconds.
    #[serde(default = "minute")]
    pub burst_ms: u64,
    /// How long a call may have to wait before it is refused.
    #[serde(default = "ten_seconds")]
    pub queue_ms: u64,
    /// How many calls may wait for each limit.
    #[serde(default = "ten_thousand")]
    pub backlog: usize,
    /// What refusals say in `Retry-After`; absent for nothing, as the service.
    #[serde(default)]
    pub retry_after_s: Option<u64>,
}

fn one() -> u64 {
    1
}

fn hundred() -> u64 {
    100
}

/// The documentation speaks of a minute or two.
fn minute() -> u64 {
    60_000
}

fn ten_seconds() -> u64 {
    10_000
}

fn ten_thousand() -> usize {
    10_000
}

impl Limits {
    /// A tier with the documented limits.
    #[must_use]
    pub fn of(tier: Tier) -> Self {
        Self {
            tier,
            units: one(),
            percent: hundred(),
            daily_messages: None,
            burst_ms: minute(),
            queue_ms: ten_seconds(),
            backlog: ten_thousand(),
            retry_after_s: None,
        }
    }

    /// What the throttle works with.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            tier: self.tier,
            units: self.units,
            percent: self.percent,
            daily_messages: self.daily_messages,
            shape: Shape {
                burst: Duration::from_millis(self.burst_ms),
                queue: Duration::from_millis(self.queue_ms),
                backlog: self.backlog,
            },
        }
    }

    pub(super) fn check(&self) -> Result<(), BadSetting> {
        let within = |field: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(BadSetting::new(format!("limits.{field}"), format!("{value} is out of range: {least} to {most}")))
            }
        };
        within("units", self.units, 1, self.tier.max_units())?;
        within("percent", self.percent, 1, 100)?;
        within("burstMs", self.burst_ms, 0, MAX_SHAPE_MS)?;
        within("queueMs", self.queue_ms, 0, MAX_SHAPE_MS)?;
        within("backlog", self.backlog as u64, 0, MAX_BACKLOG as u64)?;
        within("retryAfterS", self.retry_after_s.unwrap_or(0), 0, MAX_RETRY_AFTER_S)
    }
}
