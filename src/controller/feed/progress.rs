//! How far a feed is, as status tells it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

use super::mode::Mode;
use crate::api;
use crate::api::hub_connection::FeedStatus;

/// The watermark is saved at most once in this time.
const SAVED_EVERY: Duration = Duration::from_secs(60);

/// How far a feed is.
#[derive(Debug)]
pub struct Progress {
    /// What an operator before this one saved.
    saved: Option<Timestamp>,
    told: Mutex<Option<(FeedStatus, Instant)>>,
    /// Whether it is to be seen if the hub finds changes.
    check: AtomicBool,
}

impl Progress {
    /// Nothing was read yet, but by an operator before this one.
    #[must_use]
    pub fn new(saved: Option<Timestamp>) -> Self {
        Self { saved, told: Mutex::default(), check: AtomicBool::new(true) }
    }

    pub(super) fn saved(&self) -> Option<Timestamp> {
        self.saved
    }

    /// A sweep is over: it is to be seen again if the hub finds changes.
    pub(super) fn swept(&self) {
        self.check.store(true, Ordering::Relaxed);
    }

    pub(super) fn check_is_due(&self) -> bool {
        self.check.load(Ordering::Relaxed)
    }

    pub(super) fn checked(&self) {
        self.check.store(false, Ordering::Relaxed);
    }

    /// What a status tells; `None` before the first poll.
    pub fn told(&self) -> Option<FeedStatus> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(status, _)| status.clone())
    }

    /// Takes in how far the feed is. Whether the status is to be written: the way changed, or a minute is over.
    pub(super) fn tell(&self, mode: Mode, interval: Duration, watermark: Option<Timestamp>) -> bool {
        let now = Instant::now();
        let status = FeedStatus {
            mode: mode.as_str().to_owned(),
            effective_interval: api::Duration::whole_seconds(interval),
            // The API server keeps no more: a part of a second would look like news each time.
            watermark: watermark.and_then(|time| Timestamp::from_second(time.as_second()).ok()).map(Time),
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((before, at)) = &*told {
            let moved = status.watermark != before.watermark;
            let another = (&status.mode, status.effective_interval) != (&before.mode, before.effective_interval);
            let due = before.watermark.is_none() || now.duration_since(*at) >= SAVED_EVERY;
            if !(another || (moved && due)) {
                return false;
            }
        }
        *told = Some((status, now));
        true
    }
}
