//! Tables `reservation` and `reservation_amendment`: who holds what, and how it ended.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StorageError;
use super::column::{from_bigint, to_bigint};
use crate::domain::{
    Amendment, CartId, EndReason, Hold, Item, Items, OrderId, ProductId, Reservation, ReservationId, State,
};

/// Locks these reservations and the live holds of these carts, in the order of their ids.
pub async fn lock(
    connection: &mut PgConnection,
    ids: &[Uuid],
    carts: &[Uuid],
) -> Result<Vec<Reservation>, StorageError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT reservation_id, cart_id, order_id, state, product_ids, quantities, reserved_at, expires_at,
                ended_at, end_reason
         FROM reservation
         WHERE reservation_id = ANY($1) OR (cart_id = ANY($2) AND state = 'HELD')
         ORDER BY reservation_id FOR UPDATE",
    )
    .bind(ids)
    .bind(carts)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Reservation::try_from).collect()
}

/// Writes new reservations.
pub async fn insert(connection: &mut PgConnection, reservations: &[Reservation]) -> Result<(), StorageError> {
    if reservations.is_empty() {
        return Ok(());
    }
    // A row's items are a slice of two arrays that hold those of all rows: PostgreSQL has no array of arrays
    // of different lengths.
    bind(
        "INSERT INTO reservation (reservation_id, cart_id, order_id, state, reserved_at, expires_at, ended_at,
                                  end_reason, product_ids, quantities)
         SELECT reservation_id, cart_id, order_id, state, reserved_at, expires_at, ended_at, end_reason,
                ($9::uuid[])[first_item:last_item], ($10::bigint[])[first_item:last_item]
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                     $7::timestamptz[], $8::text[], $11::int[], $12::int[])
              AS r (reservation_id, cart_id, order_id, state, reserved_at, expires_at, ended_at, end_reason,
                    first_item, last_item)",
        reservations,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes locked reservations as they are now.
pub async fn update(connection: &mut PgConnection, reservations: &[Reservation]) -> Result<(), StorageError> {
    if reservations.is_empty() {
        return Ok(());
    }
    bind(
        "UPDATE reservation
         SET cart_id = r.cart_id, order_id = r.order_id, state = r.state, reserved_at = r.reserved_at,
             expires_at = r.expires_at, ended_at = r.ended_at, end_reason = r.end_reason,
             product_ids = ($9::uuid[])[r.first_item:r.last_item],
             quantities = ($10::bigint[])[r.first_item:r.last_item]
         FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                     $7::timestamptz[], $8::text[], $11::int[], $12::int[])
              AS r (reservation_id, cart_id, order_id, state, reserved_at, expires_at, ended_at, end_reason,
                    first_item, last_item)
         WHERE reservation.reservation_id = r.reservation_id",
        reservations,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what holds consisted of before they were amended.
pub async fn insert_amendments(
    connection: &mut PgConnection,
    amendments: &[Amendment],
) -> Result<(), StorageError> {
    // One by one: it takes a sender that changes its cart and insists on its reservation id.
    for amendment in amendments {
        let (product_ids, quantities) = columns_of(&amendment.former_items);
        sqlx::query(
            "INSERT INTO reservation_amendment (reservation_id, former_product_ids, former_quantities,
                                                former_reserved_at, amended_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(amendment.reservation.0)
        .bind(product_ids)
        .bind(quantities)
        .bind(amendment.former_reserved_at)
        .bind(amendment.amended_at)
        .execute(&mut *connection)
        .await?;
    }
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
    reserved_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    end_reason: Option<String>,
}

impl TryFrom<Row> for Reservation {
    type Error = StorageError;

    fn try_from(row: Row) -> Result<Self, StorageError> {
        let state = row.state()?;
        let hold = match (row.cart_id, row.reserved_at) {
            (Some(cart), Some(reserved_at)) => Some(Hold {
                cart: CartId(cart),
                order: row.order_id.map(OrderId),
                items: row.items()?,
                reserved_at,
                expires_at: row.expires_at,
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

    fn items(&self) -> Result<Items, StorageError> {
        let pairs = self.product_ids.iter().zip(&self.quantities);
        let items: Result<Vec<Item>, StorageError> = pairs
            .map(|(product, quantity)| {
                Ok(Item { product: ProductId(*product), quantity: from_bigint(*quantity)? })
            })
            .collect();
        Ok(Items::add_up(items?))
    }
}

fn end_reason(name: &str) -> Result<EndReason, StorageError> {
    [EndReason::CheckoutFailed, EndReason::OrderCancelled, EndReason::Expired, EndReason::Superseded]
        .into_iter()
        .find(|reason| end_reason_name(*reason) == name)
        .ok_or_else(|| StorageError::Broken(format!("end_reason {name}")))
}

fn end_reason_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::CheckoutFailed => "CHECKOUT_FAILED",
        EndReason::OrderCancelled => "ORDER_CANCELLED",
        EndReason::Expired => "EXPIRED",
        EndReason::Superseded => "SUPERSEDED",
    }
}

fn state_columns(state: State) -> (&'static str, Option<DateTime<Utc>>, Option<&'static str>) {
    match state {
        State::Held => ("HELD", None, None),
        State::Released { at, reason } => ("RELEASED", Some(at), reason.map(end_reason_name)),
        State::Consumed { at } => ("CONSUMED", Some(at), None),
    }
}

fn columns_of(items: &Items) -> (Vec<Uuid>, Vec<i64>) {
    items.iter().map(|item| (item.product.0, to_bigint(item.quantity))).unzip()
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
    product_ids: Vec<Uuid>,
    quantities: Vec<i64>,
    first_items: Vec<i32>,
    last_items: Vec<i32>,
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
        self.first_items.push(position(self.product_ids.len() + 1));
        if let Some(hold) = hold {
            let (product_ids, quantities) = columns_of(&hold.items);
            self.product_ids.extend(product_ids);
            self.quantities.extend(quantities);
        }
        self.last_items.push(position(self.product_ids.len()));
    }
}

/// PostgreSQL counts array positions from 1, in 32 bits; a batch is limited far below that.
fn position(of: usize) -> i32 {
    i32::try_from(of).unwrap_or(i32::MAX)
}

type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind(sql: &'static str, reservations: &[Reservation]) -> Query {
    let mut columns = Columns::default();
    for reservation in reservations {
        columns.push(reservation);
    }
    sqlx::query(sql)
        .bind(columns.ids)
        .bind(columns.carts)
        .bind(columns.orders)
        .bind(columns.states)
        .bind(columns.reserved_at)
        .bind(columns.expires_at)
        .bind(columns.ended_at)
        .bind(columns.end_reasons)
        .bind(columns.product_ids)
        .bind(columns.quantities)
        .bind(columns.first_items)
        .bind(columns.last_items)
}
