//! The events, and under which key they are published.

use std::str::FromStr;

/// The type of an event (contract sections 1 and 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// `InventoryReserved`
    InventoryReserved,
    /// `InventoryUnavailable`
    InventoryUnavailable,
}

impl EventType {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InventoryReserved => "InventoryReserved",
            Self::InventoryUnavailable => "InventoryUnavailable",
        }
    }

    /// The routing key on the events exchange.
    #[must_use]
    pub fn routing_key(self) -> &'static str {
        match self {
            Self::InventoryReserved => "inventory.reserved",
            Self::InventoryUnavailable => "inventory.unavailable",
        }
    }
}

/// The name is none of an event.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the name of an event")]
pub struct NotAnEvent(String);

impl FromStr for EventType {
    type Err = NotAnEvent;

    fn from_str(name: &str) -> Result<Self, NotAnEvent> {
        [Self::InventoryReserved, Self::InventoryUnavailable]
            .into_iter()
            .find(|event| event.name() == name)
            .ok_or_else(|| NotAnEvent(name.to_owned()))
    }
}
