//! Mends stock rows, and settles counts.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{Mended, Order, by_hand, write_fact};
use crate::storage::stock::LOCATION;
use crate::storage::stock_change::ON_HAND_MAX;
use crate::storage::verify::Finding;
use crate::storage::{StorageError, Transaction, stock_event};

/// A locked stock row.
#[derive(sqlx::FromRow)]
struct Level {
    on_hand: i64,
    reserved: i64,
}

async fn lock_level(connection: &mut PgConnection, product: Uuid) -> Result<Option<Level>, StorageError> {
    let level = sqlx::query_as(
        "SELECT on_hand, reserved FROM stock WHERE product_id = $1 AND location = $2 FOR UPDATE",
    )
    .bind(product)
    .bind(LOCATION)
    .fetch_optional(connection)
    .await?;
    Ok(level)
}

/// Changes a figure by the difference that was found; makes a row that is missing; deletes one of which no fact tells.
pub(super) async fn figure(
    transaction: &mut Transaction,
    finding: &Finding,
    product: Uuid,
) -> Result<Mended, StorageError> {
    if finding.location.as_deref().is_some_and(|location| location != LOCATION) {
        return Ok(Mended::Left(by_hand(finding).to_owned()));
    }
    let connection = transaction.connection()?;
    let is_on_hand = finding.check == "stock.onHand";
    let level = lock_level(&mut *connection, product).await?;
    match (level, finding.derived) {
        (None, _) if !is_on_hand => {
            Ok(Mended::Left("count the product with `inventory stock set`".to_owned()))
        }
        (None, Some(on_hand)) => insert_level(connection, product, on_hand).await,
        (None, None) => {
            Ok(Mended::Left("the stock row is gone by now: run `inventory verify` again".to_owned()))
        }
        (Some(level), None) if is_on_hand => delete_level(connection, product, &level).await,
        (Some(level), derived) => {
            let difference = derived.unwrap_or(0).saturating_sub(finding.booked.unwrap_or(0));
            shift_level(connection, product, &level, difference, is_on_hand).await
        }
    }
}

async fn shift_level(
    connection: &mut PgConnection,
    product: Uuid,
    level: &Level,
    difference: i64,
    is_on_hand: bool,
) -> Result<Mended, StorageError> {
    let (mut on_hand, mut reserved) = (level.on_hand, level.reserved);
    let figure = if is_on_hand { &mut on_hand } else { &mut reserved };
    let before = *figure;
    *figure = figure.saturating_add(difference);
    let after = *figure;
    if on_hand > ON_HAND_MAX {
        return Ok(Mended::Left(impossible(on_hand)));
    }
    if reserved < 0 || on_hand < reserved {
        return Ok(Mended::Left(format!(
            "{on_hand} on hand would be less than the {reserved} that are reserved: release reservations of the product \
             (`inventory reservation list --product {product} --state held`), or count it with `inventory stock set` \
             and repair again"
        )));
    }
    sqlx::query("UPDATE stock SET on_hand = $2, reserved = $3 WHERE product_id = $1 AND location = $4")
        .bind(product)
        .bind(on_hand)
        .bind(reserved)
        .bind(LOCATION)
        .execute(&mut *connection)
        .await?;
    stock_event::promise(connection, &[product]).await?;
    let name = if is_on_hand { "on hand" } else { "reserved" };
    Ok(Mended::Done(format!("{name} {before} became {after}, by {difference:+}")))
}

async fn insert_level(
    connection: &mut PgConnection,
    product: Uuid,
    on_hand: i64,
) -> Result<Mended, StorageError> {
    if !(0..=ON_HAND_MAX).contains(&on_hand) {
        return Ok(Mended::Left(impossible(on_hand)));
    }
    sqlx::query("INSERT INTO stock (product_id, location, on_hand) VALUES ($1, $2, $3)")
        .bind(product)
        .bind(LOCATION)
        .bind(on_hand)
        .execute(&mut *connection)
        .await?;
    stock_event::promise(connection, &[product]).await?;
    Ok(Mended::Done(format!("the missing stock row was made, with {on_hand} on hand")))
}

fn impossible(on_hand: i64) -> String {
    format!(
        "the facts leave {on_hand} on hand, which is not possible: restore them from a backup, or count the product"
    )
}

async fn delete_level(
    connection: &mut PgConnection,
    product: Uuid,
    level: &Level,
) -> Result<Mended, StorageError> {
    let Level { on_hand, reserved } = level;
    let is_counted: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM stock_change WHERE product_id = $1)")
            .bind(product)
            .fetch_one(&mut *connection)
            .await?;
    if is_counted || *reserved > 0 {
        return Ok(Mended::Left("something tells of it by now: run `inventory verify` again".to_owned()));
    }
    sqlx::query("DELETE FROM stock WHERE product_id = $1 AND location = $2")
        .bind(product)
        .bind(LOCATION)
        .execute(connection)
        .await?;
    Ok(Mended::Done(format!(
        "the stock row with {on_hand} on hand was deleted: no fact tells of the product"
    )))
}

pub(super) async fn version(transaction: &mut Transaction, product: Uuid) -> Result<Mended, StorageError> {
    let connection = transaction.connection()?;
    if lock_level(&mut *connection, product).await?.is_none() {
        return Ok(Mended::Left("the stock row is gone by now: run `inventory verify` again".to_owned()));
    }
    stock_event::promise(connection, &[product]).await?;
    Ok(Mended::Done("version and event were brought up to date".to_owned()))
}

pub(super) async fn counts(
    mut transaction: Transaction,
    finding: &Finding,
    product: Uuid,
    order: Order<'_>,
) -> Result<Mended, StorageError> {
    let connection = transaction.connection()?;
    lock_level(&mut *connection, product).await?;
    let last: Option<i64> =
        sqlx::query_scalar("SELECT max(change_id) FROM stock_change WHERE product_id = $1")
            .bind(product)
            .fetch_one(&mut *connection)
            .await?;
    let Some(last) = last else {
        transaction.rollback().await?;
        return Ok(Mended::Left("the counts are gone by now: run `inventory verify` again".to_owned()));
    };
    let detail = format!("the counts up to change {last} are taken as they are");
    write_fact(connection, finding, &detail, order, Some(last)).await?;
    transaction.commit().await?;
    Ok(Mended::Done(detail))
}
