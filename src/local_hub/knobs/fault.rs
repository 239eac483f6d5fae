//! Faults on demand: what is to happen to the next calls of an operation, of a device, or of all.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::operations;
use super::setting::{BadSetting, Setting};

/// Longest delay of a call: an hour.
const MAX_DELAY_MS: u64 = 3_600_000;

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// Nothing but the delay.
    Delay,
    /// Answer this status instead of carrying the call out.
    Status(u16),
    /// Cut the connection; the call is not carried out.
    CutBefore,
    /// Carry the call out, then cut the connection instead of answering.
    CutAfter,
}

/// A fault that waits for its calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The operation, for instance `twin.patch` or `device.report`; absent for all.
    #[serde(default)]
    pub operation: Option<String>,
    /// The device, `device/module` for a module; absent for all.
    #[serde(default)]
    pub subject: Option<String>,
    /// How often it strikes; absent for always.
    #[serde(default)]
    pub times: Option<u64>,
    /// How long the call waits first, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// What happens then.
    pub effect: Effect,
}

impl Setting for Fault {
    fn check(&self) -> Result<(), BadSetting> {
        if let Some(name) = self.operation.as_ref().filter(|name| !operations::known(name)) {
            return Err(BadSetting::operation("operation", name));
        }
        if self.times == Some(0) {
            return Err(BadSetting::new("times", "0 strikes nothing; 1 or more, or leave it out for always"));
        }
        if self.delay_ms > MAX_DELAY_MS {
            return Err(BadSetting::new("delayMs", format!("{} is too long; at most {MAX_DELAY_MS}", self.delay_ms)));
        }
        if let Effect::Status(status) = self.effect
            && !(400..=599).contains(&status)
        {
            return Err(BadSetting::new("effect.status", format!("{status} is no failure; 400 to 599")));
        }
        Ok(())
    }
}

/// What is to be done to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struck {
    /// How long it waits.
    pub delay: Duration,
    /// What happens then.
    pub effect: Effect,
}

/// The faults that are set, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Sets one more.
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Those that still wait.
    #[must_use]
    pub fn waiting(&self) -> &[Fault] {
        &self.0
    }

    /// The first fault that is meant for this call. One that has struck often enough is gone.
    pub fn strike(&mut self, operation: &str, subject: &str) -> Option<Struck> {
        let meant = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let at = self.0.iter().position(|fault| {
            meant(&fault.operation, operation) && meant(&fault.subject, subject) && fault.times != Some(0)
        })?;
        let fault = &mut self.0[at];
        let struck = Struck { delay: Duration::from_millis(fault.delay_ms), effect: fault.effect.clone() };
        if let Some(times) = &mut fault.times {
            *times -= 1;
            if *times == 0 {
                self.0.remove(at);
            }
        }
        Some(struck)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_its_calls_as_often_as_asked() {
        let mut faults = Faults::default();
        let fault = r#"{"operation": "twin.patch", "subject": "d1", "times": 2, "effect": {"status": 503}}"#;
        faults.add(serde_json::from_str(fault).unwrap());
        faults.add(serde_json::from_str(r#"{"operation": "query", "delayMs": 5, "effect": "cutAfter"}"#).unwrap());
        let struck = Some(Struck { delay: Duration::ZERO, effect: Effect::Status(503) });
        assert_eq!(faults.strike("twin.get", "d1"), None);
        assert_eq!(faults.strike("twin.patch", "d2"), None);
        assert_eq!(faults.strike("twin.patch", "d1"), struck);
        assert_eq!(faults.strike("twin.patch", "d1"), struck);
        assert_eq!(faults.strike("twin.patch", "d1"), None);
        assert_eq!(faults.strike("query", "-").unwrap().effect, Effect::CutAfter);
        assert_eq!(faults.waiting().len(), 1);
    }
}
