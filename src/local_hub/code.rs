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

const fn code(name: &'static str, number: u32, status: u16) -> Code {
    Code { name, number, status }
}

/// The api-version is missing or unknown.
pub const INVALID_PROTOCOL_VERSION: Code = code("InvalidProtocolVersion", 400_001, 400);
/// The request breaks a rule.
pub const ARGUMENT_INVALID: Code = code("ArgumentInvalid", 400_004, 400);
/// The body is not what it should be.
pub const FORMAT_ERROR: Code = code("IotHubFormatError", 400_006, 400);
/// No token, or one that does not hold.
pub const UNAUTHORIZED: Code = code("IotHubUnauthorizedAccess", 401_002, 401);
/// No such path.
pub const NOT_FOUND: Code = code("GenericNotFound", 404_000, 404);
/// The path does not take this method.
pub const METHOD_NOT_ALLOWED: Code = code("GenericMethodNotAllowed", 405_000, 405);
/// The body is too large.
pub const TOO_LARGE: Code = code("MessageTooLarge", 413_001, 413);
/// Too many calls.
pub const THROTTLED: Code = code("ThrottlingException", 429_001, 429);
/// The connection ends without an answer.
pub const CLOSED: Code = code("ClientClosedRequest", 499_000, 499);
/// The hub itself failed.
pub const SERVER_ERROR: Code = code("ServerError", 500_001, 500);

impl From<&Refusal> for Code {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::DeviceNotFound(_) => code("DeviceNotFound", 404_001, 404),
            Refusal::ModuleNotFound(_) => code("ModuleNotFound", 404_010, 404),
            Refusal::DeviceExists(_) => code("DeviceAlreadyExists", 409_001, 409),
            Refusal::ModuleExists(_) => code("ModuleAlreadyExistsOnDevice", 409_301, 409),
            Refusal::DeviceDisabled(_) => code("DeviceDisabled", 403_012, 403),
            Refusal::SystemModule(_) => code("SystemModuleModifyUnauthorizedAccess", 401_100, 401),
            Refusal::InvalidScope(_) => code("InvalidDeviceScope", 400_028, 400),
            Refusal::TooManyModules(_) => code("TooManyModulesOnDevice", 413_003, 413),
            Refusal::TwinEtagMismatch(_) | Refusal::IdentityEtagMismatch | Refusal::VersionMismatch { .. } => {
                code("PreconditionFailed", 412_001, 412)
            }
            Refusal::Invalid(_) => ARGUMENT_INVALID,
            Refusal::Malformed(_) => FORMAT_ERROR,
            Refusal::TooLarge(_) => code("DeviceModelMaxPropertiesExceeded", 403_100, 403),
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

/// The code whose status is `status`, for a fault that was asked for.
#[must_use]
pub fn for_status(status: u16) -> Code {
    match status {
        400 => ARGUMENT_INVALID,
        401 => UNAUTHORIZED,
        403 => code("IotHubQuotaExceeded", 403_002, 403),
        404 => NOT_FOUND,
        412 => code("PreconditionFailed", 412_001, 412),
        429 => THROTTLED,
        500 => SERVER_ERROR,
        502 => code("GenericBadGateway", 502_000, 502),
        503 => code("ServiceUnavailable", 503_001, 503),
        504 => code("GenericTimeout", 500_008, 504),
        other => code("ServerError", 500_001, other),
    }
}
