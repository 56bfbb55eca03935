//! Reservations as people look at them: what is left of each item, and what it went through.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StorageError;

/// A reservation, with its items by what became of them.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Shown {
    /// Its id.
    pub reservation_id: Uuid,
    /// The cart; nothing where the release came before any reserve.
    pub cart_id: Option<Uuid>,
    /// The order, where checkout named one.
    pub order_id: Option<Uuid>,
    /// `HELD`, `RELEASED` or `CONSUMED`.
    pub state: String,
    /// The products.
    pub product_ids: Vec<Uuid>,
    /// Units of the product at the same position: held, released and consumed together.
    pub quantities: Vec<i64>,
    /// Units at the same position that were released, before the reservation ended or by its end.
    pub released: Vec<i64>,
    /// Units at the same position that were consumed.
    pub consumed: Vec<i64>,
    /// When the stock was taken.
    pub reserved_at: Option<DateTime<Utc>>,
    /// When the hold lapses, if it does.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it ended; `EXPIRED` where its time was over.
    pub reason: Option<String>,
}

/// A step that a reservation went through.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Movement {
    /// When.
    pub at: DateTime<Utc>,
    /// `RESERVED`, `RELEASED`, `CONSUMED` or `CONSUMED_LATE`.
    pub kind: String,
    /// Of a release: why, where somebody said so; `EXPIRED` where time was over.
    pub reason: Option<String>,
    /// The `message_id` of the command, if it had one.
    pub caused_by: Option<Vec<u8>>,
    /// The products that moved.
    pub product_ids: Vec<Uuid>,
    /// Units of the product at the same position.
    pub quantities: Vec<i64>,
}

/// Which reservations to list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter<'a> {
    /// Those that have this product among their items.
    pub product: Option<Uuid>,
    /// Those in this state.
    pub state: Option<&'a str>,
    /// Those that were reserved at least so many seconds ago.
    pub older_than_seconds: Option<u64>,
}

/// What a reservation is shown as. What lapsed was given back, unless it was consumed late.
const COLUMNS: &str = "
    reservation_id, cart_id, order_id, state, product_ids, quantities, reserved_at, expires_at, ended_at,
    CASE end_reason WHEN 'LAPSED' THEN 'EXPIRED' ELSE end_reason END AS reason,
    ARRAY(SELECT CASE WHEN state = 'RELEASED' THEN quantity - coalesce(consumed, 0)
                      ELSE coalesce(released, 0) END
          FROM unnest(product_ids, quantities, released, consumed)
               WITH ORDINALITY AS item (product, quantity, released, consumed, position)
          ORDER BY position) AS released,
    ARRAY(SELECT coalesce(consumed, CASE state WHEN 'CONSUMED' THEN quantity - coalesce(released, 0) ELSE 0 END)
          FROM unnest(product_ids, quantities, released, consumed)
               WITH ORDINALITY AS item (product, quantity, released, consumed, position)
          ORDER BY position) AS consumed";

/// Looks a reservation up.
pub async fn find(connection: &mut PgConnection, id: Uuid) -> Result<Option<Shown>, StorageError> {
    let sql = format!("SELECT {COLUMNS} FROM reservation WHERE reservation_id = $1");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(connection).await?)
}

/// What a reservation went through, in order, from the first taking on.
pub async fn movements(connection: &mut PgConnection, id: Uuid) -> Result<Vec<Movement>, StorageError> {
    let movements = sqlx::query_as(
        "SELECT at, kind, reason, caused_by, product_ids, quantities FROM (
             SELECT reserved_at AS at, 0 AS number, 'RESERVED' AS kind, NULL AS reason, reserved_by AS caused_by,
                    product_ids, quantities
             FROM reservation WHERE reservation_id = $1 AND NOT is_amended AND cart_id IS NOT NULL
             UNION ALL
             SELECT moved_at, movement_id, kind, CASE reason WHEN 'LAPSED' THEN 'EXPIRED' ELSE reason END, caused_by,
                    product_ids, quantities
             FROM reservation_movement WHERE reservation_id = $1) AS step
         ORDER BY number",
    )
    .bind(id)
    .fetch_all(connection)
    .await?;
    Ok(movements)
}

/// Lists reservations, those that were reserved first before the others, up to `limit`.
pub async fn list(
    connection: &mut PgConnection,
    filter: Filter<'_>,
    limit: u32,
) -> Result<Vec<Shown>, StorageError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM reservation
         WHERE ($1::uuid IS NULL OR $1 = ANY (product_ids)) AND ($2::text IS NULL OR state = $2)
           AND ($3::float8 IS NULL OR coalesce(reserved_at, ended_at) <= now() - make_interval(secs => $3))
         ORDER BY coalesce(reserved_at, ended_at), reservation_id LIMIT $4"
    );
    let reservations = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(filter.product)
        .bind(filter.state)
        .bind(filter.older_than_seconds.map(seconds))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    Ok(reservations)
}

/// For `make_interval`; what is out of the range of 32 bits is older than any reservation.
fn seconds(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
