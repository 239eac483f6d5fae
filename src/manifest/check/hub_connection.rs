//! The host of a connection.

use super::super::read::Manifest;
use super::{Faults, pointer};
use crate::hub::Host;

/// Tells why the host is none.
pub(super) fn check(manifest: &Manifest, faults: &mut Faults<'_>) {
    let Some(text) = manifest.node.at(&["spec", "host"]).and_then(super::Node::text) else { return };
    // A connection string in the place of a host is a secret, and is not shown.
    let at = pointer(&["spec", "host"]);
    let told = faults.found.iter().any(|finding| finding.pointer == at);
    if !told && text.parse::<Host>().is_err() {
        faults.error(&at, "this is no host: NAME or NAME:PORT is expected, of letters, digits, \"-\" and \".\"");
    }
}
