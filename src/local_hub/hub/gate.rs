//! What stands before and after every call: faults, the limits of the tier, and the messages of the day.

use std::sync::PoisonError;

use serde::Serialize;

use super::super::code::{self, Failure};
use super::super::doubts::{EmptyResult, QueryPages};
use super::super::knobs::{Effect, Limits, Struck};
use super::super::operations;
use super::super::throttle::{self, Gauge, Verdict};
use super::Hub;

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charge {
    /// As one call.
    Once,
    /// As so many calls.
    Times(u64),
    /// As the page of a query that is not the first.
    FurtherPage,
}

/// The limits as they stand.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gauges {
    /// What was set.
    pub limits: Limits,
    /// Messages of one day.
    pub daily_messages: u64,
    /// Messages that were used today.
    pub used_messages: u64,
    /// How full each limit is.
    pub rates: Vec<Gauge>,
}

impl Hub {
    /// What a fault does to this call, after its delay.
    pub async fn strike(&self, operation: &str, subject: &str) -> Option<Effect> {
        let Struck { delay, effect } = self.faults().strike(operation, subject)?;
        tokio::time::sleep(delay).await;
        Some(effect)
    }

    /// Lets a call through the limits of the tier: at once, after a wait, or not.
    ///
    /// # Errors
    /// When the tier does not have the operation, the messages of the day are used up, or it was asked too often.
    pub async fn admit(&self, operation: &str, charge: Charge) -> Result<(), Failure> {
        let Some(class) = operations::class(operation) else { return self.unspent(operation) };
        let Some((limits, pages)) = self.limits() else { return Ok(()) };
        if operations::metered(operation) && !limits.tier.has_twins() {
            return Err(Failure::new(code::NOT_IN_TIER, format!("tier {:?} has no twins", limits.tier)));
        }
        self.unspent(operation)?;
        let cost = match (charge, pages) {
            (Charge::Once, _) | (Charge::FurtherPage, QueryPages::Each) => 1,
            (Charge::Times(times), _) => times,
            (Charge::FurtherPage, QueryPages::First) => return Ok(()),
        };
        let verdict = self.throttle().ask(self.started.elapsed(), class, cost, &limits.plan());
        match verdict {
            Verdict::After(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Verdict::Refused => Err(Failure::new(code::THROTTLED, "the limit of the hub was exceeded for too long")),
            Verdict::BacklogFull => Err(Failure::new(code::BACKLOG_FULL, "too many requests wait for their turn")),
        }
    }

    /// Counts a call that was carried out by its bytes; `rows` is how many rows a query found.
    pub fn charge(&self, operation: &str, bytes: usize, rows: Option<usize>) {
        let free = self.knobs().doubts.empty_result == EmptyResult::Free && rows == Some(0);
        let Some((limits, _)) = self.limits().filter(|_| operations::metered(operation) && !free) else { return };
        let messages = throttle::messages(bytes, limits.tier.block_bytes(), 1);
        self.throttle().charge(self.now(), messages);
    }

    /// The limits as they stand; `None` when there are none.
    #[must_use]
    pub fn gauges(&self) -> Option<Gauges> {
        let (limits, _) = self.limits()?;
        let (plan, throttle) = (limits.plan(), self.throttle());
        Some(Gauges {
            daily_messages: plan.daily_messages(),
            used_messages: throttle.used(self.now()),
            rates: throttle.gauges(self.started.elapsed(), &plan),
            limits,
        })
    }

    /// Refuses what counts as messages when those of the day are used up.
    fn unspent(&self, operation: &str) -> Result<(), Failure> {
        let Some((limits, _)) = self.limits().filter(|_| operations::metered(operation)) else { return Ok(()) };
        match self.throttle().spent(self.now(), &limits.plan()) {
            None => Ok(()),
            Some((most, used)) => Err(Failure::new(
                code::QUOTA_EXCEEDED,
                format!(
                    "Total number of messages on this IoT hub exceeded the allocated quota. Max allowed message count: \
                     '{most}', current message count: '{used}'. Operations are blocked until the next UTC day."
                ),
            )),
        }
    }

    fn limits(&self) -> Option<(Limits, QueryPages)> {
        let knobs = self.knobs();
        knobs.limits.clone().map(|limits| (limits, knobs.doubts.query_pages))
    }

    fn throttle(&self) -> std::sync::MutexGuard<'_, throttle::Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
