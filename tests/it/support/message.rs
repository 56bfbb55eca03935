//! A message as a sender makes it.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};
use uuid::Uuid;

/// The customer that every cart names, and that must never be seen again.
pub const CUSTOMER: &str = "5ec2e7ed-c057-4000-8000-00000000f00d";

/// The queue that a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    Commands,
    Queries,
}

/// A message, and the way that it takes.
#[derive(Debug, Clone)]
pub struct Message {
    pub queue: Queue,
    /// Straight to the queue through the default exchange, rather than through its exchange.
    pub is_straight: bool,
    /// Of the exchange; straight, it is the name of the queue.
    pub routing_key: String,
    pub kind: Option<String>,
    pub id: Option<String>,
    pub correlation_id: Option<String>,
    pub reply_to: Option<String>,
    pub headers: FieldTable,
    /// All other properties.
    pub others: BasicProperties,
    pub body: Vec<u8>,
}

impl Message {
    /// A `ReserveInventory` with what every sender should send.
    pub fn reserve(cart: Uuid, lines: &[(Uuid, u64)]) -> Self {
        let body = json!({ "cartId": cart, "customerId": CUSTOMER, "items": items(lines) });
        Self::new(Queue::Commands, "ReserveInventory", "reserve-inventory", &body)
    }

    /// A `ReleaseInventory`.
    pub fn release(reservation: &str) -> Self {
        let body = json!({ "reservationId": reservation });
        Self::new(Queue::Commands, "ReleaseInventory", "release-inventory", &body)
    }

    /// A `ConsumeInventory`.
    pub fn consume(reservation: &str) -> Self {
        let body = json!({ "reservationId": reservation });
        Self::new(Queue::Commands, "ConsumeInventory", "consume-inventory", &body)
    }

    /// An `ExtendHold`.
    pub fn extend(reservation: &str, seconds: u64) -> Self {
        let body = json!({ "reservationId": reservation, "holdSeconds": seconds });
        Self::new(Queue::Commands, "ExtendHold", "extend-hold", &body)
    }

    /// A `GetReservation`, by the id in one of its fields.
    pub fn reservation_by(field: &str, id: &str) -> Self {
        Self::new(Queue::Queries, "GetReservation", "get-reservation", &json!({ field: id }))
    }

    /// A `GetStockLevels`.
    pub fn stock_levels(products: &[Uuid]) -> Self {
        let body = json!({ "productIds": products });
        Self::new(Queue::Queries, "GetStockLevels", "get-stock-levels", &body)
    }

    /// A `GetStockLevel`.
    pub fn stock_level(product: Uuid) -> Self {
        Self::new(Queue::Queries, "GetStockLevel", "get-stock-level", &json!({ "productId": product }))
    }

    fn new(queue: Queue, kind: &str, routing_key: &str, body: &Value) -> Self {
        Self {
            queue,
            is_straight: false,
            routing_key: routing_key.to_owned(),
            kind: Some(kind.to_owned()),
            id: Some(Uuid::new_v4().to_string()),
            correlation_id: None,
            reply_to: None,
            headers: FieldTable::default(),
            others: BasicProperties::default().with_content_type("application/json".into()),
            body: body.to_string().into_bytes(),
        }
    }

    /// With this in the body.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        let mut body: Value = serde_json::from_slice(&self.body).unwrap();
        body[field] = value.into();
        self.body = body.to_string().into_bytes();
        self
    }

    /// For these items only.
    pub fn of(self, lines: &[(Uuid, u64)]) -> Self {
        self.with("items", items(lines))
    }

    /// With another body.
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With another `type`.
    pub fn with_kind(mut self, kind: &str) -> Self {
        self.kind = Some(kind.to_owned());
        self
    }

    /// With another `message_id`.
    pub fn with_id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// Without a `message_id`.
    pub fn without_id(mut self) -> Self {
        self.id = None;
        self
    }

    /// With a `correlation_id`.
    pub fn with_correlation(mut self, id: &str) -> Self {
        self.correlation_id = Some(id.to_owned());
        self
    }

    /// With a `reply_to`.
    pub fn with_reply_to(mut self, queue: &str) -> Self {
        self.reply_to = Some(queue.to_owned());
        self
    }

    /// With a header.
    pub fn with_header(mut self, name: &str, value: AMQPValue) -> Self {
        self.headers.insert(name.into(), value);
        self
    }

    /// With a header that is a text.
    pub fn with_text_header(self, name: &str, value: &str) -> Self {
        self.with_header(name, AMQPValue::LongString(value.into()))
    }

    /// Straight to its queue.
    pub fn straight(mut self) -> Self {
        self.is_straight = true;
        self
    }

    /// The `message_id`, where there is one.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// What all answers must correlate by.
    pub fn correlates_by(&self) -> Option<&str> {
        self.correlation_id.as_deref().or(self.id.as_deref())
    }

    /// All properties, as they go out.
    pub fn to_properties(&self) -> BasicProperties {
        let mut properties = self.others.clone();
        if let Some(kind) = &self.kind {
            properties = properties.with_type(kind.as_str().into());
        }
        if let Some(id) = &self.id {
            properties = properties.with_message_id(id.as_str().into());
        }
        if let Some(id) = &self.correlation_id {
            properties = properties.with_correlation_id(id.as_str().into());
        }
        if let Some(queue) = &self.reply_to {
            properties = properties.with_reply_to(queue.as_str().into());
        }
        if !self.headers.inner().is_empty() {
            properties = properties.with_headers(self.headers.clone());
        }
        properties
    }

    /// For people.
    pub fn describe(&self) -> String {
        let kind = self.kind.as_deref().unwrap_or("message without a type");
        format!("{kind} {}", self.id.as_deref().unwrap_or("without an id"))
    }
}

/// Lines of a cart, or of a part of it.
fn items(lines: &[(Uuid, u64)]) -> Vec<Value> {
    let line = |(product, quantity): &(Uuid, u64)| json!({ "productId": product, "quantity": quantity });
    lines.iter().map(line).collect()
}
