//! What makes the hub behave like a real one on a bad day. All off by default; set over the admin port or on the command
//! line.

use serde::{Deserialize, Serialize};

pub use self::fault::{Effect, Fault, Faults, Struck};
pub use self::setting::{BadSetting, Setting, read};
use super::doubts::Doubts;
use super::operations;

mod fault;
mod setting;

/// Most rows that a query page can have.
pub const MAX_PAGE_SIZE: usize = 1000;

/// Longest lag: a day.
const MAX_LAG_MS: u64 = 86_400_000;
/// Farthest clock: ten years.
const MAX_CLOCK_OFFSET_MS: u64 = 315_360_000_000;

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
    /// How long it takes until a connection that came or went is shown, in milliseconds.
    pub connection_lag_ms: u64,
    /// How long it takes until queries see a change, in milliseconds.
    pub query_lag_ms: u64,
    /// What public facts do not settle.
    pub doubts: Doubts,
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
        for (field, lag) in [("connectionLagMs", self.connection_lag_ms), ("queryLagMs", self.query_lag_ms)] {
            if lag > MAX_LAG_MS {
                return Err(BadSetting::new(field, format!("{lag} is too long; at most {MAX_LAG_MS}, which is a day")));
            }
        }
        if self.clock_offset_ms.unsigned_abs() > MAX_CLOCK_OFFSET_MS {
            let problem =
                format!("{} is too far; at most {MAX_CLOCK_OFFSET_MS}, which is ten years", self.clock_offset_ms);
            return Err(BadSetting::new("clockOffsetMs", problem));
        }
        if let Some(rows) = self.page_size.filter(|rows| !(1..=MAX_PAGE_SIZE).contains(rows)) {
            return Err(BadSetting::new("pageSize", format!("{rows} rows; 1 to {MAX_PAGE_SIZE}")));
        }
        Ok(())
    }
}
