//! The budgets of all hubs, one a host, and the calls that wait for them.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::budget::{self, Budget, Class, Ended, Held, Lane, Now, Size, Stretch, Ticket};
use super::host::Host;

/// For how long a hub that no connection leads to keeps its budget, in case one comes back.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Tells the time of day.
pub type Wall = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The budgets of all hubs. Connections to one host share one.
pub struct Pools {
    wall: Wall,
    tallies: Arc<Tallies>,
    pools: Mutex<HashMap<Host, Kept>>,
}

struct Kept {
    pool: Arc<Pool>,
    /// When a connection came last.
    used: Instant,
}

/// What is counted over all hubs, since the start.
#[derive(Debug, Default)]
struct Tallies {
    permits: [AtomicU64; Class::ALL.len()],
    throttled: AtomicU64,
}

/// What can be seen of all budgets together.
#[derive(Clone, Debug, PartialEq)]
pub struct Readings {
    /// Calls that were let through, by class.
    pub permits: Vec<(Class, u64)>,
    /// Calls that wait now, by class.
    pub waiting: Vec<(Class, u64)>,
    /// Answers by which a hub asked for fewer calls.
    pub throttled: u64,
    /// The share of its rate that a lane uses; of all hubs, the least.
    pub fractions: Vec<(Lane, f64)>,
    /// Messages of today.
    pub messages: u64,
    /// The share of the messages that may be used today; of all hubs, the most.
    pub messages_share: f64,
}

/// The budget of one hub, and who waits for it.
pub(super) struct Pool {
    wall: Wall,
    start: Instant,
    tallies: Arc<Tallies>,
    state: Mutex<State>,
    /// A call ended, so that who waited for a place may now wait for time.
    ended: Notify,
}

struct State {
    budget: Budget,
    next_ticket: u64,
    /// How those who wait are told.
    waiting: HashMap<Ticket, oneshot::Sender<Result<(), Held>>>,
}

/// A connection's place in the budget of its hub. Given up when dropped.
pub struct Seat {
    pub(super) pool: Arc<Pool>,
    pub(super) number: u64,
}

/// May make one call.
pub(super) struct Permit<'a> {
    pool: &'a Pool,
    seat: u64,
    lane: Lane,
    class: Class,
    sent: Instant,
    ended: bool,
}

impl Pools {
    /// No hub is known yet.
    #[must_use]
    pub fn new(wall: Wall) -> Self {
        Self { wall, tallies: Arc::default(), pools: Mutex::default() }
    }

    /// A place in the budget of a host.
    pub fn seat(&self, host: &Host, size: Size) -> Seat {
        let mut pools = self.lock();
        let now = Instant::now();
        pools.retain(|_, kept| kept.pool.seats() > 0 || now.duration_since(kept.used) < KEPT);
        let kept = pools.entry(host.with_port()).or_insert_with(|| {
            let (wall, tallies) = (self.wall.clone(), self.tallies.clone());
            Kept { pool: Arc::new(Pool::new(wall, tallies, size)), used: now }
        });
        kept.used = now;
        let pool = kept.pool.clone();
        let number = pool.with(|state, now| state.budget.sit(size, now));
        Seat { pool, number }
    }

