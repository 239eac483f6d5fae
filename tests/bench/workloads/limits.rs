//! The documented limits of one unit of a tier, a second.

/// A tier.
#[derive(Clone, Copy, Debug)]
pub struct Tier {
    pub name: &'static str,
    pub reads: f64,
    pub writes: f64,
    pub queries: f64,
}

pub const S1: Tier = Tier { name: "S1", reads: 100.0, writes: 50.0, queries: 20.0 / 60.0 };
pub const S3: Tier = Tier { name: "S3", reads: 500.0, writes: 250.0, queries: 1000.0 / 60.0 };

/// Rows of a page.
const PAGE: f64 = 100.0;

impl Tier {
    /// The least time for a first sync: its writes, its reads by GETs or by pages, its status writes, whichever takes longest.
    pub fn bound(self, twins: f64, status_writes: f64) -> f64 {
        let reads = (twins / self.reads).min(twins / PAGE / self.queries);
        (twins / self.writes).max(reads).max(twins / status_writes)
    }
}
