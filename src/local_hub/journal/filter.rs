//! Which entries of the log are wanted.

use percent_encoding::percent_decode_str;

use super::super::knobs::BadSetting;
use super::super::operations;
use super::Entry;

/// What entries must be; what is absent lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// After this number.
    pub since: u64,
    /// At most so many.
    pub limit: Option<usize>,
    /// By this policy or device.
    pub who: Option<String>,
    /// This operation.
    pub operation: Option<String>,
    /// About this device, module or path.
    pub subject: Option<String>,
    /// With this outcome.
    pub outcome: Option<Outcomes>,
}

/// Outcomes: one, or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcomes {
    /// One status.
    One(u16),
    /// All that begin with this digit, written `4xx`.
    Class(u16),
}

impl Filter {
    /// Reads the query of a URL: `since`, `limit`, `who`, `operation`, `subject`, `outcome`.
    ///
    /// # Errors
    /// The parameter that is wrong.
    pub fn parse(query: &str) -> Result<Self, BadSetting> {
        let mut filter = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
            let number = || value.parse().map_err(|_| BadSetting::new(name, format!("{value:?} is no number")));
            match name {
                "since" => filter.since = number()?,
                "limit" => filter.limit = Some(usize::try_from(number()?).unwrap_or(usize::MAX)),
                "who" => filter.who = Some(value),
                "operation" if !operations::known(&value) => return Err(BadSetting::operation(name, &value)),
                "operation" => filter.operation = Some(value),
                "subject" => filter.subject = Some(value),
                "outcome" => filter.outcome = Some(Outcomes::parse(&value)?),
                _ => {
                    let known = "since, limit, who, operation, subject and outcome";
                    return Err(BadSetting::new(name, format!("there is no such filter; there are {known}")));
                }
            }
        }
        Ok(filter)
    }

    /// Whether an entry is wanted.
    pub(super) fn lets(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        entry.seq > self.since
            && is(&self.who, &entry.who)
            && is(&self.operation, &entry.operation)
            && is(&self.subject, &entry.subject)
            && self.outcome.is_none_or(|outcomes| outcomes.hold(entry.outcome))
    }
}

impl Outcomes {
    fn parse(text: &str) -> Result<Self, BadSetting> {
        let wrong = || BadSetting::new("outcome", format!("{text:?} is no outcome such as 404 or 4xx"));
        match text.strip_suffix("xx") {
            Some(digit) => digit.parse().map(Self::Class).map_err(|_| wrong()),
            None => text.parse().map(Self::One).map_err(|_| wrong()),
        }
    }

    fn hold(self, outcome: u16) -> bool {
        match self {
            Self::One(wanted) => wanted == outcome,
            Self::Class(digit) => outcome / 100 == digit,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::{Call, Journal};
    use super::*;

    #[test]
    fn entries_are_found_by_what_they_are() {
        let mut journal = Journal::default();
        let calls = [
            ("service", "twin.get", "d1", 200),
            ("service", "twin.get", "d2", 404),
            ("d1", "device.report", "d1", 204),
            ("iothubowner", "twin.patch", "a b", 412),
        ];
        for (who, operation, subject, outcome) in calls {
            journal.record(Timestamp::UNIX_EPOCH, &Call { who, operation, subject, outcome, detail: "" }, None);
        }
        let cases: [(&str, &[u64]); 9] = [
            ("", &[1, 2, 3, 4]),
            ("since=2", &[3, 4]),
            ("since=9", &[]),
            ("limit=2&since=1", &[2, 3]),
            ("operation=twin.get", &[1, 2]),
            ("subject=a%20b", &[4]),
            ("who=d1&subject=d1", &[3]),
            ("outcome=4xx", &[2, 4]),
            ("outcome=204", &[3]),
        ];
        for (query, expected) in cases {
            let found: Vec<u64> = journal.find(&Filter::parse(query).unwrap()).iter().map(|entry| entry.seq).collect();
            assert_eq!(found, expected, "{query}");
        }
        for query in ["since=x", "outcome=bad", "operation=twin.put", "since=-1", "colour=red"] {
            let field = query.split_once('=').unwrap().0;
            assert_eq!(Filter::parse(query).unwrap_err().field, field, "{query}");
        }
    }
}
