//! Random cases that a seed brings back: `INVENTORY_TEST_SEED=… scripts/test --test decide histories`.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use uuid::Uuid;

const VARIABLE: &str = "INVENTORY_TEST_SEED";

/// Tries cases until their sizes add up to `enough`; tells the seed, and the simplest case that fails.
#[expect(clippy::print_stdout, reason = "the seed is part of what a test says")]
pub fn for_all<S: Strategy>(
    cases: &S,
    size: impl Fn(&S::Value) -> usize,
    enough: usize,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) where
    S::Value: Debug,
{
    let seed = seed();
    println!("{VARIABLE}={seed}");
    let mut runner = runner(seed);
    let (mut tried, mut count) = (0, 0_u32);
    while tried < enough {
        let case = cases.new_tree(&mut runner).unwrap_or_else(|reason| panic!("no case: {reason}"));
        tried += size(&case.current());
        count += 1;
        if let Err(TestError::Fail(reason, case)) = runner.run_one(case, &test) {
            panic!("{reason}\n{VARIABLE}={seed} brings this back. Case {count} fails, most simply:{case:?}");
        }
    }
    println!("{count} cases of size {tried}");
}

fn seed() -> u64 {
    let Ok(text) = std::env::var(VARIABLE) else { return Uuid::new_v4().as_u64_pair().1 };
    text.parse().unwrap_or_else(|_| panic!("{VARIABLE} is not a number: {text}"))
}

fn runner(seed: u64) -> TestRunner {
    let bytes = Uuid::from_u64_pair(seed, !seed).into_bytes();
    let config = ProptestConfig { max_shrink_iters: 5_000, failure_persistence: None, ..Default::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::XorShift, &bytes))
}
