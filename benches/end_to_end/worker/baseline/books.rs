//! One transaction for a command.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use lapin::message::Delivery;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Postgres, Transaction};
use uuid::Uuid;

use super::decision::{Decision, Reserve};
use super::outbox::Promised;
use crate::failure::Failure;

/// What is known of a command: now, and how it was answered before.
#[derive(sqlx::FromRow)]
struct Known {
    now: DateTime<Utc>,
    #[sqlx(flatten)]
    outcome: Outcome,
}

/// All or nothing of it is there.
#[derive(sqlx::FromRow)]
struct Outcome {
    body_hash: Option<Vec<u8>>,
    event_id: Option<Uuid>,
    event_type: Option<String>,
    body: Option<Vec<u8>>,
}

/// Decides a command and commits; gives the event that is promised.
pub async fn handle(connection: &mut PgConnection, delivery: &Delivery) -> Result<Promised, Failure> {
    let properties = delivery.properties.clone();
    let text = |text: Option<&lapin::types::ShortString>| text.map(ToString::to_string).unwrap_or_default();
    let message_id = text(properties.message_id().as_ref());
    let reserve = Reserve::decode(&delivery.data)?;
    let body_hash = Sha256::digest(&delivery.data).to_vec();
    let mut transaction = connection.begin().await?;
    let known = look_up(&mut transaction, &message_id).await?;
    if let Outcome {
        body_hash: Some(hash),
        event_id: Some(event_id),
        event_type: Some(event_type),
        body: Some(body),
    } = known.outcome
    {
        if hash != body_hash {
            return Err(Failure::Wrong(format!("message_id {message_id} was used before")));
        }
        return Ok(Promised { outbox_id: None, event_id, event_type, body, properties });
    }
    let available = lock(&mut transaction, &reserve).await?;
    let decision = reserve.decide(&available, known.now)?;
    let command = (message_id, body_hash, text(properties.correlation_id().as_ref()), known.now);
    let outbox_id = Some(write(&mut transaction, &reserve, &decision, command).await?);
    transaction.commit().await?;
    let Decision { event_id, event_type, body, .. } = decision;
    Ok(Promised { outbox_id, event_id, event_type: event_type.to_owned(), body, properties })
}

async fn look_up(transaction: &mut Transaction<'_, Postgres>, message_id: &str) -> Result<Known, Failure> {
    let known = sqlx::query_as(
        "SELECT clock_timestamp() AS now, body_hash, event_id, event_type, body
         FROM (SELECT 1) AS always LEFT JOIN command_outcome ON message_id = $1",
    )
    .bind(message_id)
    .fetch_one(&mut **transaction)
    .await?;
    Ok(known)
}

async fn lock(
    transaction: &mut Transaction<'_, Postgres>,
    reserve: &Reserve,
) -> Result<HashMap<Uuid, i64>, Failure> {
    let available: Vec<(Uuid, i64)> = sqlx::query_as(
        "SELECT product_id, on_hand - reserved FROM stock WHERE product_id = ANY ($1)
         ORDER BY product_id FOR UPDATE",
    )
    .bind(reserve.items.keys().copied().collect::<Vec<_>>())
    .fetch_all(&mut **transaction)
    .await?;
    Ok(available.into_iter().collect())
}

/// Everything in one statement: a round trip less under the locks for each table.
async fn write(
    transaction: &mut Transaction<'_, Postgres>,
    reserve: &Reserve,
    decision: &Decision,
    (message_id, body_hash, correlation_id, now): (String, Vec<u8>, String, DateTime<Utc>),
) -> Result<i64, Failure> {
    let outbox_id = sqlx::query_scalar(
        "WITH taken AS (
             UPDATE stock SET reserved = reserved + quantity
             FROM unnest($1::uuid[], $2::bigint[]) AS item (product, quantity)
             WHERE product_id = product AND $3::uuid IS NOT NULL),
         held AS (
             INSERT INTO reservation (reservation_id, cart_id, state, product_ids, quantities, reserved_at)
             SELECT $3, $4, 'HELD', $1, $2, $5 WHERE $3 IS NOT NULL),
         kept AS (
             INSERT INTO command_outcome (message_id, body_hash, event_id, event_type, body, decided_at)
             VALUES ($6, $7, $8, $9, $10, $5))
         INSERT INTO outbox (event_id, event_type, body, correlation_id, occurred_at)
         VALUES ($8, $9, $10, $11, $5) RETURNING outbox_id",
    )
    .bind(reserve.items.keys().copied().collect::<Vec<_>>())
    .bind(reserve.items.values().copied().collect::<Vec<_>>())
    .bind(decision.reservation)
    .bind(reserve.cart)
    .bind(now)
    .bind(message_id)
    .bind(body_hash)
    .bind(decision.event_id)
    .bind(decision.event_type)
    .bind(&decision.body)
    .bind(correlation_id)
    .fetch_one(&mut **transaction)
    .await?;
    Ok(outbox_id)
}
