//! The messages that are sent, and where to.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// Exchange and queue of the commands.
pub const COMMANDS: &str = "inventory.commands";
/// Exchange and queue of the queries.
pub const QUERIES: &str = "inventory.queries";
/// Products that carts are spread over.
pub const PRODUCTS: u64 = 10_000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `ReserveInventory`
    Reserve,
    /// `ReleaseInventory`
    Release,
    /// `ConsumeInventory`
    Consume,
}

impl Kind {
    /// The property `type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reserve => "ReserveInventory",
            Self::Release => "ReleaseInventory",
            Self::Consume => "ConsumeInventory",
        }
    }

    /// The routing key.
    #[must_use]
    pub fn routing_key(self) -> &'static str {
        match self {
            Self::Reserve => "reserve-inventory",
            Self::Release => "release-inventory",
            Self::Consume => "consume-inventory",
        }
    }
}

/// A command to be sent.
#[derive(Debug, Clone)]
pub struct Command {
    /// What is asked for.
    pub kind: Kind,
    /// The details.
    pub body: Vec<u8>,
}

/// The product of this number.
#[must_use]
pub fn product(number: u64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_be_bytes())
}

/// The lines of a cart, as they stand in a body: made once, sent many times.
#[must_use]
pub fn lines(items: &[(Uuid, u64)]) -> String {
    let line =
        |(product, quantity): &(Uuid, u64)| format!(r#"{{"productId":"{product}","quantity":{quantity}}}"#);
    items.iter().map(line).collect::<Vec<_>>().join(",")
}

/// A reserve for a cart.
pub fn reserve<'a>(
    cart: Uuid,
    customer: Uuid,
    reservation: Option<Uuid>,
    lines: impl IntoIterator<Item = &'a str>,
) -> Command {
    let mut body = Vec::with_capacity(512);
    body.extend_from_slice(br#"{"cartId":""#);
    push(&mut body, cart);
    body.extend_from_slice(br#"","customerId":""#);
    push(&mut body, customer);
    if let Some(reservation) = reservation {
        body.extend_from_slice(br#"","reservationId":""#);
        push(&mut body, reservation);
    }
    body.extend_from_slice(br#"","items":["#);
    for (index, line) in lines.into_iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(line.as_bytes());
    }
    body.extend_from_slice(b"]}");
    Command { kind: Kind::Reserve, body }
}

/// A release or a consume of all that a reservation holds.
#[must_use]
pub fn settle(kind: Kind, reservation: Uuid) -> Command {
    Command { kind, body: format!(r#"{{"reservationId":"{reservation}"}}"#).into_bytes() }
}

/// A `GetStockLevel`.
#[must_use]
pub fn get_stock_level(product: Uuid) -> Vec<u8> {
    format!(r#"{{"productId":"{product}"}}"#).into_bytes()
}

fn push(body: &mut Vec<u8>, id: Uuid) {
    body.extend_from_slice(id.hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]).as_bytes());
}
