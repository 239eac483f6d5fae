//! Faults on demand: what is to happen to the next calls of an operation, of a device, or of all.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::code::{self, Failure};
use super::super::operations;
use super::setting::{BadSetting, Setting};

/// Longest delay of a call: an hour.
const MAX_DELAY_MS: u64 = 3_600_000;

/// Most faults that wait at a time.
pub const MAX_FAULTS: usize = 1000;

/// What a fault does to a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// Nothing but the delay.
    Delay,
    /// Answer this status instead of carrying the call out.
    Status(u16),
    /// Answer this error code of the service, by its number, instead of carrying the call out.
    Code(u32),
    /// Cut the connection; the call is not carried out.
    CutBefore,
    /// Carry the call out, then cut the connection instead of answering.
    CutAfter,
    /// Carry the call out, and take so many milliseconds to send the body of the answer.
    SlowBody(u64),
    /// Carry the call out, and cut the connection in the middle of the body of the answer.
    TruncatedBody,
    /// Carry the call out, and answer a text that is no JSON, as if it were.
    NotJson,
    /// Answer a page of HTML with this status, as a proxy does; the call is not carried out.
    Html(u16),
    /// Carry a query out, and answer a wrong continuation token.
    Continuation(WrongToken),
}

/// A continuation token that leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WrongToken {
    /// It leads to the same page again.
    Loops,
    /// It leads to the same page again, and is never the same token.
    Endless,
    /// The hub does not take it.
    Garbage,
}

impl Effect {
    /// What is answered in place of carrying the call out; `None` when it is carried out.
    #[must_use]
    pub fn instead(&self) -> Option<Failure> {
        let code = match self {
            Self::Status(status) | Self::Html(status) => code::for_status(*status),
            Self::Code(number) => code::of_number(*number)?,
            Self::CutBefore => code::CLOSED,
            Self::Delay
            | Self::CutAfter
            | Self::SlowBody(_)
            | Self::TruncatedBody
            | Self::NotJson
            | Self::Continuation(_) => return None,
        };
        Some(Failure::new(code, "a fault that was asked for"))
    }

    /// Whether the connection is cut instead of an answer.
    #[must_use]
    pub fn cuts(&self) -> bool {
        matches!(self, Self::CutBefore | Self::CutAfter)
    }

    fn check(&self) -> Result<(), BadSetting> {
        let wrong = |member: &str, problem: String| Err(BadSetting::new(format!("effect.{member}"), problem));
        match self {
            Self::Status(status) if !(400..=599).contains(status) => {
                wrong("status", format!("{status} is no failure; 400 to 599"))
            }
            Self::Html(status) if !(200..=599).contains(status) => {
                wrong("html", format!("{status} is no status of an answer; 200 to 599"))
            }
            Self::Code(number) if code::of_number(*number).is_none() => {
                wrong("code", format!("{number} is no error code of the service, such as 429001"))
            }
            Self::SlowBody(ms) if *ms > MAX_DELAY_MS => {
                wrong("slowBody", format!("{ms} is too long; at most {MAX_DELAY_MS}"))
            }
            _ => Ok(()),
        }
    }
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
    /// How many of its calls pass first.
    #[serde(default)]
    pub after: u64,
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
        self.effect.check()
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
    /// Sets one more; `false` when there are too many already.
    pub fn add(&mut self, fault: Fault) -> bool {
        let room = self.0.len() < MAX_FAULTS;
        if room {
            self.0.push(fault);
        }
        room
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
        let meant = |fault: &Fault| meant(&fault.operation, operation) && meant(&fault.subject, subject);
        let at = self.0.iter().position(meant)?;
        let fault = &mut self.0[at];
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
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
    use super::super::setting::read;
    use super::*;

    fn fault(text: &str) -> Fault {
        read(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_fault_strikes_its_calls_as_often_as_asked() {
        let mut faults = Faults::default();
        let once = r#"{"operation": "twin.patch", "subject": "d1", "times": 2, "effect": {"status": 503}}"#;
        assert!(faults.add(fault(once)));
        assert!(faults.add(fault(r#"{"operation": "query", "delayMs": 5, "after": 1, "effect": "cutAfter"}"#)));
        let struck = Some(Struck { delay: Duration::ZERO, effect: Effect::Status(503) });
        assert_eq!(faults.strike("twin.get", "d1"), None);
        assert_eq!(faults.strike("twin.patch", "d2"), None);
        assert_eq!(faults.strike("twin.patch", "d1"), struck);
        assert_eq!(faults.strike("twin.patch", "d1"), struck);
        assert_eq!(faults.strike("twin.patch", "d1"), None);
        assert_eq!(faults.strike("query", "-"), None);
        assert_eq!(faults.strike("query", "-").unwrap().effect, Effect::CutAfter);
        assert_eq!(faults.waiting().len(), 1);
    }

    #[test]
    fn there_is_an_end_to_faults() {
        let mut faults = Faults::default();
        let one = fault(r#"{"effect": "delay"}"#);
        assert!((0..MAX_FAULTS).all(|_| faults.add(one.clone())));
        assert!(!faults.add(one));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (r#"{"operation": "twin.put", "effect": "delay"}"#, "operation: there is no operation \"twin.put\""),
            (r#"{"effect": {"status": 200}}"#, "effect.status: 200 is no failure; 400 to 599"),
            (r#"{"effect": {"code": 1}}"#, "effect.code: 1 is no error code of the service, such as 429001"),
            (r#"{"effect": {"html": 100}}"#, "effect.html: 100 is no status of an answer; 200 to 599"),
            (r#"{"effect": {"continuation": "x"}}"#, "effect.continuation: unknown variant `x`"),
            (r#"{"effect": "explode"}"#, "effect: unknown variant `explode`"),
            (r#"{"effect": "delay", "times": 0}"#, "times: 0 strikes nothing; 1 or more, or leave it out for always"),
            (r#"{"effect": "delay", "delayMs": 3600001}"#, "delayMs: 3600001 is too long; at most 3600000"),
            (r#"{"effect": {"slowBody": 3600001}}"#, "effect.slowBody: 3600001 is too long; at most 3600000"),
            (r#"{"times": 1}"#, ".: missing field `effect`"),
        ];
        for (text, expected) in cases {
            let told = read::<Fault>(text.as_bytes()).unwrap_err().to_string();
            assert!(told.starts_with(expected), "{text}: {told}");
        }
    }
}
