//! What public facts do not settle, each with the answers that would change how a client behaves. The first answer of
//! each is the default: the better evidence is for it, as `docs/local-hub.md` says.

use serde::{Deserialize, Serialize};

use crate::query::Functions;

/// How the hub answers what nobody could check without a live one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Doubts {
    /// `$version` of desired properties when a patch holds tags only.
    pub tags_patch: Counter,
    /// A patch with `desired: {}`.
    pub empty_desired: EmptyWrite,
    /// A patch without any section, or with `tags: {}`.
    pub empty_patch: EmptyWrite,
    /// A patch with `tags: null`.
    pub tags_null: Sections,
    /// A replacement that leaves a section out.
    pub put_omitted: Sections,
    /// What the device is told of a replacement.
    pub put_notice: PutNotice,
    /// The etag of a twin when its device reports.
    pub reported_etag: Counter,
    /// Reads and writes of the twin of a disabled identity, by back ends.
    pub disabled_twin: DisabledTwin,
    /// Queries with `$metadata.$lastUpdated` of the root of desired or reported properties in their condition.
    pub root_metadata: RootMetadata,
    /// Which functions a query may call.
    pub query_functions: Functions,
    /// Which pages of a query count as a query.
    pub query_pages: QueryPages,
    /// How many messages a query counts that finds nothing.
    pub empty_result: EmptyResult,
    /// The body of a 404 for a twin.
    pub missing_twin: ErrorForm,
}

/// What a write does to a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Counter {
    /// Nothing.
    #[default]
    Stays,
    /// It rises.
    Rises,
}

/// What a write of nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EmptyWrite {
    /// None: no counter moves, nobody is told.
    #[default]
    Ignored,
    /// A write like any other: its counters rise, and the device is told.
    Counts,
}

/// What becomes of a section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sections {
    /// It stays as it is.
    #[default]
    Keeps,
    /// It is emptied.
    Clears,
}

/// What a device is told of a replacement of its desired properties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PutNotice {
    /// The new content, and `null` for what went.
    #[default]
    WithNulls,
    /// The new content.
    NewContent,
}

/// How a back end fares with the twin of a disabled identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DisabledTwin {
    /// As with any other.
    #[default]
    Served,
    /// It reads; a write is answered as if the device were not there.
    ReadOnly,
    /// It is answered as if the device were not there.
    NotFound,
}

/// How the hub takes a condition on the metadata of a whole section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RootMetadata {
    /// As any other.
    #[default]
    Served,
    /// It refuses the query.
    Refused,
    /// It finds nothing.
    Empty,
}

/// Which pages of a query count as a query.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum QueryPages {
    /// Each.
    #[default]
    Each,
    /// The first only.
    First,
}

/// How many messages an empty result counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EmptyResult {
    /// One, as any other answer that is not larger than a block.
    #[default]
    One,
    /// None.
    Free,
}

/// The forms of an error's body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorForm {
    /// `{"Message": "ErrorCode:NAME;text", "ExceptionMessage": "Tracking ID:…"}`
    #[default]
    A,
    /// `{"Message": "{\"errorCode\":NUMBER,…}", "ExceptionMessage": ""}`
    B,
}
