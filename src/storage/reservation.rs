//! Table `reservation`: who holds what, and how it ended.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StorageError;
use super::column::{Query, from_bigint, sparse, to_bigint};
use crate::domain::{
    CartId, Changes, EndReason, Hold, Line, Lines, OrderId, ProductId, Reservation, ReservationId, State,
};

/// Reads these reservations, and those of these carts and orders: the live ones, and else the latest of each.
pub async fn read(
    connection: &mut PgConnection,
    ids: &[Uuid],
    carts: &[Uuid],
    orders: &[Uuid],
) -> Result<Vec<Reservation>, StorageError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM reservation WHERE reservation_id = ANY ($1)
         UNION ALL
         SELECT latest.* FROM unnest($2::uuid[]) AS asked (cart_id) CROSS JOIN LATERAL (
             (SELECT * FROM reservation WHERE reservation.cart_id = asked.cart_id AND state = 'HELD')
             UNION ALL
             (SELECT * FROM reservation WHERE reservation.cart_id = asked.cart_id AND state <> 'HELD'
              ORDER BY reserved_at DESC, reservation_id DESC LIMIT 1)
             LIMIT 1) AS latest
         UNION ALL
         SELECT latest.* FROM unnest($3::uuid[]) AS asked (order_id) CROSS JOIN LATERAL (
             SELECT * FROM reservation WHERE reservation.order_id = asked.order_id
             ORDER BY state = 'HELD' DESC, reserved_at DESC, reservation_id DESC LIMIT 1) AS latest",
    )
    .bind(ids)
    .bind(carts)
    .bind(orders)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Reservation::try_from).collect()
}

/// Fails with [`StorageError::Raced`] where there is one of these reservations, or a live hold of one of these carts, that is
/// not among the known ones: another transaction has made it since they were locked, or had it locked then.
pub async fn not_outrun(
    connection: &mut PgConnection,
    ids: &[Uuid],
    carts: &[Uuid],
    known: &[Uuid],
) -> Result<(), StorageError> {
    let is_outrun = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM reservation WHERE reservation_id = ANY ($1) AND reservation_id <> ALL ($3))
             OR EXISTS (SELECT FROM reservation
                        WHERE cart_id = ANY ($2) AND state = 'HELD' AND reservation_id <> ALL ($3))",
    )
    .bind(ids)
    .bind(carts)
    .bind(known)
    .fetch_one(connection)
    .await?;
    if is_outrun { Err(StorageError::Raced("reservation")) } else { Ok(()) }
}

/// Fails with [`StorageError::Raced`] where another transaction has made and ended a hold since `at` for a cart of a
/// new one: ours would have begun before it. Asked once ours are written, when no other can make one any more.
pub async fn none_ended_since(
    connection: &mut PgConnection,
    at: DateTime<Utc>,
    changes: &Changes,
) -> Result<(), StorageError> {
    let carts = changes.inserted.iter().filter_map(|new| new.hold.as_ref()).map(|hold| hold.cart.0);
    let carts: Vec<Uuid> = carts.collect();
    if carts.is_empty() {
        return Ok(());
    }
    let ours: Vec<Uuid> = changes.inserted.iter().chain(&changes.updated).map(|ours| ours.id.0).collect();
    // By the time: few have ended since, and carts are many. What will only have ended is of a clock that was set back.
    let is_outrun = sqlx::query_scalar(
        "WITH ended AS MATERIALIZED (
             SELECT reservation_id, cart_id FROM reservation WHERE ended_at BETWEEN $1 AND clock_timestamp())
         SELECT EXISTS (SELECT FROM ended WHERE cart_id = ANY ($2) AND reservation_id <> ALL ($3))",
    )
    .bind(at)
    .bind(carts)
    .bind(ours)
    .fetch_one(connection)
    .await?;
    if is_outrun { Err(StorageError::Raced("cart")) } else { Ok(()) }
}

/// Locks those of these reservations that nobody else has locked.
pub async fn lock_free(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Reservation>, StorageError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT * FROM reservation WHERE reservation_id = ANY($1)
         ORDER BY reservation_id FOR UPDATE SKIP LOCKED",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Reservation::try_from).collect()
}

