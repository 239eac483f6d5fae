//! The service's error codes: the one place where a refusal meets HTTP and MQTT statuses.
//!
//! Source: the Azure IoT Hub documentation, "Understand and resolve Azure IoT Hub errors".

use super::machine::Refusal;

/// An error code of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The name in `iothub-errorcode` and in `Message`.
    pub name: &'static str,
    /// The number in bodies for devices.
    pub number: u32,
    /// The HTTP status, which is also the status of the response topic.
    pub status: u16,
}

/// The number begins with the status.
const fn code(name: &'static str, number: u32) -> Code {
    Code { name, number, status: (number / 1000) as u16 }
}

/// The api-version is missing or unknown.
pub const INVALID_PROTOCOL_VERSION: Code = code("InvalidProtocolVersion", 400_001);
/// The request breaks a rule.
pub const ARGUMENT_INVALID: Code = code("ArgumentInvalid", 400_004);
/// The body is not what it should be.
pub const FORMAT_ERROR: Code = code("IotHubFormatError", 400_006);
/// A device stands twice in one request.
pub const DEFINED_MULTIPLE_TIMES: Code = code("DeviceDefinedMultipleTimes", 400_011);
/// No token, or one that does not hold.
pub const UNAUTHORIZED: Code = code("IotHubUnauthorizedAccess", 401_002);
/// The messages of the day are used up.
pub const QUOTA_EXCEEDED: Code = code("IotHubQuotaExceeded", 403_002);
/// The tier does not have it.
pub const NOT_IN_TIER: Code = code("OperationNotAvailableInCurrentTier", 403_010);
/// No such path.
pub const NOT_FOUND: Code = code("GenericNotFound", 404_000);
/// A path of the service that this hub does not have.
pub const NOT_SUPPORTED: Code = code("FeatureNotSupported", 404_013);
/// The path does not take this method.
pub const METHOD_NOT_ALLOWED: Code = code("GenericMethodNotAllowed", 405_000);
/// The body is too large.
pub const TOO_LARGE: Code = code("MessageTooLarge", 413_001);
/// Too many calls.
pub const THROTTLED: Code = code("ThrottlingException", 429_001);
/// Too many calls wait.
pub const BACKLOG_FULL: Code = code("ThrottleBacklogLimitExceeded", 429_002);
/// The connection ends without an answer.
pub const CLOSED: Code = code("ClientClosedRequest", 499_000);
/// The hub itself failed.
pub const SERVER_ERROR: Code = code("ServerError", 500_001);

