//! The names of devices and modules.

use std::fmt;
use std::str::FromStr;

/// Longest id in characters.
pub const MAX_ID_CHARACTERS: usize = 128;

/// A device's id: 1 to [`MAX_ID_CHARACTERS`] of the hub's alphabet, case-sensitive.
///
/// Source: the Azure IoT Hub documentation, "Understand the identity registry in your IoT hub".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(Box<str>);

/// A module's id, within its device. The same alphabet as [`DeviceId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleId(Box<str>);

/// Which twin: a device's, or that of one of its modules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TwinId {
    /// The device.
    pub device_id: DeviceId,
    /// The module; `None` for the device's own twin.
    pub module_id: Option<ModuleId>,
}

/// A text that is no id of a device or module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadId {
    /// Too short or too long.
    #[error("an id has 1 to 128 characters, not {0}")]
    Length(usize),
    /// A character that ids do not hold.
    #[error("an id holds no {0:?}; letters, digits and - : . + % _ # * ? ! ( ) , = @ ; $ ' are allowed")]
    Character(char),
    /// `.` or `..`, which stand for folders in a path.
    #[error("\".\" and \"..\" are no ids")]
    Dots,
}

fn check(text: &str) -> Result<(), BadId> {
    let characters = text.chars().count();
    if characters == 0 || characters > MAX_ID_CHARACTERS {
        return Err(BadId::Length(characters));
    }
    if let Some(odd) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !"-:.+%_#*?!(),=@;$'".contains(*c)) {
        return Err(BadId::Character(odd));
    }
    if matches!(text, "." | "..") { Err(BadId::Dots) } else { Ok(()) }
}

impl DeviceId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ModuleId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DeviceId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        check(text).map(|()| Self(text.into()))
    }
}

impl FromStr for ModuleId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        check(text).map(|()| Self(text.into()))
    }
}

impl TwinId {
    /// Reads the ids of a device and, perhaps, a module.
    ///
    /// # Errors
    ///
    /// When one of them is no id.
    pub fn parse(device: &str, module: Option<&str>) -> Result<Self, BadId> {
        Ok(Self { device_id: device.parse()?, module_id: module.map(str::parse).transpose()? })
    }

    /// The twin of a device.
    #[must_use]
    pub fn device(device_id: DeviceId) -> Self {
        Self { device_id, module_id: None }
    }

    /// The module's id as text.
    #[must_use]
    pub fn module(&self) -> Option<&str> {
        self.module_id.as_ref().map(ModuleId::as_str)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ModuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TwinId {
    /// `DEVICE` or `DEVICE/MODULE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.module_id {
            None => write!(f, "{}", self.device_id),
            Some(module) => write!(f, "{}/{module}", self.device_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_hubs_alphabet_and_nothing_else() {
        for good in ["a", "pump-0042", "-:.+%_#*?!(),=@;$'", "...", &"x".repeat(128)] {
            assert_eq!(good.parse::<DeviceId>().unwrap().as_str(), good);
        }
        let cases = [
            ("", BadId::Length(0)),
            (&"x".repeat(129), BadId::Length(129)),
            ("a/b", BadId::Character('/')),
            ("ä", BadId::Character('ä')),
            ("a b", BadId::Character(' ')),
            (".", BadId::Dots),
            ("..", BadId::Dots),
        ];
        for (bad, error) in cases {
            assert_eq!(bad.parse::<ModuleId>(), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn names_both_parts() {
        assert_eq!(TwinId::parse("pump", Some("flow")).unwrap().to_string(), "pump/flow");
        assert_eq!(TwinId::parse("pump", None).unwrap().to_string(), "pump");
    }
}
