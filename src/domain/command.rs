//! Commands, as they are once nothing is left to be misunderstood.

use uuid::Uuid;

use super::{CartId, EndReason, Items, OrderId, ReservationId};

/// What a sender wants done.
///
/// What each does in each state of a reservation is told by `docs/reservations.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `ReserveInventory`
    Reserve(Reserve),
    /// `ReleaseInventory`
    Release(Release),
    /// `ConsumeInventory`
    Consume(Consume),
    /// `ExtendHold`
    Extend(Extend),
}

/// Take stock for a cart, all or nothing (contract 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// The cart that will hold the stock.
    pub cart: CartId,
    /// The order, where checkout knows it already.
    pub order: Option<OrderId>,
    /// Chosen by the sender, so that it can release before it has seen the answer.
    pub reservation: Option<ReservationId>,
    /// Seconds after which the hold lapses; never, where there are none.
    pub hold_seconds: Option<u32>,
    /// What to take, at least one item.
    pub items: Items,
}

/// Give stock of a reservation back, once (contract 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Which reservation.
    pub reservation: ReservationId,
    /// Only so much of it; otherwise all that is held.
    pub items: Option<Items>,
    /// Why, as far as the sender says.
    pub reason: Option<ReleaseReason>,
}

/// The stock of a reservation has left the house.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consume {
    /// Which reservation.
    pub reservation: ReservationId,
    /// Only so much of it; otherwise all that is held.
    pub items: Option<Items>,
}

/// Move the end of a hold later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extend {
    /// Which reservation.
    pub reservation: ReservationId,
    /// Seconds from now on.
    pub hold_seconds: u32,
}

/// Why a sender releases (contract section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseReason {
    /// `CHECKOUT_FAILED`
    CheckoutFailed,
    /// `ORDER_CANCELLED`
    OrderCancelled,
    /// `EXPIRED`
    Expired,
}

impl From<ReleaseReason> for EndReason {
    fn from(reason: ReleaseReason) -> Self {
        match reason {
            ReleaseReason::CheckoutFailed => Self::CheckoutFailed,
            ReleaseReason::OrderCancelled => Self::OrderCancelled,
            ReleaseReason::Expired => Self::Expired,
        }
    }
}

/// A command with all that deciding it needs from outside: who repeats whom, and identifiers to give away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub command: Command,
    /// Absent where the sender gave no `message_id`.
    pub key: Option<IdempotencyKey>,
    /// The id of a reservation made by this command, unless the sender chose one.
    pub fresh_reservation: ReservationId,
    /// The id of the answer: of the event for a reserve, of the reply otherwise.
    pub answer_id: Uuid,
}

/// What makes two messages the same command (contract section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The AMQP `message_id`, 1 to 255 bytes.
    pub message_id: Vec<u8>,
    /// SHA-256 of the message type and the body.
    pub body_hash: [u8; 32],
}
