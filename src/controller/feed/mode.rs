//! How changes are looked for, and how often: what the budget bears. Pure.

use std::time::Duration;

/// Rows a page.
pub(super) const ROWS: usize = 100;
/// A poll takes at most this share of the query pages that may be asked for: TwinQueries and the sweep want some, too.
const SHARE: f64 = 0.5;
/// The poll's interval is stretched up to this many times before twins are asked for in turn.
const STRETCHED: f64 = 4.0;

/// How changes are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// By what changed since the newest row.
    #[default]
    Delta,
    /// By looking at all twins: the hub does not find changes.
    Scan,
    /// By asking for the claimed twins in turn: so much changes that this is cheaper.
    Rotate,
}

impl Mode {
    /// The word in a status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delta => "Delta",
            Self::Scan => "Scan",
            Self::Rotate => "Rotate",
        }
    }
}

/// How twins are asked for that are named one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Many in one query.
    Pages,
    /// Each by a read of its own.
    Reads,
}

/// What is asked for in a second, at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates {
    pub(super) pages: f64,
    pub(super) reads: f64,
}

/// What the next poll does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Next {
    pub(super) mode: Mode,
    /// From the begin of one poll to that of the next.
    pub(super) interval: Duration,
}

/// What a poll would cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// Pages, of devices and modules together.
    pub(super) pages: usize,
    /// How many twins are claimed.
    pub(super) claimed: usize,
}

/// Whether the hub finds changes decides between Delta and Scan; what that costs, whether it is done at all.
pub(super) fn next(finds: bool, cost: Cost, interval: Duration, rates: Rates) -> Next {
    let mode = if finds { Mode::Delta } else { Mode::Scan };
    let needed = seconds(cost.pages as f64, rates.pages * SHARE);
    if needed <= interval.mul_f64(STRETCHED) {
        return Next { mode, interval: needed.max(interval) };
    }
    let (_, turn) = cheaper(cost.claimed, rates);
    // A few twins on a hub that is busy with others: asking for them costs less, and is not held up.
    Next { mode: Mode::Rotate, interval: turn.max(interval) }
}

/// How claimed twins are asked for in turn, and how long one turn takes.
pub(super) fn cheaper(claimed: usize, rates: Rates) -> (By, Duration) {
    let by_pages = seconds(claimed.div_ceil(ROWS) as f64, rates.pages * SHARE);
    let by_reads = seconds(claimed as f64, rates.reads * SHARE);
    if by_pages <= by_reads { (By::Pages, by_pages) } else { (By::Reads, by_reads) }
}

/// How a sweep asks. Pages cost fewer messages; reads where pages would not do it in half of the interval.
pub(super) fn sweep(claimed: usize, interval: Duration, rates: Rates) -> By {
    let by_pages = seconds(claimed.div_ceil(ROWS) as f64, rates.pages * SHARE);
    if by_pages <= interval / 2 { By::Pages } else { cheaper(claimed, rates).0 }
}

/// How many of the twins that nothing is known of are asked for by the first poll: all where that is no slower than a read of
/// each, which their reconciles make else; one page in any case, as it shows how far the hub is.
pub(super) fn first(unknown: usize, rates: Rates) -> usize {
    let further = unknown.div_ceil(ROWS).saturating_sub(1);
    let by_pages = seconds(further as f64, rates.pages);
    if by_pages <= seconds(unknown as f64, rates.reads) { unknown } else { ROWS }
}

fn seconds(count: f64, rate: f64) -> Duration {
    Duration::try_from_secs_f64(count / rate).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S1: Rates = Rates { pages: 10.0 / 60.0, reads: 50.0 };
    const S3: Rates = Rates { pages: 500.0 / 60.0, reads: 250.0 };

    #[test]
    fn what_changes_decides_how_it_is_looked_for() {
        let poll = Duration::from_secs(15);
        let cases = [
            // pages, claimed, rates: mode, seconds
            (true, 1, 10_000, S1, Mode::Delta, 15),
            (true, 3, 10_000, S1, Mode::Delta, 36),
            (true, 5, 10_000, S1, Mode::Delta, 60),
            (true, 6, 10_000, S1, Mode::Rotate, 400),
            (true, 40, 100, S1, Mode::Rotate, 15),
            (true, 60, 10_000, S3, Mode::Delta, 15),
            (true, 300, 10_000, S3, Mode::Rotate, 24),
            (false, 2, 150, S1, Mode::Scan, 24),
            (false, 100, 10_000, S3, Mode::Scan, 24),
            (false, 100, 10_000, S1, Mode::Rotate, 400),
        ];
        for (finds, pages, claimed, rates, mode, seconds) in cases {
            let found = next(finds, Cost { pages, claimed }, poll, rates);
            let expected = Next { mode, interval: Duration::from_secs(seconds) };
            assert_eq!((found.mode, found.interval.as_secs_f64().round()), (mode, seconds as f64), "{expected:?}");
        }
    }

    #[test]
    fn a_sweep_asks_by_pages_while_they_do_it_in_time() {
        let hour = Duration::from_secs(3600);
        assert_eq!(sweep(10_000, hour, S1), By::Pages);
        assert_eq!(sweep(100_000, hour, S1), By::Reads);
        assert_eq!(sweep(100_000, hour, S3), By::Pages);
    }

    #[test]
    fn a_new_fleet_is_asked_for_in_the_faster_way() {
        assert_eq!(first(80, S1), 80);
        assert_eq!(first(10_000, S1), ROWS);
        assert_eq!(first(10_000, S3), 10_000);
    }
}
