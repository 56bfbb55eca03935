//! The messages that the service takes, and how each is recognized.

use super::Message;

/// The messages that the service takes (contract section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// A command.
    ReserveInventory,
    /// A command.
    ReleaseInventory,
    /// A command.
    ConsumeInventory,
    /// A command.
    ExtendHold,
    /// A query.
    GetStockLevel,
    /// A query.
    GetStockLevels,
    /// A query.
    GetReservation,
}

impl MessageType {
    /// What the commands queue takes.
    pub const COMMANDS: [Self; 4] =
        [Self::ReserveInventory, Self::ReleaseInventory, Self::ConsumeInventory, Self::ExtendHold];

    /// What the queries queue takes.
    pub const QUERIES: [Self; 3] = [Self::GetStockLevel, Self::GetStockLevels, Self::GetReservation];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ReserveInventory => "ReserveInventory",
            Self::ReleaseInventory => "ReleaseInventory",
            Self::ConsumeInventory => "ConsumeInventory",
            Self::ExtendHold => "ExtendHold",
            Self::GetStockLevel => "GetStockLevel",
            Self::GetStockLevels => "GetStockLevels",
            Self::GetReservation => "GetReservation",
        }
    }

    /// The key that it is routed by.
    #[must_use]
    pub fn routing_key(self) -> &'static str {
        match self {
            Self::ReserveInventory => "reserve-inventory",
            Self::ReleaseInventory => "release-inventory",
            Self::ConsumeInventory => "consume-inventory",
            Self::ExtendHold => "extend-hold",
            Self::GetStockLevel => "get-stock-level",
            Self::GetStockLevels => "get-stock-levels",
            Self::GetReservation => "get-reservation",
        }
    }

    /// Whether it is a command.
    #[must_use]
    pub fn is_command(self) -> bool {
        Self::COMMANDS.contains(&self)
    }

    /// Finds the type of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|known| known.name() == name)
    }

    /// The type of a message; where it is missing the routing key decides (contract section 3).
    #[must_use]
    pub fn of(message: &Message) -> Option<Self> {
        match &message.message_type {
            Some(name) => Self::from_name(name),
            None => Self::all().find(|known| known.routing_key() == message.routing_key),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        Self::COMMANDS.into_iter().chain(Self::QUERIES)
    }
}
