//! Stock levels, and the life of a reservation.

use chrono::{DateTime, Utc};

use super::{CartId, Items, OrderId, ReservationId};

/// Units of one product. `reserved <= on_hand` always holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StockLevel {
    /// Physically there, reserved units included.
    pub on_hand: u64,
    /// Taken by live holds.
    pub reserved: u64,
}

impl StockLevel {
    /// Units that a reserve can still take.
    #[must_use]
    pub fn available(self) -> u64 {
        self.on_hand.saturating_sub(self.reserved)
    }
}

/// A reservation: either something that a cart holds or held, or a release that came too early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// What is or was held. `None`: it was released before it was ever reserved, and a reserve that turns up
    /// later with this id holds nothing (contract 4.4).
    pub hold: Option<Hold>,
    /// Where it is in its life.
    pub state: State,
}

/// What a cart took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Whose it is.
    pub cart: CartId,
    /// For which order, where known.
    pub order: Option<OrderId>,
    /// What is held.
    pub items: Items,
    /// When these items were taken.
    pub reserved_at: DateTime<Utc>,
    /// When the hold lapses; `None`: it does not.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The states of a reservation. Final states are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The stock is taken.
    Held,
    /// The stock went back.
    Released {
        /// When.
        at: DateTime<Utc>,
        /// Why, where known.
        reason: Option<EndReason>,
    },
    /// The stock left the house.
    Consumed {
        /// When.
        at: DateTime<Utc>,
    },
}

/// Why a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Checkout did not come to an order.
    CheckoutFailed,
    /// The order was cancelled.
    OrderCancelled,
    /// Its time was over.
    Expired,
    /// Another reserve for the same cart took its place (contract 4.3).
    Superseded,
}

/// What a hold consisted of before its cart changed the items under the same reservation id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amendment {
    /// The reservation that was amended.
    pub reservation: ReservationId,
    /// What was held until then.
    pub former_items: Items,
    /// Since when.
    pub former_reserved_at: DateTime<Utc>,
    /// When the items were changed.
    pub amended_at: DateTime<Utc>,
}
