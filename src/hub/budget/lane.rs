//! One lane: who may make a call now, who waits, and in which order they go. Pure: the time is handed in, as the time since any
//! fixed point.

use std::time::Duration;

use super::class::Class;
use super::level::Level;
use super::pace::Pace;
use super::queue::{Queue, Ticket};
use super::size::Rates;

const CLASSES: usize = Class::ALL.len();

/// So many calls of a class may wait in a lane beside those that could be made at once: more would hold places that others
/// need, fewer would leave the lane without work.
const FEW: usize = 2;
/// For so long it counts that somebody was told there is room, and has not asked yet.
const PROMISED: Duration = Duration::from_millis(100);
/// Who is told to wait asks again after this at the latest: rates change.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// And not sooner than this.
const NOT_SOONER: Duration = Duration::from_millis(5);
/// Floors are not saved up by who does not use them.
const OWED: f64 = 2.0;
/// Calls on their way: as many as the rate gives in twice the usual answer time, but at least in the first and at most in the
/// second of these, in seconds. A hub that shapes answers late, so that the lane slows down with it long before it refuses.
const ON_THEIR_WAY: (f64, f64) = (1.0, 3.0);
/// What is at most this much later than usual is not late.
const SLACK: Duration = Duration::from_millis(100);

/// A lane.
#[derive(Debug)]
pub(super) struct Lane {
    rates: Rates,
    pace: Pace,
    /// For all calls.
    all: Level,
    /// For the calls that do not burst.
    usual: Level,
    /// What each class gets at the least.
    owed: [Level; CLASSES],
    queue: Queue,
    /// How many of a class were told that there is room, and when the last was.
    promised: [(usize, Duration); CLASSES],
    pub(super) on_their_way: usize,
    closed_until: Option<Duration>,
}

impl Lane {
    /// A lane that begins with this share of its rates.
    pub(super) fn new(rates: Rates, fraction: f64, now: Duration) -> Self {
        Self {
            rates,
            pace: Pace::new(fraction, now),
            all: Level::new(most(rates.burst * fraction, rates), now),
            usual: Level::new(most(rates.usual * fraction, rates), now),
            owed: [Level::new(0.0, now); CLASSES],
            queue: Queue::default(),
            promised: [(0, Duration::ZERO); CLASSES],
            on_their_way: 0,
            closed_until: None,
        }
    }

    /// Other rates from now on.
    pub(super) fn resize(&mut self, now: Duration, rates: Rates) {
        self.fill(now);
        self.rates = rates;
        self.fill(now);
    }

    /// The share of the rates that is used.
    pub(super) fn fraction(&self) -> f64 {
        self.pace.fraction()
    }

    /// Calls a second that classes without bursts may make together now.
    pub(super) fn rate(&self) -> f64 {
        self.rates.usual * self.pace.fraction()
    }

    pub(super) fn waiting(&self, class: Class) -> usize {
        self.queue.waiting(class)
    }

    // Those who ask.

    pub(super) fn ask(&mut self, class: Class, namespace: &str, ticket: Ticket) {
        let promised = &mut self.promised[class.index()].0;
        *promised = promised.saturating_sub(1);
        self.queue.push(class, namespace, ticket);
    }

    /// Lets in whoever may make a call now, in order.
    pub(super) fn let_in(&mut self, now: Duration) -> Vec<(Class, Ticket)> {
        self.fill(now);
        let mut let_in = Vec::new();
        while let Some(class) = self.pick(now) {
            let Some(ticket) = self.queue.pop(class) else { break };
            self.all.take();
            if !class.bursts() {
                self.usual.take();
            }
            self.owed[class.index()].take();
            self.on_their_way += 1;
            let_in.push((class, ticket));
        }
        let_in
    }

    /// When somebody who waits may get in; `None` when nobody waits, or when a call has to end first.
    pub(super) fn next(&self, now: Duration) -> Option<Duration> {
        let waits = Class::ALL.into_iter().filter(|class| self.waiting(*class) > 0);
        let wait = waits.filter(|class| self.has_place(*class)).map(|class| self.wait(class)).min()?;
        let closed = self.closed_until.map_or(Duration::ZERO, |until| until.saturating_sub(now));
        // Never at once: what could be let in was.
        Some(now + wait.max(closed).max(Duration::from_millis(1)))
    }

    /// Takes out who waits no longer.
    pub(super) fn leave(&mut self, class: Class, ticket: Ticket) {
        self.queue.remove(class, ticket);
    }

    /// Takes everybody out.
    pub(super) fn clear(&mut self) -> Vec<Ticket> {
        self.queue.clear()
    }

