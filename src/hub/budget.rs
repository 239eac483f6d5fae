//! The budget of a hub: which calls may be made, and when. Pure: the time is handed in, and nothing here waits.
//!
//! A hub limits reads, writes, queries and operations on identities apart from each other, and so does its budget: one lane
//! each, sized by what was bought and by the share of it that may be taken. Classes go in order, each with a floor, and the
//! namespaces of a class take turns. A lane slows down when the hub answers late, as a hub does before it refuses, and when it
//! refuses. What answers cost in messages is counted, and intervals are stretched to make the day's share last.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

mod class;
mod daily;
mod lane;
#[cfg(test)]
mod laws;
mod level;
mod pace;
mod queue;
mod size;

pub use class::Class;
pub use daily::Stretch;
pub use queue::Ticket;
pub use size::{Lane, Size, Tier};

/// The share of the rates that a program begins with: the one before it may have made calls a moment ago.
const FIRST_SHARE: f64 = 0.5;
/// How often a hub that refuses everything is asked whether it still does.
const PROBED_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// For how long a refusal without a pause counts as one.
const REFUSED_FOR: SignedDuration = SignedDuration::from_secs(10);
/// So many writes may wait before no more reads are begun that may lead to writes.
const WRITES_WAITING: usize = 4;

/// The time, as both clocks tell it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Since any fixed point; never goes back.
    pub since: Duration,
    /// The time of day.
    pub time: Timestamp,
}

/// The budget of one hub.
#[derive(Debug)]
pub struct Budget {
    seats: BTreeMap<u64, Seated>,
    next_seat: u64,
    size: Size,
    lanes: [lane::Lane; Lane::ALL.len()],
    daily: daily::Daily,
    held: Option<Held>,
    throttled_until: Option<Timestamp>,
}

/// A connection to the hub.
#[derive(Clone, Copy, Debug)]
struct Seated {
    size: Size,
    /// Whether the hub took its credential.
    authenticated: bool,
}

/// No call is made, but for one from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Until then.
    pub until: Timestamp,
    /// Why.
    pub why: Why,
    /// When one call is made to see whether it is still so.
    probe: Timestamp,
    began: Duration,
}

/// Why no call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The messages of the day are used up.
    QuotaExceeded,
    /// The hub asked for a pause.
    Throttled,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The hub did it.
    Done,
    /// The hub answered something else about the call.
    Answered,
    /// The hub does not take the credential.
    Unauthorized,
    /// The hub asked for fewer calls, and may have asked for a pause.
    Throttled(Option<Duration>),
    /// The messages of the day are used up.
    QuotaExceeded,
    /// No answer in time.
    TimedOut,
    /// No answer, or nobody waited for it.
    Unknown,
}

/// A call that ended.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its lane.
    pub lane: Lane,
    /// Its class.
    pub class: Class,
    /// By which connection.
    pub seat: u64,
    /// How it ended.
    pub ended: Ended,
    /// From sending to the end of the answer.
    pub elapsed: Duration,
    /// The size of the answer.
    pub bytes: usize,
}

impl Budget {
    /// The budget of a hub of which nothing is known yet but its size.
    #[must_use]
    pub fn new(size: Size, now: Now) -> Self {
        let lane = |lane| lane::Lane::new(size.rates(lane), FIRST_SHARE, now.since);
        Self {
            seats: BTreeMap::new(),
            next_seat: 0,
            size,
            lanes: Lane::ALL.map(lane),
            daily: daily::Daily::default(),
            held: None,
            throttled_until: None,
        }
    }

    // Connections.

    /// A connection comes; the answer names it.
    pub fn sit(&mut self, size: Size, now: Now) -> u64 {
        self.next_seat += 1;
        self.seats.insert(self.next_seat, Seated { size, authenticated: false });
        self.resize(now);
        self.next_seat
    }

    /// A connection goes.
    pub fn rise(&mut self, seat: u64, now: Now) {
        if self.seats.remove(&seat).is_some() {
            self.resize(now);
        }
    }

