//! The events `StockDepleted` and `StockReplenished` of what people do to stock.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::column::from_bigint;
use super::outbox::Leaving;
use super::stock::LOCATION;
use super::{StorageError, outbox};
use crate::contract::{Answer, encode_event};
use crate::domain::{Availability, Event, ProductId};

/// Products whose events are written together.
const AT_ONCE: usize = 10_000;

/// Brings the versions of these locked products up to date, and promises the events: those of which available
/// has left 0 or reached it since the last.
pub async fn promise(connection: &mut PgConnection, products: &[Uuid]) -> Result<(), StorageError> {
    for some in products.chunks(AT_ONCE) {
        let crossed: Vec<(Uuid, i64, i64, DateTime<Utc>)> = sqlx::query_as(
            "UPDATE stock SET version = version + 1
             WHERE product_id = ANY($1) AND location = $2 AND (version % 2 = 1) <> (on_hand > reserved)
             RETURNING product_id, on_hand - reserved, version, clock_timestamp()",
        )
        .bind(some)
        .bind(LOCATION)
        .fetch_all(&mut *connection)
        .await?;
        let events: Result<Vec<Event>, StorageError> = crossed.into_iter().map(event).collect();
        let answers: Vec<Answer> = events?.iter().map(|event| encode_event(Uuid::now_v7(), event)).collect();
        let promises: Vec<outbox::Promise<'_>> = answers.iter().map(promise_of).collect();
        outbox::insert(&mut *connection, &promises, Leaving::InOrder).await?;
    }
    Ok(())
}

fn event((product, available, version, at): (Uuid, i64, i64, DateTime<Utc>)) -> Result<Event, StorageError> {
    let (available, version) = (from_bigint(available)?, from_bigint(version)?);
    Ok(Event::Availability(Availability { product: ProductId(product), available, version, at }))
}

fn promise_of(answer: &Answer) -> outbox::Promise<'_> {
    outbox::Promise {
        event_id: answer.id,
        event_type: answer.message_type,
        subject: &answer.subject,
        body: &answer.body,
        occurred_at: answer.occurred_at,
        correlation_id: None,
        causation_id: None,
        traceparent: None,
        tracestate: None,
    }
}
