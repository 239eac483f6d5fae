//! The texts of the feed's queries. Pure.

use jiff::{SignedDuration, Timestamp};

use crate::twin::id::TwinId;
use crate::twin::view::Twin;

/// How far a poll looks behind the newest row: clocks of the hub's nodes differ, and rows may come late.
const OVERLAP: SignedDuration = SignedDuration::from_secs(60);
/// The delay that the documentation of device queries asks to expect.
const INDEX_DELAY: SignedDuration = SignedDuration::from_mins(30);
/// A query has at most 8192 characters; the list of ids stops short of it.
const MAX_LIST: usize = 7_500;
/// The column of a count.
pub(super) const COUNT: &str = "number";

/// Where rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Devices,
    Modules,
}

impl Source {
    pub(super) fn holds(self, id: &TwinId) -> bool {
        (self == Self::Modules) == id.module_id.is_some()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Modules => "devices.modules",
        }
    }
}

/// The newest `$lastUpdated` in rows read: the hub's time, never ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Watermark(Timestamp);

impl Watermark {
    /// Of a row.
    pub(super) fn of(twin: &Twin) -> Option<Self> {
        twin.updated().map(Self)
    }

    /// As an operator before this one saved it.
    pub(super) fn saved(time: Timestamp) -> Self {
        Self(time)
    }

    pub(super) fn time(self) -> Timestamp {
        self.0
    }
}

/// What changed at or after the watermark, less an overlap. Literals are whole seconds without a suffix: right when
/// compared as text and right as a date.
pub(super) fn delta(source: Source, watermark: &Watermark, look_back: bool) -> String {
    let behind = if look_back { INDEX_DELAY } else { OVERLAP };
    format!("SELECT * FROM {} WHERE {}", source.name(), since(watermark.0, behind))
}

/// How many twins changed at or after the watermark, less the overlap.
pub(super) fn count(source: Source, watermark: &Watermark) -> String {
    format!("SELECT COUNT() AS {COUNT} FROM {} WHERE {}", source.name(), since(watermark.0, OVERLAP))
}

/// Counts a twin that changed at a known time, if the hub finds it by that.
pub(super) fn check(id: &TwinId, updated: Timestamp) -> String {
    let source = if id.module_id.is_some() { Source::Modules } else { Source::Devices };
    let since = since(updated, SignedDuration::ZERO);
    format!("SELECT COUNT() AS {COUNT} FROM {} WHERE deviceId = {} AND ({since})", source.name(), quoted(id))
}

/// All twins, whole.
pub(super) fn scan(source: Source) -> String {
    format!("SELECT * FROM {}", source.name())
}

fn since(time: Timestamp, behind: SignedDuration) -> String {
    let since = time.checked_sub(behind).unwrap_or(Timestamp::MIN).strftime("%Y-%m-%dT%H:%M:%S");
    format!(
        "properties.desired.$metadata.$lastUpdated >= '{since}' OR properties.reported.$metadata.$lastUpdated >= '{since}'"
    )
}

/// No legal id needs more than its quotes escaped.
fn quoted(id: &TwinId) -> String {
    format!("'{}'", id.device_id.as_str().replace('\'', "\\'"))
}

/// These twins, whole, in as few queries as their length allows; at least one query.
pub(super) fn whole<'a>(source: Source, ids: impl Iterator<Item = &'a TwinId>) -> Vec<String> {
    let lists = lists(source, ids);
    let lists = if lists.is_empty() { vec!["''".to_owned()] } else { lists };
    lists.iter().map(|list| format!("SELECT * FROM {} WHERE deviceId IN [{list}]", source.name())).collect()
}

/// A few twins, whole.
pub(super) fn chunk(ids: &[TwinId]) -> Vec<String> {
    each_source(ids, |source, list| format!("SELECT * FROM {} WHERE deviceId IN [{list}]", source.name()))
}

/// What tells whether a few twins moved.
pub(super) fn brief(ids: &[TwinId]) -> Vec<String> {
    each_source(ids, |source, list| {
        let what = "deviceId, moduleId, etag, version, connectionState, status";
        format!("SELECT {what} FROM {} WHERE deviceId IN [{list}]", source.name())
    })
}

fn each_source(ids: &[TwinId], text: impl Fn(Source, &str) -> String) -> Vec<String> {
    let texts = |source| lists(source, ids.iter()).into_iter().map(|list| text(source, &list)).collect::<Vec<_>>();
    [Source::Devices, Source::Modules].into_iter().flat_map(texts).collect()
}

/// The ids of a source, quoted, in lists that fit into a query.
fn lists<'a>(source: Source, ids: impl Iterator<Item = &'a TwinId>) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for quoted in ids.filter(|id| source.holds(id)).map(quoted) {
        match lists.last_mut().filter(|list| list.len() + quoted.len() < MAX_LIST) {
            Some(list) => {
                list.push(',');
                list.push_str(&quoted);
            }
            None => lists.push(quoted),
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_what_the_hub_reads() {
        let watermark = Watermark("2026-11-22T10:00:30.1234567Z".parse().unwrap());
        assert_eq!(
            delta(Source::Devices, &watermark, false),
            "SELECT * FROM devices WHERE properties.desired.$metadata.$lastUpdated >= '2026-11-22T09:59:30' \
             OR properties.reported.$metadata.$lastUpdated >= '2026-11-22T09:59:30'"
        );
        assert!(delta(Source::Modules, &watermark, true).contains("'2026-11-22T09:30:30'"));
        let ids: Vec<TwinId> = ["a", "it's"].iter().map(|id| TwinId::parse(id, None).unwrap()).collect();
        assert_eq!(whole(Source::Devices, ids.iter()), ["SELECT * FROM devices WHERE deviceId IN ['a','it\\'s']"]);
        assert_eq!(whole(Source::Modules, ids.iter()), ["SELECT * FROM devices.modules WHERE deviceId IN ['']"]);
    }

    #[test]
    fn long_lists_are_cut_below_the_limit_of_a_query() {
        let ids: Vec<TwinId> = (0..500).map(|n| TwinId::parse(&format!("{n:0>100}"), None).unwrap()).collect();
        let texts = whole(Source::Devices, ids.iter());
        assert!(texts.len() > 1 && texts.iter().all(|text| text.len() < 8192 && crate::query::parse(text).is_ok()));
        let quoted: usize = texts.iter().map(|text| text.matches('\'').count() / 2).sum();
        assert_eq!(quoted, 500);
    }
}
