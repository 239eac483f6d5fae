//! Waiting for a state, with a deadline.

use std::time::Duration;

use tokio::time::{Instant, sleep};

const DEADLINE: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(50);

/// Looks until `look` answers `Ok`; `Err` is what was seen instead. Fails with what was last seen.
pub async fn eventually<T, Look, Seen>(what: &str, mut look: Look) -> T
where
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + DEADLINE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => {
                assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}; last seen: {seen}");
            }
        }
        sleep(INTERVAL).await;
    }
}

/// For `eventually`: `Ok` when it holds, else what was seen.
pub fn is_true(holds: bool, seen: impl std::fmt::Debug) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{seen:?}")) }
}
