//! The messages of one day. Pure: the time is handed in.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Counts messages; begins anew with every UTC day.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    day: Option<Date>,
    used: u64,
}

impl Meter {
    /// What was used on the day of `now`.
    #[must_use]
    pub fn used(&self, now: Timestamp) -> u64 {
        if self.day == Some(day(now)) { self.used } else { 0 }
    }

    /// Counts messages.
    pub fn charge(&mut self, now: Timestamp, messages: u64) {
        self.used = self.used(now).saturating_add(messages);
        self.day = Some(day(now));
    }
}

/// How many messages so many bytes are: one for each block that is begun, and `least` at the least.
#[must_use]
pub fn messages(bytes: usize, block: u64, least: u64) -> u64 {
    (bytes as u64).div_ceil(block.max(1)).max(least)
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_in_blocks_that_are_begun() {
        let cases = [
            (0, 4096, 0, 0),
            (0, 4096, 1, 1),
            (1, 4096, 1, 1),
            (4096, 4096, 1, 1),
            (4097, 4096, 1, 2),
            (4096, 512, 1, 8),
        ];
        for (bytes, block, least, expected) in cases {
            assert_eq!(messages(bytes, block, least), expected, "{bytes} by {block}");
        }
    }

    #[test]
    fn every_utc_day_begins_anew() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut meter = Meter::default();
        meter.charge(at("2026-11-24T23:59:59Z"), 7);
        meter.charge(at("2026-11-24T00:00:00Z"), 1);
        assert_eq!(meter.used(at("2026-11-24T23:59:59.9Z")), 8);
        assert_eq!(meter.used(at("2026-11-25T00:00:00Z")), 0);
        meter.charge(at("2026-11-25T00:00:00Z"), 2);
        assert_eq!(meter.used(at("2026-11-25T12:00:00Z")), 2);
    }
}
