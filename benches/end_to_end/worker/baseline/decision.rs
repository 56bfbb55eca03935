//! Commands in, events out.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::Failure;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReserve {
    cart_id: Uuid,
    items: Vec<WireItem>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireItem {
    product_id: Uuid,
    quantity: i64,
}

/// A reserve: every product once, in the order of the keys.
#[derive(Debug)]
pub struct Reserve {
    /// The cart.
    pub cart: Uuid,
    /// What it wants.
    pub items: BTreeMap<Uuid, i64>,
}

/// What it came to.
#[derive(Debug)]
pub struct Decision {
    /// The reservation, where there is one.
    pub reservation: Option<Uuid>,
    /// The identity of the event.
    pub event_id: Uuid,
    /// The type of the event.
    pub event_type: &'static str,
    /// Its body.
    pub body: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireReserved {
    reservation_id: Uuid,
    cart_id: Uuid,
    items: Vec<WireItem>,
    reserved_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireUnavailable {
    cart_id: Uuid,
    unavailable_items: Vec<WireShortfall>,
    checked_at: DateTime<Utc>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireShortfall {
    product_id: Uuid,
    requested: i64,
    available: i64,
}

impl Reserve {
    /// Reads it.
    pub fn decode(body: &[u8]) -> Result<Self, Failure> {
        let wire: WireReserve = serde_json::from_slice(body)?;
        let mut items = BTreeMap::new();
        for item in wire.items {
            *items.entry(item.product_id).or_insert(0) += item.quantity;
        }
        Ok(Self { cart: wire.cart_id, items })
    }

    /// All or nothing.
    pub fn decide(&self, available: &HashMap<Uuid, i64>, now: DateTime<Utc>) -> Result<Decision, Failure> {
        let shortfalls: Vec<WireShortfall> = self
            .items
            .iter()
            .map(|(product, requested)| WireShortfall {
                product_id: *product,
                requested: *requested,
                available: available.get(product).copied().unwrap_or_default(),
            })
            .filter(|item| item.available < item.requested)
            .collect();
        if shortfalls.is_empty() { self.reserved(now) } else { self.unavailable(shortfalls, now) }
    }

    fn reserved(&self, now: DateTime<Utc>) -> Result<Decision, Failure> {
        let reservation = Uuid::now_v7();
        let items = self
            .items
            .iter()
            .map(|(product, quantity)| WireItem { product_id: *product, quantity: *quantity });
        let wire = WireReserved {
            reservation_id: reservation,
            cart_id: self.cart,
            items: items.collect(),
            reserved_at: now,
        };
        let (event_id, body) = (Uuid::now_v7(), serde_json::to_vec(&wire)?);
        Ok(Decision { reservation: Some(reservation), event_id, event_type: "InventoryReserved", body })
    }

    fn unavailable(&self, shortfalls: Vec<WireShortfall>, now: DateTime<Utc>) -> Result<Decision, Failure> {
        let wire = WireUnavailable { cart_id: self.cart, unavailable_items: shortfalls, checked_at: now };
        let (event_id, body) = (Uuid::now_v7(), serde_json::to_vec(&wire)?);
        Ok(Decision { reservation: None, event_id, event_type: "InventoryUnavailable", body })
    }
}
