//! A message as it arrives: an event, a reply or a dead letter.

use std::fmt;

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, ShortString};
use serde_json::Value;
use uuid::Uuid;

/// A message that arrived.
#[derive(Clone)]
pub struct Received {
    pub exchange: String,
    pub routing_key: String,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
    /// The body; null where it is no JSON.
    pub json: Value,
}

impl From<Delivery> for Received {
    fn from(delivery: Delivery) -> Self {
        Self {
            exchange: delivery.exchange.to_string(),
            routing_key: delivery.routing_key.to_string(),
            properties: delivery.properties,
            json: serde_json::from_slice(&delivery.data).unwrap_or_default(),
            body: delivery.data,
        }
    }
}

impl Received {
    /// The property `type`.
    pub fn kind(&self) -> &str {
        text(self.properties.kind().as_ref())
    }

    /// The property `message_id`.
    pub fn id(&self) -> &str {
        text(self.properties.message_id().as_ref())
    }

    /// The property `correlation_id`.
    pub fn correlation_id(&self) -> Option<&str> {
        self.properties.correlation_id().as_ref().map(ShortString::as_str)
    }

    /// The `message_id` of the command that caused it.
    pub fn causation_id(&self) -> Option<String> {
        self.header("x-causation-id")
    }

    /// A header that is a text.
    pub fn header(&self, name: &str) -> Option<String> {
        match self.raw_header(name)? {
            AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
            AMQPValue::ShortString(text) => Some(text.to_string()),
            _ => None,
        }
    }

    /// A header of any type.
    pub fn raw_header(&self, name: &str) -> Option<&AMQPValue> {
        self.properties.headers().as_ref()?.inner().get(name)
    }

    /// The names of all headers.
    pub fn header_names(&self) -> Vec<&str> {
        let headers = self.properties.headers().as_ref();
        headers.map_or_else(Vec::new, |headers| headers.inner().keys().map(ShortString::as_str).collect())
    }

    /// A field of the body that is a text.
    pub fn text(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_else(|| panic!("no text {field} in {self:?}"))
    }

    /// Demands an `InventoryReserved`; gives its `reservationId`.
    pub fn reservation(&self) -> String {
        assert_eq!(self.kind(), "InventoryReserved", "{self:?}");
        self.text("reservationId").to_owned()
    }

    /// Demands an `InventoryUnavailable` for want of stock; gives product, requested and available, sorted.
    pub fn shortfalls(&self) -> Vec<(String, u64, u64)> {
        assert_eq!(self.kind(), "InventoryUnavailable", "{self:?}");
        assert_eq!(self.json["reason"], "INSUFFICIENT_STOCK", "{self:?}");
        self.unavailable_items()
    }

    /// Product, requested and available of everything that falls short, sorted.
    pub fn unavailable_items(&self) -> Vec<(String, u64, u64)> {
        let mut shortfalls = entries(&self.json["unavailableItems"], |item| {
            (id_of(item), item["requested"].as_u64().unwrap(), item["available"].as_u64().unwrap())
        });
        shortfalls.sort();
        shortfalls
    }

    /// Product and quantity of every item, sorted.
    pub fn items(&self) -> Vec<(String, u64)> {
        self.items_in("items")
    }

    /// The same of another field.
    pub fn items_in(&self, field: &str) -> Vec<(String, u64)> {
        let mut items = entries(&self.json[field], |item| (id_of(item), item["quantity"].as_u64().unwrap()));
        items.sort();
        items
    }

    /// What of a product in a reservation was reserved, is held, was released, and was consumed.
    pub fn parts_of(&self, product: Uuid) -> (u64, u64, u64, u64) {
        let items = self.json["items"].as_array().unwrap_or_else(|| panic!("no items in {self:?}"));
        let line = items.iter().find(|item| id_of(item) == product.to_string());
        let line = line.unwrap_or_else(|| panic!("no {product} in {self:?}"));
        let units = |part: &str| line[part].as_u64().unwrap_or_else(|| panic!("no {part} in {self:?}"));
        (units("quantity"), units("held"), units("released"), units("consumed"))
    }

    /// Demands a problem with this code and status.
    pub fn assert_problem(&self, code: &str, status: u16) {
        assert_eq!(self.kind(), "Error", "{self:?}");
        assert_eq!((self.text("code"), &self.json["status"]), (code, &status.into()), "{self:?}");
    }
}

fn entries<T>(array: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
    array.as_array().unwrap_or_else(|| panic!("{array} is no array")).iter().map(read).collect()
}

fn id_of(item: &Value) -> String {
    item["productId"].as_str().unwrap().to_owned()
}

fn text(property: Option<&ShortString>) -> &str {
    property.map_or("", ShortString::as_str)
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let body: String = body.chars().take(400).collect();
        write!(f, "{} {} {body} caused by {:?}", self.kind(), self.id(), self.causation_id())?;
        if let Some(code) = self.header("x-error-code") {
            write!(f, " dead-lettered as {code}: {:?}", self.header("x-error-detail"))?;
        }
        Ok(())
    }
}
