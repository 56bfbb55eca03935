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
    /// Seconds since it lapsed.
    pub late_seconds: f64,
    /// When it was found, by the clock of the database.
    pub found_at: DateTime<Utc>,
}

/// What somebody else has locked.
#[derive(Debug, Default)]
pub struct Busy {
    /// Products, with all that is reserved of them.
    pub products: Vec<Uuid>,
    /// Reservations.
    pub holds: Vec<Uuid>,
}

impl Busy {
    /// Whether it is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.products.is_empty() && self.holds.is_empty()
    }

    /// Adds what else is locked.
    pub fn extend(&mut self, other: Self) {
        self.products.extend(other.products);
        self.holds.extend(other.holds);
    }
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

/// The first holds that have lapsed, by `until` if it is given, without locking them: up to `limit`, and up to so many
/// lines, the first one always. What is busy is passed over.
pub async fn due(
    connection: &mut PgConnection,
    busy: &Busy,
    until: Option<DateTime<Utc>>,
    limit: u32,
    lines: u32,
) -> Result<Vec<Due>, StorageError> {
    // Not clock_timestamp(): what changes within a statement cannot be looked up in an index.
    let due = sqlx::query_as(
        "SELECT reservation_id, extract(epoch FROM statement_timestamp() - expires_at)::float8 AS late_seconds,
                statement_timestamp() AS found_at
         FROM (SELECT reservation_id, expires_at, cardinality(product_ids) AS own_lines,
                      sum(cardinality(product_ids)) OVER (ORDER BY expires_at, reservation_id) AS lines
               FROM (SELECT * FROM reservation
                     WHERE state = 'HELD' AND expires_at <= coalesce($5, statement_timestamp())
                       AND NOT product_ids && $1 AND reservation_id <> ALL ($4)
                     ORDER BY expires_at, reservation_id LIMIT $2) AS first) AS counted
         WHERE lines - own_lines < $3
         ORDER BY expires_at, reservation_id",
    )
    .bind(&busy.products)
    .bind(i64::from(limit))
    .bind(i64::from(lines))
    .bind(&busy.holds)
    .bind(until)
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
