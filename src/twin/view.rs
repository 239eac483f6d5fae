//! A twin as the hub holds it.

use std::fmt;

use jiff::Timestamp;

use super::document::Object;
use super::id::TwinId;

/// The state of a twin's back-end half: it moves with every write of tags or desired properties, and not when the device
/// reports. Without quotes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Etag(Box<str>);

impl Etag {
    /// Takes an etag; quotes around it are dropped.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        Self(bare.into())
    }

    /// The etag without quotes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a device may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It may.
    Enabled,
    /// It may not.
    Disabled,
}

/// Whether a device is connected; the hub tells it with a delay of up to minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// A connection is open.
    Connected,
    /// None is.
    Disconnected,
}

/// A twin as a read, a write's answer or a query's row shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Twin {
    /// Whose twin this is.
    pub id: TwinId,
    /// The state of tags and desired properties; the precondition of a write.
    pub etag: Etag,
    /// Counts every change, reported ones included.
    pub version: i64,
    /// Whether the device may connect; `None` when the row does not say.
    pub status: Option<Status>,
    /// Whether the device is connected; `None` when the row does not say.
    pub connection_state: Option<ConnectionState>,
    /// The tags; empty when the hub shows none.
    pub tags: Object,
    /// The desired properties, without `$` members.
    pub desired: Object,
    /// The reported properties, without `$` members.
    pub reported: Object,
    /// The `$metadata` of desired: `$lastUpdated`, `$lastUpdatedVersion` at every level.
    pub desired_metadata: Object,
    /// The `$metadata` of reported: `$lastUpdated` at every level.
    pub reported_metadata: Object,
    /// The `$version` of desired; the hub begins at 1, and 0 says that the row has none.
    pub desired_version: i64,
    /// The `$version` of reported; the hub begins at 1, and 0 says that the row has none.
    pub reported_version: i64,
}

impl ConnectionState {
    /// The hub's own word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "Connected",
            Self::Disconnected => "Disconnected",
        }
    }
}

impl Twin {
    /// When tags aside anything changed last, by the hub's clock: the newer `$lastUpdated` of desired and reported.
    #[must_use]
    pub fn updated(&self) -> Option<Timestamp> {
        let time = |metadata: &Object| metadata.get("$lastUpdated")?.as_str()?.parse().ok();
        [&self.desired_metadata, &self.reported_metadata].into_iter().filter_map(time).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_have_no_quotes() {
        for text in ["AAAAAAAAAAQ=", "\"AAAAAAAAAAQ=\""] {
            assert_eq!(Etag::new(text).as_str(), "AAAAAAAAAAQ=");
        }
        assert_eq!(Etag::new("\"").as_str(), "\"");
    }
}
