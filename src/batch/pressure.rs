//! Commands make room for queries where both want more than the machine has: who asks is waiting for the answer, and commands
//! wait in their queue anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many queries in the time of a batch of commands, and commands make room: about a thousand a second.
const QUERIES_MIN: usize = 16;

/// Queries that were answered since the last batch of commands.
#[derive(Debug, Clone, Default)]
pub struct Pressure(Arc<AtomicUsize>);

impl Pressure {
    /// So many were answered.
    pub fn add(&self, queries: usize) {
        self.0.fetch_add(queries, Ordering::Relaxed);
    }

    /// Whether they were many; it begins anew.
    #[must_use]
    pub fn was_high(&self) -> bool {
        self.0.swap(0, Ordering::Relaxed) >= QUERIES_MIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_queries_count_once() {
        let pressure = Pressure::default();
        pressure.add(QUERIES_MIN - 1);
        assert!(!pressure.was_high(), "a few less are not many");
        pressure.clone().add(QUERIES_MIN - 1);
        pressure.add(1);
        assert!(pressure.was_high());
        assert!(!pressure.was_high(), "they made room once");
    }
}
