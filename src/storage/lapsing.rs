//! Index `reservation_lapsing`: holds in the order in which they lapse.

use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::{StorageError, advisory_lock};

/// A hold whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub struct Due {
    /// Which reservation.
    pub reservation_id: Uuid,
    /// Seconds since it lapsed.
    pub late_seconds: f64,
}

/// Whether this transaction is the one that sweeps; another replica does otherwise. It waits for a lock so
/// shortly that the holds of other products are not late because of one that somebody has locked.
pub async fn may_sweep(connection: &mut PgConnection) -> Result<bool, StorageError> {
    let (is_ours, _): (bool, String) =
        sqlx::query_as("SELECT pg_try_advisory_xact_lock($1), set_config('lock_timeout', '300ms', true)")
            .bind(advisory_lock::SWEEP)
            .fetch_one(connection)
            .await?;
    Ok(is_ours)
}

/// Holds that can be given back. Whose parts are more than there were units, or not to be read, keeps nobody else's hold.
const WHOLE: &str = "
    (array_position(product_ids, NULL) IS NULL
     AND (released IS NULL AND consumed IS NULL AND array_position(quantities, NULL) IS NULL OR NOT EXISTS (
        SELECT FROM unnest(quantities, released, consumed) AS line (units, back, sent)
        WHERE (CASE WHEN released IS NULL THEN 0 ELSE line.back END >= 0
               AND CASE WHEN consumed IS NULL THEN 0 ELSE line.sent END >= 0
               AND line.units::numeric >= coalesce(line.back, 0)::numeric + coalesce(line.sent, 0)) IS NOT TRUE)))";

/// The first holds that fulfil a condition and are [`WHOLE`]: `$1` of them at most, up to `$2` lines, the first one always.
fn first(columns: &str, condition: &str) -> String {
    format!(
        "SELECT {columns}
         FROM (SELECT reservation_id, expires_at, cardinality(product_ids) AS own_lines,
                      sum(cardinality(product_ids)) OVER (ORDER BY expires_at, reservation_id) AS lines
               FROM (SELECT * FROM reservation
                     WHERE state = 'HELD' AND {condition}
                       AND {WHOLE}
                     ORDER BY expires_at, reservation_id LIMIT $1) AS first) AS counted
         WHERE lines - own_lines < $2
         ORDER BY expires_at, reservation_id"
    )
}

// Not clock_timestamp(): what changes within a statement cannot be looked up in an index.
static DUE: LazyLock<String> = LazyLock::new(|| {
    first(
        "reservation_id, extract(epoch FROM statement_timestamp() - expires_at)::float8 AS late_seconds",
        "expires_at <= statement_timestamp() AND NOT product_ids && $3",
    )
});

static DUE_OF_PRODUCTS: LazyLock<String> = LazyLock::new(|| {
    first(
        "reservation_id",
        "expires_at > coalesce($3, '-infinity') AND expires_at <= $4 AND product_ids && $5 AND reservation_id <> ALL ($6)",
    )
});

/// The first holds that have lapsed, without locking them: up to `limit`, and up to so many lines, the first one
/// always. Those of busy products are passed over, and those that are [`broken`].
pub async fn due(
    connection: &mut PgConnection,
    busy: &[Uuid],
    limit: u32,
    lines: u32,
) -> Result<Vec<Due>, StorageError> {
    let due = sqlx::query_as(AssertSqlSafe(DUE.as_str()))
        .bind(i64::from(limit))
        .bind(i64::from(lines))
        .bind(busy)
        .fetch_all(connection)
        .await?;
    Ok(due)
}

/// A hold that has lapsed, and that nobody can give back before somebody mends it.
pub async fn broken(connection: &mut PgConnection) -> Result<Option<Uuid>, StorageError> {
    let sql = format!(
        "SELECT reservation_id FROM reservation
         WHERE state = 'HELD' AND expires_at <= statement_timestamp() AND NOT {WHOLE}
         ORDER BY expires_at, reservation_id LIMIT 1"
    );
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_optional(connection).await?)
}

/// The first holds of these products that have lapsed after `searched` (if any) and by `now`, but for those that
/// are known already; without locking them, and limited as by [`due`].
pub async fn due_of_products(
    connection: &mut PgConnection,
    products: &[Uuid],
    known: &[Uuid],
    searched: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    limit: u32,
    lines: u32,
) -> Result<Vec<Uuid>, StorageError> {
    let due = sqlx::query_scalar(AssertSqlSafe(DUE_OF_PRODUCTS.as_str()))
        .bind(i64::from(limit))
        .bind(i64::from(lines))
        .bind(searched)
        .bind(now)
        .bind(products)
        .bind(known)
        .fetch_all(connection)
        .await?;
    Ok(due)
}
