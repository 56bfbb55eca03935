//! What is past its retention leaves in small steps, each a transaction of its own that one replica makes at a time.

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::{Database, StorageError, Transaction, advisory_lock};

/// The columns of `reservations-YYYY-MM-DD.csv`.
pub const RESERVATION_COLUMNS: &[&str] = &[
    "reservation_id",
    "cart_id",
    "order_id",
    "state",
    "items",
    "reserved_at",
    "expires_at",
    "ended_at",
    "end_reason",
    "reserved_by",
    "is_amended",
];
/// The columns of `movements-YYYY-MM-DD.csv`.
pub const MOVEMENT_COLUMNS: &[&str] =
    &["movement_id", "reservation_id", "kind", "reason", "items", "moved_at", "caused_by"];
/// The columns of `outcomes-YYYY-MM-DD.csv`.
pub const OUTCOME_COLUMNS: &[&str] = &["message_id", "outcome", "answer_id", "subject", "decided_at", "body"];

/// A line of a file: its fields, as text.
pub type Line = Vec<Option<String>>;

/// A step that is made but not yet committed: what leaves by it.
#[derive(Debug)]
pub struct Step {
    transaction: Transaction,
    /// The day by the clock of the database, `YYYY-MM-DD`.
    pub day: String,
    /// Outcomes, or reservations, that leave.
    pub rows: usize,
    /// Lines about outcomes.
    pub outcomes: Vec<Line>,
    /// Lines about reservations.
    pub reservations: Vec<Line>,
    /// Lines about their movements.
    pub movements: Vec<Line>,
}

impl Step {
    /// Makes it so.
    pub async fn commit(self) -> Result<(), StorageError> {
        self.transaction.commit().await
    }

    async fn begin(database: &Database) -> Result<Option<Self>, StorageError> {
        let mut transaction = database.begin().await?;
        let (is_mine, day): (bool, String) = sqlx::query_as(
            "SELECT pg_try_advisory_xact_lock($1), to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        )
        .bind(advisory_lock::RETENTION)
        .fetch_one(transaction.connection()?)
        .await?;
        if !is_mine {
            transaction.rollback().await?;
            return Ok(None);
        }
        let (outcomes, reservations, movements) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Some(Self { transaction, day, rows: 0, outcomes, reservations, movements }))
    }

    /// The step, if there is anything in it.
    async fn unless_empty(self) -> Result<Option<Self>, StorageError> {
        if self.rows > 0 {
            return Ok(Some(self));
        }
        self.transaction.rollback().await?;
        Ok(None)
    }
}

/// Takes up to `limit` outcomes out that are older than so many days, the oldest first. Nothing where there are none, or
/// where another replica is at it.
pub async fn outcomes(database: &Database, days: u32, limit: u32) -> Result<Option<Step>, StorageError> {
    let Some(mut step) = Step::begin(database).await? else { return Ok(None) };
    let rows: Vec<(Line, Vec<u8>)> = sqlx::query_as(
        "DELETE FROM command_outcome WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM command_outcome
             WHERE decided_at < now() - make_interval(days => $1)
             ORDER BY decided_at LIMIT $2 FOR UPDATE SKIP LOCKED))
         RETURNING ARRAY[encode(message_id, 'escape'), outcome, answer_id::text, subject,
                         to_char(decided_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')], body",
    )
    .bind(whole_days(days))
    .bind(i64::from(limit))
    .fetch_all(step.transaction.connection()?)
    .await?;
    step.rows = rows.len();
    step.outcomes = rows.into_iter().map(with_body).collect();
    step.unless_empty().await
}

/// Takes up to `limit` reservations out that ended longer ago than so many days, the oldest first, with their movements.
/// What they consumed is brought forward, so that the books still balance. Nothing where there are none, or where
/// another replica is at it.
pub async fn reservations(database: &Database, days: u32, limit: u32) -> Result<Option<Step>, StorageError> {
    let Some(mut step) = Step::begin(database).await? else { return Ok(None) };
    let connection = step.transaction.connection()?;
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "SELECT reservation_id FROM reservation
         WHERE ended_at < now() - make_interval(days => $1)
         ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED",
    )
    .bind(whole_days(days))
    .bind(i64::from(limit))
    .fetch_all(&mut *connection)
    .await?;
    if !ids.is_empty() {
        bring_forward(&mut *connection, &ids).await?;
        step.movements = delete(&mut *connection, DELETE_MOVEMENTS, &ids).await?;
        step.reservations = delete(connection, DELETE_RESERVATIONS, &ids).await?;
    }
    step.rows = ids.len();
    step.unless_empty().await
}

/// Adds what these reservations consumed to what is brought forward, in the order of the keys.
async fn bring_forward(connection: &mut PgConnection, ids: &[Uuid]) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO stock_brought_forward AS brought (product_id, consumed, until)
         SELECT product_id, sum(quantity), max(moved_at)
         FROM reservation_movement, unnest(product_ids, quantities) AS item (product_id, quantity)
         WHERE reservation_id = ANY($1) AND kind IN ('CONSUMED', 'CONSUMED_LATE')
         GROUP BY product_id ORDER BY product_id
         ON CONFLICT (product_id, location) DO UPDATE
         SET consumed = brought.consumed + EXCLUDED.consumed, until = greatest(brought.until, EXCLUDED.until)",
    )
    .bind(ids)
    .execute(connection)
    .await?;
    Ok(())
}

const DELETE_MOVEMENTS: &str = "
    DELETE FROM reservation_movement WHERE reservation_id = ANY($1)
    RETURNING ARRAY[movement_id::text, reservation_id::text, kind, reason,
        (SELECT json_agg(json_build_object('productId', product, 'quantity', quantity) ORDER BY position)
         FROM unnest(product_ids, quantities) WITH ORDINALITY AS item (product, quantity, position))::text,
        to_char(moved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), encode(caused_by, 'escape')]";

const DELETE_RESERVATIONS: &str = "
    DELETE FROM reservation WHERE reservation_id = ANY($1)
    RETURNING ARRAY[reservation_id::text, cart_id::text, order_id::text, state,
        (SELECT json_agg(json_strip_nulls(json_build_object(
                    'productId', product, 'quantity', quantity, 'released', back, 'consumed', gone)) ORDER BY position)
         FROM unnest(product_ids, quantities, released, consumed)
              WITH ORDINALITY AS item (product, quantity, back, gone, position))::text,
        to_char(reserved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
        to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), end_reason, encode(reserved_by, 'escape'), is_amended::text]";

async fn delete(connection: &mut PgConnection, sql: &str, ids: &[Uuid]) -> Result<Vec<Line>, StorageError> {
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(ids).fetch_all(connection).await?)
}

/// A body is JSON, in UTF-8.
fn with_body((mut line, body): (Line, Vec<u8>)) -> Line {
    line.push(Some(String::from_utf8_lossy(&body).into_owned()));
    line
}

fn whole_days(days: u32) -> i32 {
    // More than that is longer than PostgreSQL can subtract from today.
    i32::try_from(days).unwrap_or(i32::MAX).min(1_000_000)
}
