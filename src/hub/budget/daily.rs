//! The messages of a day: what was used, and how far intervals are stretched so that the day's share lasts until midnight. Pure:
//! the time is handed in.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::class::Class;

/// The time over which use is averaged, in seconds.
const AVERAGED: f64 = 3600.0;
/// How often the stretch is judged anew.
const JUDGED_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// What would just do is not enough to stretch less: it would be too much again a little later.
const MARGIN: f64 = 0.8;
/// Intervals are never longer than this many times what was asked for: saved queries, the sweep, the poll.
const MOST: [u32; 3] = [64, 16, 16];

/// By how much intervals are to be longer than what was asked for: 1, 2, 4 and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Of saved queries.
    pub twin_query: u32,
    /// Of the sweep.
    pub sweep: u32,
    /// Of the poll.
    pub poll: u32,
}

impl Stretch {
    /// As they were asked for.
    pub const NONE: Self = Self { twin_query: 1, sweep: 1, poll: 1 };

    fn of(self, share: Share) -> u32 {
        match share {
            Share::TwinQuery => self.twin_query,
            Share::Sweep => self.sweep,
            Share::Poll => self.poll,
            Share::Other => 1,
        }
    }
}

/// Messages a second, if no interval were stretched.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Use {
    twin_query: f64,
    sweep: f64,
    poll: f64,
    other: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    TwinQuery,
    Sweep,
    Poll,
    Other,
}

impl From<Class> for Share {
    fn from(class: Class) -> Self {
        match class {
            Class::TwinQuery => Self::TwinQuery,
            Class::Sweep => Self::Sweep,
            Class::Poll => Self::Poll,
            Class::SpecChange
            | Class::Deletion
            | Class::ConfirmingRead
            | Class::Drift
            | Class::FirstRead
            | Class::ReportedRefresh => Self::Other,
        }
    }
}

/// The messages of a day.
#[derive(Clone, Debug)]
pub(super) struct Daily {
    day: Option<Date>,
    used: u64,
    shares: [Average; 4],
    stretch: Stretch,
    judged: Option<Timestamp>,
}

/// Messages a second, the older ones counting less.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    value: f64,
    at: Option<Timestamp>,
}

impl Average {
    fn now(&self, now: Timestamp) -> f64 {
        let passed = self.at.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
        self.value * (-passed / AVERAGED).exp()
    }

    fn add(&mut self, now: Timestamp, messages: f64) {
        self.value = self.now(now) + messages / AVERAGED;
        self.at = Some(now);
    }
}

impl Default for Daily {
    fn default() -> Self {
        Self { day: None, used: 0, shares: Default::default(), stretch: Stretch::NONE, judged: None }
    }
}

impl Daily {
    /// What was used on the day of `now`.
    pub(super) fn used(&self, now: Timestamp) -> u64 {
        if self.day == Some(day(now)) { self.used } else { 0 }
    }

    pub(super) fn charge(&mut self, now: Timestamp, class: Class, messages: u64) {
        self.used = self.used(now).saturating_add(messages);
        self.day = Some(day(now));
        let share = Share::from(class);
        self.shares[share as usize].add(now, messages as f64 * f64::from(self.stretch.of(share)));
    }

    /// By how much intervals are to be stretched, when so many messages may be used in a day.
    pub(super) fn stretch(&mut self, now: Timestamp, allowed: u64) -> Stretch {
        // Also when the clock was set back.
        let fresh = |judged: Timestamp| judged <= now && now.duration_since(judged) < JUDGED_EVERY;
        if !self.judged.is_some_and(fresh) {
            self.judged = Some(now);
            let of = |share: Share| self.shares[share as usize].now(now);
            let used = Use {
                twin_query: of(Share::TwinQuery),
                sweep: of(Share::Sweep),
                poll: of(Share::Poll),
                other: of(Share::Other),
            };
            let left = allowed.saturating_sub(self.used(now)) as f64;
            self.stretch = judge(used, left / seconds_left(now), self.stretch);
        }
        self.stretch
    }
}

