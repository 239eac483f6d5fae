//! What the hub remembers of its calls: counters, and a bounded log of calls and changes.

use std::collections::{BTreeMap, VecDeque};

use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::sync::watch;

pub use self::filter::Filter;
use super::machine::stamp::wire_time;

mod filter;

/// Most entries that are kept.
const MAX_ENTRIES: usize = 10_000;
/// Longest detail.
const MAX_DETAIL_CHARS: usize = 200;
/// Longest body of a write that is kept, in bytes.
pub const MAX_BODY: usize = 2048;

/// One call or change.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Its number, from 1 on.
    pub seq: u64,
    /// When, as the hub writes times.
    pub time: String,
    /// A policy, or the device itself.
    pub who: String,
    /// What, for instance `twin.patch`.
    pub operation: String,
    /// About whom.
    pub subject: String,
    /// The status.
    pub outcome: u16,
    /// A few words.
    pub detail: String,
    /// What was sent, of writes of back ends to twins: JSON, where it is not long.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_json")]
    pub body: Option<String>,
}

/// Bodies are kept as text, which takes less room, and shown as what they are.
fn as_json<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let value: Option<Value> = text.as_deref().and_then(|text| serde_json::from_str(text).ok());
    value.serialize(serializer)
}

/// A call that is about to be written down.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// A policy, or the device itself.
    pub who: &'a str,
    /// What, for instance `twin.patch`.
    pub operation: &'a str,
    /// About whom.
    pub subject: &'a str,
    /// The status.
    pub outcome: u16,
    /// A few words.
    pub detail: &'a str,
}

/// A detail, cut to the length that is kept.
#[must_use]
pub fn detail(text: &str) -> String {
    text.chars().take(MAX_DETAIL_CHARS).collect()
}

/// Counters and log.
#[derive(Debug, Default)]
pub struct Journal {
    counters: BTreeMap<String, u64>,
    entries: VecDeque<Entry>,
    /// The number of the last entry.
    last: watch::Sender<u64>,
}

impl Journal {
    /// Writes one call down, with what was sent where that is wanted.
    pub fn record(&mut self, now: jiff::Timestamp, call: &Call<'_>, body: Option<String>) {
        let Call { who, operation, subject, outcome, detail } = *call;
        *self.counters.entry(operation.to_owned()).or_default() += 1;
        *self.counters.entry(format!("{operation}.{outcome}")).or_default() += 1;
        if self.entries.len() == MAX_ENTRIES {
            self.entries.pop_front();
        }
        let seq = *self.last.borrow() + 1;
        self.entries.push_back(Entry {
            seq,
            time: wire_time(now),
            who: who.to_owned(),
            operation: operation.to_owned(),
            subject: subject.to_owned(),
            outcome,
            detail: detail.to_owned(),
            body,
        });
        self.last.send_replace(seq);
    }

    /// The number of the last entry, as it grows.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// Calls by operation, and by operation and outcome.
    #[must_use]
    pub fn counters(&self) -> &BTreeMap<String, u64> {
        &self.counters
    }

    /// The entries that a filter lets through, oldest first; the first of them when there are more than it wants.
    #[must_use]
    pub fn find(&self, filter: &Filter) -> Vec<Entry> {
        // Numbers have no gaps, so the first that can fit is known.
        let first = self.entries.front().map_or(0, |entry| entry.seq);
        let skip = usize::try_from((filter.since + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        let found = self.entries.iter().skip(skip).filter(|entry| filter.lets(entry));
        found.take(filter.limit.unwrap_or(usize::MAX)).cloned().collect()
    }
}
