//! What holds of a budget whatever happens, and how it gets on with a hub that shapes before it refuses.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use proptest::prelude::*;

use super::*;

const SIZE: Size = Size { tier: Tier::S1, units: 1, percent: 100, burst_percent: 100, daily_percent: 100 };

/// How long a step of the world takes, in seconds.
const STEP: f64 = 0.004;

/// A hub's limit of one lane: bursts pass, what comes after them waits, what would wait too long is refused.
struct Shaper {
    /// Calls a second.
    limit: f64,
    /// Seconds saved up.
    burst: f64,
    /// The longest wait, in seconds.
    queue: f64,
    busy_until: f64,
}

impl Shaper {
    /// How long a call waits; `None`: it is refused.
    fn ask(&mut self, now: f64) -> Option<f64> {
        let done = self.busy_until.max(now) + 1.0 / self.limit;
        let wait = (done - now - self.burst).max(0.0);
        (wait <= self.queue).then(|| {
            self.busy_until = done;
            wait
        })
    }
}

/// A budget, the hub that it is for, and callers that always have more to do.
struct World {
    budget: Budget,
    seat: u64,
    hub: Shaper,
    lane: Lane,
    /// How long the hub takes for a call that does not wait, in seconds.
    answer: f64,
    /// Calls a second that somebody else makes.
    rival: f64,
    now: f64,
    /// Who always waits.
    callers: Vec<(Class, &'static str)>,
    waiting: BTreeMap<u64, usize>,
    under_way: BinaryHeap<Reverse<(Duration, usize, bool, Duration)>>,
    next: u64,
    rivals: f64,
    log: Log,
}

/// What happened.
#[derive(Default)]
struct Log {
    sent: Vec<(f64, Class, &'static str)>,
    refused: usize,
    longest: f64,
    least: f64,
}

impl World {
    fn new(lane: Lane, limit: f64, callers: &[(Class, &'static str)], each: usize) -> Self {
        let mut budget = Budget::new(SIZE, now(0.0));
        let seat = budget.sit(SIZE, now(0.0));
        let mut world = Self {
            budget,
            seat,
            hub: Shaper { limit, burst: 0.0, queue: 10.0, busy_until: 0.0 },
            lane,
            answer: 0.02,
            rival: 0.0,
            now: 0.0,
            callers: callers.to_vec(),
            waiting: BTreeMap::new(),
            under_way: BinaryHeap::new(),
            next: 0,
            rivals: 0.0,
            log: Log { least: 1.0, ..Log::default() },
        };
        for _ in 0..each {
            (0..callers.len()).for_each(|caller| world.ask(caller));
        }
        world
    }

    fn ask(&mut self, caller: usize) {
        let (class, namespace) = self.callers[caller];
        self.next += 1;
        if self.budget.ask(self.lane, class, namespace, Ticket(self.next), now(self.now)).is_ok() {
            self.waiting.insert(self.next, caller);
        }
    }

    /// Lets time pass.
    fn run(&mut self, seconds: f64) -> &mut Self {
        let end = self.now + seconds;
        while self.now < end {
            self.now += STEP;
            self.rivals += self.rival * STEP;
            while self.rivals >= 1.0 {
                self.rivals -= 1.0;
                self.hub.ask(self.now);
            }
            self.step();
        }
        self
    }

    fn step(&mut self) {
        let time = now(self.now);
        while self.under_way.peek().is_some_and(|Reverse((end, ..))| *end <= time.since) {
            let Some(Reverse((_, caller, refused, elapsed))) = self.under_way.pop() else { break };
            let ended = if refused { Ended::Throttled(None) } else { Ended::Done };
            let (lane, class, seat) = (self.lane, self.callers[caller].0, self.seat);
            self.budget.end(Call { lane, class, seat, ended, elapsed, bytes: 100 }, time);
            self.log.refused += usize::from(refused);
            self.log.longest = self.log.longest.max(elapsed.as_secs_f64());
        }
        for (class, ticket) in self.budget.let_in(self.lane, time) {
            let Some(caller) = self.waiting.remove(&ticket.0) else { panic!("nobody waits by {ticket:?}") };
            self.log.sent.push((self.now, class, self.callers[caller].1));
            let wait = self.hub.ask(self.now);
            let elapsed = Duration::from_secs_f64(self.answer + wait.unwrap_or(0.0));
            self.under_way.push(Reverse((time.since + elapsed, caller, wait.is_none(), elapsed)));
            self.ask(caller);
        }
        self.log.least = self.log.least.min(self.budget.fraction(self.lane));
    }

    /// Forgets what happened so far.
    fn anew(&mut self) -> &mut Self {
        self.log = Log { least: 1.0, ..Log::default() };
        self
    }

    fn count(&self, of: impl Fn(Class, &str) -> bool) -> f64 {
        self.log.sent.iter().filter(|(_, class, namespace)| of(*class, namespace)).count() as f64
    }

    fn refused_share(&self) -> f64 {
        self.log.refused as f64 / self.log.sent.len() as f64
    }
}

fn now(seconds: f64) -> Now {
    let since = Duration::from_secs_f64(seconds);
    let start = Timestamp::from_second(1_790_000_000).unwrap();
    Now { since, time: start + SignedDuration::try_from(since).unwrap() }
}

/// A world that is warm: at full rate, with a running median.
fn warm(limit: f64) -> World {
    let mut world = World::new(Lane::Writes, limit, &[(Class::Drift, "a")], 20);
    world.run(90.0);
    assert_eq!((world.budget.fraction(Lane::Writes), world.log.refused), (1.0, 0));
    world.anew();
    world
}

#[test]
fn a_limit_that_halves_for_a_minute_refuses_next_to_nothing() {
    let mut world = warm(50.0);
    world.hub.limit = 25.0;
    world.run(60.0);
    world.hub.limit = 50.0;
    world.run(120.0);
    assert!(world.refused_share() <= 0.001, "{} of {}", world.log.refused, world.log.sent.len());
    assert!(world.log.longest < 3.0, "a call took {} s", world.log.longest);
    assert!(world.log.sent.len() > 60 * 15 + 120 * 30, "{}", world.log.sent.len());
    assert_eq!(world.budget.fraction(Lane::Writes), 1.0);
}

#[test]
fn a_rival_that_takes_half_of_the_hub_gets_its_half() {
    let mut world = warm(50.0);
    world.rival = 25.0;
    world.run(300.0);
    assert!(world.refused_share() <= 0.001, "{} of {}", world.log.refused, world.log.sent.len());
    let rate = world.log.sent.len() as f64 / 300.0;
    assert!((15.0..=28.0).contains(&rate), "{rate} a second beside 25");
    world.rival = 0.0;
    world.run(120.0);
    assert_eq!(world.budget.fraction(Lane::Writes), 1.0);
}

/// Some hubs let a long burst pass and refuse at once then.
#[test]
fn a_hub_that_refuses_without_shaping_is_not_pressed() {
    let mut world = warm(60.0);
    world.hub = Shaper { limit: 25.0, burst: 1.0, queue: 0.0, busy_until: world.now };
    world.run(600.0);
    assert!(world.refused_share() <= 0.005, "{} of {}", world.log.refused, world.log.sent.len());
    assert!(world.log.sent.len() > 600 * 12, "{}", world.log.sent.len());
    world.hub.limit = 100.0;
    world.run(200.0);
    assert_eq!(world.budget.fraction(Lane::Writes), 1.0);
}

#[test]
fn a_hub_that_is_slower_for_good_keeps_its_rate() {
    for (usual, slower) in [(0.02, 0.04), (0.2, 0.45), (1.4, 2.9)] {
        let mut world = warm(60.0);
        world.answer = usual;
        world.run(240.0).anew();
        world.answer = slower;
        world.run(60.0);
        assert!(world.log.least >= 0.25, "{usual}: fell to {}", world.log.least);
        world.run(180.0).anew();
        world.run(60.0);
        let rate = world.log.sent.len() as f64 / 60.0;
        assert!(rate > 48.0, "{usual} to {slower}: {rate} a second of 50");
    }
}

#[test]
fn who_bursts_goes_before_all_others_and_takes_no_more_than_the_burst() {
    let size = Size { percent: 50, burst_percent: 80, ..SIZE };
    let mut world = World::new(Lane::Writes, 1000.0, &[(Class::Drift, "a"), (Class::SpecChange, "a")], 4);
    world.budget.rise(world.seat, now(0.0));
    world.seat = world.budget.sit(size, now(0.0));
    world.run(60.0).anew().run(100.0);
    let (edits, drift) =
        (world.count(|class, _| class == Class::SpecChange), world.count(|class, _| class == Class::Drift));
    assert!((3890.0..=4011.0).contains(&(edits + drift)), "{edits} {drift}");
    assert!((120.0..=130.0).contains(&drift), "the floor of 5% of 25 a second: {drift}");
    // Without edits the others get their share, and no more.
    let mut world = World::new(Lane::Writes, 1000.0, &[(Class::Drift, "a")], 4);
    world.budget.rise(world.seat, now(0.0));
    world.seat = world.budget.sit(size, now(0.0));
    world.run(60.0).anew().run(100.0);
    assert!((2450.0..=2507.0).contains(&world.count(|_, _| true)), "{}", world.count(|_, _| true));
}

#[test]
fn floors_are_reached_and_namespaces_share() {
    let callers: Vec<_> = Class::ALL.into_iter().flat_map(|class| [(class, "a"), (class, "b")]).collect();
    let mut world = World::new(Lane::Writes, 1000.0, &callers, 1);
    // One namespace asks for ten times as much.
    for _ in 0..10 {
        (0..callers.len()).step_by(2).for_each(|caller| world.ask(caller));
    }
    world.run(60.0).anew().run(200.0);
    let all = world.count(|_, _| true);
    assert!(all >= 200.0 * 49.0, "{all}");
    for class in Class::ALL {
        let share = 100.0 * world.count(|other, _| other == class) / all;
        assert!(share >= 0.97 * class.floor(), "{class:?} got {share}%");
        let (a, b) = (world.count(|c, n| c == class && n == "a"), world.count(|c, n| c == class && n == "b"));
        assert!((a - b).abs() <= 2.0, "{class:?}: {a} and {b}");
    }
    assert!(world.count(|class, _| class == Class::SpecChange) / all > 0.4, "the first gets what no floor takes");
}

#[test]
fn quota_stops_all_but_one_probe_an_hour_until_midnight() {
    let mut budget = Budget::new(SIZE, now(0.0));
    let seat = budget.sit(SIZE, now(0.0));
    let ask = |budget: &mut Budget, ticket: u64, at: f64| {
        budget
            .ask(Lane::Queries, Class::Poll, "a", Ticket(ticket), now(at))
            .map(|()| budget.let_in(Lane::Queries, now(at)))
    };
    let end = |budget: &mut Budget, ended, at: f64| {
        let elapsed = Duration::from_millis(20);
        budget.end(Call { lane: Lane::Queries, class: Class::Poll, seat, ended, elapsed, bytes: 100 }, now(at))
    };
    assert_eq!(ask(&mut budget, 1, 1.0).unwrap().len(), 1);
    // One that waits beside it is not left waiting for a day.
    budget.ask(Lane::Reads, Class::FirstRead, "a", Ticket(2), now(1.0)).unwrap();
    assert_eq!(end(&mut budget, Ended::QuotaExceeded, 2.0), [Ticket(2)]);
    let until = budget.throttled_until(now(3.0)).unwrap();
    assert_eq!(until, daily::midnight(now(0.0).time));
    let mut probes = 0;
    for minute in 1..=190 {
        let at = 2.0 + 60.0 * f64::from(minute);
        match ask(&mut budget, 100 + minute as u64, at) {
            Err(held) => assert_eq!(held.why, Why::QuotaExceeded),
            Ok(let_in) => {
                assert_eq!(let_in.len(), 1);
                probes += 1;
                end(&mut budget, Ended::QuotaExceeded, at + 0.02);
            }
        }
    }
    assert_eq!(probes, 3);
    // The quota was raised, and somebody says so: the next call finds out.
    let at = 2.0 + 60.0 * 191.0;
    assert!(ask(&mut budget, 899, at).is_err());
    budget.probe(now(at));
    assert_eq!(ask(&mut budget, 900, at).unwrap().len(), 1);
    end(&mut budget, Ended::Done, at + 1.0);
    assert!(ask(&mut budget, 901, at + 2.0).is_ok());
    assert_eq!(budget.throttled_until(now(at + 2.0)), None);
}

#[test]
fn what_the_program_before_was_told_is_honoured() {
    let mut budget = Budget::new(SIZE, now(0.0));
    budget.sit(SIZE, now(0.0));
    assert_eq!(budget.fraction(Lane::Writes), 0.5, "a new leader begins at half rate");
    let until = now(30.0).time;
    assert!(budget.honour(until, now(0.0)).is_empty());
    let ask = |budget: &mut Budget, at| budget.ask(Lane::Writes, Class::SpecChange, "a", Ticket(1), now(at));
    assert_eq!(ask(&mut budget, 29.0).unwrap_err().why, Why::Throttled);
    assert!(budget.room(Class::SpecChange, now(29.0)).is_some());
    assert!(ask(&mut budget, 31.0).is_ok());
    // Long ago, or nothing.
    budget.honour(until, now(40.0));
    assert_eq!(budget.throttled_until(now(40.0)), None);
}

#[test]
fn a_pause_that_the_hub_asks_for_is_made() {
    let mut world = warm(60.0);
    let (seat, at) = (world.seat, now(world.now));
    let ended = Ended::Throttled(Some(Duration::from_secs(7)));
    let call = Call { lane: Lane::Writes, class: Class::Drift, seat, ended, elapsed: Duration::ZERO, bytes: 0 };
    world.budget.end(call, at);
    let from = world.now;
    world.run(9.0);
    let first = world.log.sent.first().map(|(sent, ..)| sent - from).unwrap();
    assert!((7.0..7.1).contains(&first), "{first}");
    assert_eq!(world.budget.throttled_until(at).unwrap(), now(from + 7.0).time);
}

#[test]
fn the_smallest_among_those_that_authenticate_counts() {
    let small = Size { tier: Tier::F1, percent: 10, ..SIZE };
    let mut budget = Budget::new(SIZE, now(0.0));
    let (one, other) = (budget.sit(SIZE, now(0.0)), budget.sit(small, now(0.0)));
    let end = |budget: &mut Budget, seat, ended| {
        let elapsed = Duration::from_millis(20);
        budget.end(Call { lane: Lane::Reads, class: Class::Poll, seat, ended, elapsed, bytes: 1 }, now(1.0));
    };
    assert_eq!((budget.size, budget.seats()), (small, 2), "before anybody does, caution");
    end(&mut budget, one, Ended::Done);
    assert_eq!(budget.size, SIZE, "who does not authenticate slows nobody down");
    end(&mut budget, other, Ended::Done);
    assert_eq!(budget.size, small);
    end(&mut budget, other, Ended::Unauthorized);
    assert_eq!(budget.size, SIZE);
    budget.rise(one, now(2.0));
    assert_eq!((budget.size, budget.seats()), (small, 1));
}

#[test]
fn room_keeps_the_lane_busy_and_few_waiting() {
    let mut world = World::new(Lane::Writes, 1000.0, &[(Class::Drift, "a")], 0);
    world.run(60.0).anew();
    let (mut most, mut ask_at) = (0, world.now);
    for _ in 0..10_000 {
        world.now += STEP;
        let time = now(world.now);
        // Work comes as the budget says, and asks for its call a little later.
        while world.now >= ask_at {
            match world.budget.room(Class::Drift, time) {
                None => world.ask(0),
                Some(at) => {
                    assert!(at > time.since, "asked again at once");
                    ask_at = at.as_secs_f64();
                }
            }
        }
        most = most.max(world.budget.waiting(Class::Drift));
        let waiting = world.budget.let_in(Lane::Writes, time);
        for (class, ticket) in waiting {
            world.waiting.remove(&ticket.0);
            world.log.sent.push((world.now, class, "a"));
            let elapsed = Duration::from_millis(20);
            world.under_way.push(Reverse((time.since + elapsed, 0, false, elapsed)));
        }
        world.step();
    }
    assert!(world.log.sent.len() as f64 > 40.0 * 47.0, "{}", world.log.sent.len());
    assert!(most <= 2 + 12, "{most} waited");
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Ask(usize, usize),
    End(usize),
    /// Somebody who waits, or was just let in, gives up.
    GiveUp,
    Pass(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..Class::ALL.len(), 0..3_usize).prop_map(|(class, namespace)| Event::Ask(class, namespace)),
        3 => (0..3_usize).prop_map(Event::End),
        1 => Just(Event::GiveUp),
        3 => (0..400_u32).prop_map(Event::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever is asked, and however calls end: never over the rate in any window beyond what is saved up, nobody is lost,
    /// and what is given back is there again.
    #[test]
    fn never_over_the_rate(events in prop::collection::vec(event(), 1..400)) {
        let size = Size { percent: 50, burst_percent: 80, ..SIZE };
        let lane = Lane::Writes;
        let mut budget = Budget::new(size, now(0.0));
        let seat = budget.sit(size, now(0.0));
        let (mut ticket, mut millis) = (0, 0_u32);
        let mut waiting: BTreeMap<u64, Class> = BTreeMap::new();
        let (mut under_way, mut sent) = (Vec::new(), Vec::new());
        for event in events {
            let time = now(f64::from(millis) / 1000.0);
            match event {
                Event::Ask(class, namespace) => {
                    ticket += 1;
                    let (class, namespace) = (Class::ALL[class], ["a", "b", "c"][namespace]);
                    budget.ask(lane, class, namespace, Ticket(ticket), time).unwrap();
                    waiting.insert(ticket, class);
                }
                Event::End(how) => {
                    let ended = [Ended::Done, Ended::Unknown, Ended::Throttled(None)][how];
                    if let Some(class) = under_way.pop() {
                        let elapsed = Duration::from_millis(20);
                        budget.end(Call { lane, class, seat, ended, elapsed, bytes: 10 }, time);
                    }
                }
                Event::GiveUp => {
                    if let Some((first, class)) = waiting.pop_first() {
                        budget.leave(lane, class, Ticket(first));
                    }
                }
                Event::Pass(more) => millis += more,
            }
            let time = now(f64::from(millis) / 1000.0);
            for (position, (class, ticket)) in budget.let_in(lane, time).into_iter().enumerate() {
                prop_assert_eq!(waiting.remove(&ticket.0), Some(class));
                if position == 3 {
                    budget.give_back(lane, class, time);
                } else {
                    under_way.push(class);
                    sent.push((millis, class));
                }
            }
            prop_assert_eq!(budget.lanes[lane.index()].on_their_way, under_way.len());
            prop_assert_eq!(Class::ALL.map(|class| budget.waiting(class)).iter().sum::<usize>(), waiting.len());
        }
        for (bursts, rates) in [(false, size.rates(lane).usual), (true, size.rates(lane).burst)] {
            let own: Vec<u32> = sent.iter().filter(|(_, class)| bursts || !class.bursts()).map(|(at, _)| *at).collect();
            for (first, from) in own.iter().enumerate() {
                for (last, to) in own.iter().enumerate().skip(first) {
                    let most = rates * (f64::from(to - from) / 1000.0 + size.rates(lane).saved) + 1.01;
                    prop_assert!((last - first + 1) as f64 <= most, "{} calls in {} ms", last - first + 1, to - from);
                }
            }
        }
        // Everybody gets a turn in the end.
        for _ in 0..600 {
            millis += 500;
            let time = now(f64::from(millis) / 1000.0);
            while let Some(class) = under_way.pop() {
                budget.end(Call { lane, class, seat, ended: Ended::Unknown, elapsed: Duration::ZERO, bytes: 0 }, time);
            }
            for (class, ticket) in budget.let_in(lane, time) {
                waiting.remove(&ticket.0);
                under_way.push(class);
            }
        }
        prop_assert!(waiting.is_empty(), "{:?} still wait", waiting);
    }
}
