//! Counts many products in one transaction: all or nothing.
//!
//! The lines go into a temporary table first, which locks nothing that the service needs; then all is
//! checked and written at once, with the stock locked in the order of its keys.

use uuid::Uuid;

use super::stock::LOCATION;
use super::stock_change::lock_out_others;
use super::{Database, StorageError, Transaction, stock_event};

/// A line of the file: so many units of a product were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file.
    pub number: i64,
    /// Which product.
    pub product: Uuid,
    /// Units that were counted.
    pub quantity: i64,
}

/// A line that cannot be imported because holds have taken more than was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct LessThanReserved {
    /// Its number in the file.
    pub number: i64,
    /// Units that were counted.
    pub quantity: i64,
    /// Units that are reserved.
    pub reserved: i64,
}

/// An import under way. Dropped before [`Import::write`], it leaves nothing behind.
#[derive(Debug)]
pub struct Import {
    transaction: Transaction,
}

impl Import {
    /// Begins an import.
    pub async fn begin(database: &Database) -> Result<Self, StorageError> {
        let mut transaction = database.begin().await?;
        sqlx::query(
            "CREATE TEMPORARY TABLE import_line
             (number bigint NOT NULL, product_id uuid NOT NULL, quantity bigint NOT NULL) ON COMMIT DROP",
        )
        .execute(transaction.connection()?)
        .await?;
        Ok(Self { transaction })
    }

    /// Takes lines in; thousands at a time are best.
    pub async fn take(&mut self, lines: &[Line]) -> Result<(), StorageError> {
        sqlx::query("INSERT INTO import_line SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::bigint[])")
            .bind(lines.iter().map(|line| line.number).collect::<Vec<_>>())
            .bind(lines.iter().map(|line| line.product).collect::<Vec<_>>())
            .bind(lines.iter().map(|line| line.quantity).collect::<Vec<_>>())
            .execute(self.transaction.connection()?)
            .await?;
        Ok(())
    }

    /// Locks the stock of all lines, and looks for the first that is not possible.
    pub async fn check(&mut self) -> Result<Option<LessThanReserved>, StorageError> {
        let connection = self.transaction.connection()?;
        lock_out_others(connection).await?;
        sqlx::query("ANALYZE import_line").execute(&mut *connection).await?;
        sqlx::query(
            "SELECT count(*) FROM (
                 SELECT 1 FROM stock
                 WHERE location = $1 AND product_id IN (SELECT product_id FROM import_line)
                 ORDER BY product_id, location FOR UPDATE) AS locked",
        )
        .bind(LOCATION)
        .execute(&mut *connection)
        .await?;
        let fault = sqlx::query_as(
            "SELECT number, quantity, reserved
             FROM import_line JOIN stock USING (product_id)
             WHERE stock.location = $1 AND quantity < reserved
             ORDER BY number LIMIT 1",
        )
        .bind(LOCATION)
        .fetch_optional(connection)
        .await?;
        Ok(fault)
    }

    /// Writes what was checked, and makes it so.
    pub async fn write(mut self, changed_by: &str) -> Result<(), StorageError> {
        let connection = self.transaction.connection()?;
        sqlx::query(
            "INSERT INTO stock_change (product_id, location, kind, quantity_delta, on_hand_after, changed_by)
             SELECT product_id, $1, 'COUNTED',
                    quantity - coalesce(lag(quantity) OVER (PARTITION BY product_id ORDER BY number), on_hand, 0),
                    quantity, $2
             FROM import_line LEFT JOIN (SELECT * FROM stock WHERE location = $1) AS stock USING (product_id)
             ORDER BY number",
        )
        .bind(LOCATION)
        .bind(changed_by)
        .execute(&mut *connection)
        .await?;
        // Each line is a count of its own, so the last line of a product is what stands.
        sqlx::query(
            "INSERT INTO stock (product_id, location, on_hand)
             SELECT DISTINCT ON (product_id) product_id, $1, quantity
             FROM import_line ORDER BY product_id, number DESC
             ON CONFLICT (product_id, location) DO UPDATE SET on_hand = EXCLUDED.on_hand
             WHERE stock.on_hand <> EXCLUDED.on_hand",
        )
        .bind(LOCATION)
        .execute(&mut *connection)
        .await?;
        let products: Vec<Uuid> = sqlx::query_scalar(
            "SELECT product_id FROM stock
             WHERE location = $1 AND product_id IN (SELECT product_id FROM import_line)
               AND (version % 2 = 1) <> (on_hand > reserved)
             ORDER BY product_id",
        )
        .bind(LOCATION)
        .fetch_all(&mut *connection)
        .await?;
        stock_event::promise(connection, &products).await?;
        self.transaction.commit().await
    }
}
