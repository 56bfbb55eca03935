//! When commands are due, whatever became of those before them.

use std::time::{Duration, Instant};

/// An even pace. What is late is measured from when it was due, so that a stall counts for all who would have come
/// during it (no coordinated omission).
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    start: Instant,
    rate: f64,
    /// Commands before the measurement.
    pub unmeasured: u64,
    /// Commands in all.
    pub commands: u64,
}

impl Schedule {
    /// So many a second, beginning soon: a warm-up, then what is measured.
    #[must_use]
    pub fn new(rate: f64, warm_up: Duration, window: Duration) -> Self {
        let within = |time: Duration| whole(rate * time.as_secs_f64());
        Self {
            start: Instant::now() + Duration::from_millis(300),
            rate,
            unmeasured: within(warm_up),
            commands: within(warm_up) + within(window),
        }
    }

    /// How many are due by then.
    #[must_use]
    pub fn due_by(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.start).as_secs_f64();
        whole(passed * self.rate).min(self.commands)
    }

    /// How late it is for this one; nothing where it is not measured.
    #[must_use]
    pub fn latency(&self, number: u64, now: Instant) -> Option<Duration> {
        if !(self.unmeasured..self.commands).contains(&number) {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "no schedule has that many commands")]
        let due = self.start + Duration::from_secs_f64((number + 1) as f64 / self.rate);
        Some(now.saturating_duration_since(due))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and small")]
fn whole(number: f64) -> u64 {
    number as u64
}
