//! What a row says of a twin. Pure. Rows may be old: the index that queries read lags behind the twins.

use std::cmp::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::super::views::View;
use crate::twin::id::TwinId;
use crate::twin::view::{ConnectionState, Etag, Twin};

/// What to do with a whole row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It says nothing new.
    Drop,
    /// It is newer than what is known.
    Take,
    /// It contradicts what is known: only a read of the twin tells.
    Read,
    /// It is older than what is known, for the first time.
    Older(Timestamp),
}

/// A lower version is old and dropped, unless its properties were updated later than those known, or rows have shown a lower
/// one for longer than the index may lag: then the twin was made again, or the hub went back. An equal version says nothing
/// new of tags and properties.
pub(super) fn judge(known: Option<&View>, row: &Twin, index_delay: Duration, now: Timestamp) -> Judgement {
    let Some(known) = known else { return Judgement::Take };
    match row.version.cmp(&known.version) {
        Ordering::Greater => Judgement::Take,
        Ordering::Equal => Judgement::Drop,
        Ordering::Less if known.updated.is_some() && row.updated() > known.updated => Judgement::Read,
        Ordering::Less => older(known.older_rows_since, index_delay, now),
    }
}

fn older(since: Option<Timestamp>, index_delay: Duration, now: Timestamp) -> Judgement {
    let Some(since) = since else { return Judgement::Older(now) };
    let late = since.checked_add(index_delay).is_ok_and(|end| now < end);
    if late { Judgement::Drop } else { Judgement::Read }
}

/// A row of the sweep.
#[derive(Clone, Debug)]
pub(super) struct Brief {
    pub(super) id: TwinId,
    etag: Etag,
    version: i64,
    connection_state: Option<ConnectionState>,
}

impl Brief {
    pub(super) fn from_row(row: &Value) -> Option<Self> {
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        Some(Self {
            id: TwinId::parse(text("deviceId")?, text("moduleId")).ok()?,
            etag: Etag::new(text("etag")?),
            version: row.get("version")?.as_i64()?,
            connection_state: match text("connectionState") {
                Some("Connected") => Some(ConnectionState::Connected),
                Some("Disconnected") => Some(ConnectionState::Disconnected),
                _ => None,
            },
        })
    }
}

/// What the sweep finds of one twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// As known.
    Same,
    /// Changed, or not in the rows: to be read.
    Moved,
    /// Only the connection changed, at this version.
    Connection(i64, ConnectionState),
    /// Older than what is known, for the first time.
    Older(Timestamp),
}

pub(super) fn compare(known: &View, row: Option<&Brief>, index_delay: Duration, now: Timestamp) -> Finding {
    let Some(row) = row else { return Finding::Moved };
    match row.version.cmp(&known.version) {
        Ordering::Greater => Finding::Moved,
        Ordering::Equal if row.etag != known.etag => Finding::Moved,
        Ordering::Equal => match row.connection_state {
            Some(state) if known.connection != Some(state) => Finding::Connection(row.version, state),
            _ => Finding::Same,
        },
        Ordering::Less => match older(known.older_rows_since, index_delay, now) {
            Judgement::Older(since) => Finding::Older(since),
            Judgement::Read | Judgement::Take => Finding::Moved,
            Judgement::Drop => Finding::Same,
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::super::views::Origin;
    use super::*;

    const DELAY: Duration = Duration::from_secs(1800);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn since(twin: &Twin, older_since: Option<i64>) -> View {
        View { older_rows_since: older_since.map(at), ..View::of(twin, Origin::Read) }
    }

    fn twin(version: i64, updated: &str) -> Twin {
        let metadata = json!({"$lastUpdated": updated});
        let section = json!({"$metadata": metadata, "$version": 1});
        let row = json!({"deviceId": "d", "etag": "AAAAAAAAAAE=", "version": version, "connectionState": "Disconnected",
            "properties": {"desired": section, "reported": section}});
        Twin::from_row(row).unwrap()
    }

    #[test]
    fn rows_never_make_a_version_go_back() {
        let known = twin(5, "2026-11-22T10:00:00Z");
        for (row, expected) in [
            (twin(6, "2026-11-22T10:00:01Z"), Judgement::Take),
            (twin(5, "2026-11-22T10:00:00Z"), Judgement::Drop),
            (twin(4, "2026-11-22T09:59:59Z"), Judgement::Older(at(0))),
            (twin(2, "2026-11-22T10:05:00Z"), Judgement::Read),
        ] {
            assert_eq!(judge(Some(&since(&known, None)), &row, DELAY, at(0)), expected, "{}", row.version);
        }
        assert_eq!(judge(None, &known, DELAY, at(0)), Judgement::Take);
        let old = twin(4, "2026-11-22T09:59:59Z");
        let later = |second| judge(Some(&since(&known, Some(0))), &old, DELAY, at(second));
        assert_eq!(later(1799), Judgement::Drop);
        assert_eq!(later(1800), Judgement::Read, "no index is that late");
    }

    #[test]
    fn the_sweep_finds_changes_and_absences() {
        let known = twin(5, "2026-11-22T10:00:00Z");
        let row = |version: i64, etag: &str, state: &str| {
            Brief::from_row(&json!({"deviceId": "d", "etag": etag, "version": version, "connectionState": state}))
        };
        let of = |row: Option<Brief>| compare(&since(&known, None), row.as_ref(), DELAY, at(0));
        assert_eq!(of(row(5, "AAAAAAAAAAE=", "Disconnected")), Finding::Same);
        assert_eq!(of(row(6, "AAAAAAAAAAI=", "Disconnected")), Finding::Moved);
        assert_eq!(of(row(4, "AAAAAAAAAAE=", "Connected")), Finding::Older(at(0)));
        let later = compare(&since(&known, Some(0)), row(4, "AAAAAAAAAAE=", "Connected").as_ref(), DELAY, at(1800));
        assert_eq!(later, Finding::Moved);
        assert_eq!(of(row(5, "AAAAAAAAAAI=", "Disconnected")), Finding::Moved);
        assert_eq!(of(row(5, "AAAAAAAAAAE=", "Connected")), Finding::Connection(5, ConnectionState::Connected));
        assert_eq!(of(None), Finding::Moved);
    }
}
