//! Index `reservation_lapsing`: holds in the order in which they lapse.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StorageError, advisory_lock};

/// A hold whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub struct Due {
    /// Which reservation.
    pub reservation_id: Uuid,
    /// When it lapsed.
    pub expires_at: DateTime<Utc>,
    /// When it was found, by the clock of the database.
    pub found_at: DateTime<Utc>,
}

impl Due {
    /// Seconds from its end until it was found.
    #[must_use]
    pub fn late_seconds(&self) -> f64 {
        (self.found_at - self.expires_at).as_seconds_f64()
    }
}

/// Which of the holds that have lapsed are looked for.
#[derive(Debug, Default)]
pub struct Range {
    /// Those of these products, which somebody else has locked, are passed over.
    pub busy: Vec<Uuid>,
    /// Those after this one only, in the order in which they lapse.
    pub after: Option<Due>,
    /// Those that had lapsed by then only.
    pub until: Option<DateTime<Utc>>,
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

/// The first holds of a range that have lapsed, without locking them: up to `limit`, and up to so many lines, the first
/// one always.
pub async fn due(
    connection: &mut PgConnection,
    range: &Range,
    limit: u32,
    lines: u32,
) -> Result<Vec<Due>, StorageError> {
    // Not clock_timestamp(): what changes within a statement cannot be looked up in an index.
    let due = sqlx::query_as(
        "SELECT reservation_id, expires_at, statement_timestamp() AS found_at
         FROM (SELECT reservation_id, expires_at, cardinality(product_ids) AS own_lines,
                      sum(cardinality(product_ids)) OVER (ORDER BY expires_at, reservation_id) AS lines
               FROM (SELECT * FROM reservation
                     WHERE state = 'HELD' AND expires_at <= coalesce($4, statement_timestamp())
                       AND (expires_at, reservation_id) > (coalesce($5, '-infinity'), $6)
                       AND NOT product_ids && $1
                     ORDER BY expires_at, reservation_id LIMIT $2) AS first) AS counted
         WHERE lines - own_lines < $3
         ORDER BY expires_at, reservation_id",
    )
    .bind(&range.busy)
    .bind(i64::from(limit))
    .bind(i64::from(lines))
    .bind(range.until)
    .bind(range.after.map(|hold| hold.expires_at))
    .bind(range.after.map_or(Uuid::nil(), |hold| hold.reservation_id))
    .fetch_all(connection)
    .await?;
    Ok(due)
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
    let due = sqlx::query_scalar(
        "SELECT reservation_id
         FROM (SELECT reservation_id, expires_at, cardinality(product_ids) AS own_lines,
                      sum(cardinality(product_ids)) OVER (ORDER BY expires_at, reservation_id) AS lines
               FROM (SELECT * FROM reservation
                     WHERE state = 'HELD' AND expires_at > coalesce($5, '-infinity') AND expires_at <= $3
                       AND product_ids && $1 AND reservation_id <> ALL ($2)
                     ORDER BY expires_at, reservation_id LIMIT $4) AS first) AS counted
         WHERE lines - own_lines < $6
         ORDER BY expires_at, reservation_id",
    )
    .bind(products)
    .bind(known)
    .bind(now)
    .bind(i64::from(limit))
    .bind(searched)
    .bind(i64::from(lines))
    .fetch_all(connection)
    .await?;
    Ok(due)
}
