//! What makes the hub behave like a real one on a bad day. All off by default; set over the admin port or on the command
//! line.

use serde::{Deserialize, Serialize};

pub use self::fault::{Effect, Fault, Faults, MAX_FAULTS, Struck, WrongToken};
pub use self::limits::Limits;
pub use self::setting::{BadSetting, Setting, read};
use super::doubts::Doubts;
use super::operations;

mod fault;
mod limits;
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
    /// The limits of a tier; absent for none.
    pub limits: Option<Limits>,
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
        self.limits.as_ref().map_or(Ok(()), Limits::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (r#"{"pageSize": 0}"#, "pageSize: 0 rows; 1 to 1000"),
            (r#"{"pageSize": "x"}"#, "pageSize: invalid type: string"),
            (
                r#"{"disabled": ["query", "twin.put"]}"#,
                "disabled[1]: there is no operation \"twin.put\"; one of identity.get",
            ),
            (r#"{"queryLagMs": 86400001}"#, "queryLagMs: 86400001 is too long; at most 86400000, which is a day"),
            (r#"{"clockOffsetMs": -315360000001}"#, "clockOffsetMs: -315360000001 is too far"),
            (r#"{"limits": {"tier": "S4"}}"#, "limits.tier: unknown variant `S4`"),
            (r#"{"limits": {}}"#, "limits: missing field `tier`"),
            (r#"{"limits": {"tier": "F1", "units": 2}}"#, "limits.units: 2 is out of range: 1 to 1"),
            (r#"{"limits": {"tier": "S1", "percent": 0}}"#, "limits.percent: 0 is out of range: 1 to 100"),
            (r#"{"doubts": {"putOmitted": "maybe"}}"#, "doubts.putOmitted: unknown variant `maybe`"),
            (r#"{"doubts": {"x": 1}}"#, "doubts.x: unknown field `x`"),
            ("{} {}", ".: trailing characters"),
            ("[]", ".: not a JSON object"),
            ("", ".: not a JSON object"),
            ("{", ".: EOF while parsing"),
        ];
        for (text, expected) in cases {
            let told = read::<Knobs>(text.as_bytes()).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{text}: {told}");
        }
    }
}