    /// Takes back what was let in and made no call.
    pub(super) fn give_back(&mut self, now: Duration, class: Class) {
        self.fill(now);
        self.gone();
        let Rates { usual, burst, .. } = self.rates;
        self.all.give_back(most(burst * self.fraction(), self.rates));
        if !class.bursts() {
            self.usual.give_back(most(usual * self.fraction(), self.rates));
        }
    }

    /// When work of a class may start; `None`: now.
    pub(super) fn room(&mut self, now: Duration, class: Class) -> Option<Duration> {
        self.fill(now);
        if let Some(until) = self.closed_until {
            return Some(bounded(now, until.saturating_sub(now)));
        }
        let (promised, when) = self.promised[class.index()];
        let promised = if now.saturating_sub(when) < PROMISED { promised } else { 0 };
        let before = Class::ALL.into_iter().take_while(|other| *other < class);
        let before: usize = before.map(|other| self.waiting(other)).sum();
        let own = promised + self.waiting(class);
        let free = if self.has_place(class) { self.tokens(class) as usize } else { 0 };
        if own < FEW + free.saturating_sub(before) {
            self.promised[class.index()] = (promised + 1, now);
            return None;
        }
        let over = (own + 1).saturating_sub(FEW + free.saturating_sub(before));
        let wait = Duration::try_from_secs_f64(over as f64 / self.rate_of(class)).unwrap_or(ASK_AGAIN);
        Some(bounded(now, wait))
    }

    // How calls end.

    /// The hub answered, whatever it said about the call.
    pub(super) fn answered(&mut self, now: Duration, elapsed: Duration) {
        self.fill(now);
        self.gone();
        // One turn of a hub that is a little over its limit is nothing yet.
        let turn = Duration::try_from_secs_f64(1.0 / self.rates.burst).unwrap_or(SLACK);
        self.pace.answered(now, elapsed, turn.max(SLACK));
    }

    /// The hub refused because it was asked too often, and may have asked for a pause.
    pub(super) fn refused(&mut self, now: Duration, pause: Option<Duration>) {
        self.fill(now);
        self.gone();
        self.pace.refused(now);
        self.closed_until = self.closed_until.max(pause.map(|pause| now + pause));
        self.fill(now);
    }

    /// It is not known what became of the call.
    pub(super) fn gone(&mut self) {
        self.on_their_way = self.on_their_way.saturating_sub(1);
    }

    // Levels.

    fn fill(&mut self, now: Duration) {
        let fraction = self.pace.fraction();
        let (usual, burst) = (self.rates.usual * fraction, self.rates.burst * fraction);
        self.all.fill(now, burst, most(burst, self.rates));
        self.usual.fill(now, usual, most(usual, self.rates));
        for class in Class::ALL {
            self.owed[class.index()].fill(now, usual * class.floor() / 100.0, OWED);
        }
        self.pace.rise(now);
        self.closed_until = self.closed_until.filter(|until| *until > now);
    }

    /// The class whose turn it is: the first that is owed a call, else the first that waits.
    fn pick(&self, now: Duration) -> Option<Class> {
        if self.closed_until.is_some_and(|until| until > now) {
            return None;
        }
        let may = |class: &Class| self.waiting(*class) > 0 && self.has_place(*class) && self.tokens(*class) >= 1.0;
        let owed = Class::ALL.into_iter().filter(may).find(|class| self.owed[class.index()].has_one());
        owed.or_else(|| Class::ALL.into_iter().find(may))
    }

    fn tokens(&self, class: Class) -> f64 {
        if class.bursts() { self.all.tokens() } else { self.all.tokens().min(self.usual.tokens()) }
    }

    fn rate_of(&self, class: Class) -> f64 {
        self.fraction() * if class.bursts() { self.rates.burst } else { self.rates.usual }
    }

    fn wait(&self, class: Class) -> Duration {
        let fraction = self.fraction();
        let all = self.all.wait(self.rates.burst * fraction);
        if class.bursts() { all } else { all.max(self.usual.wait(self.rates.usual * fraction)) }
    }

    /// Whether one more call may be on its way.
    fn has_place(&self, class: Class) -> bool {
        let (least, most) = ON_THEIR_WAY;
        let time = self.pace.median().map_or(least, |median| (2.0 * median.as_secs_f64()).clamp(least, most));
        let places = (self.rate_of(class) * time).max(1.0) as usize;
        // Who bursts finds a place that others cannot take.
        self.on_their_way < places + usize::from(class.bursts())
    }
}

/// How much may be saved up.
fn most(rate: f64, rates: Rates) -> f64 {
    (rate * rates.saved).max(1.0)
}

fn bounded(now: Duration, wait: Duration) -> Duration {
    now + wait.clamp(NOT_SOONER, ASK_AGAIN)
}
