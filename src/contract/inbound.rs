//! Reads messages: parse once, and nothing invalid gets any further.

use serde::Deserialize;

use super::json::{Object, Positive, WireUuid, invalid};
use super::{Code, Message, MessageType, Problem, json};
use crate::domain::{
    CartId, Command, Consume, Extend, Item, Items, OrderId, ProductId, Release, ReleaseReason, ReservationId,
    Reserve,
};

/// Longest hold in seconds: about 68 years.
const HOLD_SECONDS_MAX: u64 = 2_147_483_647;

/// How much a sender may ask for at once (contract section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Lines of a cart, or of a part of it.
    pub lines: usize,
    /// Products of a query.
    pub products: usize,
    /// Units a line, and in total per product of a cart.
    pub quantity: u64,
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
            wire.into_command(limits).map(Command::Release)
        }
        Some(MessageType::ConsumeInventory) => {
            let Object(wire): Object<WireConsume> = json::from_slice(&message.body)?;
            wire.into_command(limits).map(Command::Consume)
        }
        Some(MessageType::ExtendHold) => {
            let Object(wire): Object<WireExtend> = json::from_slice(&message.body)?;
            wire.into_command().map(Command::Extend)
        }
        Some(query) => {
            Err(unsupported(format!("{} is a query: send it to the queries queue.", query.name())))
        }
        None => Err(unsupported(format!(
            "Commands are {}: name one in the property type, or by its routing key.",
            names(&MessageType::COMMANDS)
        ))),
    }
}

/// The names of some messages with their routing keys.
pub(super) fn names(types: &[MessageType]) -> String {
    let named: Vec<String> =
        types.iter().map(|known| format!("{} ({})", known.name(), known.routing_key())).collect();
    named.join(", ")
}

pub(super) fn unsupported(detail: impl Into<String>) -> Problem {
    Problem::new(Code::UnsupportedType, detail)
}

pub(super) fn check_size(message: &Message, limits: &Limits) -> Result<(), Problem> {
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
    items: Option<Vec<Object<WireItem>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireConsume {
    reservation_id: WireUuid,
    items: Option<Vec<Object<WireItem>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireExtend {
    reservation_id: WireUuid,
    hold_seconds: Positive,
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
        return Err(invalid("items is empty: name at least one line."));
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

impl WireRelease {
    fn into_command(self, limits: &Limits) -> Result<Release, Problem> {
        Ok(Release {
            reservation: ReservationId(self.reservation_id.0),
            items: self.items.map(|lines| items(&lines, limits)).transpose()?,
            reason: self.reason.map(|WireReason(reason)| reason),
        })
    }
}

impl WireConsume {
    fn into_command(self, limits: &Limits) -> Result<Consume, Problem> {
        Ok(Consume {
            reservation: ReservationId(self.reservation_id.0),
            items: self.items.map(|lines| items(&lines, limits)).transpose()?,
        })
    }
}

impl WireExtend {
    fn into_command(self) -> Result<Extend, Problem> {
        Ok(Extend {
            reservation: ReservationId(self.reservation_id.0),
            hold_seconds: hold_seconds(self.hold_seconds.0)?,
        })
    }
}
