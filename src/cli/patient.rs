//! Calls that a busy hub puts off are made again.

use std::time::Duration;

use crate::hub::{Error, Kind};

/// How often a call that the hub throttles is made.
const ATTEMPTS: u32 = 8;
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

/// Makes a read again while the hub asks for fewer calls; every other failure is the caller's.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Error>>>(call: impl Fn() -> F) -> Result<T, Error> {
    let mut attempt = 0;
    loop {
        match call().await {
            Err(error) if error.kind() == Kind::Throttled && attempt + 1 < ATTEMPTS => {
                let grown = Duration::from_millis(250 << attempt) + Duration::from_millis(fastrand::u64(..250));
                tokio::time::sleep(error.retry_after().unwrap_or(grown).min(LONGEST)).await;
                attempt += 1;
            }
            answer => return answer,
        }
    }
}
