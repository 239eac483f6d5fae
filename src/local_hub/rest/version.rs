//! api-versions, and what depends on them.

use crate::twin::rules::Arrays;

/// The versions of the data plane that SDKs of all ages send.
const KNOWN: [&str; 18] = [
    "2016-02-03",
    "2016-11-14",
    "2017-06-30",
    "2017-11-08-preview",
    "2018-01-16",
    "2018-04-01",
    "2018-06-30",
    "2018-08-30-preview",
    "2019-03-30",
    "2019-07-01-preview",
    "2019-10-01",
    "2020-03-13",
    "2020-03-31-preview",
    "2020-05-31-preview",
    "2020-09-30",
    "2021-04-12",
    "2024-03-31",
    "2025-08-01-preview",
];

/// The first version that takes arrays.
const FIRST_WITH_ARRAYS: &str = "2019-10-01";

/// Whether the service knows this api-version.
#[must_use]
pub fn known(version: &str) -> bool {
    KNOWN.contains(&version)
}

/// Whether arrays are allowed in calls of this api-version. Versions are dates, so they compare as text.
#[must_use]
pub fn arrays_of(version: &str) -> Arrays {
    if version >= FIRST_WITH_ARRAYS { Arrays::Allowed } else { Arrays::Refused }
}