    /// What can be seen of all budgets.
    #[must_use]
    pub fn readings(&self) -> Readings {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut readings = Readings {
            permits: Class::ALL.map(|class| (class, count(&self.tallies.permits[class as usize]))).to_vec(),
            waiting: Class::ALL.map(|class| (class, 0)).to_vec(),
            throttled: count(&self.tallies.throttled),
            fractions: Lane::ALL.map(|lane| (lane, 1.0)).to_vec(),
            messages: 0,
            messages_share: 0.0,
        };
        for kept in self.lock().values().filter(|kept| kept.pool.seats() > 0) {
            kept.pool.with(|State { budget, .. }, now| {
                for (class, waiting) in &mut readings.waiting {
                    *waiting += budget.waiting(*class) as u64;
                }
                for (lane, fraction) in &mut readings.fractions {
                    *fraction = fraction.min(budget.fraction(*lane));
                }
                let (used, allowed) = budget.messages(now);
                readings.messages += used;
                readings.messages_share = readings.messages_share.max(used as f64 / allowed.max(1) as f64);
            });
        }
        readings
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Host, Kept>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Gives the place up; calls that are made all the same still count.
    pub fn leave(&self) {
        self.pool.with(|state, now| state.budget.rise(self.number, now));
    }

    /// When work of a class may start; `None`: now.
    #[must_use]
    pub fn room(&self, class: Class) -> Option<Instant> {
        self.pool.with(|state, now| state.budget.room(class, now)).map(|since| self.pool.start + since)
    }

    /// How many other connections lead to the same host.
    #[must_use]
    pub fn shared_with(&self) -> usize {
        self.pool.seats().saturating_sub(1)
    }

    /// Until when the hub asked for fewer calls, or for none.
    #[must_use]
    pub fn throttled_until(&self) -> Option<Timestamp> {
        self.pool.with(|state, now| state.budget.throttled_until(now))
    }

    /// The program before this one was told to make fewer calls until then.
    pub fn honour(&self, until: Timestamp) {
        self.pool.with(|state, now| {
            let waited = state.budget.honour(until, now);
            state.refuse(waited);
        });
    }

    /// Somebody asks whether the hub still takes no calls: the next one is made to see.
    pub fn probe(&self) {
        self.pool.with(|state, now| state.budget.probe(now));
    }

    /// By how much intervals are to be stretched to make the messages of the day last.
    #[must_use]
    pub fn stretch(&self) -> Stretch {
        self.pool.with(|state, now| state.budget.stretch(now))
    }

    /// Calls a second that may be made in a lane now.
    #[must_use]
    pub fn rate(&self, lane: Lane) -> f64 {
        self.pool.with(|state, _| state.budget.rate(lane))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Pool {
    fn new(wall: Wall, tallies: Arc<Tallies>, size: Size) -> Self {
        let now = Now { since: Duration::ZERO, time: wall() };
        let state = State { budget: Budget::new(size, now), next_ticket: 0, waiting: HashMap::new() };
        Self { wall, start: Instant::now(), tallies, state: Mutex::new(state), ended: Notify::new() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State, Now) -> T) -> T {
        let now = Now { since: self.start.elapsed(), time: (self.wall)() };
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner), now)
    }

    fn seats(&self) -> usize {
        self.with(|state, _| state.budget.seats())
    }

    /// Waits until a call may be made.
    ///
    /// # Errors
    ///
    /// When no call is made for a while.
    pub(super) async fn permit(
        &self,
        seat: u64,
        lane: Lane,
        class: Class,
        namespace: &str,
    ) -> Result<Permit<'_>, Held> {
        let (ticket, told) = self.with(|state, now| state.ask(lane, class, namespace, now))?;
        let mut place = Place { pool: self, lane, class, ticket, told };
        let told = loop {
            // Before looking: an end between the look and the wait is not missed.
            let ended = self.ended.notified();
            let next = self.with(|state, now| {
                state.let_in(lane, now);
                state.budget.next(lane, now)
            });
            let next = next.map(|since| self.start + since);
            tokio::select! {
                biased;
                told = &mut place.told => break told.expect("the pool tells everybody who waits"),
                () = sleep_until(next) => {}
                () = ended => {}
            }
        };
        // Told, so that nothing is to be given back.
        told?;
        self.tallies.permits[class as usize].fetch_add(1, Ordering::Relaxed);
        Ok(Permit { pool: self, seat, lane, class, sent: Instant::now(), ended: false })
    }
}

async fn sleep_until(then: Option<Instant>) {
    match then {
        Some(then) => tokio::time::sleep_until(then).await,
        None => std::future::pending().await,
    }
}

impl State {
    fn ask(
        &mut self,
        lane: Lane,
        class: Class,
        namespace: &str,
        now: Now,
    ) -> Result<(Ticket, oneshot::Receiver<Result<(), Held>>), Held> {
        let ticket = Ticket(self.next_ticket);
        self.budget.ask(lane, class, namespace, ticket, now)?;
        self.next_ticket += 1;
        let (tell, told) = oneshot::channel();
        self.waiting.insert(ticket, tell);
        Ok((ticket, told))
    }

    fn let_in(&mut self, lane: Lane, now: Now) {
        for (class, ticket) in self.budget.let_in(lane, now) {
            let told = self.waiting.remove(&ticket).is_some_and(|tell| tell.send(Ok(())).is_ok());
            if !told {
                // Nobody is there any more to make the call.
                self.budget.give_back(lane, class, now);
            }
        }
    }

    fn refuse(&mut self, waited: Vec<Ticket>) {
        let Some(held) = self.budget.holds() else { return };
        for tell in waited.iter().filter_map(|ticket| self.waiting.remove(ticket)) {
            // Who is gone need not be told.
            let _ = tell.send(Err(held));
        }
    }
}

/// A place among those who wait. Given up when dropped, with what was got meanwhile and not taken.
struct Place<'a> {
    pool: &'a Pool,
    lane: Lane,
    class: Class,
    ticket: Ticket,
    told: oneshot::Receiver<Result<(), Held>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Self { pool, lane, class, ticket, .. } = *self;
        pool.with(|state, now| {
            match self.told.try_recv() {
                Ok(Ok(())) => state.budget.give_back(lane, class, now),
                // Refused, or told already.
                Ok(Err(_)) | Err(oneshot::error::TryRecvError::Closed) => return,
                Err(oneshot::error::TryRecvError::Empty) => {
                    state.waiting.remove(&ticket);
                    state.budget.leave(lane, class, ticket);
                }
            }
            state.let_in(lane, now);
        });
        pool.ended.notify_waiters();
    }
}

