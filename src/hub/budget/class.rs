//! What calls are for.

/// What a call is for. In order: where there is less than is asked for, the first is served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Somebody changed a spec that the hub is to hold.
    SpecChange,
    /// An object is being deleted and waits for its keys to be removed.
    Deletion,
    /// A read before something that cannot be undone, or of a twin that just moved.
    ConfirmingRead,
    /// Asks what changed.
    Poll,
    /// Somebody else changed what is ours.
    Drift,
    /// The first contact with a twin.
    FirstRead,
    /// The device reported something, and the rows do not say what.
    ReportedRefresh,
    /// A saved query.
    TwinQuery,
    /// Looks all twins over.
    Sweep,
}

impl Class {
    /// Every class, in order.
    pub const ALL: [Self; 9] = [
        Self::SpecChange,
        Self::Deletion,
        Self::ConfirmingRead,
        Self::Poll,
        Self::Drift,
        Self::FirstRead,
        Self::ReportedRefresh,
        Self::TwinQuery,
        Self::Sweep,
    ];

    /// The share of a lane's rate, in percent, that a class gets whatever the classes before it ask for.
    pub(super) fn floor(self) -> f64 {
        if self == Self::Poll { 20.0 } else { 5.0 }
    }

    /// Whether it may use the rate for bursts: somebody waits for it.
    pub(super) fn bursts(self) -> bool {
        matches!(self, Self::SpecChange | Self::Deletion)
    }

    pub(super) fn index(self) -> usize {
        self as usize
    }

    /// A stable word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SpecChange => "spec_change",
            Self::Deletion => "deletion",
            Self::ConfirmingRead => "confirming_read",
            Self::Poll => "poll",
            Self::Drift => "drift",
            Self::FirstRead => "first_read",
            Self::ReportedRefresh => "reported_refresh",
            Self::TwinQuery => "twin_query",
            Self::Sweep => "sweep",
        }
    }
}
