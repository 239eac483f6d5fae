//! Which objects claim which twins of a connection.

use super::Context;
use super::fleet::TwinName;
use super::hubs::HubKey;
use crate::api::DeviceTwinStatus;
use crate::twin::id::TwinId;

impl Context {
    /// The twins that objects of a connection claim, in order.
    #[must_use]
    pub fn claimed(&self, key: &HubKey) -> Vec<TwinId> {
        self.twins.claimed(key)
    }

    /// The objects of a connection that claim a twin.
    #[must_use]
    pub fn claimants(&self, key: &HubKey, id: &TwinId) -> Vec<TwinName> {
        self.twins.claiming(key, id)
    }

    /// How many objects of a connection claim twins.
    #[must_use]
    pub fn count_claimed(&self, key: &HubKey) -> usize {
        self.twins.counts(key).total
    }

    /// Whether objects of a connection claim twins of modules.
    #[must_use]
    pub fn claims_modules(&self, key: &HubKey) -> bool {
        self.twins.counts(key).modules > 0
    }

    /// The newest status of an object.
    #[must_use]
    pub fn status_of(&self, name: &TwinName) -> Option<DeviceTwinStatus> {
        self.twins.get(name)?.status
    }
}
