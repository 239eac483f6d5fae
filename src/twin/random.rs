//! Random tests: the seed of a run is printed, and can be given.

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// A run of `cases` random cases, with a seed that is printed when the test fails; `PROPTEST_RNG_SEED` gives one.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let seed = match default.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => fastrand::u64(..),
    };
    println!("the same cases again: PROPTEST_RNG_SEED={seed}");
    ProptestConfig { rng_seed: RngSeed::Fixed(seed), ..default }
}