    /// How many connections there are.
    #[must_use]
    pub fn seats(&self) -> usize {
        self.seats.len()
    }

    /// The size is the smallest of those whose credential the hub takes, or of all before it took any.
    fn resize(&mut self, now: Now) {
        let least = |only: bool| {
            let sizes = self.seats.values().filter(|seated| seated.authenticated || !only).map(|seated| seated.size);
            sizes.reduce(Size::least)
        };
        let Some(size) = least(true).or_else(|| least(false)) else { return };
        if size != self.size {
            self.size = size;
            for lane in Lane::ALL {
                self.lanes[lane.index()].resize(now.since, size.rates(lane));
            }
        }
    }

    // Calls.

    /// Somebody wants to make a call, and waits from now on.
    ///
    /// # Errors
    ///
    /// When no call is made now: nobody has to wait for that.
    pub fn ask(&mut self, lane: Lane, class: Class, namespace: &str, ticket: Ticket, now: Now) -> Result<(), Held> {
        if let Some(held) = self.held(now) {
            if now.time < held.probe {
                return Err(held);
            }
            self.held = Some(Held { probe: after(now.time, PROBED_EVERY), ..held });
        }
        self.lanes[lane.index()].ask(class, namespace, ticket);
        Ok(())
    }

    /// Lets in whoever may make a call in this lane now.
    pub fn let_in(&mut self, lane: Lane, now: Now) -> Vec<(Class, Ticket)> {
        self.lanes[lane.index()].let_in(now.since)
    }

    /// When somebody who waits in this lane may get in; `None` when nobody waits, or a call has to end first.
    #[must_use]
    pub fn next(&self, lane: Lane, now: Now) -> Option<Duration> {
        self.lanes[lane.index()].next(now.since)
    }

    /// Somebody waits no longer.
    pub fn leave(&mut self, lane: Lane, class: Class, ticket: Ticket) {
        self.lanes[lane.index()].leave(class, ticket);
    }

    /// Somebody was let in and makes no call.
    pub fn give_back(&mut self, lane: Lane, class: Class, now: Now) {
        self.lanes[lane.index()].give_back(now.since, class);
    }

    /// When work of a class may start; `None`: now.
    pub fn room(&mut self, class: Class, now: Now) -> Option<Duration> {
        if let Some(held) = self.held(now) {
            // Its call is refused at once, which is how it learns of it.
            let left = Duration::try_from(held.probe.duration_since(now.time)).unwrap_or_default();
            return (!left.is_zero()).then(|| now.since + left.min(Duration::from_secs(5)));
        }
        let first = Lane::first_of(class);
        let writes = &self.lanes[Lane::Writes.index()];
        let waiting: usize = Class::ALL.into_iter().map(|class| writes.waiting(class)).sum();
        if first == Lane::Reads && waiting >= WRITES_WAITING {
            return Some(now.since + Duration::try_from_secs_f64(1.0 / writes.rate()).unwrap_or(Duration::MAX));
        }
        self.lanes[first.index()].room(now.since, class)
    }

