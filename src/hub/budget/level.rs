//! A token bucket. Pure: the time is handed in, as the time since any fixed point.

use std::time::Duration;

/// Sums of fractions are not exact: a token that lacks this much is there.
const NEARLY: f64 = 1e-6;

/// How many calls may be made at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Level {
    tokens: f64,
    at: Duration,
}

impl Level {
    pub(super) fn new(tokens: f64, now: Duration) -> Self {
        Self { tokens, at: now }
    }

    /// Lets in what came since the last time, up to `most`.
    pub(super) fn fill(&mut self, now: Duration, rate: f64, most: f64) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * rate).min(most);
        self.at = self.at.max(now);
    }

    pub(super) fn tokens(&self) -> f64 {
        self.tokens + NEARLY
    }

    pub(super) fn has_one(&self) -> bool {
        self.tokens() >= 1.0
    }

    /// Takes a token, if there is a whole one or not; never below none.
    pub(super) fn take(&mut self) {
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    pub(super) fn give_back(&mut self, most: f64) {
        self.tokens = (self.tokens + 1.0).min(most);
    }

    /// How long until there is a whole token.
    pub(super) fn wait(&self, rate: f64) -> Duration {
        Duration::try_from_secs_f64((1.0 - self.tokens()).max(0.0) / rate).unwrap_or(Duration::MAX)
    }
}
