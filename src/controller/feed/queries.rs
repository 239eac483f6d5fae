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
    /// The newer of desired's and reported's `$lastUpdated`.
    pub(super) fn of(twin: &Twin) -> Option<Self> {
        let time = |metadata: &crate::twin::document::Object| metadata.get("$lastUpdated")?.as_str()?.parse().ok();
        [&twin.desired_metadata, &twin.reported_metadata].into_iter().filter_map(time).max().map(Self)
    }
}

/// What changed at or after the watermark, less an overlap. Literals are whole seconds without a suffix: right when
/// compared as text and right as a date.
pub(super) fn delta(source: Source, watermark: &Watermark, look_back: bool) -> String {
    let behind = if look_back { INDEX_DELAY } else { OVERLAP };
    let since = watermark.0.checked_sub(behind).unwrap_or(Timestamp::MIN).strftime("%Y-%m-%dT%H:%M:%S");
    format!(
        "SELECT * FROM {} WHERE properties.desired.$metadata.$lastUpdated >= '{since}' \
         OR properties.reported.$metadata.$lastUpdated >= '{since}'",
        source.name()
    )
}

/// These twins, whole, in as few queries as their length allows; at least one query.
pub(super) fn whole<'a>(source: Source, ids: impl Iterator<Item = &'a TwinId>) -> Vec<String> {
    let mut lists = vec![String::new()];
    for id in ids.filter(|id| source.holds(id)) {
        // No legal id needs more than its quotes escaped.
        let quoted = format!("'{}'", id.device_id.as_str().replace('\'', "\\'"));
        let list = lists.last_mut().filter(|list| list.len() + quoted.len() < MAX_LIST);
        match list {
            Some(list) if list.is_empty() => *list = quoted,
            Some(list) => {
                list.push(',');
                list.push_str(&quoted);
            }
            None => lists.push(quoted),
        }
    }
    lists
        .iter()
        .map(|list| {
            format!("SELECT * FROM {} WHERE deviceId IN [{}]", source.name(), if list.is_empty() { "''" } else { list })
        })
        .collect()
}

/// What tells whether a twin moved, of all twins.
pub(super) fn sweep(source: Source) -> String {
    format!("SELECT deviceId, moduleId, etag, version, connectionState, status FROM {}", source.name())
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
