//! Mends what [`super::verify`] found: each finding in a transaction of its own, under the lock of its row, together with
//! a row in table `repair` that says who and why.
//!
//! What is derived follows the facts. A stock figure is changed by the difference that was found and not set to what
//! was derived: honest work goes on meanwhile, and moves both sides alike.

use chrono::{DateTime, Utc};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use super::stock::LOCATION;
use super::stock_change::ON_HAND_MAX;
use super::verify::{Finding, Mend};
use super::{Database, StorageError, Transaction, advisory_lock, stock_event};

/// Keeps other repairs out as long as it lives: its connection is closed then.
#[derive(Debug)]
pub struct Guard {
    connection: Option<PoolConnection<Postgres>>,
}

impl Guard {
    /// Takes the lock; nothing where somebody else is repairing.
    pub async fn take(database: &Database) -> Result<Option<Self>, StorageError> {
        let mut connection = database.pool().acquire().await?;
        let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(advisory_lock::REPAIR)
            .fetch_one(&mut *connection)
            .await?;
        let guard = Self { connection: Some(connection) };
        Ok(taken.then_some(guard))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

/// Who repairs, and why.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// In the words of the operator.
    pub reason: &'a str,
    /// The operator's login name.
    pub by: &'a str,
}

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mended {
    /// It is mended, in this way.
    Done(String),
    /// It is not; this is what a person can do.
    Left(String),
}

/// Mends a finding. Not for overdue holds, which the service's own code lets lapse: see [`record`].
pub async fn mend(database: &Database, finding: &Finding, order: Order<'_>) -> Result<Mended, StorageError> {
    let mut transaction = database.begin().await?;
    let mended = match (finding.mend, finding.product_id, finding.reservation_id) {
        (Mend::Stock, Some(product), _) => stock(&mut transaction, finding, product).await?,
        (Mend::Version, Some(product), _) => version(&mut transaction, product).await?,
        (Mend::Counts, Some(product), _) => return counts(transaction, finding, product, order).await,
        (Mend::Reservation, _, Some(reservation)) => self::reservation(&mut transaction, reservation).await?,
        (Mend::Origin, _, Some(reservation)) => origin(&mut transaction, reservation).await?,
        (Mend::Outcome, _, _) => outcome(&mut transaction, finding).await?,
        (Mend::Outbox, _, _) => outbox(&mut transaction, finding).await?,
        _ => Mended::Left(by_hand(finding).to_owned()),
    };
    match &mended {
        Mended::Done(detail) => {
            write_fact(transaction.connection()?, finding, detail, order, None).await?;
            transaction.commit().await?;
        }
        Mended::Left(_) => transaction.rollback().await?,
    }
    Ok(mended)
}

/// Writes down that a finding was mended by other means.
pub async fn record(
    database: &Database,
    finding: &Finding,
    detail: &str,
    order: Order<'_>,
) -> Result<(), StorageError> {
    let mut transaction = database.begin().await?;
    write_fact(transaction.connection()?, finding, detail, order, None).await?;
    transaction.commit().await
}

/// What a person can do about a finding that cannot be mended.
#[must_use]
pub fn by_hand(finding: &Finding) -> &'static str {
    match finding.check.as_str() {
        "reservation.unknownProduct" | "broughtForward.unknownProduct" => {
            "count the product with `inventory stock set`"
        }
        "movement.withoutReservation" => {
            "the reservation is gone, though its stock moved: restore its row from a backup, or count the product with \
             `inventory stock set`"
        }
        "hold.ofCart" => {
            "look at both with `inventory reservation show` and release one with ReleaseInventory"
        }
        "outbox.impossible" => {
            "no event can be made of this row: mend its type and body from the command's outcome, or delete it"
        }
        "stock.impossible" | "stock.unknownLocation" => {
            "a constraint of the table must be gone: restore it, and mend the row by hand"
        }
        "stockChange.time" | "stockChange.impossible" | "broughtForward.impossible" => {
            "the fact itself is wrong: restore the row from a backup, then count the product with `inventory stock set`"
        }
        _ => {
            "the facts contradict one another: look at them with `inventory reservation show`, and restore the rows \
              from a backup"
        }
    }
}

