//! Table `outbox`: events that are promised but not yet confirmed by the broker.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::column::{Query, sparse};
use super::{StorageError, advisory_lock};

/// Events of a row that one replica publishes from memory: nearly always all of a commit.
const EVENTS_A_ROW: usize = 1000;

/// Events of a row that are published in order: many rows are read at once.
const ORDERED_EVENTS_A_ROW: usize = 100;

/// Rows of orphans that are looked at together.
const ORPHANED_ROWS_AT_ONCE: i64 = 256;

/// Orphans that are claimed together: then no more rows are taken along.
const ORPHANS_AT_ONCE: i64 = 1024;

/// Rows that are published in order at once.
const ORDERED_ROWS_AT_ONCE: u16 = 50;

/// Rows that are looked at for those where some have to wait for somebody else's lock.
const ORDERED_ROWS_BEHIND_A_LOCK: u16 = 1000;

/// An event in the outbox.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Event {
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
}

/// An event that is promised, as whoever promises it has it.
#[derive(Debug, Clone, Copy)]
pub struct Promise<'a> {
    /// The `message_id` of the event.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: &'a str,
    /// Its CloudEvents subject.
    pub subject: &'a str,
    /// Its body.
    pub body: &'a [u8],
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What the command's sender correlates by.
    pub correlation_id: Option<&'a [u8]>,
    /// The `message_id` of the command.
    pub causation_id: Option<&'a [u8]>,
    /// The command's header `traceparent`.
    pub traceparent: Option<&'a [u8]>,
    /// The command's header `tracestate`.
    pub tracestate: Option<&'a [u8]>,
}

/// How the events of a row leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// Published from memory by this replica, and by any other after so many seconds.
    Ours {
        /// The lease.
        lease_seconds: u32,
    },
    /// In the order in which they were written, by one replica at a time, and never from memory.
    InOrder,
}

impl Leaving {
    pub(super) fn events_a_row(self) -> usize {
        match self {
            Self::Ours { .. } => EVENTS_A_ROW,
            Self::InOrder => ORDERED_EVENTS_A_ROW,
        }
    }
}

/// An event that nobody saw to within its lease, or that is published in order.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Waiting {
    /// The key of its row.
    pub outbox_id: i64,
    /// The event.
    #[sqlx(flatten)]
    pub event: Event,
}

/// Writes a row, where there are events at all; the columns are bound by [`bind`].
pub(super) const INSERT: &str = "
    INSERT INTO outbox (events, event_ids, event_types, subjects, bodies, occurred_at, correlation_ids, causation_ids,
                        traceparents, tracestates, is_ordered, written_at, claimed_until)
    SELECT cardinality($1::uuid[]), $1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::timestamptz[], $6::bytea[],
           $7::bytea[], $8::bytea[], $9::bytea[], $10::boolean, clock_timestamp(),
           clock_timestamp() + make_interval(secs => $11::float8)
    WHERE cardinality($1) > 0
    RETURNING outbox_id";

/// Promises events, some to a row. Gives the keys of the rows.
pub async fn insert(
    connection: &mut PgConnection,
    promises: &[Promise<'_>],
    leaving: Leaving,
) -> Result<Vec<i64>, StorageError> {
    let mut keys = Vec::new();
    for row in promises.chunks(leaving.events_a_row()) {
        let inserted = bind(sqlx::query(INSERT), row, leaving).fetch_one(&mut *connection).await?;
        keys.push(inserted.try_get(0)?);
    }
    Ok(keys)
}

/// Binds the events of a row by column.
pub(super) fn bind<'q>(query: Query<'q>, row: &'q [Promise<'q>], leaving: Leaving) -> Query<'q> {
    let lease_seconds = match leaving {
        Leaving::Ours { lease_seconds } => lease_seconds,
        // Nobody publishes these from memory: there is no lease to wait for.
        Leaving::InOrder => 0,
    };
    let column = |of: fn(&'q Promise<'q>) -> Option<&'q [u8]>| sparse(row.iter().map(of).collect());
    query
        .bind(row.iter().map(|event| event.event_id).collect::<Vec<_>>())
        .bind(row.iter().map(|event| event.event_type).collect::<Vec<_>>())
        .bind(row.iter().map(|event| event.subject).collect::<Vec<_>>())
        .bind(row.iter().map(|event| event.body).collect::<Vec<_>>())
        .bind(row.iter().map(|event| event.occurred_at).collect::<Vec<_>>())
        .bind(column(|event| event.correlation_id))
        .bind(column(|event| event.causation_id))
        .bind(column(|event| event.traceparent))
        .bind(column(|event| event.tracestate))
        .bind(leaving == Leaving::InOrder)
        .bind(f64::from(lease_seconds))
}

