//! Writes events and replies: each body once, the same bytes ever after.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::json::{rfc3339, serialize_optional_time, serialize_time, to_vec};
use super::{EventType, Message, MessageType, Problem, TraceContext};
use crate::domain::{
    Availability, CartId, Consumed, EndReason, Event, Items, OrderId, Outcome, ProductId, Receipt, Released,
    ReservationId, Reserved, Shortfall, Status, Unavailable, UnavailableReason,
};

/// Content type of a problem (RFC 9457).
pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";
const JSON_CONTENT_TYPE: &str = "application/json";

/// An event or a reply, as yet without an addressee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `message_id`: the identity of the answer, the same on every redelivery.
    pub id: Uuid,
    /// The event that this is; `None` for what is a reply only.
    pub event: Option<EventType>,
    /// `type`
    pub message_type: &'static str,
    /// `content_type`
    pub content_type: &'static str,
    /// CloudEvents subject: what it is about.
    pub subject: String,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An event: in the outbox or on the wire.
    #[must_use]
    pub fn event(
        id: Uuid,
        event: EventType,
        subject: String,
        occurred_at: DateTime<Utc>,
        body: Vec<u8>,
    ) -> Self {
        let (message_type, content_type) = (event.name(), JSON_CONTENT_TYPE);
        Self { id, event: Some(event), message_type, content_type, subject, occurred_at, body }
    }

    /// A reply has the type of the message that it answers.
    #[must_use]
    pub fn reply(
        id: Uuid,
        answers: MessageType,
        subject: String,
        occurred_at: DateTime<Utc>,
        body: Vec<u8>,
    ) -> Self {
        let (message_type, content_type) = (answers.name(), JSON_CONTENT_TYPE);
        Self { id, event: None, message_type, content_type, subject, occurred_at, body }
    }

    /// A problem reply with a body that exists already.
    #[must_use]
    pub fn problem(id: Uuid, subject: String, occurred_at: DateTime<Utc>, body: Vec<u8>) -> Self {
        let (message_type, content_type) = ("Error", PROBLEM_CONTENT_TYPE);
        Self { id, event: None, message_type, content_type, subject, occurred_at, body }
    }

    /// CloudEvents time.
    #[must_use]
    pub fn time(&self) -> String {
        rfc3339(self.occurred_at)
    }
}

/// What all answers to a message take over from it, and nothing else (contract section 3). The default is that
/// of what no message caused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Causation {
    /// The sender's `correlation_id`, or else its `message_id`.
    pub correlation_id: Option<String>,
    /// The sender's `message_id`: the header `x-causation-id`.
    pub causation_id: Option<String>,
    /// The sender's header `traceparent`.
    pub traceparent: Option<String>,
    /// The sender's header `tracestate`.
    pub tracestate: Option<String>,
}

impl Causation {
    /// What answers to this message take over.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        Self {
            correlation_id: message.correlation_id.as_ref().or(message.message_id.as_ref()).cloned(),
            causation_id: message.message_id.clone(),
            traceparent: message.traceparent.clone(),
            tracestate: message.tracestate.clone(),
        }
    }

    /// The trace that an answer belongs to.
    #[must_use]
    pub fn trace(&self, answer: &Answer) -> TraceContext {
        TraceContext::continued(self.traceparent.as_deref(), self.tracestate.as_deref(), answer.id)
    }
}

/// Writes the answer that tells an outcome.
#[must_use]
pub fn encode_outcome(id: Uuid, outcome: &Outcome, decided_at: DateTime<Utc>) -> Answer {
    match outcome {
        Outcome::Reserved(reserved) => Answer::event(
            id,
            EventType::InventoryReserved,
            reserved.reservation.to_string(),
            decided_at,
            to_vec(&WireReserved::from(reserved)),
        ),
        Outcome::Unavailable(unavailable) => Answer::event(
            id,
            EventType::InventoryUnavailable,
            unavailable.cart.to_string(),
            decided_at,
            to_vec(&WireUnavailable::from(unavailable)),
        ),
        Outcome::Released(receipt, _) => {
            encode_receipt(id, MessageType::ReleaseInventory, receipt, decided_at)
        }
        Outcome::Consumed(receipt, _) => {
            encode_receipt(id, MessageType::ConsumeInventory, receipt, decided_at)
        }
        Outcome::Extended(receipt) => encode_receipt(id, MessageType::ExtendHold, receipt, decided_at),
        Outcome::Refused(refusal) => answer_problem(id, &Problem::from(refusal), decided_at),
    }
}

fn encode_receipt(id: Uuid, answers: MessageType, receipt: &Receipt, decided_at: DateTime<Utc>) -> Answer {
    let subject = receipt.reservation.to_string();
    Answer::reply(id, answers, subject, decided_at, to_vec(&WireReceipt::from(receipt)))
}

