//! Why commands cannot be handled now.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why commands cannot be handled now, for people who ask: a database may answer and yet take nothing.
#[derive(Debug, Clone, Default)]
pub struct Standstill(Arc<Mutex<Option<String>>>);

impl Standstill {
    /// The reason, if there is one.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.lock().clone()
    }

    pub(super) fn begin(&self, reason: &impl ToString) {
        *self.lock() = Some(reason.to_string());
    }

    pub(super) fn end(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
