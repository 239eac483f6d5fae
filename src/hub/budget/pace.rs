//! How much of a lane's rate is used: less when the hub answers late or refuses, and then step by step more. Pure: the time is
//! handed in, as the time since any fixed point.

use std::collections::VecDeque;
use std::time::Duration;

/// Rates fall at most once in this time: what was sent before the last fall still comes back.
const APART: Duration = Duration::from_secs(10);
/// What remains of a rate after a refusal.
const AFTER_REFUSAL: f64 = 0.5;
/// What remains of a rate when answers are late.
const AFTER_LATENESS: f64 = 0.7;
/// A rate never falls below this share by refusals: somebody has to find out that the hub is well again.
const LEAST: f64 = 1.0 / 16.0;
/// Nor below this by lateness, which may have nothing to do with us.
const LEAST_WHEN_LATE: f64 = 0.25;
/// One step up is made in this time.
const STEP_TIME: Duration = Duration::from_secs(5);
/// A step up, as a share of the whole rate.
const STEP: f64 = 0.1;
/// A step near the rate at which trouble began last.
const CAREFUL_STEP: f64 = 0.02;
/// What is near.
const NEAR: std::ops::Range<f64> = 0.79..1.2;
/// For how long the rate at which trouble began is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The time for which one answer time stands in the running median.
const SLOT: Duration = Duration::from_secs(2);
/// So many of them are the running median's: two minutes of a busy lane. A hub that became slower for good is taken for
/// granted after half of that.
const SLOTS: usize = 60;
/// Fewer do not say what is usual.
const ENOUGH: usize = 8;
/// The latest answers, of which the median counts: one late answer is nothing.
const LATEST: usize = 5;

/// The pace of a lane.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    fraction: f64,
    /// When it last fell, and from where.
    fell: Option<(Duration, f64)>,
    /// When it last rose, or might have.
    rose: Duration,
    usual: VecDeque<Duration>,
    slot: Option<Duration>,
    latest: VecDeque<Duration>,
}

impl Pace {
    /// A pace that begins with this share of the rate.
    pub(super) fn new(fraction: f64, now: Duration) -> Self {
        let (usual, latest) = (VecDeque::with_capacity(SLOTS), VecDeque::with_capacity(LATEST));
        Self { fraction, fell: None, rose: now, usual, slot: None, latest }
    }

    /// The share of the rate that is used.
    pub(super) fn fraction(&self) -> f64 {
        self.fraction
    }

    /// The running median of answer times.
    pub(super) fn median(&self) -> Option<Duration> {
        (self.usual.len() >= ENOUGH).then(|| median(&self.usual))
    }

    /// Takes the steps up that are due.
    pub(super) fn rise(&mut self, now: Duration) {
        let rested = self.fell.map_or(Duration::ZERO, |(fell, _)| fell + APART);
        let mut due = self.rose.max(rested) + STEP_TIME;
        while due <= now && self.fraction < 1.0 {
            self.fraction = (self.fraction + self.step(due)).min(1.0);
            self.rose = due;
            due += STEP_TIME;
        }
        if self.fraction >= 1.0 {
            self.rose = self.rose.max(now);
        }
    }

    fn step(&self, now: Duration) -> f64 {
        match self.fell {
            Some((fell, from)) if now < fell + REMEMBERED && NEAR.contains(&(self.fraction / from)) => CAREFUL_STEP,
            _ => STEP,
        }
    }

    /// The hub refused because it was asked too often.
    pub(super) fn refused(&mut self, now: Duration) {
        self.fall(now, (self.fraction * AFTER_REFUSAL).max(LEAST));
    }

    /// The hub answered. What is at most `slack` later than usual is not late.
    pub(super) fn answered(&mut self, now: Duration, elapsed: Duration, slack: Duration) {
        if self.latest.len() == LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back(elapsed);
        let late = self.latest.len() == LATEST
            && self.median().is_some_and(|usual| median(&self.latest) > (usual * 2).max(usual + slack));
        if late {
            self.fall(now, (self.fraction * AFTER_LATENESS).max(LEAST_WHEN_LATE));
        }
        if self.slot.is_none_or(|began| now >= began + SLOT) {
            self.slot = Some(now);
            if self.usual.len() == SLOTS {
                self.usual.pop_front();
            }
            self.usual.push_back(elapsed);
        }
    }