impl Permit<'_> {
    /// The call ended.
    pub(super) fn end(mut self, ended: Ended, bytes: usize) {
        self.tell(ended, bytes);
    }

    fn tell(&mut self, ended: Ended, bytes: usize) {
        self.ended = true;
        if matches!(ended, Ended::Throttled(_) | Ended::QuotaExceeded) {
            self.pool.tallies.throttled.fetch_add(1, Ordering::Relaxed);
        }
        let Self { seat, lane, class, sent, .. } = *self;
        self.pool.with(|state, now| {
            let waited =
                state.budget.end(budget::Call { lane, class, seat, ended, elapsed: sent.elapsed(), bytes }, now);
            state.refuse(waited);
            state.let_in(lane, now);
        });
        self.pool.ended.notify_waiters();
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.tell(Ended::Unknown, 0);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("number", &self.number).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::hub::Tier;

    const SIZE: Size = Size { tier: Tier::S1, units: 1, percent: 100, burst_percent: 100, daily_percent: 100 };

    fn pools() -> Pools {
        Pools::new(Arc::new(|| Timestamp::from_second(1_790_000_000).unwrap()))
    }

    fn seat(pools: &Pools, host: &str) -> Seat {
        pools.seat(&host.parse().unwrap(), SIZE)
    }

    async fn permit(seat: &Seat) -> Result<Permit<'_>, Held> {
        seat.pool.permit(seat.number, Lane::Queries, Class::Poll, "a").await
    }

    /// What is left of what was saved up: how many calls may be made at once.
    fn drain(seat: &Seat) -> usize {
        std::iter::from_fn(|| permit(seat).now_or_never()?.ok()).map(|permit| permit.end(Ended::Unknown, 0)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_let_in_in_time_and_who_gives_up_gives_back() {
        let pools = pools();
        let seat = seat(&pools, "hub.example");
        assert_eq!(drain(&seat), 2, "half of 20 a minute, for a quarter of a minute");
        let began = Instant::now();
        let held = permit(&seat).await.unwrap();
        assert!((1.0..=6.1).contains(&began.elapsed().as_secs_f64()), "{:?}", began.elapsed());
        // One call of this lane may be on its way: the next waits for its end, not for time.
        let mut next = Box::pin(permit(&seat));
        assert!(tokio::time::timeout(Duration::from_secs(60), &mut next).await.is_err());
        assert_eq!(pools.readings().waiting[Class::Poll as usize].1, 1);
        // It is let in and gone before it looks: its place and its token go to the one after it.
        held.end(Ended::Done, 10);
        let after = drain(&seat);
        drop(next);
        assert_eq!((after, drain(&seat)), (0, 2), "with the one that was given back");
        assert_eq!(pools.readings().waiting[Class::Poll as usize].1, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waited_for_a_place_then_waits_for_time_and_for_nobody() {
        let pools = pools();
        let seat = seat(&pools, "hub.example");
        drain(&seat);
        let held = permit(&seat).await.unwrap();
        let mut next = Box::pin(permit(&seat));
        assert!((&mut next).now_or_never().is_none());
        // It frees its place when there is no token yet.
        held.end(Ended::Done, 10);
        assert!((&mut next).now_or_never().is_none());
        tokio::time::timeout(Duration::from_secs(20), next).await.unwrap().unwrap().end(Ended::Done, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_cancelled_frees_its_place() {
        let pools = pools();
        let seat = seat(&pools, "hub.example");
        drop(permit(&seat).await.unwrap());
        tokio::time::timeout(Duration::from_secs(20), permit(&seat)).await.unwrap().unwrap().end(Ended::Done, 0);
        let waiting = permit(&seat);
        drop(waiting);
        assert_eq!(pools.readings().permits[Class::Poll as usize].1, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_when_the_day_is_spent_is_told() {
        let pools = pools();
        let seat = seat(&pools, "hub.example");
        let first = permit(&seat).await.unwrap();
        let mut second = Box::pin(permit(&seat));
        assert!((&mut second).now_or_never().is_none());
        first.end(Ended::QuotaExceeded, 10);
        assert!(second.now_or_never().unwrap().is_err());
        assert!(permit(&seat).await.is_err());
        assert_eq!((pools.readings().throttled, pools.readings().messages), (1, 1));
        seat.probe();
        permit(&seat).await.unwrap().end(Ended::Done, 10);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(permit(&seat).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_host_has_one_budget_however_it_is_named() {
        let pools = pools();
        let (one, other) = (seat(&pools, "hub.example"), seat(&pools, "HUB.example:443"));
        let elsewhere = seat(&pools, "hub.example:8443");
        assert_eq!((one.shared_with(), other.shared_with(), elsewhere.shared_with()), (1, 1, 0));
        assert_eq!((drain(&one), drain(&other), drain(&elsewhere)), (2, 0, 2));
        drop(other);
        assert_eq!(one.shared_with(), 0);
        // Who comes back within a day does not begin anew.
        one.leave();
        drop(one);
        assert_eq!(drain(&seat(&pools, "hub.example")), 0);
    }
}
