//! View `stock_ledger`: everything that ever moved a product's stock, in order, with its cause.

use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt};
use sqlx::PgConnection;
use uuid::Uuid;

use super::stock::LOCATION;
use super::{Database, StorageError, Transaction};

/// One step of a product's stock.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Entry {
    /// When, by the clock of the database.
    pub at: DateTime<Utc>,
    /// What happened: a count or an adjustment, a movement of a reservation, a repair, or what is brought forward.
    pub kind: String,
    /// Units by which on hand changed.
    pub on_hand_delta: i64,
    /// Units by which reserved changed.
    pub reserved_delta: i64,
    /// Units on hand after it.
    pub on_hand: i64,
    /// Units reserved after it.
    pub reserved: i64,
    /// Whose stock moved, if it was a reservation's.
    pub reservation_id: Option<Uuid>,
    /// Why, where somebody said so.
    pub reason: Option<String>,
    /// The `message_id` of the command that caused it, if any.
    pub caused_by: Option<Vec<u8>>,
    /// The operator who did it, if any.
    pub operator: Option<String>,
}

/// What a product's stock is, for comparison with the end of its ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Level {
    /// Units on hand.
    pub on_hand: i64,
    /// Units reserved.
    pub reserved: i64,
}

/// From when (inclusive) until when (exclusive); what is not given is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// The first moment.
    pub from: Option<DateTime<Utc>>,
    /// The first moment that is too late.
    pub to: Option<DateTime<Utc>>,
}

/// A reading of the ledger and of the stock row in one snapshot.
#[derive(Debug)]
pub struct Ledger {
    transaction: Transaction,
    product: Uuid,
}

impl Ledger {
    /// Opens the ledger of a product. Locks nothing.
    pub async fn open(database: &Database, product: Uuid) -> Result<Self, StorageError> {
        let mut transaction = database.begin().await?;
        sqlx::raw_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(transaction.connection()?)
            .await?;
        Ok(Self { transaction, product })
    }

    /// Whether anything is known of the product: its stock, or a count of it.
    pub async fn is_known(&mut self) -> Result<bool, StorageError> {
        let known = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM stock WHERE product_id = $1)
                 OR EXISTS (SELECT 1 FROM stock_change WHERE product_id = $1)",
        )
        .bind(self.product)
        .fetch_one(self.transaction.connection()?)
        .await?;
        Ok(known)
    }

    /// What the stock row says; nothing where there is none.
    pub async fn level(&mut self) -> Result<Option<Level>, StorageError> {
        let level =
            sqlx::query_as("SELECT on_hand, reserved FROM stock WHERE product_id = $1 AND location = $2")
                .bind(self.product)
                .bind(LOCATION)
                .fetch_optional(self.transaction.connection()?)
                .await?;
        Ok(level)
    }

    /// The entries of a range, in order, one by one as the database sends them. The balances count everything
    /// before the range as well.
    pub fn entries(
        &mut self,
        range: Range,
    ) -> Result<impl Stream<Item = Result<Entry, StorageError>> + '_, StorageError> {
        let product = self.product;
        Ok(stream(self.transaction.connection()?, product, range))
    }

    /// Ends the reading.
    pub async fn close(self) -> Result<(), StorageError> {
        self.transaction.rollback().await
    }
}

fn stream(
    connection: &mut PgConnection,
    product: Uuid,
    range: Range,
) -> impl Stream<Item = Result<Entry, StorageError>> + '_ {
    sqlx::query_as(
        "SELECT * FROM (
             SELECT at, step, number, kind, on_hand_delta, reserved_delta, reservation_id, reason, caused_by, operator,
                    (sum(on_hand_delta) OVER so_far)::bigint AS on_hand,
                    (sum(reserved_delta) OVER so_far)::bigint AS reserved
             FROM stock_ledger WHERE product_id = $1 AND $1 = ANY (product_ids) AND location = $2
             WINDOW so_far AS (ORDER BY at, step, number, reservation_id ROWS UNBOUNDED PRECEDING)) AS entry
         WHERE ($3::timestamptz IS NULL OR at >= $3) AND ($4::timestamptz IS NULL OR at < $4)
         ORDER BY at, step, number, reservation_id",
    )
    .bind(product)
    .bind(LOCATION)
    .bind(range.from)
    .bind(range.to)
    .fetch(connection)
    .map_err(StorageError::from)
}
