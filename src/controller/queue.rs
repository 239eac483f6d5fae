//! The work that waits: which object comes next. Pure: time and the hubs' room are handed in.
//!
//! An object waits in a lane, one a hub and class, and within a lane namespaces take turns. It waits once, however often it is
//! asked for, runs once at a time, and costs a few bytes while it waits.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use super::hubs::HubKey;
use crate::hub::{Class, Room};

/// The most that runs at once.
const MOST: usize = 64;

/// Where an object waits: work that needs no call of the hub goes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// What its first call is for; `None` when it needs none.
    pub class: Option<Class>,
    /// The connection.
    pub hub: Arc<HubKey>,
}

/// What waits and what runs, by name.
#[derive(Debug)]
pub struct Queue<K> {
    states: HashMap<K, State>,
    lanes: BTreeMap<Lane, Waiting<K>>,
    timers: BTreeSet<(Instant, K)>,
    running: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Waits(Lane),
    Timed(Instant),
    /// It runs in a lane, and is to run again in another.
    Runs(Lane, Option<Lane>),
}

/// What waits in one lane.
#[derive(Debug)]
struct Waiting<K> {
    namespaces: VecDeque<Arc<str>>,
    items: HashMap<Arc<str>, VecDeque<K>>,
    running: usize,
    /// The hub has no room before.
    not_before: Option<Instant>,
}

impl<K> Default for Waiting<K> {
    fn default() -> Self {
        Self { namespaces: VecDeque::new(), items: HashMap::new(), running: 0, not_before: None }
    }
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { states: HashMap::new(), lanes: BTreeMap::new(), timers: BTreeSet::new(), running: 0 }
    }
}

impl<K: Clone + Ord + Hash> Queue<K> {
    /// Asks for an object now. What waits already stays where it is, unless this lane goes before.
    pub fn push(&mut self, item: K, namespace: Arc<str>, lane: Lane) {
        match self.states.get_mut(&item) {
            Some(State::Runs(_, again)) => {
                if again.as_ref().is_none_or(|before| lane < *before) {
                    *again = Some(lane);
                }
                return;
            }
            Some(State::Waits(before)) if *before <= lane => return,
            Some(State::Timed(at)) => {
                self.timers.remove(&(*at, item.clone()));
            }
            Some(State::Waits(_)) | None => {}
        }
        self.states.insert(item.clone(), State::Waits(lane.clone()));
        self.lanes.entry(lane).or_default().push(item, namespace);
    }

    /// Asks for an object later; of no effect when it is asked for now.
    pub fn schedule(&mut self, item: K, at: Instant) {
        match self.states.get(&item) {
            Some(State::Waits(_) | State::Runs(..)) => return,
            Some(State::Timed(before)) if *before <= at => return,
            Some(State::Timed(before)) => {
                self.timers.remove(&(*before, item.clone()));
            }
            None => {}
        }
        self.states.insert(item.clone(), State::Timed(at));
        self.timers.insert((at, item));
    }

    /// An object whose time has come; it is to be pushed.
    pub fn due(&mut self, now: Instant) -> Option<K> {
        if self.timers.first()?.0 > now {
            return None;
        }
        let (_, item) = self.timers.pop_first()?;
        self.states.remove(&item);
        Some(item)
    }

    /// The object that runs next, if any may.
    pub fn next(&mut self, now: Instant, mut room: impl FnMut(&HubKey, Class) -> Room) -> Option<K> {
        while self.running < MOST {
            let lane = self.lane(now, &mut room)?;
            let waiting = self.lanes.get_mut(&lane)?;
            let Some(item) = waiting.pop() else { continue };
            match self.states.get(&item) {
                Some(State::Waits(in_lane)) if *in_lane == lane => {}
                // It moved to another lane, or was forgotten.
                _ => {
                    self.tidy(&lane);
                    continue;
                }
            }
            waiting.running += 1;
            self.running += 1;
            self.states.insert(item.clone(), State::Runs(lane, None));
            return Some(item);
        }
        None
    }

    /// The first lane, by class, that has something to do and may; of several hubs' the one of which least runs. A lane takes
    /// no more slots than it leaves free: those whose calls take long never have them all, however many lanes they are.
    fn lane(&mut self, now: Instant, room: &mut impl FnMut(&HubKey, Class) -> Room) -> Option<Lane> {
        let free = MOST - self.running;
        let mut found: Option<(Lane, usize)> = None;
        for (lane, waiting) in &mut self.lanes {
            if found.as_ref().is_some_and(|(found, _)| found.class < lane.class) {
                break;
            }
            let busy = waiting.running >= free || waiting.not_before.is_some_and(|then| then > now);
            let better = found.as_ref().is_none_or(|(_, least)| waiting.running < *least);
            if waiting.namespaces.is_empty() || busy || !better {
                continue;
            }
            waiting.not_before = None;
            match lane.class.map_or(Room::Now, |class| room(&lane.hub, class)) {
                Room::Now => found = Some((lane.clone(), waiting.running)),
                Room::At(then) => waiting.not_before = Some(then),
            }
        }
        found.map(|(lane, _)| lane)
    }

    /// An object ran; gives the lane in which it is to be pushed again.
    pub fn finished(&mut self, item: &K) -> Option<Lane> {
        if !matches!(self.states.get(item), Some(State::Runs(..))) {
            return None;
        }
        let Some(State::Runs(lane, again)) = self.states.remove(item) else { return None };
        self.running -= 1;
        if let Some(waiting) = self.lanes.get_mut(&lane) {
            waiting.running = waiting.running.saturating_sub(1);
        }
        self.tidy(&lane);
        again
    }

    /// Forgets an object that is gone; one that runs ends by itself.
    pub fn forget(&mut self, item: &K) {
        match self.states.get_mut(item) {
            Some(State::Runs(_, again)) => *again = None,
            Some(State::Timed(at)) => {
                self.timers.remove(&(*at, item.clone()));
                self.states.remove(item);
            }
            Some(State::Waits(_)) => {
                self.states.remove(item);
            }
            None => {}
        }
    }

    /// When to look again, if nothing else happens before.
    pub fn wakes_at(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let free = MOST - self.running;
        let waits = |waiting: &&Waiting<K>| !waiting.namespaces.is_empty() && waiting.running < free;
        let room = self.lanes.values().filter(waits).filter_map(|waiting| waiting.not_before).min();
        timer.into_iter().chain(room).min()
    }

    fn tidy(&mut self, lane: &Lane) {
        if self.lanes.get(lane).is_some_and(|waiting| waiting.namespaces.is_empty() && waiting.running == 0) {
            self.lanes.remove(lane);
        }
    }
}

impl<K> Waiting<K> {
    fn push(&mut self, item: K, namespace: Arc<str>) {
        if !self.items.contains_key(&namespace) {
            self.namespaces.push_back(namespace.clone());
        }
        self.items.entry(namespace).or_default().push_back(item);
    }

    /// The next of the namespace whose turn it is.
    fn pop(&mut self) -> Option<K> {
        let namespace = self.namespaces.pop_front()?;
        let items = self.items.get_mut(&namespace)?;
        let item = items.pop_front();
        if items.is_empty() {
            self.items.remove(&namespace);
        } else {
            self.namespaces.push_back(namespace);
        }
        item
    }
}

#[cfg(test)]
mod tests;
