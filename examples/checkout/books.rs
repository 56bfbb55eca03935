//! The service's books, as its stock levels tell them, against our own arithmetic.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use crate::{
    carts::Quantities,
    client::{ClientError, InventoryClient, messages::StockLevel},
};

/// Questions under way at the same time.
const PIPELINED: usize = 64;

/// `None`: a product that the service does not know.
pub type Levels = BTreeMap<Uuid, Option<StockLevel>>;

pub async fn read_levels(
    client: &InventoryClient,
    products: impl IntoIterator<Item = Uuid>,
) -> Result<Levels, ClientError> {
    stream::iter(products)
        .map(|product| async move { Ok((product, client.stock_level(product).await?)) })
        .buffer_unordered(PIPELINED)
        .try_collect()
        .await
}

/// A product whose level did not change by what the outcomes say.
#[derive(Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub product: Uuid,
    /// By how much more (or less) than it should be.
    pub available: i128,
    pub reserved: i128,
}

/// Holding so many units makes as many fewer available and as many more reserved. Levels are compared by how
/// they changed, so what was reserved before the run does not matter.
pub fn compare(before: &Levels, after: &Levels, held: &Quantities) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    for (&product, &earlier) in before {
        let later = after.get(&product).copied().flatten();
        let held = i128::from(held.get(&product).copied().unwrap_or(0));
        let mismatch = Mismatch {
            product,
            available: available(later) - available(earlier) + held,
            reserved: reserved(earlier, later).map_or(0, |change| change - held),
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

/// By how much `reserved` changed; the contract lets a service leave it out.
fn reserved(earlier: Option<StockLevel>, later: Option<StockLevel>) -> Option<i128> {
    let count = |level: Option<StockLevel>| level.map_or(Some(0), |level| level.reserved);
    Some(i128::from(count(later)?) - i128::from(count(earlier)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCT: Uuid = Uuid::from_u128(1);

    fn level(available: u64, reserved: impl Into<Option<u64>>) -> Levels {
        let reserved = reserved.into();
        Levels::from([(PRODUCT, Some(StockLevel { available, reserved }))])
    }

    fn held(units: u64) -> Quantities {
        Quantities::from([(PRODUCT, units)])
    }

    #[test]
    fn what_was_reserved_before_does_not_matter() {
        assert_eq!(compare(&level(10, 5), &level(7, 8), &held(3)), []);
    }

    #[test]
    fn a_unit_too_few_is_found() {
        let found = compare(&level(10, 0), &level(6, 3), &held(3));
        assert_eq!((found[0].available, found[0].reserved), (-1, 0));
    }

    #[test]
    fn an_unknown_product_stays_unknown() {
        let unknown = Levels::from([(PRODUCT, None)]);
        assert_eq!(compare(&unknown, &unknown, &Quantities::new()), []);
    }

    #[test]
    fn a_service_that_does_not_say_what_is_reserved_is_compared_by_what_is_available() {
        assert_eq!(compare(&level(10, None), &level(7, None), &held(3)), []);
        assert_eq!(compare(&level(10, None), &level(8, None), &held(3)).len(), 1);
    }
}
