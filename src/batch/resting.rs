//! What took too long, alone too, is left alone for a while: to try it costs everybody that time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::bookkeeper::{products, reservations_and_carts};
use crate::domain::Request;

/// The first pause; the next are twice as long each.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// After so long nobody is expected to come back for it.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// Products and reservations of commands that took too long.
#[derive(Debug, Clone, Default)]
pub struct Resting(Arc<Mutex<BTreeMap<Uuid, Rest>>>);

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    pause: Duration,
}

impl Resting {
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Whether a command is about any of it; then, whether it may be tried again.
    pub(super) fn may_try(&self, request: &Request) -> Option<bool> {
        let (resting, now) = (self.lock(), Instant::now());
        about(request).filter_map(|id| resting.get(&id)).map(|rest| rest.until <= now).min()
    }

    /// A command took too long.
    pub(super) fn add(&self, request: &Request) {
        let (mut resting, now) = (self.lock(), Instant::now());
        resting.retain(|_, rest| now.saturating_duration_since(rest.until) < FORGOTTEN_AFTER);
        for id in about(request) {
            let before = resting.get(&id).map(|rest| rest.pause);
            let pause = before.map_or(PAUSE_MIN, |pause| PAUSE_MAX.min(pause * 2));
            resting.insert(id, Rest { until: now + pause, pause });
        }
    }

    /// A command did not.
    pub(super) fn remove(&self, request: &Request) {
        let mut resting = self.lock();
        for id in about(request) {
            resting.remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Rest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn about(request: &Request) -> impl Iterator<Item = Uuid> {
    let (reservations, _) = reservations_and_carts(&[request], &[]);
    reservations.into_iter().chain(products(&[request], &[]))
}
