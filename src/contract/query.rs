//! Queries, and the answers to them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::inbound::{Limits, check_size, names, unsupported};
use super::json::{Object, WireUuid, invalid, serialize_optional_time, serialize_time, to_vec};
use super::outbound::{Answer, reason_name, status_name};
use super::{Message, MessageType, Problem, json};
use crate::domain::{
    CartId, Hold, Line, OrderId, ProductId, Reservation, ReservationId, State, Status, StockLevel,
};

/// What somebody wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// `GetStockLevel`
    StockLevel(ProductId),
    /// `GetStockLevels`
    StockLevels(Vec<ProductId>),
    /// `GetReservation`
    Reservation(ReservationKey),
}

/// What a reservation is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReservationKey {
    /// Itself.
    Reservation(ReservationId),
    /// The one that its cart holds, or else the latest.
    Cart(CartId),
    /// The one that is held for its order, or else the latest.
    Order(OrderId),
}

impl Query {
    /// The type of the message that it came in.
    #[must_use]
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::StockLevel(_) => MessageType::GetStockLevel,
            Self::StockLevels(_) => MessageType::GetStockLevels,
            Self::Reservation(_) => MessageType::GetReservation,
        }
    }

    /// The products that it asks for.
    #[must_use]
    pub fn products(&self) -> &[ProductId] {
        match self {
            Self::StockLevel(product) => std::slice::from_ref(product),
            Self::StockLevels(products) => products,
            Self::Reservation(_) => &[],
        }
    }
}