/// The service's list, as far as it concerns identities, twins, queries and connections.
const ALL: [Code; 63] = [
    code("GenericBadRequest", 400_000),
    code("InvalidProtocolVersion", 400_001),
    code("InvalidOperation", 400_003),
    code("ArgumentInvalid", 400_004),
    code("ArgumentNull", 400_005),
    code("IotHubFormatError", 400_006),
    code("DeviceDefinedMultipleTimes", 400_011),
    code("DeserializationError", 400_012),
    code("BulkRegistryOperationFailure", 400_013),
    code("ConnectionForcefullyClosedOnNewConnection", 400_027),
    code("InvalidDeviceScope", 400_028),
    code("GenericUnauthorized", 401_000),
    code("IotHubNotFound", 401_001),
    code("IotHubUnauthorizedAccess", 401_002),
    code("IotHubUnauthorized", 401_003),
    code("SystemModuleModifyUnauthorizedAccess", 401_100),
    code("GenericForbidden", 403_000),
    code("IotHubSuspended", 403_001),
    code("IotHubQuotaExceeded", 403_002),
    code("JobQuotaExceeded", 403_003),
    code("DeviceMaximumQueueDepthExceeded", 403_004),
    code("OperationNotAvailableInCurrentTier", 403_010),
    code("DeviceDisabled", 403_012),
    code("DeviceModelMaxPropertiesExceeded", 403_100),
    code("DeviceModelMaxIndexablePropertiesExceeded", 403_101),
    code("GenericNotFound", 404_000),
    code("DeviceNotFound", 404_001),
    code("JobNotFound", 404_002),
    code("ModuleNotFound", 404_010),
    code("IotHubFailingOver", 404_012),
    code("FeatureNotSupported", 404_013),
    code("QueryStoreClusterNotFound", 404_101),
    code("DeviceNotOnline", 404_103),
    code("DeviceConnectionClosedRemotely", 404_104),
    code("ConfigurationNotFound", 404_301),
    code("GenericMethodNotAllowed", 405_000),
    code("OperationNotAllowedInCurrentState", 405_102),
    code("DeviceAlreadyExists", 409_001),
    code("LinkCreationConflict", 409_002),
    code("DeviceLocked", 409_102),
    code("JobAlreadyExists", 409_104),
    code("ModuleAlreadyExistsOnDevice", 409_301),
    code("GenericPreconditionFailed", 412_000),
    code("PreconditionFailed", 412_001),
    code("DeviceMessageLockLost", 412_002),
    code("MessageTooLarge", 413_001),
    code("TooManyDevices", 413_002),
    code("TooManyModulesOnDevice", 413_003),
    code("GenericUnsupportedMediaType", 415_000),
    code("GenericTooManyRequests", 429_000),
    code("ThrottlingException", 429_001),
    code("ThrottleBacklogLimitExceeded", 429_002),
    code("ThrottlingBacklogTimeout", 429_003),
    code("DeviceThrottlingLimitExceeded", 429_005),
    code("ClientClosedRequest", 499_000),
    code("ServerError", 500_001),
    code("GenericTimeout", 500_008),
    code("GenericBadGateway", 502_000),
    code("GenericServiceUnavailable", 503_000),
    code("ServiceUnavailable", 503_001),
    code("IotHubActivationFailed", 503_004),
    code("ServerBusy", 503_005),
    code("IotHubRestoring", 503_006),
];

/// The code of a number of the service's list.
#[must_use]
pub fn of_number(number: u32) -> Option<Code> {
    ALL.into_iter().find(|code| code.number == number)
}

impl From<&Refusal> for Code {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::DeviceNotFound(_) => code("DeviceNotFound", 404_001),
            Refusal::ModuleNotFound(_) => code("ModuleNotFound", 404_010),
            Refusal::DeviceExists(_) => code("DeviceAlreadyExists", 409_001),
            Refusal::ModuleExists(_) => code("ModuleAlreadyExistsOnDevice", 409_301),
            Refusal::DeviceDisabled(_) => code("DeviceDisabled", 403_012),
            Refusal::SystemModule(_) => code("SystemModuleModifyUnauthorizedAccess", 401_100),
            Refusal::InvalidScope(_) => code("InvalidDeviceScope", 400_028),
            Refusal::TooManyModules(_) => code("TooManyModulesOnDevice", 413_003),
            Refusal::TooManyConfigurations(_) => code("ConfigurationCountLimitExceeded", 413_101),
            Refusal::TwinEtagMismatch(_) | Refusal::IdentityEtagMismatch | Refusal::VersionMismatch { .. } => {
                code("PreconditionFailed", 412_001)
            }
            Refusal::Invalid(_) => ARGUMENT_INVALID,
            Refusal::Malformed(_) => FORMAT_ERROR,
            Refusal::TooLarge(_) => code("DeviceModelMaxPropertiesExceeded", 403_100),
        }
    }
}

/// An answer that is no success: a code and the text beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub code: Code,
    /// The text.
    pub message: String,
}

impl Failure {
    /// A failure with a text.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(Code::from(&refusal), refusal.to_string())
    }
}

/// The code for a status that was asked for.
#[must_use]
pub fn for_status(status: u16) -> Code {
    let number = match status {
        400 => 400_004,
        401 => 401_002,
        403 => 403_002,
        404 => 404_000,
        408 | 504 => 500_008,
        412 => 412_001,
        429 => 429_001,
        502 => 502_000,
        503 => 503_001,
        _ => 500_001,
    };
    Code { status, ..of_number(number).unwrap_or(SERVER_ERROR) }
}
