//! Table `stock_change`: counts and adjustments by people, and what they make of the stock.

use sqlx::PgConnection;

use super::column::from_bigint;
use super::stock::{self, LOCATION};
use super::{Database, StorageError, advisory_lock, stock_event};
use crate::domain::{ProductId, StockLevel};

/// Most units that can be on hand: the largest integer that every JSON reader represents exactly.
pub const ON_HAND_MAX: i64 = 9_007_199_254_740_991;

/// Keeps all other changes of units on hand out until the end of the transaction.
pub(super) async fn lock_out_others(connection: &mut PgConnection) -> Result<(), StorageError> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(advisory_lock::OPERATORS)
        .execute(connection)
        .await?;
    Ok(())
}

/// What a person says about the units on hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// So many are there.
    Counted(i64),
    /// So many came in, or, below zero, went missing.
    Adjusted(i64),
}

/// Why a change is not possible.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// Holds have taken more than would be there.
    #[error(
        "{on_hand} on hand would be less than the {reserved} that are reserved: release or cancel reservations first"
    )]
    LessThanReserved {
        /// Units that would be on hand.
        on_hand: i64,
        /// Units that are reserved.
        reserved: u64,
    },
    /// Below zero, or more than can be kept.
    #[error("{on_hand} on hand is not possible: it must be between 0 and {ON_HAND_MAX}")]
    OutOfRange {
        /// Units that would be on hand.
        on_hand: i64,
    },
    /// The answer to COMMIT was lost: it is done, or it is not.
    #[error(
        "{error}. Perhaps it is done all the same: look at `inventory ledger {}` before you try again",
        product.0
    )]
    Unanswered {
        /// Whose stock it was about.
        product: ProductId,
        /// What went wrong.
        error: StorageError,
    },
    /// The database.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Changes the units on hand of a product, which becomes known by it. Gives the level after.
pub async fn apply(
    database: &Database,
    product: ProductId,
    change: Change,
    changed_by: &str,
) -> Result<StockLevel, ChangeError> {
    loop {
        match try_apply(database, product, change, changed_by).await {
            // Somebody has made the same product known just now.
            Err(ChangeError::Storage(error)) if error.is_lost_race() => {}
            result => return result,
        }
    }
}

async fn try_apply(
    database: &Database,
    product: ProductId,
    change: Change,
    changed_by: &str,
) -> Result<StockLevel, ChangeError> {
    let mut transaction = database.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock_shared($1)")
        .bind(advisory_lock::OPERATORS)
        .execute(transaction.connection()?)
        .await
        .map_err(StorageError::from)?;
    let known = stock::lock(transaction.connection()?, &[product.0]).await?;
    let before = known.first().map(|(_, level)| *level);
    let StockLevel { on_hand: on_hand_before, reserved, .. } = before.unwrap_or_default();
    let on_hand_before = i64::try_from(on_hand_before).unwrap_or(i64::MAX);
    let on_hand = match change {
        Change::Counted(counted) => counted,
        Change::Adjusted(delta) => on_hand_before.saturating_add(delta),
    };
    if !(0..=ON_HAND_MAX).contains(&on_hand) {
        return Err(ChangeError::OutOfRange { on_hand });
    }
    let level = StockLevel { on_hand: from_bigint(on_hand)?, ..before.unwrap_or_default() };
    if level.on_hand < reserved {
        return Err(ChangeError::LessThanReserved { on_hand, reserved });
    }
    write_level(transaction.connection()?, product, on_hand, before.is_some()).await?;
    write_fact(transaction.connection()?, product, change, on_hand - on_hand_before, on_hand, changed_by)
        .await?;
    stock_event::promise(transaction.connection()?, &[product.0]).await?;
    transaction.commit().await.map_err(|error| match error {
        error if error.is_away() => ChangeError::Unanswered { product, error },
        error => error.into(),
    })?;
    Ok(level)
}

async fn write_level(
    connection: &mut PgConnection,
    product: ProductId,
    on_hand: i64,
    is_known: bool,
) -> Result<(), StorageError> {
    let sql = if is_known {
        "UPDATE stock SET on_hand = $2 WHERE product_id = $1 AND location = $3"
    } else {
        "INSERT INTO stock (product_id, on_hand, location) VALUES ($1, $2, $3)"
    };
    sqlx::query(sql).bind(product.0).bind(on_hand).bind(LOCATION).execute(connection).await?;
    Ok(())
}

async fn write_fact(
    connection: &mut PgConnection,
    product: ProductId,
    change: Change,
    delta: i64,
    on_hand: i64,
    changed_by: &str,
) -> Result<(), StorageError> {
    let kind = match change {
        Change::Counted(_) => "COUNTED",
        Change::Adjusted(_) => "ADJUSTED",
    };
    sqlx::query(
        "INSERT INTO stock_change (product_id, location, kind, quantity_delta, on_hand_after, changed_by)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(product.0)
    .bind(LOCATION)
    .bind(kind)
    .bind(delta)
    .bind(on_hand)
    .bind(changed_by)
    .execute(connection)
    .await?;
    Ok(())
}
