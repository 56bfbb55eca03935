//! Reads messages: parse once, and nothing invalid gets any further.

use serde::Deserialize;

use super::json::{Object, Positive, WireUuid, invalid};
use super::{Code, Message, Problem, json};
use crate::domain::{
    CartId, Command, Item, Items, OrderId, ProductId, Release, ReleaseReason, ReservationId, Reserve,
};

/// Longest hold in seconds: about 68 years.
const HOLD_SECONDS_MAX: u64 = 2_147_483_647;

/// How much a sender may ask for at once (contract section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Lines of a cart.
    pub lines: usize,
    /// Units a line, and in total per product of a cart.
    pub quantity: u64,
}

/// The messages that the service takes (contract section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// A command.
    ReserveInventory,
    /// A command.
    ReleaseInventory,
    /// A query.
    GetStockLevel,
}

impl MessageType {
    const ALL: [Self; 3] = [Self::ReserveInventory, Self::ReleaseInventory, Self::GetStockLevel];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReserveInventory => "ReserveInventory",
            Self::ReleaseInventory => "ReleaseInventory",
            Self::GetStockLevel => "GetStockLevel",
        }
    }

    /// The key that it is routed by.
    #[must_use]
    pub fn routing_key(self) -> &'static str {
        match self {
            Self::ReserveInventory => "reserve-inventory",
            Self::ReleaseInventory => "release-inventory",
            Self::GetStockLevel => "get-stock-level",
        }
    }

    /// The type of a message; where it is missing the routing key decides (contract section 3).
    #[must_use]
    pub fn of(message: &Message) -> Option<Self> {
        Self::ALL.into_iter().find(|known| match &message.message_type {
            Some(name) => known.name() == name,
            None => known.routing_key() == message.routing_key,
        })
    }
}

/// Reads a command.
pub fn decode_command(message: &Message, limits: &Limits) -> Result<Command, Problem> {
    check_size(message, limits)?;
    match MessageType::of(message) {
        Some(MessageType::ReserveInventory) => {
            let Object(wire): Object<WireReserve> = json::from_slice(&message.body)?;
            wire.into_command(limits).map(Command::Reserve)
        }
        Some(MessageType::ReleaseInventory) => {
            let Object(wire): Object<WireRelease> = json::from_slice(&message.body)?;
            Ok(Command::Release(wire.into()))
        }
        Some(MessageType::GetStockLevel) => {
            Err(unsupported("GetStockLevel is a query: send it to the queries queue."))
        }
        None => Err(unsupported(
            "Commands are ReserveInventory and ReleaseInventory: name one in the property type, or by the routing \
             key reserve-inventory or release-inventory.",
        )),
    }
}

/// Reads a query: the product whose level is asked for.
pub fn decode_query(message: &Message, limits: &Limits) -> Result<ProductId, Problem> {
    check_size(message, limits)?;
    match MessageType::of(message) {
        Some(MessageType::GetStockLevel) => {
            let Object(wire): Object<WireStockLevelQuery> = json::from_slice(&message.body)?;
            Ok(ProductId(wire.product_id.0))
        }
        Some(MessageType::ReserveInventory | MessageType::ReleaseInventory) => {
            Err(unsupported("This is a command: send it to the commands queue."))
        }
        None => Err(unsupported(
            "The query is GetStockLevel: name it in the property type, or by the routing key get-stock-level.",
        )),
    }
}

fn unsupported(detail: &str) -> Problem {
    Problem::new(Code::UnsupportedType, detail)
}

fn check_size(message: &Message, limits: &Limits) -> Result<(), Problem> {
    let (bytes, limit) = (message.body.len(), limits.body_bytes);
    if bytes > limit {
        let detail = format!("The body has {bytes} bytes, the limit is {limit}.");
        return Err(Problem::new(Code::MessageTooLarge, detail));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReserve {
    cart_id: WireUuid,
    /// Checked, and forgotten: the customer is nobody's business in here (contract section 1).
    #[serde(rename = "customerId")]
    _customer_id: Option<WireUuid>,
    order_id: Option<WireUuid>,
    reservation_id: Option<WireUuid>,
    hold_seconds: Option<Positive>,
    items: Vec<Object<WireItem>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireItem {
    product_id: WireUuid,
    quantity: Positive,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRelease {
    reservation_id: WireUuid,
    reason: Option<WireReason>,
}

/// Read as a string first: a derived enum would take an object for one as well.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct WireReason(ReleaseReason);

impl TryFrom<String> for WireReason {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.as_str() {
            "CHECKOUT_FAILED" => Ok(Self(ReleaseReason::CheckoutFailed)),
            "ORDER_CANCELLED" => Ok(Self(ReleaseReason::OrderCancelled)),
            "EXPIRED" => Ok(Self(ReleaseReason::Expired)),
            _ => Err("expected CHECKOUT_FAILED, ORDER_CANCELLED or EXPIRED"),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStockLevelQuery {
    product_id: WireUuid,
}

impl WireReserve {
    fn into_command(self, limits: &Limits) -> Result<Reserve, Problem> {
        let hold_seconds = self.hold_seconds.map(|Positive(seconds)| hold_seconds(seconds)).transpose()?;
        Ok(Reserve {
            cart: CartId(self.cart_id.0),
            order: self.order_id.map(|id| OrderId(id.0)),
            reservation: self.reservation_id.map(|id| ReservationId(id.0)),
            hold_seconds,
            items: items(&self.items, limits)?,
        })
    }
}

fn hold_seconds(seconds: u64) -> Result<u32, Problem> {
    match u32::try_from(seconds) {
        Ok(fits) if seconds <= HOLD_SECONDS_MAX => Ok(fits),
        _ => Err(invalid(format!("holdSeconds is over the limit of {HOLD_SECONDS_MAX}."))),
    }
}

fn items(lines: &[Object<WireItem>], limits: &Limits) -> Result<Items, Problem> {
    if lines.is_empty() {
        return Err(invalid("items is empty: a cart has at least one line."));
    }
    if lines.len() > limits.lines {
        return Err(invalid(format!("items has {} lines, the limit is {}.", lines.len(), limits.lines)));
    }
    let items = Items::add_up(
        lines
            .iter()
            .map(|Object(line)| Item { product: ProductId(line.product_id.0), quantity: line.quantity.0 }),
    );
    // A line over the limit makes a total over the limit.
    if let Some(over) = items.iter().find(|item| item.quantity > limits.quantity) {
        let line =
            lines.iter().position(|Object(line)| line.product_id.0 == over.product.0).unwrap_or_default();
        return Err(invalid(format!(
            "The quantity of the product in items[{line}] is over the limit of {} a line and in total.",
            limits.quantity
        )));
    }
    Ok(items)
}

impl From<WireRelease> for Release {
    fn from(wire: WireRelease) -> Self {
        Self {
            reservation: ReservationId(wire.reservation_id.0),
            reason: wire.reason.map(|WireReason(reason)| reason),
        }
    }
}
