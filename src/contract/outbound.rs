//! Writes events and replies: each body once, the same bytes ever after.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::json::{rfc3339, serialize_optional_time, serialize_time, to_vec};
use super::{EventType, Message, MessageType, Problem, TraceContext};
use crate::domain::{
    CartId, Items, OrderId, Outcome, ProductId, ReservationId, Reserved, Shortfall, StockLevel, Unavailable,
    UnavailableReason,
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

/// What all answers to a message take over from it, and nothing else (contract section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
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
        Outcome::Released(reservation) => Answer::reply(
            id,
            MessageType::ReleaseInventory,
            reservation.to_string(),
            decided_at,
            to_vec(&WireReleased { reservation_id: *reservation, status: "RELEASED" }),
        ),
        Outcome::Refused(refusal) => answer_problem(id, &Problem::from(*refusal), decided_at),
    }
}

/// Writes a problem as a reply.
#[must_use]
pub fn answer_problem(id: Uuid, problem: &Problem, occurred_at: DateTime<Utc>) -> Answer {
    Answer::problem(id, problem.code.name().to_owned(), occurred_at, problem.to_json())
}

/// Writes the response to `GetStockLevel`.
#[must_use]
pub fn answer_stock_level(
    id: Uuid,
    product: ProductId,
    level: StockLevel,
    answered_at: DateTime<Utc>,
) -> Answer {
    let body = WireStockLevel { product_id: product, available: level.available(), reserved: level.reserved };
    Answer::reply(id, MessageType::GetStockLevel, product.to_string(), answered_at, to_vec(&body))
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireItem {
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireShortfall {
    product_id: ProductId,
    requested: u64,
    available: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireReleased {
    reservation_id: ReservationId,
    status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireStockLevel {
    product_id: ProductId,
    available: u64,
    reserved: u64,
}

fn wire_items(items: &Items) -> Vec<WireItem> {
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
