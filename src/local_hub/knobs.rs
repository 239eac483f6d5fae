//! What makes the hub behave like a real one on a bad day. All off by default; set over the admin port or on the command
//! line.

use serde::{Deserialize, Serialize};

pub use self::fault::{Effect, Fault, Faults, Struck};
pub use self::setting::{BadSetting, Setting, read};
use super::operations;

mod fault;
mod setting;

/// Most rows that a query page can have.
pub const MAX_PAGE_SIZE: usize = 1000;

/// Settings that hold until they are changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Knobs {
    /// Operations that behave as if the hub did not have them: no such route, no such topic.
    pub disabled: Vec<String>,
    /// Most rows of a query page, 1 to [`MAX_PAGE_SIZE`]; absent for 100.
    pub page_size: Option<usize>,
    /// How far the hub's clock is ahead, in milliseconds; negative when it is behind.
    pub clock_offset_ms: i64,
}

impl Knobs {
    /// Whether the hub behaves as if it did not have this operation.
    #[must_use]
    pub fn lacks(&self, operation: &str) -> bool {
        self.disabled.iter().any(|name| name == operation)
    }
}

impl Setting for Knobs {
    fn check(&self) -> Result<(), BadSetting> {
        if let Some((index, name)) = self.disabled.iter().enumerate().find(|(_, name)| !operations::known(name)) {
            return Err(BadSetting::operation(format!("disabled[{index}]"), name));
        }
        if let Some(rows) = self.page_size.filter(|rows| !(1..=MAX_PAGE_SIZE).contains(rows)) {
            return Err(BadSetting::new("pageSize", format!("{rows} rows; 1 to {MAX_PAGE_SIZE}")));
        }
        Ok(())
    }
}