/// Writes locked reservations as they are now.
pub async fn update(connection: &mut PgConnection, reservations: &[Reservation]) -> Result<(), StorageError> {
    if reservations.is_empty() {
        return Ok(());
    }
    // A row's items are a slice of arrays that hold those of all rows: PostgreSQL has no array of arrays of
    // different lengths.
    let query = sqlx::query(
        "UPDATE reservation
         SET cart_id = r.cart_id, order_id = r.order_id, state = r.state, reserved_at = r.reserved_at,
             expires_at = r.expires_at, ended_at = r.ended_at, end_reason = r.end_reason,
             reserved_by = r.reserved_by, is_amended = r.is_amended,
             product_ids = ($11::uuid[])[r.first_item:r.last_item],
             quantities = ($12::bigint[])[r.first_item:r.last_item],
             released = CASE WHEN has_parts THEN ($13::bigint[])[r.first_item:r.last_item] END,
             consumed = CASE WHEN has_parts THEN ($14::bigint[])[r.first_item:r.last_item] END
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                     $7::timestamptz[], $8::text[], $9::bytea[], $10::boolean[], $15::int[], $16::int[],
                     $17::boolean[])
              AS r (reservation_id, cart_id, order_id, state, reserved_at, expires_at, ended_at, end_reason,
                    reserved_by, is_amended, first_item, last_item, has_parts)
         WHERE reservation.reservation_id = r.reservation_id",
    );
    bind(query, reservations).execute(connection).await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Row {
    reservation_id: Uuid,
    cart_id: Option<Uuid>,
    order_id: Option<Uuid>,
    state: String,
    product_ids: Vec<Uuid>,
    quantities: Vec<i64>,
    released: Option<Vec<i64>>,
    consumed: Option<Vec<i64>>,
    reserved_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    end_reason: Option<String>,
    reserved_by: Option<Vec<u8>>,
    is_amended: bool,
}

impl TryFrom<Row> for Reservation {
    type Error = StorageError;

    fn try_from(row: Row) -> Result<Self, StorageError> {
        let state = row.state()?;
        let hold = match (row.cart_id, row.reserved_at) {
            (Some(cart), Some(reserved_at)) => Some(Hold {
                cart: CartId(cart),
                order: row.order_id.map(OrderId),
                lines: row.lines(state)?,
                reserved_at,
                expires_at: row.expires_at,
                reserved_by: row.reserved_by,
                is_amended: row.is_amended,
            }),
            _ => None,
        };
        Ok(Self { id: ReservationId(row.reservation_id), hold, state })
    }
}

impl Row {
    fn state(&self) -> Result<State, StorageError> {
        let reason = self.end_reason.as_deref().map(end_reason).transpose()?;
        match (self.state.as_str(), self.ended_at) {
            ("HELD", None) => Ok(State::Held),
            ("RELEASED", Some(at)) => Ok(State::Released { at, reason }),
            ("CONSUMED", Some(at)) => Ok(State::Consumed { at }),
            (state, _) => {
                Err(StorageError::Broken(format!("reservation {} in state {state}", self.reservation_id)))
            }
        }
    }

    fn lines(&self, state: State) -> Result<Lines, StorageError> {
        let part = |units: &Option<Vec<i64>>, index: usize| {
            units.as_ref().map(|units| from_bigint(units.get(index).copied().unwrap_or_default())).transpose()
        };
        let pairs = self.product_ids.iter().zip(&self.quantities).enumerate();
        pairs
            .map(|(index, (product, quantity))| {
                let quantity = from_bigint(*quantity)?;
                let parts = (part(&self.released, index)?, part(&self.consumed, index)?);
                let (released, consumed) = match (parts, state) {
                    ((None, consumed), State::Released { .. }) if !state.is_lapsed() => {
                        let consumed = consumed.unwrap_or_default();
                        (quantity.saturating_sub(consumed), consumed)
                    }
                    ((released, None), State::Consumed { .. }) => {
                        let released = released.unwrap_or_default();
                        (released, quantity.saturating_sub(released))
                    }
                    ((released, consumed), _) => (released.unwrap_or_default(), consumed.unwrap_or_default()),
                };
                let open = quantity.checked_sub(released + consumed).ok_or_else(|| self.overdrawn())?;
                Ok(Line { product: ProductId(*product), open, released, consumed })
            })
            .collect()
    }

    fn overdrawn(&self) -> StorageError {
        StorageError::Broken(format!("reservation {} has parts that exceed it", self.reservation_id))
    }
}

fn end_reason(name: &str) -> Result<EndReason, StorageError> {
    [
        EndReason::CheckoutFailed,
        EndReason::OrderCancelled,
        EndReason::Expired,
        EndReason::Superseded,
        EndReason::Lapsed,
    ]
    .into_iter()
    .find(|reason| end_reason_name(*reason) == name)
    .ok_or_else(|| StorageError::Broken(format!("end_reason {name}")))
}

