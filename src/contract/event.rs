//! The events, and under which key they are published.

use std::str::FromStr;

/// The type of an event (contract sections 1 and 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// `InventoryReserved`
    InventoryReserved,
    /// `InventoryUnavailable`
    InventoryUnavailable,
    /// `InventoryReleased`
    InventoryReleased,
    /// `InventoryConsumed`
    InventoryConsumed,
    /// `StockDepleted`
    StockDepleted,
    /// `StockReplenished`
    StockReplenished,
}

impl EventType {
    const ALL: [Self; 6] = [
        Self::InventoryReserved,
        Self::InventoryUnavailable,
        Self::InventoryReleased,
        Self::InventoryConsumed,
        Self::StockDepleted,
        Self::StockReplenished,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InventoryReserved => "InventoryReserved",
            Self::InventoryUnavailable => "InventoryUnavailable",
            Self::InventoryReleased => "InventoryReleased",
            Self::InventoryConsumed => "InventoryConsumed",
            Self::StockDepleted => "StockDepleted",
            Self::StockReplenished => "StockReplenished",
        }
    }

    /// The routing key on the events exchange.
    #[must_use]
    pub fn routing_key(self) -> &'static str {
        match self {
            Self::InventoryReserved => "inventory.reserved",
            Self::InventoryUnavailable => "inventory.unavailable",
            Self::InventoryReleased => "inventory.released",
            Self::InventoryConsumed => "inventory.consumed",
            Self::StockDepleted => "stock.depleted",
            Self::StockReplenished => "stock.replenished",
        }
    }

    /// Whether it is published in the order in which it happened, product by product.
    #[must_use]
    pub fn is_ordered(self) -> bool {
        matches!(self, Self::StockDepleted | Self::StockReplenished)
    }
}

/// The name is none of an event.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the name of an event")]
pub struct NotAnEvent(String);

impl FromStr for EventType {
    type Err = NotAnEvent;

    fn from_str(name: &str) -> Result<Self, NotAnEvent> {
        Self::ALL.into_iter().find(|event| event.name() == name).ok_or_else(|| NotAnEvent(name.to_owned()))
    }
}
