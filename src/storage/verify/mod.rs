//! Whether the books balance: derives the stock from the facts, in one snapshot, without blocking anybody.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Database, StorageError};

/// Something that does not balance.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imbalance {
    /// The product whose stock it is.
    pub product_id: Uuid,
    /// Where.
    pub location: String,
    /// Which figure.
    pub figure: String,
    /// What the books say; nothing where the row is missing.
    pub booked: Option<i64>,
    /// What follows from the facts; nothing where there are none.
    pub derived: Option<i64>,
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Products in the books.
    pub products: i64,
    /// Live holds.
    pub holds: i64,
    /// What does not balance.
    pub imbalances: Vec<Imbalance>,
}

/// Derives every figure, and compares.
pub async fn verify(database: &Database) -> Result<Report, StorageError> {
    let mut transaction = database.begin().await?;
    let connection = transaction.connection()?;
    sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *connection)
        .await?;
    let products = sqlx::query_scalar("SELECT count(*) FROM stock").fetch_one(&mut *connection).await?;
    let holds = sqlx::query_scalar("SELECT count(*) FROM reservation WHERE state = 'HELD'")
        .fetch_one(&mut *connection)
        .await?;
    let mut imbalances = on_hand(&mut *connection).await?;
    imbalances.extend(reserved(&mut *connection).await?);
    imbalances.extend(running_totals(connection).await?);
    transaction.rollback().await?;
    Ok(Report { products, holds, imbalances })
}

/// On hand is the sum of all counts and adjustments.
async fn on_hand(connection: &mut PgConnection) -> Result<Vec<Imbalance>, StorageError> {
    let imbalances = sqlx::query_as(
        "SELECT product_id, location, 'onHand' AS figure, stock.on_hand AS booked, facts.on_hand AS derived
         FROM stock
         FULL JOIN (SELECT product_id, location, sum(quantity_delta)::bigint AS on_hand
                    FROM stock_change GROUP BY product_id, location) AS facts USING (product_id, location)
         WHERE stock.on_hand IS DISTINCT FROM facts.on_hand
         ORDER BY product_id, location",
    )
    .fetch_all(connection)
    .await?;
    Ok(imbalances)
}

/// Reserved is the sum of all live holds.
async fn reserved(connection: &mut PgConnection) -> Result<Vec<Imbalance>, StorageError> {
    let imbalances = sqlx::query_as(
        "SELECT product_id, location, 'reserved' AS figure, stock.reserved AS booked, facts.reserved AS derived
         FROM stock
         FULL JOIN (SELECT product_id, 'default' AS location, sum(quantity)::bigint AS reserved
                    FROM reservation, unnest(product_ids, quantities) AS item (product_id, quantity)
                    WHERE state = 'HELD' GROUP BY product_id) AS facts USING (product_id, location)
         WHERE coalesce(stock.reserved, -1) <> coalesce(facts.reserved, 0)
         ORDER BY product_id, location",
    )
    .fetch_all(connection)
    .await?;
    Ok(imbalances)
}

/// Each count and adjustment says what was on hand after it, and the one before it agrees.
async fn running_totals(connection: &mut PgConnection) -> Result<Vec<Imbalance>, StorageError> {
    let imbalances = sqlx::query_as(
        "SELECT DISTINCT ON (product_id, location) product_id, location, 'onHandAfterChange ' || change_id AS figure,
                on_hand_after AS booked, total::bigint AS derived
         FROM (SELECT *, sum(quantity_delta) OVER (PARTITION BY product_id, location ORDER BY change_id) AS total
               FROM stock_change) AS facts
         WHERE total <> on_hand_after
         ORDER BY product_id, location, change_id",
    )
    .fetch_all(connection)
    .await?;
    Ok(imbalances)
}
