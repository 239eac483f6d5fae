//! What queries see while the index lags: an older state of the machine, with devices that are gone. Pure.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::machine::{EntityId, Machine, Record};

/// Most changes that wait; beyond that the oldest are seen early.
const MAX_WAITING: usize = 100_000;

/// An index that takes changes in late.
#[derive(Debug)]
pub struct Index {
    machine: Machine,
    waiting: VecDeque<(Timestamp, EntityId, Option<Record>)>,
}

impl Index {
    /// An index that has seen everything.
    #[must_use]
    pub fn of(machine: &Machine) -> Self {
        Self { machine: machine.clone(), waiting: VecDeque::new() }
    }

    /// Notes that a record changed or, when there is none, went.
    pub fn note(&mut self, now: Timestamp, id: EntityId, record: Option<Record>) {
        self.waiting.push_back((now, id, record));
        if self.waiting.len() > MAX_WAITING {
            self.take_one();
        }
    }

    /// What is seen at `now` by an index that is `lag` late.
    pub fn at(&mut self, now: Timestamp, lag: SignedDuration) -> &Machine {
        while self.waiting.front().is_some_and(|(at, ..)| now.duration_since(*at) >= lag) {
            self.take_one();
        }
        &self.machine
    }

    fn take_one(&mut self) {
        if let Some((_, id, record)) = self.waiting.pop_front() {
            self.machine.put(id, record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::doubts::Doubts;
    use super::super::machine::{Command, Draft, Fresh, Moment, Precondition, Seen};
    use super::*;

    /// The devices that are seen, at a second.
    fn devices(index: &mut Index, second: i64) -> Vec<String> {
        let now = Timestamp::from_second(second).unwrap();
        let seen = Seen { now, lag: SignedDuration::ZERO };
        let machine = index.at(now, SignedDuration::from_secs(10));
        machine.twins(false, None, seen).map(|(id, _)| id.to_string()).collect()
    }

    #[test]
    fn what_is_new_is_seen_late_and_what_is_gone_stays_for_a_while() {
        let mut machine = Machine::default();
        let mut index = Index::of(&machine);
        let id = || EntityId::device("d1");
        let fresh = Fresh { keys: Default::default(), generation: "1".to_owned(), etag: 1 };
        let mut apply = |second: i64, index: &mut Index, command| {
            let now = Timestamp::from_second(second).unwrap();
            let doubts = Doubts::default();
            let lag = SignedDuration::ZERO;
            machine.apply(&Moment { now, fresh: &fresh, doubts: &doubts, connection_lag: lag }, command);
            index.note(now, id(), machine.get(&id()).cloned());
        };
        let draft = Draft::default();
        apply(0, &mut index, Command::PutIdentity { id: id(), draft, precondition: Precondition::None });
        assert_eq!(devices(&mut index, 9), [""; 0]);
        assert_eq!(devices(&mut index, 10), ["d1"]);
        apply(20, &mut index, Command::DeleteIdentity { id: id(), precondition: Precondition::None });
        assert_eq!(devices(&mut index, 29), ["d1"]);
        assert_eq!(devices(&mut index, 30), [""; 0]);
    }
}
