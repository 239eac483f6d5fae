//! The hub's counters, read once a second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

const EVERY: Duration = Duration::from_secs(1);

/// The counters at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    pub at: Instant,
    counters: BTreeMap<String, u64>,
}

impl Sample {
    /// How often this was asked since the hub began; `twin.get` or, with a status, `twin.get.200`.
    pub fn count(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or_default()
    }

    /// How often it was asked since an earlier sample.
    pub fn since(&self, earlier: &Self, name: &str) -> u64 {
        self.count(name) - earlier.count(name)
    }

    /// Calls of back ends that the hub refused as too many, since an earlier sample.
    pub fn refused(&self, earlier: &Self) -> u64 {
        ["twin.get.429", "twin.patch.429", "query.429"].iter().map(|name| self.since(earlier, name)).sum()
    }

    /// Calls of back ends, since an earlier sample.
    pub fn calls(&self, earlier: &Self) -> u64 {
        ["twin.get", "twin.patch", "query"].iter().map(|name| self.since(earlier, name)).sum()
    }
}

/// Reads the counters for as long as it lives.
pub struct Sampler {
    url: String,
    client: reqwest::Client,
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
}

impl Sampler {
    pub fn new(client: &reqwest::Client, admin_url: &str) -> Self {
        let (url, client) = (format!("{admin_url}/counters"), client.clone());
        let samples = Arc::new(Mutex::new(Vec::new()));
        let (kept, asked, with) = (Arc::clone(&samples), url.clone(), client.clone());
        let task = tokio::spawn(async move {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Ok(sample) = read(&with, &asked).await {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                }
            }
        });
        Self { url, client, samples, task }
    }

    pub async fn now(&self) -> anyhow::Result<Sample> {
        read(&self.client, &self.url).await
    }

    /// What was read since then.
    pub fn since(&self, then: Instant) -> Vec<Sample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter().filter(|sample| sample.at >= then).cloned().collect()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(client: &reqwest::Client, url: &str) -> anyhow::Result<Sample> {
    let counters = client.get(url).send().await?.json().await?;
    Ok(Sample { at: Instant::now(), counters })
}
