//! Commands make room for queries where both want more than the machine has: who asks is waiting for the answer, and commands
//! wait in their queue anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many queries in the time of a batch of commands, and commands make room: about a thousand a second.
const QUERIES_MIN: usize = 16;

/// Queries that were answered of late.
#[derive(Debug, Clone, Default)]
pub struct Pressure(Arc<AtomicUsize>);

impl Pressure {
    /// So many were answered.
    pub fn add(&self, queries: usize) {
        self.0.fetch_add(queries, Ordering::Relaxed);
    }

    /// Whether they are many. To be asked once a batch: it halves what is known of those before, because queries come in lumps,
    /// and one large batch between two of them is what all of the next wait behind.
    #[must_use]
    pub fn is_high(&self) -> bool {
        let recent = self.0.load(Ordering::Relaxed);
        self.0.fetch_sub(recent.div_ceil(2), Ordering::Relaxed);
        recent >= 2 * QUERIES_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_queries_at_each_batch_are_not_many() {
        let pressure = Pressure::default();
        for _ in 0..100 {
            pressure.add(QUERIES_MIN - 1);
            assert!(!pressure.is_high());
        }
    }

    #[test]
    fn many_queries_count_though_they_come_in_lumps() {
        let pressure = Pressure::default();
        for _ in 0..100 {
            pressure.clone().add(4 * QUERIES_MIN);
            assert!(pressure.is_high());
            assert!(pressure.is_high(), "a batch without any between two lumps is none of theirs");
        }
    }

    #[test]
    fn queries_are_soon_forgotten() {
        let pressure = Pressure::default();
        pressure.add(1000);
        let batches = (0..100).take_while(|_| pressure.is_high()).count();
        assert_eq!(batches, 5, "1000, 500, 250, 125, 62");
    }
}
