//! Open files: every connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for every connection that the local hub takes, and for a fleet of as many devices.
const WANTED: u64 = 20_000;

/// Raises this program's own limit towards what it may need: the usual 1,024 are meant for programs with few files.
pub(super) fn allow_many() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let allowed = maximum.unwrap_or(u64::MAX).min(WANTED);
    if current.is_none_or(|current| current >= allowed) {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum }) {
        tracing::debug!(%error, allowed, "raise the limit on open files");
    }
}
