//! A plain token bucket that holds one token.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

pub struct Bucket {
    every: Duration,
    next: Mutex<Instant>,
}

impl Bucket {
    /// So many tokens a second.
    pub fn new(rate: f64) -> Self {
        Self { every: Duration::from_secs_f64(1.0 / rate), next: Mutex::new(Instant::now()) }
    }

    /// Waits for a token.
    pub async fn take(&self) {
        let mine = {
            let mut next = self.next.lock().await;
            let mine = (*next).max(Instant::now());
            *next = mine + self.every;
            mine
        };
        sleep_until(mine).await;
    }
}
