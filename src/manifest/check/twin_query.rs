//! The text of a TwinQuery, read as the hub reads it.

use super::super::read::Manifest;
use super::{Faults, pointer};
use crate::query::parse;

/// Tells why the text is no query.
pub(super) fn check(manifest: &Manifest, faults: &mut Faults<'_>) {
    let text = manifest.text(&["spec", "query"]);
    if text.is_empty() {
        return;
    }
    if let Err(error) = parse(text) {
        let at = pointer(&["spec", "query"]);
        faults.error(&at, format!("the hub would refuse the query: {error}"));
    }
}
