//! The reasons of Events, defined once.

/// The closed list of Event reasons. What each means and what to do stands with the variant and in `docs/conditions.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventReason {
    /// A change of the spec was written to the hub.
    Synced,
    /// The hub knew no such device or module, and it was created.
    IdentityCreated,
    /// Somebody else changed leaves of ours, and they were set back.
    DriftCorrected,
    /// Leaves left the spec and stay at the hub, for somebody else changed them.
    Released,
    /// Nothing is written: a foreign value, or another object, is in the way.
    Conflict,
    /// Somebody keeps undoing our corrections; they come more and more rarely from now on.
    Contested,
    /// The device refused a value.
    RefusedByDevice,
    /// The versions of a twin went back: the device was made again, or the hub failed over.
    VersionsWentBack,
    /// The object goes, and keys that it owns stay at the hub.
    KeysLeft,
}

impl EventReason {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Synced,
        Self::IdentityCreated,
        Self::DriftCorrected,
        Self::Released,
        Self::Conflict,
        Self::Contested,
        Self::RefusedByDevice,
        Self::VersionsWentBack,
        Self::KeysLeft,
    ];

    /// The word in Events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::IdentityCreated => "IdentityCreated",
            Self::DriftCorrected => "DriftCorrected",
            Self::Released => "Released",
            Self::Conflict => "Conflict",
            Self::Contested => "Contested",
            Self::RefusedByDevice => "RefusedByDevice",
            Self::VersionsWentBack => "VersionsWentBack",
            Self::KeysLeft => "KeysLeft",
        }
    }

    /// Whether somebody should look.
    #[must_use]
    pub fn is_warning(self) -> bool {
        match self {
            Self::Conflict | Self::Contested | Self::RefusedByDevice | Self::VersionsWentBack | Self::KeysLeft => true,
            Self::Synced | Self::IdentityCreated | Self::DriftCorrected | Self::Released => false,
        }
    }
}