/// The key of the newest row; nothing where there is none.
pub async fn newest(connection: &mut PgConnection) -> Result<Option<i64>, StorageError> {
    Ok(sqlx::query_scalar("SELECT max(outbox_id) FROM outbox").fetch_one(connection).await?)
}

/// Claims rows whose lease is over, those with these keys, the oldest first, and gives their events. By the lease and not
/// by a key behind which all is done: transactions commit in another order than they take their keys.
pub async fn claim_orphans(
    connection: &mut PgConnection,
    lease_seconds: u32,
    keys: RangeInclusive<i64>,
) -> Result<Vec<Waiting>, StorageError> {
    let orphans = sqlx::query_as(
        "WITH claimed AS (
             UPDATE outbox SET claimed_until = clock_timestamp() + make_interval(secs => $1)
             WHERE outbox_id = ANY (ARRAY(
                 SELECT outbox_id
                 FROM (SELECT outbox_id, sum(events) OVER (ORDER BY outbox_id) - events AS events_before
                       FROM (SELECT outbox_id, events FROM outbox
                             WHERE NOT is_ordered AND claimed_until < clock_timestamp() AND outbox_id BETWEEN $4 AND $5
                             ORDER BY outbox_id LIMIT $2 FOR UPDATE SKIP LOCKED) AS next) AS counted
                 WHERE events_before < $3))
             RETURNING *)
         SELECT outbox_id, event.* FROM claimed,
             unnest(event_ids, event_types, subjects, bodies, occurred_at, correlation_ids, causation_ids,
                    traceparents, tracestates) WITH ORDINALITY
                 AS event (event_id, event_type, subject, body, occurred_at, correlation_id, causation_id,
                           traceparent, tracestate, position)
         ORDER BY outbox_id, position",
    )
    .bind(f64::from(lease_seconds))
    .bind(ORPHANED_ROWS_AT_ONCE)
    .bind(ORPHANS_AT_ONCE)
    .bind(*keys.start())
    .bind(*keys.end())
    .fetch_all(connection)
    .await?;
    Ok(orphans)
}

/// The first events that are published in order, to be deleted in the same transaction; nothing while another replica
/// is at it. The keys of the rows with events of one product have the order in which they happened: they are given
/// under the lock of its stock.
pub async fn next_in_order(connection: &mut PgConnection) -> Result<Option<Vec<Waiting>>, StorageError> {
    let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)")
        .bind(advisory_lock::IN_ORDER)
        .fetch_one(&mut *connection)
        .await?;
    if !is_ours {
        return Ok(None);
    }
    let mut free = free_in_order(connection, ORDERED_ROWS_AT_ONCE).await?;
    if free.is_held_up {
        free = free_in_order(connection, ORDERED_ROWS_BEHIND_A_LOCK).await?;
    }
    if free.keys.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let events = sqlx::query_as(
        "SELECT outbox_id, event.*
         FROM outbox,
             unnest(event_ids, event_types, subjects, bodies, occurred_at, correlation_ids, causation_ids,
                    traceparents, tracestates) WITH ORDINALITY
                 AS event (event_id, event_type, subject, body, occurred_at, correlation_id, causation_id,
                           traceparent, tracestate, position)
         WHERE outbox_id = ANY ($1)
         ORDER BY outbox_id, position",
    )
    .bind(free.keys)
    .fetch_all(connection)
    .await?;
    Ok(Some(events))
}

/// Rows that can be published in order now.
struct Free {
    keys: Vec<i64>,
    /// Whether some of those that were looked at cannot.
    is_held_up: bool,
}

