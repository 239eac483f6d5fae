//! What a row says of a twin. Pure. Rows may be old: the index that queries read lags behind the twins.

use serde_json::Value;

use crate::twin::id::TwinId;
use crate::twin::view::{ConnectionState, Etag, Twin};

/// What to do with a whole row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It says nothing new.
    Drop,
    /// It is newer than what is known.
    Take,
    /// It contradicts what is known: only a read of the twin tells.
    Read,
}

/// A lower version is old and dropped, unless its properties were updated later than those known: then the twin was made
/// again, or the hub went back. An equal version says nothing new of tags and properties.
pub(super) fn judge(known: Option<&Twin>, row: &Twin) -> Judgement {
    let Some(known) = known else { return Judgement::Take };
    let (ours, theirs) = (super::Watermark::of(known), super::Watermark::of(row));
    match row.version.cmp(&known.version) {
        std::cmp::Ordering::Greater => Judgement::Take,
        std::cmp::Ordering::Equal => Judgement::Drop,
        std::cmp::Ordering::Less if theirs > ours => Judgement::Read,
        std::cmp::Ordering::Less => Judgement::Drop,
    }
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
    /// Only the connection changed.
    Connection(ConnectionState),
}

pub(super) fn compare(known: &Twin, row: Option<&Brief>) -> Finding {
    let Some(row) = row else { return Finding::Moved };
    if row.version > known.version || (row.version == known.version && row.etag != known.etag) {
        return Finding::Moved;
    }
    match row.connection_state {
        Some(state) if row.version == known.version && known.connection_state != Some(state) => {
            Finding::Connection(state)
        }
        _ => Finding::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
            (twin(4, "2026-11-22T09:59:59Z"), Judgement::Drop),
            (twin(2, "2026-11-22T10:05:00Z"), Judgement::Read),
        ] {
            assert_eq!(judge(Some(&known), &row), expected, "{}", row.version);
        }
        assert_eq!(judge(None, &known), Judgement::Take);
    }

    #[test]
    fn the_sweep_finds_changes_and_absences() {
        let known = twin(5, "2026-11-22T10:00:00Z");
        let row = |version: i64, etag: &str, state: &str| {
            Brief::from_row(&json!({"deviceId": "d", "etag": etag, "version": version, "connectionState": state}))
        };
        let of = |row: Option<Brief>| compare(&known, row.as_ref());
        assert_eq!(of(row(5, "AAAAAAAAAAE=", "Disconnected")), Finding::Same);
        assert_eq!(of(row(6, "AAAAAAAAAAI=", "Disconnected")), Finding::Moved);
        assert_eq!(of(row(4, "AAAAAAAAAAE=", "Connected")), Finding::Same);
        assert_eq!(of(row(5, "AAAAAAAAAAE=", "Connected")), Finding::Connection(ConnectionState::Connected));
        assert_eq!(of(None), Finding::Moved);
    }
}
