//! Stock levels, and the life of a reservation.

use chrono::{DateTime, Utc};

use super::{CartId, Items, Lines, OrderId, ProductId, ReservationId};

/// Units of one product. `reserved <= on_hand` always holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StockLevel {
    /// Physically there, reserved units included.
    pub on_hand: u64,
    /// Taken by live holds.
    pub reserved: u64,
    /// How often available has left 0 or reached it: odd while something is available.
    pub version: u64,
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

impl Reservation {
    /// The products of which it may still give back stock, or, once lapsed, take it again.
    pub fn open_products(&self) -> impl Iterator<Item = ProductId> {
        let is_open = self.state == State::Held || self.state.is_lapsed();
        let lines = self.hold.iter().filter(move |_| is_open).flat_map(|hold| hold.lines.iter());
        lines.filter(|line| line.open > 0).map(|line| line.product)
    }
}

/// What a cart took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Whose it is.
    pub cart: CartId,
    /// For which order, where known.
    pub order: Option<OrderId>,
    /// What it consists of.
    pub lines: Lines,
    /// When what is open was taken.
    pub reserved_at: DateTime<Utc>,
    /// When the hold lapses; `None`: it does not.
    pub expires_at: Option<DateTime<Utc>>,
    /// The `message_id` of the command that took it first.
    pub reserved_by: Option<Vec<u8>>,
    /// Whether its cart changed the items under the same reservation id.
    pub is_amended: bool,
}

/// The states of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The stock is taken.
    Held,
    /// The stock went back. Final, unless the hold has [lapsed](EndReason::Lapsed).
    Released {
        /// When.
        at: DateTime<Utc>,
        /// Why, where known.
        reason: Option<EndReason>,
    },
    /// The stock left the house. Final.
    Consumed {
        /// When.
        at: DateTime<Utc>,
    },
}

impl State {
    /// Its time was over, and nobody has released or consumed it since.
    #[must_use]
    pub fn is_lapsed(self) -> bool {
        matches!(self, Self::Released { reason: Some(EndReason::Lapsed), .. })
    }
}

/// Why a hold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Checkout did not come to an order.
    CheckoutFailed,
    /// The order was cancelled.
    OrderCancelled,
    /// A sender says that its time was over.
    Expired,
    /// Another reserve for the same cart took its place (contract 4.3).
    Superseded,
    /// Its time was over by the clock of the database. Senders read `EXPIRED`, as for the above.
    Lapsed,
}

/// A step that moved stock of a reservation after it was first taken: a fact, written once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Whose stock.
    pub reservation: ReservationId,
    /// How it moved.
    pub kind: MovementKind,
    /// What moved.
    pub items: Items,
    /// When.
    pub at: DateTime<Utc>,
    /// The `message_id` of the command.
    pub caused_by: Option<Vec<u8>>,
}

/// How stock moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovementKind {
    /// Taken. Told only of reservations that are amended; of others the reservation itself tells it.
    Reserved,
    /// Given back.
    Released(Option<EndReason>),
    /// Left the house, out of what was held.
    Consumed,
    /// Left the house after the hold had lapsed, out of what was available.
    ConsumedLate,
}