/// The first of so many rows that are published in order, all in one snapshot. What somebody else has locked comes later,
/// for it could not be deleted and would be published again and again; and so does what is about a product of a row that
/// comes later itself.
async fn free_in_order(connection: &mut PgConnection, looked_at: u16) -> Result<Free, StorageError> {
    let rows: Vec<(i64, Vec<String>, bool)> = sqlx::query_as(
        "WITH ours AS MATERIALIZED (
             SELECT outbox_id FROM outbox WHERE is_ordered ORDER BY outbox_id LIMIT $1 FOR UPDATE SKIP LOCKED)
         SELECT outbox_id, subjects, outbox_id IN (SELECT outbox_id FROM ours)
         FROM outbox WHERE is_ordered ORDER BY outbox_id LIMIT $1",
    )
    .bind(i64::from(looked_at))
    .fetch_all(connection)
    .await?;
    let mut later = HashSet::new();
    let mut keys = Vec::new();
    for (key, subjects, is_ours) in rows {
        if is_ours && !subjects.iter().any(|subject| later.contains(subject)) {
            keys.push(key);
        } else {
            later.extend(subjects);
        }
    }
    keys.truncate(usize::from(ORDERED_ROWS_AT_ONCE));
    Ok(Free { keys, is_held_up: !later.is_empty() })
}

/// Leaves only these events in their rows, out of the order: whoever looks for orphans sees to them, once the lease is over.
pub async fn set_aside(
    connection: &mut PgConnection,
    keys: &[i64],
    event_ids: &[Uuid],
    lease_seconds: u32,
) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE outbox
         SET (events, event_ids, event_types, subjects, bodies, occurred_at, correlation_ids, causation_ids,
              traceparents, tracestates)
             = (SELECT count(*), array_agg(event_id ORDER BY position), array_agg(event_type ORDER BY position),
                       array_agg(subject ORDER BY position), array_agg(body ORDER BY position),
                       array_agg(event.occurred_at ORDER BY position), array_agg(correlation_id ORDER BY position),
                       array_agg(causation_id ORDER BY position), array_agg(traceparent ORDER BY position),
                       array_agg(tracestate ORDER BY position)
                FROM unnest(event_ids, event_types, subjects, bodies, occurred_at, correlation_ids, causation_ids,
                            traceparents, tracestates) WITH ORDINALITY
                         AS event (event_id, event_type, subject, body, occurred_at, correlation_id, causation_id,
                                   traceparent, tracestate, position)
                WHERE event_id = ANY ($2)),
             is_ordered = false, claimed_until = clock_timestamp() + make_interval(secs => $3)
         WHERE outbox_id = ANY ($1) AND event_ids && $2",
    )
    .bind(keys)
    .bind(event_ids)
    .bind(f64::from(lease_seconds))
    .execute(connection)
    .await?;
    Ok(())
}

/// The broker has confirmed the events of these rows, but for those that were set aside. Not waiting for the disk: a crash
/// brings them back, and an event may come twice.
pub async fn delete(
    connection: &mut PgConnection,
    keys: &[i64],
    set_aside: &[Uuid],
) -> Result<(), StorageError> {
    sqlx::query(
        "DELETE FROM outbox USING (SELECT set_config('synchronous_commit', 'off', true)) AS not_waiting
         WHERE outbox_id = ANY ($1) AND NOT event_ids && $2",
    )
    .bind(keys)
    .bind(set_aside)
    .execute(connection)
    .await?;
    Ok(())
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, sqlx::FromRow)]
pub struct Backlog {
    /// Events, those of up to 10,000 rows.
    pub events: i64,
    /// Seconds since the oldest was written; 0 where there is none.
    pub oldest_seconds: f64,
}

/// Looks how much waits.
pub async fn backlog(connection: &mut PgConnection) -> Result<Backlog, StorageError> {
    let backlog = sqlx::query_as(
        "SELECT coalesce(sum(events), 0) AS events,
                coalesce(extract(epoch FROM clock_timestamp() - min(written_at)), 0)::float8 AS oldest_seconds
         FROM (SELECT events, written_at FROM outbox ORDER BY outbox_id LIMIT 10000) AS waiting",
    )
    .fetch_one(connection)
    .await?;
    Ok(backlog)
}
