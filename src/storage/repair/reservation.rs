//! Derives what became of a reservation from its movements.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Mended;
use crate::storage::stock::LOCATION;
use crate::storage::{StorageError, Transaction};

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

pub(super) async fn reservation(transaction: &mut Transaction, id: Uuid) -> Result<Mended, StorageError> {
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
