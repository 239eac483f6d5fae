//! How long to wait after failures: per object, growing, with jitter and a cap, forgotten on success.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The delays of objects that failed, by uid.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    failures: Mutex<HashMap<String, u32>>,
}

impl Backoff {
    /// No object failed yet.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: Mutex::default() }
    }

    /// The next delay of an object: twice the last one, up to the longest, give or take a fifth.
    pub fn next(&self, uid: &str) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(uid.to_owned()).or_insert(0);
        let delay = self.first.saturating_mul(1 << (*count).min(16)).min(self.most);
        *count += 1;
        jittered(delay)
    }

    /// Forgets the failures of an object.
    pub fn forget(&self, uid: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
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
        let (first, most) = (Duration::from_secs(1), Duration::from_secs(300));
        let backoff = Backoff::new(first, most);
        let delays: Vec<Duration> = (0..12).map(|_| backoff.next("a")).collect();
        assert!(delays[0] <= first.mul_f64(1.2) && delays[3] > delays[0].mul_f64(3.0));
        assert!(delays[11] >= most.mul_f64(0.8) && delays[11] <= most.mul_f64(1.2));
        backoff.forget("a");
        assert!(backoff.next("a") <= first.mul_f64(1.2));
    }
}
