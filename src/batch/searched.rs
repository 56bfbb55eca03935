//! Until when the lapsed holds of a product have all been taken back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Most products that are remembered: some megabytes.
const PRODUCTS_MAX: usize = 50_000;

/// What is remembered of the products that fell short: until when every hold of theirs that had lapsed was taken
/// back. It stays true: a hold that is made or extended later ends later. So a product that is sold out, while
/// many holds lapse, is not looked for in all of them again and again.
#[derive(Debug, Clone, Default)]
pub struct Searched(Arc<Mutex<HashMap<Uuid, DateTime<Utc>>>>);

impl Searched {
    /// From when on lapsed holds of these products have to be looked for; from ever, where one is not known.
    pub(super) fn of(&self, products: &[Uuid]) -> Option<DateTime<Utc>> {
        let known = self.lock();
        products.iter().map(|product| known.get(product).copied()).min().flatten()
    }

    /// Every hold of these products that had lapsed until then was taken back.
    pub(super) fn note(&self, products: &[Uuid], until: DateTime<Utc>) {
        if products.is_empty() {
            return;
        }
        let mut known = self.lock();
        if known.len() > PRODUCTS_MAX {
            known.clear();
        }
        known.extend(products.iter().map(|product| (*product, until)));
    }

    /// Nothing is known any more.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, DateTime<Utc>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
