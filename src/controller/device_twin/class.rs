//! What a call about a twin is for, which says who goes first where the hub's limits are short. Pure.

use super::gather::{Freshness, Goal};
use crate::hub::Class;

/// Where an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) goal: Goal,
    pub(super) generation: i64,
    /// The generation that its status is about; negative before the first look.
    pub(super) observed: i64,
}

/// The class of a read.
pub(super) fn of_read(standing: Standing, freshness: Freshness) -> Class {
    match (standing.goal, freshness) {
        (Goal::RemoveKeys, _) => Class::Deletion,
        (Goal::Sync, Freshness::Read) => Class::ConfirmingRead,
        (Goal::Sync, Freshness::Known) => of(standing, Class::ReportedRefresh),
    }
}

/// The class of a write.
pub(super) fn of_write(standing: Standing) -> Class {
    match standing.goal {
        Goal::RemoveKeys => Class::Deletion,
        Goal::Sync => of(standing, Class::Drift),
    }
}

/// A fleet that is new does not go before the one edit that somebody waits for.
fn of(Standing { generation, observed, .. }: Standing, settled: Class) -> Class {
    match observed {
        ..0 => Class::FirstRead,
        _ if observed != generation => Class::SpecChange,
        _ => settled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_longest_for_somebody_goes_first() {
        let standing = |goal, generation, observed| Standing { goal, generation, observed };
        let cases = [
            (standing(Goal::Sync, 1, -1), Class::FirstRead, Class::FirstRead),
            (standing(Goal::Sync, 3, 2), Class::SpecChange, Class::SpecChange),
            (standing(Goal::Sync, 3, 3), Class::ReportedRefresh, Class::Drift),
            (standing(Goal::RemoveKeys, 3, -1), Class::Deletion, Class::Deletion),
        ];
        for (standing, read, write) in cases {
            assert_eq!(of_read(standing, Freshness::Known), read, "{standing:?}");
            assert_eq!(of_write(standing), write, "{standing:?}");
        }
        assert_eq!(of_read(standing(Goal::Sync, 3, 2), Freshness::Read), Class::ConfirmingRead);
    }
}
