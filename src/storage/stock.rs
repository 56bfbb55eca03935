//! Table `stock`: what there is and what is reserved of it.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::StorageError;
use super::column::{from_bigint, to_bigint};
use crate::domain::{ProductId, StockLevel};

/// The only location so far.
pub(super) const LOCATION: &str = "default";

/// Locks the stock of these products in the order of their keys; unknown products are left out.
pub async fn lock(
    connection: &mut PgConnection,
    products: &[Uuid],
) -> Result<Vec<(ProductId, StockLevel)>, StorageError> {
    if products.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_as(
        "SELECT product_id, on_hand, reserved FROM stock
         WHERE product_id = ANY($1) AND location = $2
         ORDER BY product_id, location FOR UPDATE",
    )
    .bind(products)
    .bind(LOCATION)
    .fetch_all(connection)
    .await?;
    levels(rows)
}

/// Reads committed levels; unknown products are left out.
pub async fn read(
    executor: impl PgExecutor<'_>,
    products: &[Uuid],
) -> Result<Vec<(ProductId, StockLevel)>, StorageError> {
    let rows = sqlx::query_as(
        "SELECT product_id, on_hand, reserved FROM stock WHERE product_id = ANY($1) AND location = $2",
    )
    .bind(products)
    .bind(LOCATION)
    .fetch_all(executor)
    .await?;
    levels(rows)
}

/// Writes how much is reserved of locked products.
pub async fn update_reserved(
    connection: &mut PgConnection,
    levels: &[(ProductId, StockLevel)],
) -> Result<(), StorageError> {
    if levels.is_empty() {
        return Ok(());
    }
    let products: Vec<Uuid> = levels.iter().map(|(product, _)| product.0).collect();
    let reserved: Vec<i64> = levels.iter().map(|(_, level)| to_bigint(level.reserved)).collect();
    sqlx::query(
        "UPDATE stock SET reserved = changed.reserved
         FROM unnest($1::uuid[], $2::bigint[]) AS changed (product_id, reserved)
         WHERE stock.product_id = changed.product_id AND stock.location = $3",
    )
    .bind(products)
    .bind(reserved)
    .bind(LOCATION)
    .execute(connection)
    .await?;
    Ok(())
}

fn levels(rows: Vec<(Uuid, i64, i64)>) -> Result<Vec<(ProductId, StockLevel)>, StorageError> {
    rows.into_iter()
        .map(|(product, on_hand, reserved)| {
            let level = StockLevel { on_hand: from_bigint(on_hand)?, reserved: from_bigint(reserved)? };
            Ok((ProductId(product), level))
        })
        .collect()
}
