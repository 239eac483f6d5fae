//! One limit: bursts go through, what comes after that waits its turn, and what would wait too long is refused. Pure: the
//! time is handed in, and counted in whole nanoseconds.

use std::collections::VecDeque;
use std::time::Duration;

use super::tier::Rate;

/// How a limit treats what is over it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How much above the limit is served at once: as many calls as the limit allows in this time.
    pub burst: Duration,
    /// How long a call may have to wait.
    pub queue: Duration,
    /// How many calls may wait.
    pub backlog: usize,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes through after this time, which is zero for most.
    After(Duration),
    /// It would have to wait too long.
    Refused,
    /// Too many wait already.
    BacklogFull,
}

/// The state of one limit.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// When all that was let in would be done at the limit, in nanoseconds.
    busy_until: u128,
    /// When those that wait get their turn, in nanoseconds, in order.
    turns: VecDeque<u128>,
}

impl Lane {
    /// Lets a call of `cost` in at `now` (the time since any fixed point), or not. What is refused costs nothing.
    pub fn ask(&mut self, now: Duration, cost: u64, rate: Rate, shape: Shape) -> Verdict {
        let now = now.as_nanos();
        while self.turns.front().is_some_and(|turn| *turn <= now) {
            self.turns.pop_front();
        }
        let work = rate.per.as_nanos() * u128::from(cost) / u128::from(rate.calls.max(1));
        let done = self.busy_until.max(now) + work;
        let wait = done.saturating_sub(now + shape.burst.as_nanos());
        if wait == 0 {
            self.busy_until = done;
            return Verdict::After(Duration::ZERO);
        }
        if wait > shape.queue.as_nanos() {
            return Verdict::Refused;
        }
        if self.turns.len() >= shape.backlog {
            return Verdict::BacklogFull;
        }
        self.busy_until = done;
        self.turns.push_back(now + wait);
        Verdict::After(Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX)))
    }

    /// How many wait at `now`.
    #[must_use]
    pub fn waiting(&self, now: Duration) -> usize {
        self.turns.iter().filter(|turn| **turn > now.as_nanos()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { calls: 10, per: Duration::from_secs(1) };

    fn shape(burst: u64, queue: u64, backlog: usize) -> Shape {
        Shape { burst: Duration::from_millis(burst), queue: Duration::from_millis(queue), backlog }
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn bursts_pass_then_calls_wait_then_they_are_refused() {
        let mut lane = Lane::default();
        let shape = shape(500, 300, 100);
        // Five are the burst: half a second of ten in a second.
        for _ in 0..5 {
            assert_eq!(lane.ask(at(0), 1, RATE, shape), Verdict::After(Duration::ZERO));
        }
        for wait in [100, 200, 300] {
            assert_eq!(lane.ask(at(0), 1, RATE, shape), Verdict::After(at(wait)));
        }
        assert_eq!(lane.waiting(at(0)), 3);
        assert_eq!(lane.ask(at(0), 1, RATE, shape), Verdict::Refused);
        // What was refused cost nothing: one turn later there is one place.
        assert_eq!(lane.ask(at(100), 1, RATE, shape), Verdict::After(at(300)));
        assert_eq!(lane.ask(at(100), 1, RATE, shape), Verdict::Refused);
        // After a rest the burst is there again.
        assert_eq!(lane.waiting(at(10_000)), 0);
        assert_eq!(lane.ask(at(10_000), 5, RATE, shape), Verdict::After(Duration::ZERO));
        assert_eq!(lane.ask(at(10_000), 1, RATE, shape), Verdict::After(at(100)));
    }

    #[test]
    fn a_backlog_has_its_own_end() {
        let mut lane = Lane::default();
        let shape = shape(0, 10_000, 2);
        for wait in [100, 200] {
            assert_eq!(lane.ask(at(0), 1, RATE, shape), Verdict::After(at(wait)));
        }
        assert_eq!(lane.ask(at(0), 1, RATE, shape), Verdict::BacklogFull);
        assert_eq!(lane.ask(at(100), 1, RATE, shape), Verdict::After(at(200)));
    }

    /// Whatever is asked, in the long run no more goes through than the limit and the burst allow.
    #[test]
    fn no_more_than_the_limit_goes_through() {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..50 {
            let rate = Rate { calls: random.u64(1..500), per: Duration::from_secs(random.u64(1..60)) };
            let shape = shape(random.u64(0..5000), random.u64(0..5000), random.usize(1..100));
            let (mut lane, mut now, mut turns) = (Lane::default(), 0, Vec::new());
            for _ in 0..2000 {
                now += random.u64(0..20);
                let cost = random.u64(1..4);
                if let Verdict::After(wait) = lane.ask(at(now), cost, rate, shape) {
                    assert!(wait <= shape.queue);
                    turns.push((at(now) + wait, cost));
                }
            }
            turns.sort_unstable();
            let mut done = 0;
            for (turn, cost) in turns {
                done += cost;
                let most = (turn + shape.burst).as_nanos() * u128::from(rate.calls) / rate.per.as_nanos();
                assert!(u128::from(done) <= most + 4, "{done} by {turn:?}, {most} allowed: {rate:?} {shape:?}");
            }
        }
    }
}
