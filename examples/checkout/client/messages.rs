//! The messages of the wire contract, as far as checkout needs them.
//!
//! A tolerant reader: fields that are not used here are not declared, and unknown ones are ignored, so that
//! the service may add to its messages without breaking this client.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub product_id: Uuid,
    pub quantity: u64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReserveInventory {
    pub cart_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Uuid>,
    pub items: Vec<Item>,
    pub order_id: Uuid,
    /// Chosen by the sender, so that it can release what it reserved even if it never sees the answer.
    pub reservation_id: Uuid,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseInventory {
    pub reservation_id: Uuid,
    pub reason: ReleaseReason,
    /// Only so much; without it all that is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<Item>>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReleaseReason {
    CheckoutFailed,
    OrderCancelled,
}

/// The goods have left the house.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsumeInventory {
    pub reservation_id: Uuid,
    /// Only so much; without it all that is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<Item>>,
}

/// The reply to a release or a consumption.
#[derive(Debug, Deserialize)]
pub struct Settled {
    pub status: Status,
}

/// What a reservation is after the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Some of it is held still.
    Held,
    Released,
    Consumed,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GetStockLevels<'a> {
    pub product_ids: &'a [Uuid],
}

/// Every valid `ReserveInventory` has exactly one outcome.
#[derive(Debug)]
pub enum Outcome {
    Reserved(InventoryReserved),
    Unavailable(InventoryUnavailable),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryReserved {
    pub reservation_id: Uuid,
    pub items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InventoryUnavailable {
    pub unavailable_items: Vec<UnavailableItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnavailableItem {
    pub product_id: Uuid,
    pub requested: u64,
    pub available: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockLevels {
    pub stock_levels: Vec<StockLevel>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StockLevel {
    pub product_id: Uuid,
    pub available: u64,
    pub reserved: u64,
}

/// An RFC 9457 problem: why the service did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{code} ({status} {title}): {detail}")]
pub struct Problem {
    pub code: String,
    pub status: u16,
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_written_as_the_contract_says() -> Result<(), serde_json::Error> {
        let command = ReserveInventory {
            cart_id: Uuid::from_u128(1),
            customer_id: None,
            items: vec![Item { product_id: Uuid::from_u128(2), quantity: 3 }],
            order_id: Uuid::from_u128(4),
            reservation_id: Uuid::from_u128(5),
        };
        assert_eq!(
            serde_json::to_value(&command)?,
            serde_json::json!({
                "cartId": "00000000-0000-0000-0000-000000000001",
                "items": [{ "productId": "00000000-0000-0000-0000-000000000002", "quantity": 3 }],
                "orderId": "00000000-0000-0000-0000-000000000004",
                "reservationId": "00000000-0000-0000-0000-000000000005",
            })
        );
        Ok(())
    }

    #[test]
    fn release_reasons_have_their_published_names() -> Result<(), serde_json::Error> {
        let name = serde_json::to_string(&ReleaseReason::OrderCancelled)?;
        assert_eq!(name, r#""ORDER_CANCELLED""#);
        Ok(())
    }

    #[test]
    fn a_release_of_all_names_no_items() -> Result<(), serde_json::Error> {
        let command = ReleaseInventory {
            reservation_id: Uuid::from_u128(5),
            reason: ReleaseReason::CheckoutFailed,
            items: None,
        };
        assert_eq!(
            serde_json::to_value(&command)?,
            serde_json::json!({
                "reservationId": "00000000-0000-0000-0000-000000000005",
                "reason": "CHECKOUT_FAILED",
            })
        );
        Ok(())
    }

    #[test]
    fn unknown_fields_are_fine() -> Result<(), serde_json::Error> {
        let reply: Settled = serde_json::from_str(r#"{"reservationId":"x","status":"HELD","new":true}"#)?;
        assert_eq!(reply.status, Status::Held);
        Ok(())
    }
}