async fn write_fact(
    connection: &mut PgConnection,
    finding: &Finding,
    detail: &str,
    order: Order<'_>,
    settled_up_to: Option<i64>,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO repair (finding, product_id, reservation_id, detail, reason, settled_up_to, repaired_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&finding.check)
    .bind(finding.product_id)
    .bind(finding.reservation_id)
    .bind(format!("{} ({})", detail, finding.detail))
    .bind(order.reason)
    .bind(settled_up_to)
    .bind(order.by)
    .execute(connection)
    .await?;
    Ok(())
}

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
async fn stock(
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

async fn version(transaction: &mut Transaction, product: Uuid) -> Result<Mended, StorageError> {
    let connection = transaction.connection()?;
    if lock_level(&mut *connection, product).await?.is_none() {
        return Ok(Mended::Left("the stock row is gone by now: run `inventory verify` again".to_owned()));
    }
    stock_event::promise(connection, &[product]).await?;
    Ok(Mended::Done("version and event were brought up to date".to_owned()))
}

async fn counts(
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

async fn origin(transaction: &mut Transaction, reservation: Uuid) -> Result<Mended, StorageError> {
    let connection = transaction.connection()?;
    let old: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("SELECT reserved_by FROM reservation WHERE reservation_id = $1 FOR UPDATE")
            .bind(reservation)
            .fetch_optional(&mut *connection)
            .await?;
    let Some(old) = old.flatten() else {
        return Ok(Mended::Left(
            "the reservation has changed by now: run `inventory verify` again".to_owned(),
        ));
    };
    sqlx::query("UPDATE reservation SET reserved_by = NULL WHERE reservation_id = $1")
        .bind(reservation)
        .execute(connection)
        .await?;
    Ok(Mended::Done(format!("it was made by message {}, which is forgotten", String::from_utf8_lossy(&old))))
}

async fn outcome(transaction: &mut Transaction, finding: &Finding) -> Result<Mended, StorageError> {
    let Some(message_id) = &finding.message_id else { return Ok(Mended::Left(by_hand(finding).to_owned())) };
    let deleted =
        sqlx::query_as("DELETE FROM command_outcome WHERE message_id = $1 RETURNING outcome, subject")
            .bind(message_id)
            .fetch_optional(transaction.connection()?)
            .await?;
    let deleted: Option<(String, String)> = deleted;
    let message = String::from_utf8_lossy(message_id);
    let Some((outcome, subject)) = deleted else {
        return Ok(Mended::Left("the outcome is gone by now".to_owned()));
    };
    // The reservation that this command made must not wait for the outcome in vain.
    sqlx::query("UPDATE reservation SET reserved_by = NULL WHERE reserved_by = $1 AND reservation_id = $2")
        .bind(message_id)
        .bind(finding.reservation_id.or_else(|| subject.parse().ok()))
        .execute(transaction.connection()?)
        .await?;
    Ok(Mended::Done(format!("the outcome {outcome} of {subject}, message {message}, was deleted")))
}

async fn outbox(transaction: &mut Transaction, finding: &Finding) -> Result<Mended, StorageError> {
    let freed = sqlx::query("UPDATE outbox SET claimed_until = now() WHERE outbox_id = $1")
        .bind(finding.outbox_id)
        .execute(transaction.connection()?)
        .await?;
    Ok(match freed.rows_affected() {
        0 => Mended::Left("the event has left by now".to_owned()),
        _ => Mended::Done(format!(
            "event {} of the outbox may be published by any replica; if it stays, look whether the service runs and \
             RabbitMQ takes events",
            finding.outbox_id.unwrap_or_default()
        )),
    })
}

/// A locked reservation.
#[derive(sqlx::FromRow)]
struct Row {
    cart_id: Option<Uuid>,
    state: String,
    product_ids: Vec<Uuid>,
    quantities: Vec<i64>,
    released: Option<Vec<i64>>,
    consumed: Option<Vec<i64>>,
    ended_at: Option<DateTime<Utc>>,
    end_reason: Option<String>,
    is_amended: bool,
}

/// A step of a reservation.
#[derive(sqlx::FromRow)]
struct Step {
    kind: String,
    reason: Option<String>,
    product_ids: Vec<Uuid>,
    quantities: Vec<i64>,
    moved_at: DateTime<Utc>,
}

/// What became of a reservation, as its movements tell.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    state: &'static str,
    released: Option<Vec<i64>>,
    consumed: Option<Vec<i64>>,
    ended_at: Option<DateTime<Utc>>,
    end_reason: Option<String>,
}

async fn reservation(transaction: &mut Transaction, id: Uuid) -> Result<Mended, StorageError> {
    let connection = transaction.connection()?;
    let row: Option<Row> = sqlx::query_as(
        "SELECT cart_id, state, product_ids, quantities, released, consumed, ended_at, end_reason, is_amended
         FROM reservation WHERE reservation_id = $1 FOR UPDATE",
    )
    .bind(id)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else {
        return Ok(Mended::Left("the reservation is gone by now: run `inventory verify` again".to_owned()));
    };
    let steps: Vec<Step> = sqlx::query_as(
        "SELECT kind, reason, product_ids, quantities, moved_at FROM reservation_movement
         WHERE reservation_id = $1 ORDER BY movement_id",
    )
    .bind(id)
    .fetch_all(&mut *connection)
    .await?;
    if steps.is_empty() && row.state != "HELD" && !still_booked(&mut *connection, &row).await? {
        return restore_movement(connection, id, &row).await;
    }
    let Some(fate) = fate(&row, &steps) else {
        return Ok(Mended::Left(
            "its items and its movements contradict one another: look at it with `inventory reservation show`, restore \
             its row and movements from a backup, or count its products with `inventory stock set` afterwards"
                .to_owned(),
        ));
    };
    if fate.is_of(&row) {
        return Ok(Mended::Left(
            "its movements tell what it says by now: what is left must be mended by hand".to_owned(),
        ));
    }
    if fate.state == "HELD" && row.state != "HELD" && holds_already(&mut *connection, id, row.cart_id).await?
    {
        return Ok(Mended::Left(
            "its movements leave it held, but its cart has another live hold".to_owned(),
        ));
    }
    write_fate(connection, id, &fate).await?;
    let (state, reason) = (fate.state, fate.end_reason.as_deref().unwrap_or("no reason"));
    Ok(Mended::Done(format!("it was {} and became {state}, for {reason}, as its movements tell", row.state)))
}

/// Whether the stock still counts the items as reserved: more is reserved of each than live holds have taken. Then it is
/// the row that is wrong, and not a movement that is missing.
async fn still_booked(connection: &mut PgConnection, row: &Row) -> Result<bool, StorageError> {
    let booked = sqlx::query_scalar(
        "SELECT coalesce(bool_and(coalesce(stock.reserved, 0) - coalesce(held.units, 0) >= item.quantity), false)
         FROM unnest($1::uuid[], $2::bigint[]) AS item (product_id, quantity)
         LEFT JOIN stock ON stock.product_id = item.product_id AND stock.location = $3
         LEFT JOIN LATERAL (
             SELECT sum(part.quantity - coalesce(back, 0) - coalesce(gone, 0)) AS units
             FROM reservation, unnest(product_ids, quantities, released, consumed) AS part (product_id, quantity, back, gone)
             WHERE state = 'HELD' AND part.product_id = item.product_id) AS held ON true",
    )
    .bind(&row.product_ids)
    .bind(&row.quantities)
    .bind(LOCATION)
    .fetch_one(connection)
    .await?;
    Ok(booked)
}

/// The row says how it ended and the stock agrees: the movement is written again from the row.
async fn restore_movement(
    connection: &mut PgConnection,
    id: Uuid,
    row: &Row,
) -> Result<Mended, StorageError> {
    if row.is_amended || row.released.is_some() || row.consumed.is_some() || row.ended_at.is_none() {
        return Ok(Mended::Left(
            "its movements are gone, and it went through several: restore them from a backup".to_owned(),
        ));
    }
    sqlx::query(
        "INSERT INTO reservation_movement (reservation_id, kind, reason, product_ids, quantities, moved_at)
         SELECT reservation_id, state, end_reason, product_ids, quantities, ended_at FROM reservation WHERE reservation_id = $1",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(Mended::Done(format!(
        "the movement that made it {} was missing, and is written again from its row",
        row.state
    )))
}

