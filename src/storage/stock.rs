//! Table `stock`: what there is and what is reserved of it.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::StorageError;
use super::column::{Query, from_bigint, to_bigint};
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
        "SELECT product_id, on_hand, reserved, version FROM stock
         WHERE product_id = ANY($1) AND location = $2
         ORDER BY product_id, location FOR UPDATE",
    )
    .bind(products)
    .bind(LOCATION)
    .fetch_all(connection)
    .await?;
    levels(rows)
}

/// Locks the stock of a product. Fails with [`StorageError::TooSlow`] where that takes longer; the transaction has
/// failed then.
pub async fn lock_within(
    connection: &mut PgConnection,
    product: Uuid,
    limit: Duration,
) -> Result<(), StorageError> {
    sqlx::query("SELECT set_config('lock_timeout', $1, true)")
        .bind(limit.as_millis().to_string())
        .execute(&mut *connection)
        .await?;
    lock(connection, &[product]).await?;
    Ok(())
}

/// Which of these products somebody else has locked.
pub async fn busy(connection: &mut PgConnection, products: &[Uuid]) -> Result<Vec<Uuid>, StorageError> {
    let busy = sqlx::query_scalar(
        "WITH free AS (SELECT product_id FROM stock WHERE product_id = ANY($1) AND location = $2
                       FOR UPDATE SKIP LOCKED)
         SELECT product_id FROM stock
         WHERE product_id = ANY($1) AND location = $2 AND product_id NOT IN (SELECT product_id FROM free)",
    )
    .bind(products)
    .bind(LOCATION)
    .fetch_all(connection)
    .await?;
    Ok(busy)
}

/// Reads committed levels; unknown products are left out.
pub async fn read(
    connection: &mut PgConnection,
    products: &[Uuid],
) -> Result<Vec<(ProductId, StockLevel)>, StorageError> {
    let rows = sqlx::query_as(
        "SELECT product_id, on_hand, reserved, version FROM stock WHERE product_id = ANY($1) AND location = $2",
    )
    .bind(products)
    .bind(LOCATION)
    .fetch_all(connection)
    .await?;
    levels(rows)
}

/// Binds levels by column: product, on hand, reserved, version.
pub(super) fn bind<'q>(query: Query<'q>, levels: &[(ProductId, StockLevel)]) -> Query<'q> {
    let column = |units: fn(&StockLevel) -> u64| -> Vec<i64> {
        levels.iter().map(|(_, level)| to_bigint(units(level))).collect()
    };
    query
        .bind(levels.iter().map(|(product, _)| product.0).collect::<Vec<_>>())
        .bind(column(|level| level.on_hand))
        .bind(column(|level| level.reserved))
        .bind(column(|level| level.version))
}

pub(super) type Row = (Uuid, i64, i64, i64);

pub(super) fn levels(
    rows: impl IntoIterator<Item = Row>,
) -> Result<Vec<(ProductId, StockLevel)>, StorageError> {
    rows.into_iter()
        .map(|(product, on_hand, reserved, version)| {
            let (on_hand, reserved) = (from_bigint(on_hand)?, from_bigint(reserved)?);
            Ok((ProductId(product), StockLevel { on_hand, reserved, version: from_bigint(version)? }))
        })
        .collect()
}
