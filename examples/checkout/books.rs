//! The service's books, as its stock levels tell them, against our own arithmetic.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::{
    carts::{Quantities, Totals},
    client::{ClientError, InventoryClient, messages::StockLevel},
};

/// The service takes no more products a question.
const MAX_PRODUCTS: usize = 1_000;

/// `None`: a product that the service does not know.
pub type Levels = BTreeMap<Uuid, Option<StockLevel>>;

pub async fn read_levels(client: &InventoryClient, products: &[Uuid]) -> Result<Levels, ClientError> {
    let mut levels: Levels = products.iter().map(|&product| (product, None)).collect();
    for some in products.chunks(MAX_PRODUCTS) {
        let known = client.stock_levels(some).await?;
        levels.extend(known.into_iter().map(|level| (level.product_id, Some(level))));
    }
    Ok(levels)
}

/// A product whose level did not change by what the outcomes say.
#[derive(Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub product: Uuid,
    /// By how much more (or less) than it should be.
    pub available: i128,
    pub reserved: i128,
}

/// What is held is no longer available, and reserved instead. What was shipped is neither: it has left the
/// house. Levels are compared by how they changed, so what was reserved before the run does not matter.
pub fn compare(before: &Levels, after: &Levels, totals: &Totals) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    for (product, &earlier) in before {
        let later = after.get(product).copied().flatten();
        let units = |quantities: &Quantities| i128::from(quantities.get(product).copied().unwrap_or(0));
        let (held, shipped) = (units(&totals.held), units(&totals.shipped));
        let mismatch = Mismatch {
            product: *product,
            available: available(later) - available(earlier) + held + shipped,
            reserved: reserved(later) - reserved(earlier) - held,
        };
        if mismatch.available != 0 || mismatch.reserved != 0 {
            mismatches.push(mismatch);
        }
    }
    mismatches
}

fn available(level: Option<StockLevel>) -> i128 {
    level.map_or(0, |level| level.available.into())
}

fn reserved(level: Option<StockLevel>) -> i128 {
    level.map_or(0, |level| level.reserved.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCT: Uuid = Uuid::from_u128(1);

    fn level(available: u64, reserved: u64) -> Levels {
        Levels::from([(PRODUCT, Some(StockLevel { product_id: PRODUCT, available, reserved }))])
    }

    fn totals(held: u64, shipped: u64) -> Totals {
        let of_product = |units| Quantities::from([(PRODUCT, units)]);
        Totals { held: of_product(held), shipped: of_product(shipped) }
    }

    #[test]
    fn what_was_reserved_before_does_not_matter() {
        assert_eq!(compare(&level(10, 5), &level(7, 8), &totals(3, 0)), []);
    }

    #[test]
    fn what_was_shipped_is_neither_available_nor_reserved() {
        assert_eq!(compare(&level(10, 5), &level(6, 6), &totals(1, 3)), []);
    }

    #[test]
    fn a_unit_too_few_is_found() {
        let found = compare(&level(10, 0), &level(6, 3), &totals(3, 0));
        assert_eq!((found[0].available, found[0].reserved), (-1, 0));
    }

    #[test]
    fn an_unknown_product_stays_unknown() {
        let unknown = Levels::from([(PRODUCT, None)]);
        assert_eq!(compare(&unknown, &unknown, &Totals::default()), []);
    }
}