async fn holds_already(
    connection: &mut PgConnection,
    id: Uuid,
    cart: Option<Uuid>,
) -> Result<bool, StorageError> {
    let holds = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM reservation WHERE cart_id = $1 AND state = 'HELD' AND reservation_id <> $2)",
    )
    .bind(cart)
    .bind(id)
    .fetch_one(connection)
    .await?;
    Ok(holds)
}

async fn write_fate(connection: &mut PgConnection, id: Uuid, fate: &Fate) -> Result<(), StorageError> {
    sqlx::query(
        "UPDATE reservation SET state = $2, released = $3, consumed = $4, ended_at = $5, end_reason = $6
         WHERE reservation_id = $1",
    )
    .bind(id)
    .bind(fate.state)
    .bind(&fate.released)
    .bind(&fate.consumed)
    .bind(fate.ended_at)
    .bind(&fate.end_reason)
    .execute(connection)
    .await?;
    Ok(())
}

impl Fate {
    fn is_of(&self, row: &Row) -> bool {
        let Self { state, released, consumed, ended_at, end_reason } = self;
        *state == row.state
            && *released == row.released
            && *consumed == row.consumed
            && *ended_at == row.ended_at
            && *end_reason == row.end_reason
    }
}

/// Units of one item, by what its movements did with them.
struct Moved {
    held: i64,
    lapsed: i64,
    consumed: i64,
    released: i64,
}

