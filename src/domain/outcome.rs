//! What a command comes to.

use chrono::{DateTime, Utc};

use super::{CartId, Items, OrderId, ProductId, ReservationId};

/// Exactly one for every valid command (contract 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The stock is held.
    Reserved(Reserved),
    /// Nothing was taken.
    Unavailable(Unavailable),
    /// The reservation holds nothing any more, now or already before.
    Released(ReservationId),
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
    /// Every product that falls short; empty where the reservation had been released before.
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
    /// Units that this cart could have: what is free, and what it holds already.
    pub available: u64,
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnavailableReason {
    /// At least one product falls short.
    InsufficientStock,
    /// The release of this reservation was here first (contract 4.4).
    ReleasedBefore,
}

/// Why a command cannot be done. The codes are in section 5 of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such reservation.
    ReservationNotFound(ReservationId),
    /// The stock has left the house.
    ReservationConsumed(ReservationId),
    /// The reservation id belongs to another cart.
    ReservationIdReused(ReservationId),
}
