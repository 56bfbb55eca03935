//! The sums of a run.

use std::time::Duration;

use crate::{
    carts::units,
    effects::{Effect, Timed},
};

#[derive(Debug, Default)]
pub struct Tally {
    pub carts: u64,
    pub reserved: u64,
    pub unavailable: u64,
    /// Lines of unavailable carts that fell short.
    pub short: usize,
    pub given_up: u64,
    pub cancellations: u64,
    /// Cancellations that found no cart at all, and the units of these and of others that found none.
    pub unmatched: u64,
    pub unmatched_units: u64,
    pub released: u64,
    pub reduced: u64,
    pub shipments: u64,
    /// Orders with their last shipment.
    pub shipped: u64,
    pub units_reserved: u64,
    pub units_given_back: u64,
    pub refused: Vec<String>,
    pub contradictions: Vec<String>,
    /// From send to outcome, for each reserve that had one.
    pub latencies: Vec<Duration>,
    pub took: Duration,
}

impl Tally {
    pub fn cancellation(&mut self, unmatched_units: u64, nothing_found: bool) {
        self.cancellations += 1;
        self.unmatched += u64::from(nothing_found);
        self.unmatched_units += unmatched_units;
    }

    pub fn count(&mut self, timed: &Timed) {
        match &timed.effect {
            Effect::Reserved(cart) => {
                self.reserved += 1;
                self.units_reserved += units(&cart.items);
                self.latencies.push(timed.latency);
            }
            Effect::Unavailable { short } => {
                self.unavailable += 1;
                self.short += short;
                self.latencies.push(timed.latency);
            }
            Effect::Released(part) => {
                self.released += u64::from(part.is_all());
                self.reduced += u64::from(!part.is_all());
                self.units_given_back += units(&part.items);
            }
            Effect::Shipped(part) => {
                self.shipments += 1;
                self.shipped += u64::from(part.is_all());
            }
            Effect::GivenUp => self.given_up += 1,
            Effect::Refused(what) => self.refused.push(what.clone()),
            Effect::Contradiction(what) => self.contradictions.push(what.clone()),
        }
    }
}

/// The smallest value that at least so many percent of all are not above (nearest rank).
pub fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let measured: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&measured, 50), Some(Duration::from_millis(100)));
        assert_eq!(percentile(&measured, 99), Some(Duration::from_millis(198)));
        assert_eq!(percentile(&measured[..1], 99), Some(Duration::from_millis(1)));
        assert_eq!(percentile(&[], 50), None);
    }
}