    /// Takes in how a call ended; those who wait and are to wait no longer, as no call is made for a while.
    pub fn end(&mut self, call: Call, now: Now) -> Vec<Ticket> {
        let Call { lane, class, seat, ended, elapsed, bytes } = call;
        let own = &mut self.lanes[lane.index()];
        match ended {
            Ended::Done | Ended::Answered | Ended::Unauthorized | Ended::TimedOut => own.answered(now.since, elapsed),
            Ended::Throttled(pause) => own.refused(now.since, pause),
            Ended::QuotaExceeded | Ended::Unknown => own.gone(),
        }
        if lane != Lane::Identity && bytes > 0 {
            self.daily.charge(now.time, class, self.size.messages(bytes));
        }
        match ended {
            Ended::Done => {
                // An answer to what was sent before says nothing of it, nor does one that costs no message.
                let after = |held: &Held| lane != Lane::Identity && now.since.saturating_sub(elapsed) >= held.began;
                if self.held.take_if(|held| after(held)).is_some() {
                    self.throttled_until = None;
                }
                self.authenticate(seat, true, now);
                Vec::new()
            }
            Ended::Unauthorized => {
                self.authenticate(seat, false, now);
                Vec::new()
            }
            Ended::Throttled(pause) => {
                let pause = pause.and_then(|pause| SignedDuration::try_from(pause).ok());
                self.throttle_until(after(now.time, pause.unwrap_or(REFUSED_FOR)));
                Vec::new()
            }
            Ended::QuotaExceeded => self.hold(daily::midnight(now.time), Why::QuotaExceeded, now),
            Ended::Answered | Ended::TimedOut | Ended::Unknown => Vec::new(),
        }
    }

    fn authenticate(&mut self, seat: u64, takes: bool, now: Now) {
        if let Some(seated) = self.seats.get_mut(&seat).filter(|seated| seated.authenticated != takes) {
            seated.authenticated = takes;
            self.resize(now);
        }
    }

    // What the hub asked for.

    /// The program before this one was told to make fewer calls until then: so is this one.
    pub fn honour(&mut self, until: Timestamp, now: Now) -> Vec<Ticket> {
        if until <= now.time || self.held(now).is_some() {
            return Vec::new();
        }
        let long = until.duration_since(now.time) > PROBED_EVERY;
        self.hold(until, if long { Why::QuotaExceeded } else { Why::Throttled }, now)
    }

    /// Somebody asks whether the hub still refuses: one call is made to see.
    pub fn probe(&mut self, now: Now) {
        if let Some(held) = &mut self.held {
            held.probe = now.time;
        }
    }

    fn hold(&mut self, until: Timestamp, why: Why, now: Now) -> Vec<Ticket> {
        let probe = after(now.time, PROBED_EVERY).min(until);
        self.held = Some(Held { until, why, probe, began: now.since });
        self.throttle_until(until);
        self.lanes.iter_mut().flat_map(lane::Lane::clear).collect()
    }

    fn throttle_until(&mut self, until: Timestamp) {
        self.throttled_until = self.throttled_until.max(Some(until));
    }

    /// Why no call is made now; `None` when calls are made.
    fn held(&self, now: Now) -> Option<Held> {
        self.held.filter(|held| now.time < held.until)
    }

    /// Why no call is made, for those who waited for it.
    #[must_use]
    pub fn holds(&self) -> Option<Held> {
        self.held
    }

    /// Until when the hub asked for fewer calls, or for none.
    #[must_use]
    pub fn throttled_until(&self, now: Now) -> Option<Timestamp> {
        self.throttled_until.filter(|until| *until > now.time)
    }

    // What is to be seen.

    /// By how much intervals are to be stretched.
    pub fn stretch(&mut self, now: Now) -> Stretch {
        self.daily.stretch(now.time, self.size.daily_messages())
    }

    /// The messages of today that were used, and that may be used.
    #[must_use]
    pub fn messages(&self, now: Now) -> (u64, u64) {
        (self.daily.used(now.time), self.size.daily_messages())
    }

    /// Calls a second that may be made in a lane now, those that burst aside.
    #[must_use]
    pub fn rate(&self, lane: Lane) -> f64 {
        self.lanes[lane.index()].rate()
    }

    /// The share of its rate that a lane uses.
    #[must_use]
    pub fn fraction(&self, lane: Lane) -> f64 {
        self.lanes[lane.index()].fraction()
    }

    /// How many calls of a class wait.
    #[must_use]
    pub fn waiting(&self, class: Class) -> usize {
        self.lanes.iter().map(|lane| lane.waiting(class)).sum()
    }
}

fn after(time: Timestamp, passed: SignedDuration) -> Timestamp {
    time.checked_add(passed).unwrap_or(Timestamp::MAX)
}