/// Reads a query.
pub fn decode_query(message: &Message, limits: &Limits) -> Result<Query, Problem> {
    check_size(message, limits)?;
    match MessageType::of(message) {
        Some(MessageType::GetStockLevel) => {
            let Object(wire): Object<WireStockLevelQuery> = json::from_slice(&message.body)?;
            Ok(Query::StockLevel(ProductId(wire.product_id.0)))
        }
        Some(MessageType::GetStockLevels) => {
            let Object(wire): Object<WireStockLevelsQuery> = json::from_slice(&message.body)?;
            wire.into_query(limits)
        }
        Some(MessageType::GetReservation) => {
            let Object(wire): Object<WireReservationQuery> = json::from_slice(&message.body)?;
            wire.into_query()
        }
        Some(_) => Err(unsupported("This is a command: send it to the commands queue.")),
        None => Err(unsupported(format!(
            "Queries are {}: name one in the property type, or by its routing key.",
            names(&MessageType::QUERIES)
        ))),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStockLevelQuery {
    product_id: WireUuid,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStockLevelsQuery {
    product_ids: Vec<WireUuid>,
}

#[derive(Deserialize)]
struct WireReservationQuery {
    #[serde(rename = "reservationId")]
    reservation: Option<WireUuid>,
    #[serde(rename = "cartId")]
    cart: Option<WireUuid>,
    #[serde(rename = "orderId")]
    order: Option<WireUuid>,
}

impl WireStockLevelsQuery {
    fn into_query(self, limits: &Limits) -> Result<Query, Problem> {
        let (asked, limit) = (self.product_ids.len(), limits.products);
        if !(1..=limit).contains(&asked) {
            return Err(invalid(format!("productIds has {asked} products; ask for 1 to {limit} at once.")));
        }
        Ok(Query::StockLevels(self.product_ids.into_iter().map(|id| ProductId(id.0)).collect()))
    }
}

impl WireReservationQuery {
    fn into_query(self) -> Result<Query, Problem> {
        let keys = [
            self.reservation.map(|id| ReservationKey::Reservation(ReservationId(id.0))),
            self.cart.map(|id| ReservationKey::Cart(CartId(id.0))),
            self.order.map(|id| ReservationKey::Order(OrderId(id.0))),
        ];
        let mut named = keys.into_iter().flatten();
        match (named.next(), named.next()) {
            (Some(key), None) => Ok(Query::Reservation(key)),
            _ => Err(invalid("Name exactly one of reservationId, cartId and orderId.")),
        }
    }
}

/// Writes the response to `GetStockLevel`.
#[must_use]
pub fn answer_stock_level(
    id: Uuid,
    product: ProductId,
    level: StockLevel,
    answered_at: DateTime<Utc>,
) -> Answer {
    let body = WireStockLevel::of(product, level);
    Answer::reply(id, MessageType::GetStockLevel, product.to_string(), answered_at, to_vec(&body))
}

/// Writes the response to `GetStockLevels`.
#[must_use]
#[expect(clippy::implicit_hasher, reason = "one hasher is enough for the service")]
pub fn answer_stock_levels(
    id: Uuid,
    products: &[ProductId],
    levels: &HashMap<ProductId, StockLevel>,
    answered_at: DateTime<Utc>,
) -> Answer {
    let known = |product: &ProductId| levels.get(product).map(|level| WireStockLevel::of(*product, *level));
    let body = WireStockLevels {
        stock_levels: products.iter().filter_map(known).collect(),
        unknown_product_ids: products.iter().filter(|p| !levels.contains_key(p)).copied().collect(),
    };
    let subject = products.first().map(ToString::to_string).unwrap_or_default();
    Answer::reply(id, MessageType::GetStockLevels, subject, answered_at, to_vec(&body))
}

/// Writes the response to `GetReservation`; nothing for what was never reserved.
#[must_use]
pub fn answer_reservation(id: Uuid, reservation: &Reservation, answered_at: DateTime<Utc>) -> Option<Answer> {
    let body = WireReservation::of(reservation, reservation.hold.as_ref()?);
    let subject = reservation.id.to_string();
    Some(Answer::reply(id, MessageType::GetReservation, subject, answered_at, to_vec(&body)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireStockLevel {
    product_id: ProductId,
    available: u64,
    reserved: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireStockLevels {
    stock_levels: Vec<WireStockLevel>,
    unknown_product_ids: Vec<ProductId>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireReservation {
    reservation_id: ReservationId,
    cart_id: CartId,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    status: &'static str,
    items: Vec<WireLine>,
    #[serde(serialize_with = "serialize_time")]
    reserved_at: DateTime<Utc>,
    #[serde(serialize_with = "serialize_optional_time", skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "serialize_optional_time", skip_serializing_if = "Option::is_none")]
    ended_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lapsed: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireLine {
    product_id: ProductId,
    quantity: u64,
    held: u64,
    released: u64,
    consumed: u64,
}

impl WireStockLevel {
    fn of(product: ProductId, level: StockLevel) -> Self {
        Self { product_id: product, available: level.available(), reserved: level.reserved }
    }
}

impl WireReservation {
    fn of(reservation: &Reservation, hold: &Hold) -> Self {
        let (status, ended_at, reason) = match reservation.state {
            State::Held => (Status::Held, None, None),
            State::Released { at, reason } => (Status::Released, Some(at), reason),
            State::Consumed { at } => (Status::Consumed, Some(at), None),
        };
        Self {
            reservation_id: reservation.id,
            cart_id: hold.cart,
            order_id: hold.order,
            status: status_name(status),
            items: hold.lines.iter().map(|line| WireLine::of(line, reservation.state)).collect(),
            reserved_at: hold.reserved_at,
            expires_at: hold.expires_at,
            ended_at,
            reason: reason.map(reason_name),
            lapsed: reservation.state.is_lapsed(),
        }
    }
}

impl WireLine {
    /// What lapsed has gone back as well, though no sender released it.
    fn of(line: &Line, state: State) -> Self {
        let held = if state == State::Held { line.open } else { 0 };
        Self {
            product_id: line.product,
            quantity: line.quantity(),
            held,
            released: line.released + line.open - held,
            consumed: line.consumed,
        }
    }
}
