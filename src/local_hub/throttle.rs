//! The limits of a tier: what is asked too often is served late and then refused, and so many messages a day. Pure: time is
//! handed in, and nothing here waits.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use self::lane::Lane;
pub use self::lane::{Shape, Verdict};
use self::meter::Meter;
pub use self::meter::messages;
pub use self::tier::{Class, Rate, Tier};

mod lane;
mod meter;
mod tier;

/// The limits of one hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The tier.
    pub tier: Tier,
    /// How many units of it.
    pub units: u64,
    /// How much of the documented rates there is, in percent.
    pub percent: u64,
    /// Messages in one day, where they are not those of the tier.
    pub daily_messages: Option<u64>,
    /// How what is over a rate is treated.
    pub shape: Shape,
}

impl Plan {
    /// The limit of a class.
    #[must_use]
    pub fn rate(&self, class: Class) -> Rate {
        let Rate { calls, per } = self.tier.rate(class, self.units);
        // A percentage of calls is as many calls in more time, so that small figures stay exact.
        Rate { calls: calls * self.percent, per: per * 100 }
    }

    /// Messages in one day.
    #[must_use]
    pub fn daily_messages(&self) -> u64 {
        self.daily_messages.unwrap_or_else(|| self.tier.daily_messages(self.units))
    }
}

/// What was asked lately.
#[derive(Clone, Debug, Default)]
pub struct Throttle {
    lanes: HashMap<Class, Lane>,
    meter: Meter,
}

/// How full one limit is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gauge {
    /// What is limited.
    pub class: &'static str,
    /// The limit, in calls a minute.
    pub per_minute: u64,
    /// How many calls wait now.
    pub waiting: usize,
}

impl Throttle {
    /// Lets a call in, or not. `now` is the time since any fixed point.
    pub fn ask(&mut self, now: Duration, class: Class, cost: u64, plan: &Plan) -> Verdict {
        self.lanes.entry(class).or_default().ask(now, cost, plan.rate(class), plan.shape)
    }

    /// Whether the messages of the day are used up; how many there are and how many were used then.
    #[must_use]
    pub fn spent(&self, now: Timestamp, plan: &Plan) -> Option<(u64, u64)> {
        let (most, used) = (plan.daily_messages(), self.meter.used(now));
        (used >= most).then_some((most, used))
    }

    /// Counts messages.
    pub fn charge(&mut self, now: Timestamp, messages: u64) {
        self.meter.charge(now, messages);
    }

    /// Messages that were used on the day of `now`.
    #[must_use]
    pub fn used(&self, now: Timestamp) -> u64 {
        self.meter.used(now)
    }

    /// How full every limit is.
    #[must_use]
    pub fn gauges(&self, now: Duration, plan: &Plan) -> Vec<Gauge> {
        let gauge = |class: Class| {
            let Rate { calls, per } = plan.rate(class);
            Gauge {
                class: class.name(),
                per_minute: calls * 60 / per.as_secs().max(1),
                waiting: self.lanes.get(&class).map_or(0, |lane| lane.waiting(now)),
            }
        };
        Class::ALL.into_iter().map(gauge).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(tier: Tier, percent: u64) -> Plan {
        let shape = Shape { burst: Duration::ZERO, queue: Duration::from_millis(1500), backlog: 100 };
        Plan { tier, units: 1, percent, daily_messages: Some(2), shape }
    }

    #[test]
    fn classes_do_not_wait_for_each_other() {
        let (mut throttle, plan) = (Throttle::default(), plan(Tier::S1, 100));
        let mut ask = |class, cost| throttle.ask(Duration::ZERO, class, cost, &plan);
        assert_eq!(ask(Class::TwinUpdates, 1), Verdict::After(Duration::from_millis(20)));
        assert_eq!(ask(Class::TwinReads, 1), Verdict::After(Duration::from_millis(10)));
        // Twenty in a minute: the second would wait six seconds.
        assert_eq!(ask(Class::Queries, 1), Verdict::Refused);
        assert_eq!(ask(Class::Identity, 2), Verdict::After(Duration::from_millis(1200)));
        let waiting: Vec<_> = throttle.gauges(Duration::ZERO, &plan).iter().map(|gauge| gauge.waiting).collect();
        assert_eq!(waiting, [1, 0, 1, 1, 0]);
    }

    #[test]
    fn a_hub_can_be_made_smaller() {
        let mut throttle = Throttle::default();
        let verdict = throttle.ask(Duration::ZERO, Class::TwinUpdates, 1, &plan(Tier::S1, 10));
        assert_eq!(verdict, Verdict::After(Duration::from_millis(200)));
        let gauges = throttle.gauges(Duration::ZERO, &plan(Tier::S1, 50));
        assert_eq!(gauges.iter().map(|gauge| gauge.per_minute).collect::<Vec<_>>(), [50, 3000, 3000, 1500, 10]);
    }

    #[test]
    fn the_day_is_spent_when_all_its_messages_are() {
        let (mut throttle, plan) = (Throttle::default(), plan(Tier::F1, 100));
        let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        throttle.charge(now, 1);
        assert_eq!(throttle.spent(now, &plan), None);
        throttle.charge(now, 3);
        assert_eq!(throttle.spent(now, &plan), Some((2, 4)));
        assert_eq!(throttle.spent("2026-11-25T00:00:00Z".parse().unwrap(), &plan), None);
    }
}
