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
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// After so long nobody is expected to come back for it.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);

/// Carts, reservations and products of commands that took too long.
#[derive(Debug, Clone, Default)]
pub struct Resting(Arc<Mutex<BTreeMap<Uuid, Rest>>>);

#[derive(Debug, Clone, Copy)]
struct Rest {
    until: Instant,
    pause: Duration,
    /// The cart or the reservation whose command took too long.
    because_of: Uuid,
}

impl Resting {
    /// Whether there is nothing of it. What another replica has done is forgotten by and by.
    pub(super) fn is_empty(&self) -> bool {
        let (mut resting, now) = (self.lock(), Instant::now());
        resting.retain(|_, rest| now.saturating_duration_since(rest.until) < FORGOTTEN_AFTER);
        resting.is_empty()
    }

    /// Whether a command is about any of it; then, whether it may be tried again.
    pub(super) fn may_try(&self, request: &Request) -> Option<bool> {
        let (resting, now) = (self.lock(), Instant::now());
        let about = own(request).into_iter().chain(products(&[request], &[]));
        about.filter_map(|id| resting.get(&id)).map(|rest| rest.until <= now).min()
    }

    /// A command took too long. Itself it rests longer each time; its products only where it is another command than
    /// before, or one that is always too slow would keep all others from them.
    pub(super) fn add(&self, request: &Request) {
        let (mut resting, now) = (self.lock(), Instant::now());
        let own = own(request);
        let Some(because_of) = own.first().copied() else { return };
        for id in own.iter().copied().chain(products(&[request], &[])) {
            let longer = |before: &Rest| {
                let is_news = own.contains(&id) || before.because_of != because_of;
                if is_news { PAUSE_MAX.min(before.pause * 2) } else { before.pause }
            };
            let pause = resting.get(&id).map_or(PAUSE_MIN, longer);
            resting.insert(id, Rest { until: now + pause, pause, because_of });
        }
    }

    /// A command did not.
    pub(super) fn remove(&self, request: &Request) {
        let mut resting = self.lock();
        for id in own(request).into_iter().chain(products(&[request], &[])) {
            resting.remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Rest>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cart and the reservation that a command names.
fn own(request: &Request) -> Vec<Uuid> {
    let (reservations, carts) = reservations_and_carts(&[request], &[]);
    carts.into_iter().chain(reservations).collect()
}
