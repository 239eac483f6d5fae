//! Another object that is about the same twin. Pure.

use jiff::Timestamp;

use crate::twin::claims::{Claimant, Lost};
use crate::twin::document::Leaves;
use crate::twin::plan::{Ledger, Sections};

/// Another live object that is about the same twin.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) created: Timestamp,
    /// The leaves that it names; of one that cannot or must not write, those that it holds.
    pub(super) wants: Sections<Leaves>,
    pub(super) holds: Option<Ledger>,
}

impl Peer {
    pub(super) fn claimant(&self) -> Claimant<'_> {
        Claimant {
            created: self.created,
            namespace: &self.namespace,
            name: &self.name,
            wants: &self.wants,
            holds: self.holds.as_ref(),
        }
    }
}

/// What is told of a leaf that another object wins. Names do not leave their namespace.
pub(super) fn told(lost: &Lost, peers: &[Peer], namespace: &str) -> String {
    let Lost { ours, theirs, to } = lost;
    let who = match peers.get(*to).filter(|peer| peer.namespace == namespace) {
        Some(peer) => format!("DeviceTwin {}", peer.name),
        None => "a DeviceTwin of another namespace".to_owned(),
    };
    if ours == theirs { format!("{ours}: {who} has it") } else { format!("{ours}: {who} has {theirs}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::twin::document::Section;
    use crate::twin::plan::Place;

    #[test]
    fn names_do_not_leave_their_namespace() {
        let peer = |namespace: &str| Peer {
            namespace: namespace.to_owned(),
            name: "other".to_owned(),
            created: Timestamp::UNIX_EPOCH,
            wants: Sections::default(),
            holds: None,
        };
        let place = |at: &str| Place { section: Section::Tags, at: at.parse().unwrap() };
        let lost = |theirs: &str| Lost { ours: place("/a"), theirs: place(theirs), to: 0 };
        assert_eq!(told(&lost("/a"), &[peer("plant")], "plant"), "/tags/a: DeviceTwin other has it");
        assert_eq!(told(&lost("/a/b"), &[peer("plant")], "plant"), "/tags/a: DeviceTwin other has /tags/a/b");
        let elsewhere = told(&lost("/a"), &[peer("secret")], "plant");
        assert_eq!(elsewhere, "/tags/a: a DeviceTwin of another namespace has it");
    }
}
