//! Condition types and reasons, defined once.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The closed list of reasons. What each means and what to do stands with the variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The hub holds what the spec asks at this generation.
    Synced,
    /// The twin was read and `status.plan` is current; `mode: Observe` never writes.
    Observing,
    /// The results are those of the last interval.
    Fresh,
    /// The hub answers with this credential.
    Connected,
    /// Not synced yet: the work is queued.
    Pending,
    /// The hub asks for fewer calls.
    Throttled,
    /// The hub's daily quota is used up until the next UTC day.
    QuotaExceeded,
    /// The hub cannot be reached, or does not answer as a hub does.
    HubUnreachable,
    /// There is no such connection object in this namespace.
    HubNotFound,
    /// The Secret or ConfigMap that the connection names, or its key, is not there.
    SecretMissing,
    /// The Secret holds no connection string.
    SecretInvalid,
    /// The hub refuses the credential: wrong key, or a policy without the needed rights.
    Unauthorized,
    /// The hub's certificate is not trusted; name its root in `spec.caBundle`.
    TlsFailed,
    /// The hub knows no such device or module.
    DeviceNotFound,
    /// The spec breaks a rule of the hub.
    InvalidTwin,
    /// The twin would outgrow the hub's limit together with what others hold there.
    TooLarge,
    /// A foreign value is in the way.
    Conflict,
    /// Somebody keeps undoing our corrections of a leaf.
    Contested,
    /// Somebody else changed a leaf, and `driftPolicy: Report` leaves it.
    Drifted,
    /// The operator does not allow this host, or the connection string names another.
    HostRefused,
    /// The ClusterHubConnection is not open to this object; the message says what an administrator would add.
    NotAllowed,
    /// The hub's tier has no twins.
    WrongTier,
    /// The hub refuses the query.
    QueryRejected,
    /// The rows cannot be written to the ConfigMaps that the query names.
    OutputRefused,
    /// The results are older than three intervals.
    Stale,
    /// `suspend: true`.
    Suspended,
    /// The device confirmed every desired leaf.
    Confirmed,
    /// The spec has no desired properties.
    NothingDesired,
    /// This generation is not at the hub yet.
    NotSynced,
    /// The device has not confirmed yet.
    WaitingForDevice,
    /// The timeout has passed, and the device was not seen since the leaf changed.
    DeviceOffline,
    /// The device refused a value.
    DeviceRefused,
    /// The timeout has passed although the device was seen.
    AckTimeout,
}

impl Reason {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 33] = [
        Self::Synced,
        Self::Observing,
        Self::Fresh,
        Self::Connected,
        Self::Pending,
        Self::Throttled,
        Self::QuotaExceeded,
        Self::HubUnreachable,
        Self::HubNotFound,
        Self::SecretMissing,
        Self::SecretInvalid,
        Self::Unauthorized,
        Self::TlsFailed,
        Self::DeviceNotFound,
        Self::InvalidTwin,
        Self::TooLarge,
        Self::Conflict,
        Self::Contested,
        Self::Drifted,
        Self::HostRefused,
        Self::NotAllowed,
        Self::WrongTier,
        Self::QueryRejected,
        Self::OutputRefused,
        Self::Stale,
        Self::Suspended,
        Self::Confirmed,
        Self::NothingDesired,
        Self::NotSynced,
        Self::WaitingForDevice,
        Self::DeviceOffline,
        Self::DeviceRefused,
        Self::AckTimeout,
    ];

    /// The word in conditions, Events and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::Observing => "Observing",
            Self::Fresh => "Fresh",
            Self::Connected => "Connected",
            Self::Pending => "Pending",
            Self::Throttled => "Throttled",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::HubUnreachable => "HubUnreachable",
            Self::HubNotFound => "HubNotFound",
            Self::SecretMissing => "SecretMissing",
            Self::SecretInvalid => "SecretInvalid",
            Self::Unauthorized => "Unauthorized",
            Self::TlsFailed => "TlsFailed",
            Self::DeviceNotFound => "DeviceNotFound",
            Self::InvalidTwin => "InvalidTwin",
            Self::TooLarge => "TooLarge",
            Self::Conflict => "Conflict",
            Self::Contested => "Contested",
            Self::Drifted => "Drifted",
            Self::HostRefused => "HostRefused",
            Self::NotAllowed => "NotAllowed",
            Self::WrongTier => "WrongTier",
            Self::QueryRejected => "QueryRejected",
            Self::OutputRefused => "OutputRefused",
            Self::Stale => "Stale",
            Self::Suspended => "Suspended",
            Self::Confirmed => "Confirmed",
            Self::NothingDesired => "NothingDesired",
            Self::NotSynced => "NotSynced",
            Self::WaitingForDevice => "WaitingForDevice",
            Self::DeviceOffline => "DeviceOffline",
            Self::DeviceRefused => "DeviceRefused",
            Self::AckTimeout => "AckTimeout",
        }
    }

    /// What stands beside `Ready=False` with this reason, in kstatus' terms.
    #[must_use]
    pub fn beside(self) -> Beside {
        match self {
            Self::Pending
            | Self::Throttled
            | Self::QuotaExceeded
            | Self::HubUnreachable
            | Self::DeviceNotFound
            | Self::WaitingForDevice
            | Self::DeviceOffline
            | Self::NotSynced
            | Self::Stale => Beside::Reconciling,
            Self::HubNotFound | Self::SecretMissing | Self::SecretInvalid | Self::Unauthorized | Self::TlsFailed => {
                Beside::ReconcilingThenStalled
            }
            Self::InvalidTwin
            | Self::TooLarge
            | Self::Conflict
            | Self::Contested
            | Self::Drifted
            | Self::HostRefused
            | Self::NotAllowed
            | Self::WrongTier
            | Self::QueryRejected
            | Self::OutputRefused
            | Self::DeviceRefused
            | Self::AckTimeout => Beside::Stalled,
            Self::Synced
            | Self::Observing
            | Self::Fresh
            | Self::Connected
            | Self::Suspended
            | Self::Confirmed
            | Self::NothingDesired => Beside::Nothing,
        }
    }
}