/// The least stretch with which no more than `bearable` messages a second are used; not less than before unless there is
/// room to spare.
fn judge(used: Use, bearable: f64, before: Stretch) -> Stretch {
    let (tight, roomy) = (least(used, bearable), least(used, bearable * MARGIN));
    let one = |tight: u32, roomy: u32, before: u32| if tight >= before { tight } else { roomy.min(before) };
    Stretch {
        twin_query: one(tight.twin_query, roomy.twin_query, before.twin_query),
        sweep: one(tight.sweep, roomy.sweep, before.sweep),
        poll: one(tight.poll, roomy.poll, before.poll),
    }
}

/// Saved queries are stretched first, then the sweep, then the poll, each as far as it goes before the next.
fn least(used: Use, bearable: f64) -> Stretch {
    let Use { twin_query, sweep, poll, other } = used;
    let mut factors = [1; 3];
    for (stretched, most) in MOST.into_iter().enumerate() {
        loop {
            let [by_query, by_sweep, by_poll] = factors.map(f64::from);
            if other + twin_query / by_query + sweep / by_sweep + poll / by_poll <= bearable {
                return Stretch { twin_query: factors[0], sweep: factors[1], poll: factors[2] };
            }
            if factors[stretched] >= most {
                break;
            }
            factors[stretched] *= 2;
        }
    }
    Stretch { twin_query: factors[0], sweep: factors[1], poll: factors[2] }
}

/// The next midnight, UTC.
pub(super) fn midnight(now: Timestamp) -> Timestamp {
    let next = day(now).checked_add(1.day()).and_then(|day| day.to_zoned(TimeZone::UTC));
    next.map_or(Timestamp::MAX, |next| next.timestamp())
}

fn seconds_left(now: Timestamp) -> f64 {
    midnight(now).duration_since(now).as_secs_f64().max(1.0)
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn every_utc_day_begins_anew() {
        let mut daily = Daily::default();
        daily.charge(at("2026-11-24T23:59:59Z"), Class::Poll, 7);
        assert_eq!(daily.used(at("2026-11-24T00:00:00Z")), 7);
        assert_eq!(daily.used(at("2026-11-25T00:00:00Z")), 0);
        assert_eq!(midnight(at("2026-11-24T23:59:59Z")), at("2026-11-25T00:00:00Z"));
        assert_eq!(midnight(at("2026-11-25T00:00:00Z")), at("2026-11-26T00:00:00Z"));
    }

    #[test]
    fn saved_queries_give_way_first_then_the_sweep_then_the_poll() {
        let used = Use { twin_query: 8.0, sweep: 4.0, poll: 2.0, other: 1.0 };
        let stretch = |twin_query, sweep, poll| Stretch { twin_query, sweep, poll };
        let cases = [
            (15.0, stretch(1, 1, 1)),
            (14.0, stretch(2, 1, 1)),
            (7.5, stretch(16, 1, 1)),
            (6.0, stretch(64, 2, 1)),
            (3.2, stretch(64, 16, 2)),
            (0.0, stretch(64, 16, 16)),
        ];
        for (bearable, expected) in cases {
            assert_eq!(least(used, bearable), expected, "{bearable}");
        }
    }

    #[test]
    fn what_was_stretched_is_not_let_go_at_the_edge() {
        let used = Use { twin_query: 8.0, ..Use::default() };
        let stretched = judge(used, 7.9, Stretch::NONE);
        assert_eq!(stretched.twin_query, 2);
        assert_eq!(judge(used, 8.1, stretched).twin_query, 2);
        assert_eq!(judge(used, 10.1, stretched).twin_query, 1);
    }

    /// A day of a free hub, whose share of 800 messages its intervals would use up five times over.
    #[test]
    fn a_day_lasts_until_midnight() {
        let (mut daily, allowed) = (Daily::default(), 800);
        let start = at("2026-11-24T00:00:00Z");
        let (mut next_query, mut next_poll) = (0, 0);
        for second in 0..86_400 {
            let now = start + SignedDuration::from_secs(second);
            let Stretch { twin_query, poll, .. } = daily.stretch(now, allowed);
            if second >= next_query {
                daily.charge(now, Class::TwinQuery, 3);
                next_query = second + 60 * i64::from(twin_query);
            }
            if second >= next_poll {
                daily.charge(now, Class::Poll, 1);
                next_poll = second + 300 * i64::from(poll);
            }
        }
        let used = daily.used(start + SignedDuration::from_secs(86_399));
        assert!((500..=840).contains(&used), "{used}");
    }
}
