//! Table `outbox`: events that are promised but not yet confirmed by the broker.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{StorageError, advisory_lock};

/// An event in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Row {
    /// The `message_id` of the event.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: String,
    /// Its CloudEvents subject.
    pub subject: String,
    /// Its body.
    pub body: Vec<u8>,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What the command's sender correlates by.
    pub correlation_id: Option<Vec<u8>>,
    /// The `message_id` of the command.
    pub causation_id: Option<Vec<u8>>,
    /// The command's header `traceparent`.
    pub traceparent: Option<Vec<u8>>,
    /// The command's header `tracestate`.
    pub tracestate: Option<Vec<u8>>,
    /// Whether it is published in the order of its product.
    pub is_ordered: bool,
}

/// A row that nobody saw to within its lease.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Orphan {
    /// Its key.
    pub outbox_id: i64,
    /// The event.
    #[sqlx(flatten)]
    pub row: Row,
}

/// Promises events, and claims them for this replica for so many seconds. Gives the keys of the rows.
pub async fn insert(
    connection: &mut PgConnection,
    rows: &[Row],
    lease_seconds: u32,
) -> Result<Vec<i64>, StorageError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let keys = sqlx::query_scalar(
        "INSERT INTO outbox (event_id, event_type, subject, body, occurred_at, correlation_id, causation_id,
                             traceparent, tracestate, is_ordered, claimed_until)
         SELECT event_id, event_type, subject, body, occurred_at, correlation_id, causation_id, traceparent,
                tracestate, is_ordered, clock_timestamp() + make_interval(secs => $11)
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::timestamptz[], $6::bytea[],
                     $7::bytea[], $8::bytea[], $9::bytea[], $10::boolean[])
              WITH ORDINALITY AS e (event_id, event_type, subject, body, occurred_at, correlation_id,
                                    causation_id, traceparent, tracestate, is_ordered, position)
         ORDER BY position
         RETURNING outbox_id",
    )
    .bind(rows.iter().map(|r| r.event_id).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| r.event_type.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| r.subject.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| r.body.as_slice()).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| r.occurred_at).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| r.correlation_id.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| r.causation_id.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| r.traceparent.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| r.tracestate.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|r| r.is_ordered).collect::<Vec<_>>())
    .bind(f64::from(lease_seconds))
    .fetch_all(connection)
    .await?;
    Ok(keys)
}

/// Claims up to `limit` rows whose lease is over, the oldest first. By the lease and not by a key behind
/// which all is done: transactions commit in another order than they take their keys.
pub async fn claim_orphans(
    executor: impl PgExecutor<'_>,
    lease_seconds: u32,
    limit: u32,
) -> Result<Vec<Orphan>, StorageError> {
    let orphans = sqlx::query_as(
        "WITH claimed AS (
             UPDATE outbox SET claimed_until = clock_timestamp() + make_interval(secs => $1)
             WHERE outbox_id = ANY (ARRAY(
                 SELECT outbox_id FROM outbox WHERE NOT is_ordered AND claimed_until < clock_timestamp()
                 ORDER BY outbox_id LIMIT $2 FOR UPDATE SKIP LOCKED))
             RETURNING *)
         SELECT * FROM claimed ORDER BY outbox_id",
    )
    .bind(f64::from(lease_seconds))
    .bind(i64::from(limit))
    .fetch_all(executor)
    .await?;
    Ok(orphans)
}

/// Up to `limit` events that are published in order, the oldest first, to be deleted in the same transaction;
/// nothing while another replica is at it. The keys of the events of one product have the order in which they
/// happened: they are given under the lock of its stock.
pub async fn next_in_order(
    connection: &mut PgConnection,
    limit: u32,
) -> Result<Option<Vec<Orphan>>, StorageError> {
    let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(advisory_lock::IN_ORDER)
        .fetch_one(&mut *connection)
        .await?;
    if !is_ours {
        return Ok(None);
    }
    let events = sqlx::query_as("SELECT * FROM outbox WHERE is_ordered ORDER BY outbox_id LIMIT $1")
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    Ok(Some(events))
}

/// Takes these out of the order: each is looked at again only when a lease is over.
pub async fn set_aside(
    connection: &mut PgConnection,
    keys: &[i64],
    lease_seconds: u32,
) -> Result<(), StorageError> {
    if keys.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE outbox SET is_ordered = false, claimed_until = clock_timestamp() + make_interval(secs => $2)
         WHERE outbox_id = ANY($1)",
    )
    .bind(keys)
    .bind(f64::from(lease_seconds))
    .execute(connection)
    .await?;
    Ok(())
}

/// The broker has confirmed these.
pub async fn delete(executor: impl PgExecutor<'_>, keys: &[i64]) -> Result<(), StorageError> {
    sqlx::query("DELETE FROM outbox WHERE outbox_id = ANY($1)").bind(keys).execute(executor).await?;
    Ok(())
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub struct Backlog {
    /// Rows, counted up to 100,000.
    pub rows: i64,
    /// Seconds since the oldest was written; 0 where there is none.
    pub oldest_seconds: f64,
}

/// Looks how much waits.
pub async fn backlog(executor: impl PgExecutor<'_>) -> Result<Backlog, StorageError> {
    let backlog = sqlx::query_as(
        "SELECT count(*) AS rows,
                coalesce(extract(epoch FROM clock_timestamp() - min(occurred_at)), 0)::float8 AS oldest_seconds
         FROM (SELECT occurred_at FROM outbox ORDER BY outbox_id LIMIT 100000) AS waiting",
    )
    .fetch_one(executor)
    .await?;
    Ok(backlog)
}