pub(super) fn end_reason_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::CheckoutFailed => "CHECKOUT_FAILED",
        EndReason::OrderCancelled => "ORDER_CANCELLED",
        EndReason::Expired => "EXPIRED",
        EndReason::Superseded => "SUPERSEDED",
        EndReason::Lapsed => "LAPSED",
    }
}

fn state_columns(state: State) -> (&'static str, Option<DateTime<Utc>>, Option<&'static str>) {
    match state {
        State::Held => ("HELD", None, None),
        State::Released { at, reason } => ("RELEASED", Some(at), reason.map(end_reason_name)),
        State::Consumed { at } => ("CONSUMED", Some(at), None),
    }
}

/// Whether the state alone does not tell what has become of each unit.
fn has_parts(lines: &Lines, state: State) -> bool {
    lines.iter().any(|line| match state {
        State::Held => line.released + line.consumed > 0,
        State::Released { .. } if state.is_lapsed() => line.released + line.consumed > 0,
        State::Released { .. } => line.consumed > 0,
        State::Consumed { .. } => line.released > 0,
    })
}

/// Reservations by column.
#[derive(Default)]
struct Columns {
    ids: Vec<Uuid>,
    carts: Vec<Option<Uuid>>,
    orders: Vec<Option<Uuid>>,
    states: Vec<&'static str>,
    reserved_at: Vec<Option<DateTime<Utc>>>,
    expires_at: Vec<Option<DateTime<Utc>>>,
    ended_at: Vec<Option<DateTime<Utc>>>,
    end_reasons: Vec<Option<&'static str>>,
    reserved_by: Vec<Option<Vec<u8>>>,
    is_amended: Vec<bool>,
    product_ids: Vec<Uuid>,
    quantities: Vec<i64>,
    released: Vec<i64>,
    consumed: Vec<i64>,
    first_items: Vec<i32>,
    last_items: Vec<i32>,
    has_parts: Vec<bool>,
}

impl Columns {
    fn push(&mut self, reservation: &Reservation) {
        let hold = reservation.hold.as_ref();
        let (state, ended_at, reason) = state_columns(reservation.state);
        self.ids.push(reservation.id.0);
        self.carts.push(hold.map(|hold| hold.cart.0));
        self.orders.push(hold.and_then(|hold| hold.order).map(|order| order.0));
        self.states.push(state);
        self.reserved_at.push(hold.map(|hold| hold.reserved_at));
        self.expires_at.push(hold.and_then(|hold| hold.expires_at));
        self.ended_at.push(ended_at);
        self.end_reasons.push(reason);
        self.reserved_by.push(hold.and_then(|hold| hold.reserved_by.clone()));
        self.is_amended.push(hold.is_some_and(|hold| hold.is_amended));
        self.first_items.push(position(self.product_ids.len() + 1));
        for line in hold.iter().flat_map(|hold| hold.lines.iter()) {
            self.product_ids.push(line.product.0);
            self.quantities.push(to_bigint(line.quantity()));
            self.released.push(to_bigint(line.released));
            self.consumed.push(to_bigint(line.consumed));
        }
        self.last_items.push(position(self.product_ids.len()));
        self.has_parts.push(hold.is_some_and(|hold| has_parts(&hold.lines, reservation.state)));
    }
}

/// PostgreSQL counts array positions from 1, in 32 bits; a batch is limited far below that.
pub(super) fn position(of: usize) -> i32 {
    i32::try_from(of).unwrap_or(i32::MAX)
}

/// Binds reservations by column, and then their items, those of all in one column each.
pub(super) fn bind<'q>(query: Query<'q>, reservations: &[Reservation]) -> Query<'q> {
    let mut columns = Columns::default();
    for reservation in reservations {
        columns.push(reservation);
    }
    query
        .bind(columns.ids)
        .bind(columns.carts)
        .bind(sparse(columns.orders))
        .bind(columns.states)
        .bind(columns.reserved_at)
        .bind(sparse(columns.expires_at))
        .bind(sparse(columns.ended_at))
        .bind(sparse(columns.end_reasons))
        .bind(sparse(columns.reserved_by))
        .bind(columns.is_amended)
        .bind(columns.product_ids)
        .bind(columns.quantities)
        .bind(columns.released)
        .bind(columns.consumed)
        .bind(columns.first_items)
        .bind(columns.last_items)
        .bind(columns.has_parts)
}