/// Which of kstatus' own conditions stands beside `Ready=False`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// None.
    Nothing,
    /// It may mend itself.
    Reconciling,
    /// It may mend itself for two minutes; after that somebody is to look.
    ReconcilingThenStalled,
    /// Only an edit mends it.
    Stalled,
}

/// How long a missing or refused credential counts as on its way, unless the operator's settings say otherwise.
pub const STALLED_AFTER: Duration = Duration::from_secs(120);

/// A condition's three values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// `True`
    True,
    /// `False`
    False,
    /// `Unknown`
    Unknown,
}

impl Status {
    /// The word in the condition.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a condition says, before it has a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The value.
    pub status: Status,
    /// The reason.
    pub reason: Reason,
    /// For people: what is wrong and what to do.
    pub message: String,
}

impl Verdict {
    /// A verdict with this message.
    pub fn new(status: Status, reason: Reason, message: impl Into<String>) -> Self {
        Self { status, reason, message: message.into() }
    }
}

/// The condition of a type; `None` when it is not there.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether a missing or refused credential is first given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// So long: what uses a connection cannot know whether somebody is at it.
    For(Duration),
    /// None: the connection itself is where to look.
    None,
}

/// Builds the conditions of an object: `Ready`, kstatus' own beside it, and further ones. A transition time moves only when
/// the value moves.
#[must_use]
pub fn build(
    before: &[Condition],
    generation: i64,
    ready: &Verdict,
    further: &[(&str, Verdict)],
    patience: Patience,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |type_: &str, verdict: &Verdict| {
        let same = find(before, type_).filter(|old| old.status == verdict.status.as_str());
        Condition {
            type_: type_.to_owned(),
            status: verdict.status.as_str().to_owned(),
            reason: verdict.reason.as_str().to_owned(),
            message: verdict.message.clone(),
            observed_generation: Some(generation),
            last_transition_time: same.map_or(Time(now), |old| old.last_transition_time.clone()),
        }
    };
    let mut built = vec![condition("Ready", ready)];
    built.extend(further.iter().map(|(type_, verdict)| condition(type_, verdict)));
    if ready.status != Status::True {
        let since = built[0].last_transition_time.0;
        let overdue = match patience {
            Patience::None => true,
            Patience::For(time) => since.checked_add(time).is_ok_and(|end| now >= end),
        };
        let beside = match ready.reason.beside() {
            Beside::Nothing => None,
            Beside::Reconciling => Some("Reconciling"),
            Beside::Stalled => Some("Stalled"),
            Beside::ReconcilingThenStalled if overdue => Some("Stalled"),
            Beside::ReconcilingThenStalled => Some("Reconciling"),
        };
        if let Some(type_) = beside {
            built.push(condition(type_, &Verdict { status: Status::True, ..ready.clone() }));
        }
    }
    built
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(conditions: &[Condition]) -> Vec<&str> {
        conditions.iter().map(|condition| condition.type_.as_str()).collect()
    }

    #[test]
    fn a_missing_secret_is_on_its_way_for_two_minutes() {
        let start = Timestamp::from_second(1_000).unwrap();
        let missing = Verdict::new(Status::False, Reason::SecretMissing, "no Secret");
        let first = build(&[], 1, &missing, &[], Patience::For(STALLED_AFTER), start);
        assert_eq!(types(&first), ["Ready", "Reconciling"]);
        let later =
            build(&first, 1, &missing, &[], Patience::For(STALLED_AFTER), Timestamp::from_second(1_120).unwrap());
        assert_eq!(types(&later), ["Ready", "Stalled"]);
        assert_eq!(later[0].last_transition_time.0, start);
    }

    #[test]
    fn on_a_connection_it_is_stalled_at_once_and_stays_as_it_is() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let missing = Verdict::new(Status::False, Reason::SecretMissing, "no Secret");
        let first = build(&[], 1, &missing, &[], Patience::None, at(1_000));
        assert_eq!(types(&first), ["Ready", "Stalled"]);
        assert_eq!(build(&first, 1, &missing, &[], Patience::None, at(1_005)), first);
    }

    #[test]
    fn nothing_stands_beside_ready() {
        let now = Timestamp::from_second(1_000).unwrap();
        let ready = Verdict::new(Status::True, Reason::Synced, "");
        assert_eq!(types(&build(&[], 1, &ready, &[], Patience::For(STALLED_AFTER), now)), ["Ready"]);
    }
}
