//! How large a hub is, and how much of it is taken. Pure.
//!
//! Source: the Azure IoT Hub documentation, "IoT Hub quotas and throttling" and "Azure IoT Hub pricing".

use super::class::Class;

/// What a hub limits together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Reads of twins.
    Reads,
    /// Writes of twins.
    Writes,
    /// Pages of queries.
    Queries,
    /// Operations on identities.
    Identity,
}

/// The tier of a hub that has twins; the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Free.
    F1,
    /// Standard 1.
    S1,
    /// Standard 2.
    S2,
    /// Standard 3.
    S3,
}

/// A hub's size, and the share of it that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// What was bought.
    pub tier: Tier,
    /// How many units of it.
    pub units: u32,
    /// Percent of the hub's rates.
    pub percent: u32,
    /// The same with spec changes and deletions counted in.
    pub burst_percent: u32,
    /// Percent of the hub's messages of a day.
    pub daily_percent: u32,
}

/// The rates of a lane, in calls a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// For every class but those that burst.
    pub usual: f64,
    /// For all classes together.
    pub burst: f64,
    /// How long a lane that is not used saves up, in seconds.
    pub saved: f64,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 4] = [Self::Reads, Self::Writes, Self::Queries, Self::Identity];

    /// The lane of the first call that work of a class makes.
    #[must_use]
    pub fn first_of(class: Class) -> Self {
        match class {
            Class::SpecChange | Class::Deletion | Class::Drift => Self::Writes,
            Class::ConfirmingRead | Class::FirstRead | Class::ReportedRefresh => Self::Reads,
            Class::Poll | Class::TwinQuery | Class::Sweep => Self::Queries,
        }
    }

    /// A stable word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Queries => "queries",
            Self::Identity => "identity",
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::Reads => 0,
            Self::Writes => 1,
            Self::Queries => 2,
            Self::Identity => 3,
        }
    }

    /// The time, in seconds, over which the hub's documented limit counts.
    fn window(self) -> f64 {
        match self {
            Self::Reads | Self::Writes => 1.0,
            Self::Queries | Self::Identity => 60.0,
        }
    }
}

impl Size {
    /// The smaller of two in everything.
    #[must_use]
    pub fn least(self, other: Self) -> Self {
        Self {
            tier: self.tier.min(other.tier),
            units: self.units.min(other.units),
            percent: self.percent.min(other.percent),
            burst_percent: self.burst_percent.min(other.burst_percent),
            daily_percent: self.daily_percent.min(other.daily_percent),
        }
    }

    /// What may be asked of a lane.
    ///
    /// Saved up is what still keeps one window within the hub's limit, but a quarter of a window at least, as timers are
    /// not exact and hubs let short bursts pass, and half of one at most.
    #[must_use]
    pub fn rates(self, lane: Lane) -> Rates {
        let limit = self.limit(lane);
        let of = |percent: u32| limit * f64::from(percent.clamp(1, 100)) / 100.0;
        let burst = self.burst_percent.max(self.percent);
        let spare = 100.0 / f64::from(burst.clamp(1, 100)) - 1.0;
        Rates { usual: of(self.percent), burst: of(burst), saved: lane.window() * spare.clamp(0.25, 0.5) }
    }

    /// The messages that may be used in a day.
    #[must_use]
    pub fn daily_messages(self) -> u64 {
        let units = u64::from(self.units.max(1));
        let all = match self.tier {
            Tier::F1 => 8_000,
            Tier::S1 => 400_000 * units,
            Tier::S2 => 6_000_000 * units,
            Tier::S3 => 300_000_000 * units,
        };
        all * u64::from(self.daily_percent.clamp(1, 100)) / 100
    }

    /// The messages that an answer of so many bytes counts as.
    #[must_use]
    pub fn messages(self, bytes: usize) -> u64 {
        let block = if self.tier == Tier::F1 { 512 } else { 4096 };
        (bytes as u64).div_ceil(block).max(1)
    }

    /// The documented limit of a lane, in calls a second.
    fn limit(self, lane: Lane) -> f64 {
        let units = f64::from(self.units.max(1));
        match (lane, self.tier) {
            (Lane::Reads, Tier::F1 | Tier::S1) => 100.0,
            (Lane::Reads, Tier::S2) => (10.0 * units).max(100.0),
            (Lane::Reads, Tier::S3) => 500.0 * units,
            (Lane::Writes, Tier::F1 | Tier::S1) => 50.0,
            (Lane::Writes, Tier::S2) => (5.0 * units).max(50.0),
            (Lane::Writes, Tier::S3) => 250.0 * units,
            (Lane::Queries, Tier::F1 | Tier::S1 | Tier::S2) => 20.0 * units / 60.0,
            (Lane::Queries, Tier::S3) => 1000.0 * units / 60.0,
            (Lane::Identity, Tier::F1 | Tier::S1 | Tier::S2) => 100.0 * units / 60.0,
            (Lane::Identity, Tier::S3) => 5000.0 * units / 60.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(tier: Tier, units: u32) -> Size {
        Size { tier, units, percent: 100, burst_percent: 100, daily_percent: 100 }
    }

    /// The documented table; calls a second, but for queries and identities, which are calls a minute.
    #[test]
    fn limits_are_the_documented_ones() {
        let cases = [
            (Tier::F1, 1, [100.0, 50.0, 20.0, 100.0], 8_000),
            (Tier::S1, 9, [100.0, 50.0, 180.0, 900.0], 3_600_000),
            (Tier::S2, 1, [100.0, 50.0, 20.0, 100.0], 6_000_000),
            (Tier::S2, 20, [200.0, 100.0, 400.0, 2000.0], 120_000_000),
            (Tier::S3, 2, [1000.0, 500.0, 2000.0, 10_000.0], 600_000_000),
        ];
        for (tier, units, expected, daily) in cases {
            let size = size(tier, units);
            let found = Lane::ALL.map(|lane| (size.rates(lane).usual * lane.window()).round());
            assert_eq!((found, size.daily_messages()), (expected, daily), "{tier:?} {units}");
        }
    }

    #[test]
    fn a_share_is_taken_and_a_window_stays_within_the_limit() {
        let size = Size { percent: 50, burst_percent: 80, daily_percent: 10, ..size(Tier::S1, 1) };
        let rates = size.rates(Lane::Writes);
        assert_eq!((rates.usual, rates.burst, rates.saved), (25.0, 40.0, 0.25));
        assert_eq!(size.daily_messages(), 40_000);
        let Rates { burst, saved, .. } = size.rates(Lane::Queries);
        assert!((burst * (saved + 60.0) - 20.0).abs() < 1e-9, "{burst} {saved}");
        let greedy = Size { percent: 90, burst_percent: 80, ..size };
        assert_eq!((greedy.rates(Lane::Writes).usual, greedy.rates(Lane::Writes).burst), (45.0, 45.0));
    }

    #[test]
    fn the_smallest_figures_count() {
        let (one, other) = (size(Tier::S3, 2), Size { percent: 10, ..size(Tier::S1, 5) });
        assert_eq!(one.least(other), Size { percent: 10, ..size(Tier::S1, 2) });
    }

    #[test]
    fn answers_count_by_blocks_that_are_begun() {
        let cases = [(Tier::S1, 0, 1), (Tier::S1, 4096, 1), (Tier::S1, 4097, 2), (Tier::F1, 4096, 8)];
        for (tier, bytes, expected) in cases {
            assert_eq!(size(tier, 1).messages(bytes), expected, "{tier:?} {bytes}");
        }
    }
}
