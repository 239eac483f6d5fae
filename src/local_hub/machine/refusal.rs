//! Why the hub says no. It knows nothing of HTTP or MQTT; [`super::super::code`] maps it to the codes of the wire.

use crate::twin::document::Section;
use crate::twin::rules::{Rule, Violation, max_bytes};

/// A refusal of the hub. Its text is what the client reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such device.
    #[error("{0}")]
    DeviceNotFound(String),
    /// No such module.
    #[error("{0}")]
    ModuleNotFound(String),
    /// The device is there already.
    #[error("A device with ID '{0}' is already registered.")]
    DeviceExists(String),
    /// The module is there already.
    #[error("A module with ID '{0}' is already registered.")]
    ModuleExists(String),
    /// The device may not connect.
    #[error("{0}")]
    DeviceDisabled(String),
    /// The device has as many modules as it may have.
    #[error("Device '{0}' has the maximum number of modules.")]
    TooManyModules(String),
    /// The twin has as many configurations as it may have.
    #[error("the twin shows {0} configurations already, as many as a hub has")]
    TooManyConfigurations(usize),
    /// The module belongs to the runtime of an edge device.
    #[error("Module '{0}' is a system module: it cannot be created, changed or deleted.")]
    SystemModule(String),
    /// The scope is none.
    #[error("{0}")]
    InvalidScope(String),
    /// The twin has another etag.
    #[error("ETag mismatch for device ID '{0}'")]
    TwinEtagMismatch(String),
    /// The identity has another etag.
    #[error("PreconditionFailed")]
    IdentityEtagMismatch,
    /// Reported properties have another version.
    #[error("Version mismatch for reported properties: {current} is current")]
    VersionMismatch {
        /// The version at the hub.
        current: u64,
    },
    /// The request breaks a rule.
    #[error("{0}")]
    Invalid(String),
    /// The body is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// The section would grow over its limit.
    #[error("'{}' size should be less than {} bytes.", section_name(*.0), max_bytes(*.0))]
    TooLarge(Section),
}

impl From<&Violation> for Refusal {
    /// The texts of the service where public traces show them.
    fn from(violation: &Violation) -> Self {
        let at = violation.section.absolute(&violation.pointer);
        let name = at.keys().last().map_or("", String::as_str);
        Self::Invalid(match violation.rule {
            Rule::StringLength => {
                format!("Property or Tag value should be maximum 4096 bytes. Error in Property/Tag {name}")
            }
            Rule::Null => format!("Value of Property or Tag cannot be null. Error in Property/Tag {name}"),
            Rule::Array => {
                "Provided json is not a valid 'tags' or 'properties' object: arrays are not supported.".to_owned()
            }
            Rule::Size => return Self::TooLarge(violation.section),
            Rule::KeyCharacters | Rule::KeyLength | Rule::IntegerRange | Rule::Depth => {
                format!("Provided json is not a valid 'tags' or 'properties' object: {violation}")
            }
        })
    }
}

fn section_name(section: Section) -> &'static str {
    match section {
        Section::Tags => "Tags",
        Section::Desired => "Properties.Desired",
        Section::Reported => "Properties.Reported",
    }
}