    fn fall(&mut self, now: Duration, to: f64) {
        if self.fell.is_some_and(|(fell, _)| now < fell + APART) {
            return;
        }
        // Also when it cannot fall further: it does not rise while there is trouble.
        self.fell = Some((now, self.fraction));
        self.fraction = self.fraction.min(to);
    }
}

fn median(times: &VecDeque<Duration>) -> Duration {
    let mut sorted: Vec<Duration> = times.iter().copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLACK: Duration = Duration::from_millis(100);

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Ten answers a second, from `from` to `to`; the lowest share on the way.
    fn answers(pace: &mut Pace, from: u32, to: u32, elapsed: Duration) -> f64 {
        let mut least = f64::INFINITY;
        for tenth in from * 10..to * 10 {
            let now = at(f64::from(tenth) / 10.0);
            pace.rise(now);
            pace.answered(now, elapsed, SLACK);
            least = least.min(pace.fraction());
        }
        least
    }

    #[test]
    fn refusals_halve_at_most_once_in_ten_seconds_and_it_climbs_back() {
        let mut pace = Pace::new(1.0, at(0.0));
        for second in [100.0, 100.1, 105.0, 109.9] {
            pace.refused(at(second));
        }
        assert_eq!(pace.fraction(), 0.5);
        pace.refused(at(110.0));
        assert_eq!(pace.fraction(), 0.25);
        for second in 111..1000 {
            pace.refused(at(f64::from(second)));
        }
        assert_eq!(pace.fraction(), LEAST);
        let mut before = pace.fraction();
        for second in 1000..1200 {
            pace.rise(at(f64::from(second)));
            assert!((before..=before + STEP + 1e-9).contains(&pace.fraction()), "step by step");
            before = pace.fraction();
        }
        assert_eq!(before, 1.0);
    }

    #[test]
    fn it_climbs_carefully_past_the_place_of_the_last_trouble() {
        let mut pace = Pace::new(1.0, at(0.0));
        pace.refused(at(0.0));
        pace.rise(at(29.0));
        assert!((pace.fraction() - 0.8).abs() < 1e-9, "{}", pace.fraction());
        pace.rise(at(49.0));
        assert!((0.8..0.9).contains(&pace.fraction()), "{}", pace.fraction());
        pace.rise(at(100.0));
        assert_eq!(pace.fraction(), 1.0);
    }

    #[test]
    fn a_hub_that_begins_to_shape_is_noticed_within_a_second() {
        let mut pace = Pace::new(1.0, at(0.0));
        assert_eq!(answers(&mut pace, 0, 60, at(0.02)), 1.0);
        assert_eq!(answers(&mut pace, 60, 61, at(0.3)), AFTER_LATENESS);
        answers(&mut pace, 61, 75, at(0.02));
        assert_eq!(answers(&mut pace, 75, 200, at(0.02)), AFTER_LATENESS, "no further fall");
        assert_eq!(pace.fraction(), 1.0);
    }

    #[test]
    fn a_hub_that_is_slower_for_good_keeps_a_quarter_and_comes_back() {
        for (usual, slower) in [(0.3, 0.6), (1.0, 2.5), (3.0, 6.5)] {
            let mut pace = Pace::new(1.0, at(0.0));
            answers(&mut pace, 0, 120, at(usual));
            assert!(answers(&mut pace, 120, 200, at(slower)) >= LEAST_WHEN_LATE);
            answers(&mut pace, 200, 420, at(slower));
            assert_eq!(pace.fraction(), 1.0, "{usual} to {slower}");
        }
    }

    #[test]
    fn small_differences_and_single_late_answers_are_nothing() {
        let mut pace = Pace::new(1.0, at(0.0));
        answers(&mut pace, 0, 60, at(0.002));
        assert_eq!(answers(&mut pace, 60, 120, at(0.05)), 1.0);
        for second in 120..400 {
            pace.answered(at(f64::from(second)), at(if second % 4 == 0 { 5.0 } else { 0.05 }), SLACK);
        }
        assert_eq!(pace.fraction(), 1.0);
    }
}
