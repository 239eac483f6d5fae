//! How long to wait after failures: per object, growing, with jitter and a cap, forgotten on success.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const CAP: Duration = Duration::from_secs(300);

/// The delays of objects that failed, by uid.
#[derive(Debug, Default)]
pub struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// The next delay of an object: twice the last one, up to five minutes, give or take a fifth.
    pub fn next(&self, uid: &str) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(uid.to_owned()).or_insert(0);
        let delay = FIRST.saturating_mul(1 << (*count).min(16)).min(CAP);
        *count += 1;
        jittered(delay)
    }

    /// Forgets the failures of an object.
    pub fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// A delay, give or take a fifth, so that what started together does not stay together.
#[must_use]
pub fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(0.8 + 0.4 * fastrand::f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_cap_and_is_forgotten() {
        let backoff = Backoff::default();
        let delays: Vec<Duration> = (0..12).map(|_| backoff.next("a")).collect();
        assert!(delays[0] <= FIRST.mul_f64(1.2) && delays[3] > delays[0].mul_f64(3.0));
        assert!(delays[11] >= CAP.mul_f64(0.8) && delays[11] <= CAP.mul_f64(1.2));
        backoff.forget("a");
        assert!(backoff.next("a") <= FIRST.mul_f64(1.2));
    }
}