/// Writes an event.
#[must_use]
pub fn encode_event(id: Uuid, event: &Event) -> Answer {
    match event {
        Event::Released(released) => Answer::event(
            id,
            EventType::InventoryReleased,
            released.reservation.to_string(),
            released.released_at,
            to_vec(&WireReleased::from(released)),
        ),
        Event::Consumed(consumed) => Answer::event(
            id,
            EventType::InventoryConsumed,
            consumed.reservation.to_string(),
            consumed.consumed_at,
            to_vec(&WireConsumed::from(consumed)),
        ),
        Event::Availability(availability) => {
            let Availability { product, available, version, at } = *availability;
            let (event, body) = if available == 0 {
                let body = WireDepleted { product_id: product, version, depleted_at: at };
                (EventType::StockDepleted, to_vec(&body))
            } else {
                let body = WireReplenished { product_id: product, available, version, replenished_at: at };
                (EventType::StockReplenished, to_vec(&body))
            };
            Answer::event(id, event, product.to_string(), at, body)
        }
    }
}

/// Writes a problem as a reply.
#[must_use]
pub fn answer_problem(id: Uuid, problem: &Problem, occurred_at: DateTime<Utc>) -> Answer {
    Answer::problem(id, problem.code.name().to_owned(), occurred_at, problem.to_json())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireReserved {
    reservation_id: ReservationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    cart_id: CartId,
    items: Vec<WireItem>,
    #[serde(serialize_with = "serialize_time")]
    reserved_at: DateTime<Utc>,
    #[serde(serialize_with = "serialize_optional_time", skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireItem {
    product_id: ProductId,
    quantity: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireUnavailable {
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    cart_id: CartId,
    unavailable_items: Vec<WireShortfall>,
    reason: &'static str,
    #[serde(serialize_with = "serialize_time")]
    checked_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireShortfall {
    product_id: ProductId,
    requested: u64,
    available: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireReceipt {
    reservation_id: ReservationId,
    status: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    taken_again: bool,
    #[serde(serialize_with = "serialize_optional_time", skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireReleased {
    reservation_id: ReservationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    cart_id: CartId,
    items: Vec<WireItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(serialize_with = "serialize_time")]
    released_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireConsumed {
    reservation_id: ReservationId,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<OrderId>,
    cart_id: CartId,
    items: Vec<WireItem>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    taken_again: bool,
    #[serde(serialize_with = "serialize_time")]
    consumed_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireDepleted {
    product_id: ProductId,
    version: u64,
    #[serde(serialize_with = "serialize_time")]
    depleted_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireReplenished {
    product_id: ProductId,
    available: u64,
    version: u64,
    #[serde(serialize_with = "serialize_time")]
    replenished_at: DateTime<Utc>,
}

/// The name of a state.
pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Held => "HELD",
        Status::Released => "RELEASED",
        Status::Consumed => "CONSUMED",
    }
}

/// The name of a reason.
pub(super) fn reason_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::CheckoutFailed => "CHECKOUT_FAILED",
        EndReason::OrderCancelled => "ORDER_CANCELLED",
        EndReason::Expired | EndReason::Lapsed => "EXPIRED",
        EndReason::Superseded => "SUPERSEDED",
    }
}

pub(super) fn wire_items(items: &Items) -> Vec<WireItem> {
    items.iter().map(|item| WireItem { product_id: item.product, quantity: item.quantity }).collect()
}

impl From<&Reserved> for WireReserved {
    fn from(reserved: &Reserved) -> Self {
        Self {
            reservation_id: reserved.reservation,
            order_id: reserved.order,
            cart_id: reserved.cart,
            items: wire_items(&reserved.items),
            reserved_at: reserved.reserved_at,
            expires_at: reserved.expires_at,
        }
    }
}

impl From<&Unavailable> for WireUnavailable {
    fn from(unavailable: &Unavailable) -> Self {
        Self {
            order_id: unavailable.order,
            cart_id: unavailable.cart,
            unavailable_items: unavailable.shortfalls.iter().map(WireShortfall::from).collect(),
            reason: match unavailable.reason {
                UnavailableReason::InsufficientStock => "INSUFFICIENT_STOCK",
                UnavailableReason::ReleasedBefore => "RELEASED_BEFORE",
            },
            checked_at: unavailable.checked_at,
        }
    }
}

impl From<&Shortfall> for WireShortfall {
    fn from(shortfall: &Shortfall) -> Self {
        Self { product_id: shortfall.product, requested: shortfall.requested, available: shortfall.available }
    }
}

impl From<&Receipt> for WireReceipt {
    fn from(receipt: &Receipt) -> Self {
        Self {
            reservation_id: receipt.reservation,
            status: status_name(receipt.status),
            taken_again: receipt.taken_again,
            expires_at: receipt.expires_at,
        }
    }
}

impl From<&Released> for WireReleased {
    fn from(released: &Released) -> Self {
        Self {
            reservation_id: released.reservation,
            order_id: released.order,
            cart_id: released.cart,
            items: wire_items(&released.items),
            reason: released.reason.map(reason_name),
            released_at: released.released_at,
        }
    }
}

impl From<&Consumed> for WireConsumed {
    fn from(consumed: &Consumed) -> Self {
        Self {
            reservation_id: consumed.reservation,
            order_id: consumed.order,
            cart_id: consumed.cart,
            items: wire_items(&consumed.items),
            taken_again: consumed.taken_again,
            consumed_at: consumed.consumed_at,
        }
    }
}
