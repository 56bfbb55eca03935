//! What a command comes to, and what happens with it.

use chrono::{DateTime, Utc};

use super::{CartId, EndReason, Items, OrderId, ProductId, ReservationId};

/// Exactly one for every valid command (contract 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The stock is held.
    Reserved(Reserved),
    /// Nothing was taken.
    Unavailable(Unavailable),
    /// The reservation holds that much less, by this release or an earlier one.
    Released(Receipt, Option<Released>),
    /// The stock has left the house, by this consumption or an earlier one.
    Consumed(Receipt, Option<Consumed>),
    /// The hold lasts at least as long as was asked for.
    Extended(Receipt),
    /// The command was understood, and cannot be done.
    Refused(Refusal),
}

/// `InventoryReserved`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// The reservation that stands.
    pub reservation: ReservationId,
    /// The order, where known.
    pub order: Option<OrderId>,
    /// The cart.
    pub cart: CartId,
    /// What is held.
    pub items: Items,
    /// Since when.
    pub reserved_at: DateTime<Utc>,
    /// When the hold lapses, where it does.
    pub expires_at: Option<DateTime<Utc>>,
}

/// `InventoryUnavailable`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    /// The order, as the command named it.
    pub order: Option<OrderId>,
    /// The cart.
    pub cart: CartId,
    /// Every product that falls short; empty where the reservation had ended before.
    pub shortfalls: Vec<Shortfall>,
    /// Why nothing was taken.
    pub reason: UnavailableReason,
    /// When it was looked at.
    pub checked_at: DateTime<Utc>,
}

/// A product of which there is less than was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortfall {
    /// Which product.
    pub product: ProductId,
    /// Units asked for in total.
    pub requested: u64,
    /// Units that this command could have: what is free, and what its cart holds already.
    pub available: u64,
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnavailableReason {
    /// At least one product falls short.
    InsufficientStock,
    /// The end of this reservation was here first (contract 4.4).
    ReleasedBefore,
}

/// What a reservation is after a command that named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Which reservation.
    pub reservation: ReservationId,
    /// Its state.
    pub status: Status,
    /// Whether the hold had lapsed, and its stock was taken again.
    pub taken_again: bool,
    /// Of an extension: when the hold lapses now, where it does.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// `HELD`
    Held,
    /// `RELEASED`
    Released,
    /// `CONSUMED`
    Consumed,
}

/// Why a command cannot be done. The codes are in section 5 of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such reservation.
    ReservationNotFound(ReservationId),
    /// There is no such reservation, and that is remembered.
    ReleasedEarly(ReservationId),
    /// The stock has gone back.
    ReservationReleased(ReservationId),
    /// The stock has left the house.
    ReservationConsumed(ReservationId),
    /// The reservation id belongs to another cart.
    ReservationIdReused(ReservationId),
    /// More was asked for than is left.
    ExceedsHeld(ReservationId, Items),
    /// Its time was over; what falls short, where it was to be taken again.
    HoldLapsed(ReservationId, Vec<Shortfall>),
}

impl Outcome {
    /// Products that fell short when it was decided.
    #[must_use]
    pub fn shortfalls(&self) -> &[Shortfall] {
        match self {
            Self::Unavailable(unavailable) => &unavailable.shortfalls,
            Self::Refused(Refusal::HoldLapsed(_, shortfalls)) => shortfalls,
            _ => &[],
        }
    }
}

/// Something that happened to a reservation or to stock, and that others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// `InventoryReleased`
    Released(Released),
    /// `InventoryConsumed`
    Consumed(Consumed),
    /// `StockDepleted` or `StockReplenished`
    Availability(Availability),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happening {
    /// What.
    pub event: Event,
    /// Whether the command caused it. Otherwise time did: a hold had lapsed.
    pub by_command: bool,
}

/// `InventoryReleased`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Which reservation.
    pub reservation: ReservationId,
    /// Its order, where known.
    pub order: Option<OrderId>,
    /// Its cart.
    pub cart: CartId,
    /// What was released now.
    pub items: Items,
    /// Why, where known.
    pub reason: Option<EndReason>,
    /// When.
    pub released_at: DateTime<Utc>,
}

/// `InventoryConsumed`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// Which reservation.
    pub reservation: ReservationId,
    /// Its order, where known.
    pub order: Option<OrderId>,
    /// Its cart.
    pub cart: CartId,
    /// What was consumed now.
    pub items: Items,
    /// Whether the hold had lapsed, and its stock was taken again.
    pub taken_again: bool,
    /// When.
    pub consumed_at: DateTime<Utc>,
}

/// Available has reached 0 (`StockDepleted`) or left it (`StockReplenished`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Availability {
    /// Which product.
    pub product: ProductId,
    /// Units available now.
    pub available: u64,
    /// Counts these events of the product.
    pub version: u64,
    /// When.
    pub at: DateTime<Utc>,
}
