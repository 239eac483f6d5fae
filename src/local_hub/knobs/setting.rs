//! Reads what is set from outside: JSON in, a checked value or the field that is wrong out.

use serde::de::DeserializeOwned;

use super::super::operations;

/// Something that is set from outside, over the admin port or on the command line.
pub trait Setting: DeserializeOwned {
    /// Checks what its type alone does not say.
    ///
    /// # Errors
    /// The first field that is wrong.
    fn check(&self) -> Result<(), BadSetting>;
}

/// A field that is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct BadSetting {
    /// The path of the field, as `effect.status`; `.` for the whole.
    pub field: String,
    /// The rule, the figure, and what to do.
    pub problem: String,
}

impl BadSetting {
    /// A field that is wrong.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    /// A field that names an operation that there is not.
    pub fn operation(field: impl Into<String>, name: &str) -> Self {
        Self::new(field, format!("there is no operation {name:?}; one of {}", operations::ALL.join(", ")))
    }
}

/// Reads a setting.
///
/// # Errors
/// The first field that is wrong.
pub fn read<T: Setting>(json: &[u8]) -> Result<T, BadSetting> {
    // Derived code would take a list for an object.
    if !json.trim_ascii_start().starts_with(b"{") {
        return Err(BadSetting::new(".", "not a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(json);
    let setting: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = error.path().to_string();
        // What is no JSON has no field.
        let field = if field == "?" { ".".to_owned() } else { field };
        BadSetting::new(field, error.inner().to_string())
    })?;
    reader.end().map_err(|error| BadSetting::new(".", error.to_string()))?;
    setting.check()?;
    Ok(setting)
}
