//! Table `command_outcome`: how commands were answered, by their `message_id`.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StorageError;
use super::column::{Query, sparse};

/// An outcome as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Record {
    /// The idempotency key.
    pub message_id: Vec<u8>,
    /// What the message was made of.
    pub body_hash: [u8; 32],
    /// The type of the answer, or the code of a refusal.
    pub outcome: String,
    /// The `message_id` of the answer.
    pub answer_id: Uuid,
    /// The CloudEvents subject of the answer.
    pub subject: String,
    /// The body of the answer.
    pub body: Vec<u8>,
    /// When it was decided.
    pub decided_at: DateTime<Utc>,
    /// The event that goes with the answer.
    #[sqlx(flatten)]
    pub event: RecordedEvent,
}

/// The event that goes with an answer that is a reply; all or nothing of it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct RecordedEvent {
    /// Its `message_id`.
    pub event_id: Option<Uuid>,
    /// Its type.
    pub event_type: Option<String>,
    /// Its body.
    pub event_body: Option<Vec<u8>>,
}

/// Looks outcomes up.
pub async fn look_up(
    connection: &mut PgConnection,
    message_ids: &[Vec<u8>],
) -> Result<Vec<Record>, StorageError> {
    if message_ids.is_empty() {
        return Ok(Vec::new());
    }
    let records = sqlx::query_as("SELECT * FROM command_outcome WHERE message_id = ANY($1)")
        .bind(message_ids)
        .fetch_all(connection)
        .await?;
    Ok(records)
}

/// Binds outcomes by column, in the order of their keys: two transactions that write the same ones wait in line then.
pub(super) fn bind<'q>(query: Query<'q>, records: &'q [Record]) -> Query<'q> {
    let mut sorted: Vec<&Record> = records.iter().collect();
    sorted.sort_unstable_by(|a, b| a.message_id.cmp(&b.message_id));
    query
        .bind(sorted.iter().map(|r| r.message_id.as_slice()).collect::<Vec<_>>())
        .bind(sorted.iter().map(|r| r.body_hash.as_slice()).collect::<Vec<_>>())
        .bind(sorted.iter().map(|r| r.outcome.as_str()).collect::<Vec<_>>())
        .bind(sorted.iter().map(|r| r.answer_id).collect::<Vec<_>>())
        .bind(sorted.iter().map(|r| r.subject.as_str()).collect::<Vec<_>>())
        .bind(sorted.iter().map(|r| r.body.as_slice()).collect::<Vec<_>>())
        .bind(sorted.iter().map(|r| r.decided_at).collect::<Vec<_>>())
        .bind(sparse(sorted.iter().map(|r| r.event.event_id).collect()))
        .bind(sparse(sorted.iter().map(|r| r.event.event_type.as_deref()).collect()))
        .bind(sparse(sorted.iter().map(|r| r.event.event_body.as_deref()).collect()))
}
