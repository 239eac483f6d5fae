//! The hub's error codes and what they mean to a caller.
//!
//! Source: the Azure IoT Hub documentation, "Understand and resolve Azure IoT Hub errors", and the error codes of the public
//! service SDKs.

use super::error::Kind;

/// Codes whose class differs from that of their status, or that must be known to be believed; by number and name.
const CODES: [(u32, &str, Kind); 40] = [
    (400_000, "GenericBadRequest", Kind::BadRequest),
    (400_001, "InvalidProtocolVersion", Kind::BadRequest),
    (400_003, "InvalidOperation", Kind::BadRequest),
    (400_004, "ArgumentInvalid", Kind::BadRequest),
    (400_005, "ArgumentNull", Kind::BadRequest),
    (400_006, "IotHubFormatError", Kind::BadRequest),
    (400_012, "DeserializationError", Kind::BadRequest),
    (400_023, "EtagDoesNotMatch", Kind::PreconditionFailed),
    // The next three are the hub's own unrest: a connection taken over, an upgrade.
    (400_027, "ConnectionForcefullyClosedOnNewConnection", Kind::Unreachable),
    (400_029, "GenericBadRequestDuringUpgrade", Kind::Unreachable),
    (400_030, "InvalidOperationDuringUpgrade", Kind::Unreachable),
    (401_000, "GenericUnauthorized", Kind::Unauthorized),
    // The name leads to no hub; no credential mends that.
    (401_001, "IotHubNotFound", Kind::Unreachable),
    (401_002, "IotHubUnauthorizedAccess", Kind::Unauthorized),
    (401_003, "IotHubUnauthorized", Kind::Unauthorized),
    (403_000, "GenericForbidden", Kind::Forbidden),
    (403_001, "IotHubSuspended", Kind::Forbidden),
    (403_002, "IotHubQuotaExceeded", Kind::QuotaExceeded),
    (403_010, "OperationNotAvailableInCurrentTier", Kind::WrongTier),
    (403_012, "DeviceDisabled", Kind::Forbidden),
    (403_100, "DeviceModelMaxPropertiesExceeded", Kind::TooLarge),
    (403_101, "DeviceModelMaxIndexablePropertiesExceeded", Kind::TooLarge),
    (404_000, "GenericNotFound", Kind::Unreachable),
    (404_001, "DeviceNotFound", Kind::DeviceNotFound),
    (404_010, "ModuleNotFound", Kind::ModuleNotFound),
    (404_012, "IotHubFailingOver", Kind::Unreachable),
    (404_013, "FeatureNotSupported", Kind::Unreachable),
    (404_101, "QueryStoreClusterNotFound", Kind::Unreachable),
    (409_001, "DeviceAlreadyExists", Kind::Conflict),
    (409_301, "ModuleAlreadyExistsOnDevice", Kind::Conflict),
    (412_001, "PreconditionFailed", Kind::PreconditionFailed),
    (413_002, "TooManyDevices", Kind::Forbidden),
    (413_003, "TooManyModulesOnDevice", Kind::Forbidden),
    (429_000, "GenericTooManyRequests", Kind::Throttled),
    (429_001, "ThrottlingException", Kind::Throttled),
    (429_002, "ThrottleBacklogLimitExceeded", Kind::Throttled),
    (429_003, "ThrottlingBacklogTimeout", Kind::Throttled),
    (429_005, "DeviceThrottlingLimitExceeded", Kind::Throttled),
    (500_001, "ServerError", Kind::Unreachable),
    (503_001, "ServiceUnavailable", Kind::Unreachable),
];

/// The class and the name of a code, given as name or number; `None` when it is not known.
pub(super) fn known(code: &str) -> Option<(&'static str, Kind)> {
    let number: Option<u32> = code.parse().ok();
    CODES
        .iter()
        .find(|(known, name, _)| Some(*known) == number || name.eq_ignore_ascii_case(code))
        .map(|(_, name, kind)| (*name, *kind))
}

/// The class of a refusal that carries no code we know. A 404 is never taken for a missing device: a hub that is failing
/// over, a wrong path and a proxy answer 404 too.
pub(super) fn by_status(status: u16) -> Kind {
    match status {
        401 => Kind::Unauthorized,
        403 => Kind::Forbidden,
        409 => Kind::Conflict,
        412 => Kind::PreconditionFailed,
        429 => Kind::Throttled,
        408 | 404 | 407 => Kind::Unreachable,
        400..=499 => Kind::BadRequest,
        _ => Kind::Unreachable,
    }
}
