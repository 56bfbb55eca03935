//! Commands, as they are once nothing is left to be misunderstood.

use uuid::Uuid;

use super::{CartId, EndReason, Items, OrderId, ReservationId};

/// What a sender wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `ReserveInventory`
    Reserve(Reserve),
    /// `ReleaseInventory`
    Release(Release),
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

/// Give the stock of a reservation back, once (contract 4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Which reservation.
    pub reservation: ReservationId,
    /// Why, as far as the sender says.
    pub reason: Option<ReleaseReason>,
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
    /// The id of the event or reply that tells the outcome.
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
