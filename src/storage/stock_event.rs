//! The version of a product's stock, and the events that go with it.

use sqlx::PgConnection;
use uuid::Uuid;

use super::StorageError;
use super::stock::LOCATION;

/// Brings version and events of these locked products up to date.
pub(super) async fn promise(connection: &mut PgConnection, products: &[Uuid]) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE stock SET version = version + 1
         WHERE product_id = ANY($1) AND location = $2 AND (version % 2 <> 0) <> (on_hand > reserved)",
    )
    .bind(products)
    .bind(LOCATION)
    .execute(connection)
    .await?;
    Ok(())
}
