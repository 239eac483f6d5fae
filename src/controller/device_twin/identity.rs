//! What to do when the hub does not know the device or module. Pure.

use crate::api::device_twin::IdentityPolicy;

/// What the hub does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The device.
    Device,
    /// The module of a device that it knows.
    Module,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait until somebody registers it.
    Wait,
    /// Create the identity, with keys that the hub makes.
    Create,
}

/// An identity is created only for an object that never saw its twin: what was removed on purpose stays removed. A module
/// is nothing without its device, which is not this object's to create.
pub(super) fn decide(policy: IdentityPolicy, seen_before: bool, is_module: bool, missing: Missing) -> Step {
    let ours_to_make = match missing {
        Missing::Device => !is_module,
        Missing::Module => is_module,
    };
    match policy {
        IdentityPolicy::CreateIfMissing if ours_to_make && !seen_before => Step::Create,
        IdentityPolicy::CreateIfMissing | IdentityPolicy::Require => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_twin_never_seen_is_created() {
        use IdentityPolicy::{CreateIfMissing, Require};
        use Missing::{Device, Module};
        for (policy, seen_before, is_module, missing, expected) in [
            (CreateIfMissing, false, false, Device, Step::Create),
            (CreateIfMissing, true, false, Device, Step::Wait),
            (CreateIfMissing, false, true, Module, Step::Create),
            (CreateIfMissing, true, true, Module, Step::Wait),
            (CreateIfMissing, false, true, Device, Step::Wait),
            (CreateIfMissing, false, false, Module, Step::Wait),
            (Require, false, false, Device, Step::Wait),
            (Require, false, true, Module, Step::Wait),
        ] {
            assert_eq!(
                decide(policy, seen_before, is_module, missing),
                expected,
                "{policy:?} {seen_before} {missing:?}"
            );
        }
    }
}
