//! Latencies, as many as there are, in little memory.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::failure::Failure;

/// What takes longer than this many microseconds counts as this: ten minutes.
const MICROSECONDS_MAX: u64 = 600_000_000;

/// A histogram of microseconds with three digits.
#[derive(Debug)]
pub struct Latencies(Mutex<Histogram<u64>>);

impl Latencies {
    /// None yet.
    pub fn new() -> Result<Self, Failure> {
        let histogram = Histogram::new_with_bounds(1, MICROSECONDS_MAX, 3);
        Ok(Self(Mutex::new(histogram.map_err(|error| Failure::Wrong(error.to_string()))?)))
    }

    /// Takes one in.
    pub fn record(&self, latency: Duration) {
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(MICROSECONDS_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).saturating_record(microseconds);
    }

    /// All so far.
    #[must_use]
    pub fn histogram(&self) -> Histogram<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
