//! Who waits in a lane: by class, and within a class by namespace in turn. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::class::Class;

/// Names one who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// Those who wait. They are few: work that can wait elsewhere asks for room first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    classes: [Turns; Class::ALL.len()],
}

/// The namespaces of a class, the next first, and who waits of each, in the order they came. None is empty.
#[derive(Debug, Default)]
struct Turns {
    namespaces: VecDeque<(Arc<str>, VecDeque<Ticket>)>,
    waiting: usize,
}

impl Queue {
    pub(super) fn push(&mut self, class: Class, namespace: &str, ticket: Ticket) {
        let turns = &mut self.classes[class.index()];
        turns.waiting += 1;
        match turns.namespaces.iter_mut().find(|(name, _)| **name == *namespace) {
            Some((_, tickets)) => tickets.push_back(ticket),
            None => turns.namespaces.push_back((namespace.into(), VecDeque::from([ticket]))),
        }
    }

    /// The next of a class; the namespace's following turn comes after those of all others.
    pub(super) fn pop(&mut self, class: Class) -> Option<Ticket> {
        let turns = &mut self.classes[class.index()];
        let (namespace, mut tickets) = turns.namespaces.pop_front()?;
        let ticket = tickets.pop_front();
        if !tickets.is_empty() {
            turns.namespaces.push_back((namespace, tickets));
        }
        turns.waiting -= usize::from(ticket.is_some());
        ticket
    }

    /// Takes one out who waits no longer.
    pub(super) fn remove(&mut self, class: Class, ticket: Ticket) {
        let turns = &mut self.classes[class.index()];
        for (_, tickets) in &mut turns.namespaces {
            tickets.retain(|other| *other != ticket);
        }
        turns.namespaces.retain(|(_, tickets)| !tickets.is_empty());
        turns.waiting = turns.namespaces.iter().map(|(_, tickets)| tickets.len()).sum();
    }

    pub(super) fn waiting(&self, class: Class) -> usize {
        self.classes[class.index()].waiting
    }

    /// Takes everybody out.
    pub(super) fn clear(&mut self) -> Vec<Ticket> {
        let all = std::mem::take(&mut self.classes);
        all.into_iter().flat_map(|turns| turns.namespaces).flat_map(|(_, tickets)| tickets).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_take_turns_and_keep_their_order() {
        let mut queue = Queue::default();
        for (namespace, ticket) in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5), ("b", 6)] {
            queue.push(Class::Drift, namespace, Ticket(ticket));
        }
        queue.remove(Class::Drift, Ticket(5));
        queue.remove(Class::Drift, Ticket(5));
        assert_eq!((queue.waiting(Class::Drift), queue.waiting(Class::Poll)), (5, 0));
        let order: Vec<u64> = std::iter::from_fn(|| queue.pop(Class::Drift)).map(|ticket| ticket.0).collect();
        assert_eq!(order, [1, 4, 2, 6, 3]);
        assert_eq!(queue.waiting(Class::Drift), 0);
        queue.push(Class::Poll, "a", Ticket(7));
        assert_eq!(queue.clear(), [Ticket(7)]);
    }
}