/// Derives what became of a reservation; nothing where its items and its movements contradict one another.
fn fate(row: &Row, steps: &[Step]) -> Option<Fate> {
    let products = steps.iter().flat_map(|step| &step.product_ids);
    let mut products: Vec<Uuid> =
        products.copied().filter(|product| !row.product_ids.contains(product)).collect();
    products.sort_unstable();
    products.dedup();
    // Products that an amendment took out: what was taken of them must be gone again.
    for product in products {
        moved(row, steps, product, 0).filter(|moved| moved.held == 0 && moved.consumed == 0)?;
    }
    let pairs = row.product_ids.iter().zip(&row.quantities);
    let items: Vec<Moved> =
        pairs.map(|(product, quantity)| moved(row, steps, *product, *quantity)).collect::<Option<_>>()?;
    let is_held = items.iter().any(|item| item.held > 0);
    let has_lapsed = items.iter().any(|item| item.lapsed > 0);
    if is_held && has_lapsed {
        return None;
    }
    let part = |of: fn(&Moved) -> i64| -> Vec<i64> { items.iter().map(of).collect() };
    let (released, consumed) = (part(|item| item.released), part(|item| item.consumed));
    ending(steps, is_held, has_lapsed).map(|(state, ended_at, end_reason)| {
        let is_simple = match (state, has_lapsed) {
            ("RELEASED", false) => released == row.quantities,
            ("CONSUMED", _) => consumed == row.quantities,
            _ => released.iter().chain(&consumed).all(|units| *units == 0),
        };
        let parts = |units: Vec<i64>| (!is_simple).then_some(units);
        Fate { state, released: parts(released), consumed: parts(consumed), ended_at, end_reason }
    })
}

/// What the movements did with an item; nothing where more moved than there was.
fn moved(row: &Row, steps: &[Step], product: Uuid, quantity: i64) -> Option<Moved> {
    let sum = |is_counted: &dyn Fn(&Step) -> bool| -> i64 {
        let counted = steps.iter().filter(|step| is_counted(step));
        let items = counted.flat_map(|step| step.product_ids.iter().zip(&step.quantities));
        items.filter(|(moved, _)| **moved == product).map(|(_, units)| *units).fold(0, i64::saturating_add)
    };
    let reserved = sum(&|step| step.kind == "RESERVED");
    let taken = if row.is_amended { reserved } else { quantity };
    let lapsed = sum(&|step| step.is_lapse());
    let released = sum(&|step| step.kind == "RELEASED" && !step.is_lapse());
    let consumed = sum(&|step| step.kind == "CONSUMED");
    let late = sum(&|step| step.kind == "CONSUMED_LATE");
    let held = taken - released - lapsed - consumed;
    let open = lapsed - late;
    // What is neither held nor lapsed nor consumed was released; before an amendment that was no part of the items.
    let back = quantity - held - open - consumed - late;
    let is_whole =
        held >= 0 && open >= 0 && back >= 0 && (row.is_amended || (back == released && reserved == 0));
    is_whole.then_some(Moved { held, lapsed: open, consumed: consumed + late, released: back })
}

impl Step {
    fn is_lapse(&self) -> bool {
        self.kind == "RELEASED" && self.reason.as_deref() == Some("LAPSED")
    }
}

type Ending = (&'static str, Option<DateTime<Utc>>, Option<String>);

/// State, end and reason of it: the step that took the last unit decides.
fn ending(steps: &[Step], is_held: bool, has_lapsed: bool) -> Option<Ending> {
    if is_held {
        return Some(("HELD", None, None));
    }
    let last = if has_lapsed { steps.iter().rfind(|step| step.is_lapse()) } else { steps.last() }?;
    match last.kind.as_str() {
        "RELEASED" => Some(("RELEASED", Some(last.moved_at), last.reason.clone())),
        "CONSUMED" | "CONSUMED_LATE" => Some(("CONSUMED", Some(last.moved_at), None)),
        _ => None,
    }
}
