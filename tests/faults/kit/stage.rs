//! A place where services are to be started, one after the other.

use uuid::Uuid;

use crate::support::{Harness, Setup};

/// Units of the product.
pub const ON_HAND: u64 = 1000;

/// A harness whose service has run and is gone, and a product of which everybody has been told.
pub async fn between_services(setup: Setup) -> (Harness, Uuid) {
    let mut harness = setup.start().await;
    let product = harness.product(ON_HAND).await;
    harness.next_stock_event(product).await;
    harness.until_all_is_published().await;
    harness.services()[0].stop().await;
    harness.services().clear();
    (harness, product)
}
