//! Tiers of a hub and their documented limits.
//!
//! Source: the Azure IoT Hub documentation, "IoT Hub quotas and throttling" and "Choose the right IoT Hub tier and size".

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What was bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// Free.
    F1,
    /// Basic: no twins.
    B1,
    /// Basic: no twins.
    B2,
    /// Basic: no twins.
    B3,
    /// Standard.
    S1,
    /// Standard.
    S2,
    /// Standard.
    S3,
}

/// What is limited together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Reads and writes of identities, statistics.
    Identity,
    /// New connections of devices.
    Connections,
    /// Reads of twins, by back ends and by devices.
    TwinReads,
    /// Writes of twins, by back ends and by devices.
    TwinUpdates,
    /// Queries.
    Queries,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Identity, Self::Connections, Self::TwinReads, Self::TwinUpdates, Self::Queries];

    /// The name in answers of the admin server.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Connections => "connections",
            Self::TwinReads => "twinReads",
            Self::TwinUpdates => "twinUpdates",
            Self::Queries => "queries",
        }
    }
}

/// How many calls may be made in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub calls: u64,
    /// In which time.
    pub per: Duration,
}

const fn per_second(calls: u64) -> Rate {
    Rate { calls, per: Duration::from_secs(1) }
}

const fn per_minute(calls: u64) -> Rate {
    Rate { calls, per: Duration::from_secs(60) }
}

impl Tier {
    /// The most units of this tier that one hub can have.
    #[must_use]
    pub fn max_units(self) -> u64 {
        match self {
            Self::F1 => 1,
            Self::B1 | Self::B2 | Self::S1 | Self::S2 => 200,
            Self::B3 | Self::S3 => 10,
        }
    }

    /// Whether twins and queries are there at all.
    #[must_use]
    pub fn has_twins(self) -> bool {
        !matches!(self, Self::B1 | Self::B2 | Self::B3)
    }

    /// The limit of a class.
    #[must_use]
    pub fn rate(self, class: Class, units: u64) -> Rate {
        let size = match self {
            Self::F1 | Self::B1 | Self::S1 => 1,
            Self::B2 | Self::S2 => 2,
            Self::B3 | Self::S3 => 3,
        };
        match (class, size) {
            (Class::Identity, 1 | 2) => per_minute(100 * units),
            (Class::Identity, _) => per_minute(5000 * units),
            (Class::Connections, 1) => per_second((12 * units).max(100)),
            (Class::Connections, 2) => per_second(120 * units),
            (Class::Connections, _) => per_second(6000 * units),
            (Class::TwinReads, 1) => per_second(100),
            (Class::TwinReads, 2) => per_second((10 * units).max(100)),
            (Class::TwinReads, _) => per_second(500 * units),
            (Class::TwinUpdates, 1) => per_second(50),
            (Class::TwinUpdates, 2) => per_second((5 * units).max(50)),
            (Class::TwinUpdates, _) => per_second(250 * units),
            (Class::Queries, 1 | 2) => per_minute(20 * units),
            (Class::Queries, _) => per_minute(1000 * units),
        }
    }

    /// Messages in one day.
    #[must_use]
    pub fn daily_messages(self, units: u64) -> u64 {
        match self {
            Self::F1 => 8000,
            Self::B1 | Self::S1 => 400_000 * units,
            Self::B2 | Self::S2 => 6_000_000 * units,
            Self::B3 | Self::S3 => 300_000_000 * units,
        }
    }

    /// Bytes that count as one message.
    #[must_use]
    pub fn block_bytes(self) -> u64 {
        match self {
            Self::F1 => 512,
            _ => 4096,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the documentation, 2023.
    #[test]
    fn limits_are_the_documented_ones() {
        use Class::{Connections, Identity, Queries, TwinReads, TwinUpdates};
        let cases = [
            (Tier::F1, 1, [per_minute(100), per_second(100), per_second(100), per_second(50), per_minute(20)]),
            (Tier::S1, 1, [per_minute(100), per_second(100), per_second(100), per_second(50), per_minute(20)]),
            (Tier::S1, 9, [per_minute(900), per_second(108), per_second(100), per_second(50), per_minute(180)]),
            (Tier::S2, 1, [per_minute(100), per_second(120), per_second(100), per_second(50), per_minute(20)]),
            (Tier::S2, 20, [per_minute(2000), per_second(2400), per_second(200), per_second(100), per_minute(400)]),
            (
                Tier::S3,
                2,
                [per_minute(10_000), per_second(12_000), per_second(1000), per_second(500), per_minute(2000)],
            ),
        ];
        for (tier, units, expected) in cases {
            let found = [Identity, Connections, TwinReads, TwinUpdates, Queries].map(|class| tier.rate(class, units));
            assert_eq!(found, expected, "{tier:?} {units}");
        }
        let days = [(Tier::F1, 8000, 512), (Tier::S1, 1_200_000, 4096), (Tier::S2, 18_000_000, 4096)];
        for (tier, messages, block) in days {
            assert_eq!((tier.daily_messages(3), tier.block_bytes()), (messages, block), "{tier:?}");
        }
        assert!(!Tier::B2.has_twins());
    }
}
