//! What an event tells, as far as a history needs it: hundreds of thousands of them are remembered.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::support::Received;
use crate::support::author::Lines;

/// A hash of a body.
pub type Hash = [u8; 32];

/// An event.
#[derive(Debug, Clone)]
pub struct Told {
    pub id: Uuid,
    pub hash: Hash,
    /// The command that caused it.
    pub causation: Option<String>,
    /// When it was decided: `cloudEvents:time`, which sorts as a text.
    pub at: String,
    pub fact: Fact,
}

/// What it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Reserved {
        reservation: Uuid,
        cart: Uuid,
        items: Lines,
    },
    Unavailable {
        cart: Uuid,
        short: Vec<Shortfall>,
        is_too_late: bool,
    },
    Released {
        reservation: Uuid,
        items: Lines,
        reason: Option<String>,
    },
    Consumed {
        reservation: Uuid,
        items: Lines,
        is_taken_again: bool,
    },
    /// How much is available since a version.
    Availability {
        product: Uuid,
        version: u64,
        is_any: bool,
    },
}

/// A product that falls short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    pub product: Uuid,
    pub requested: u64,
    pub available: u64,
}

impl Told {
    /// What a message from the service tells, which is an event.
    pub fn of(event: &Received) -> Self {
        Self {
            id: Uuid::try_parse(event.id()).expect("the id of an event"),
            hash: hash(&event.body),
            causation: event.causation_id(),
            at: event.header("cloudEvents:time").expect("the time of an event"),
            fact: fact(event),
        }
    }

    /// Whether nobody asked for it but the time.
    pub fn is_lapse(&self) -> bool {
        let reason = match &self.fact {
            Fact::Released { reason, .. } => reason.as_deref(),
            _ => None,
        };
        self.causation.is_none() && reason == Some("EXPIRED")
    }

    /// Where it stands in the order of the history: within a step, what gives back comes before what takes.
    pub fn position(&self) -> (&str, u8) {
        let within_a_step = match &self.fact {
            Fact::Released { .. } if self.is_lapse() => 0,
            Fact::Released { .. } => 1,
            Fact::Consumed { .. } => 2,
            Fact::Reserved { .. } | Fact::Unavailable { .. } => 3,
            Fact::Availability { .. } => 4,
        };
        (&self.at, within_a_step)
    }
}

/// The hash of a body.
pub fn hash(body: &[u8]) -> Hash {
    Sha256::digest(body).into()
}

/// The items in a message, those for the same product added up.
pub fn items(json: &serde_json::Value) -> Lines {
    let mut sum = std::collections::BTreeMap::new();
    for item in json.as_array().into_iter().flatten() {
        *sum.entry(id(&item["productId"])).or_default() += item["quantity"].as_u64().unwrap_or_default();
    }
    sum.into_iter().collect()
}

/// An id in a message.
pub fn id(json: &serde_json::Value) -> Uuid {
    json.as_str().and_then(|id| Uuid::try_parse(id).ok()).unwrap_or_else(|| panic!("{json} is no id"))
}

fn fact(event: &Received) -> Fact {
    let json = &event.json;
    match event.kind() {
        "InventoryReserved" => Fact::Reserved {
            reservation: id(&json["reservationId"]),
            cart: id(&json["cartId"]),
            items: items(&json["items"]),
        },
        "InventoryUnavailable" => Fact::Unavailable {
            cart: id(&json["cartId"]),
            short: json["unavailableItems"].as_array().into_iter().flatten().map(shortfall).collect(),
            is_too_late: json["reason"] == "RELEASED_BEFORE",
        },
        "InventoryReleased" => Fact::Released {
            reservation: id(&json["reservationId"]),
            items: items(&json["items"]),
            reason: json["reason"].as_str().map(ToOwned::to_owned),
        },
        "InventoryConsumed" => Fact::Consumed {
            reservation: id(&json["reservationId"]),
            items: items(&json["items"]),
            is_taken_again: json["takenAgain"] == true,
        },
        kind => Fact::Availability {
            product: id(&json["productId"]),
            version: json["version"].as_u64().unwrap_or_default(),
            is_any: kind == "StockReplenished",
        },
    }
}

fn shortfall(json: &serde_json::Value) -> Shortfall {
    let units = |field: &str| json[field].as_u64().expect("units of a shortfall");
    Shortfall {
        product: id(&json["productId"]),
        requested: units("requested"),
        available: units("available"),
    }
}
