//! One event and one reply of the service, as it really sends them: a worker that does nothing sends the like, so that
//! RabbitMQ has the same work with both.

use std::fs;
use std::path::Path;

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::failure::Failure;

/// An event and a reply.
#[derive(Debug, Serialize, Deserialize)]
pub struct Samples {
    /// `InventoryReserved` for a cart of two lines.
    pub event: Sample,
    /// The answer to `GetStockLevel`.
    pub reply: Sample,
}

/// A message that was sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    /// Its body.
    pub body: String,
    routing_key: String,
    kind: String,
    content_type: String,
    app_id: String,
    delivery_mode: Option<u8>,
    headers: Vec<(String, String)>,
}

impl Samples {
    /// Reads what [`Samples::write`] has written.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        Ok(serde_json::from_slice(&fs::read(path).map_err(Failure::file(path))?)?)
    }

    /// Writes them for a worker.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        fs::write(path, serde_json::to_vec(self)?).map_err(Failure::file(path))
    }
}

impl Sample {
    /// What was delivered.
    #[must_use]
    pub fn of(delivery: &Delivery) -> Self {
        let properties = &delivery.properties;
        let text =
            |text: Option<&lapin::types::ShortString>| text.map(ToString::to_string).unwrap_or_default();
        let headers = properties.headers().iter().flat_map(FieldTable::inner);
        let header = |(name, value): (&lapin::types::ShortString, &AMQPValue)| match value {
            AMQPValue::LongString(value) => Some((name.to_string(), value.to_string())),
            _ => None,
        };
        Self {
            body: String::from_utf8_lossy(&delivery.data).into_owned(),
            routing_key: delivery.routing_key.to_string(),
            kind: text(properties.kind().as_ref()),
            content_type: text(properties.content_type().as_ref()),
            app_id: text(properties.app_id().as_ref()),
            delivery_mode: *properties.delivery_mode(),
            headers: headers.filter_map(header).collect(),
        }
    }

    /// The routing key that it came with.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        &self.routing_key
    }

    /// Properties of the same size, with this id, in answer to a message of these properties.
    #[must_use]
    pub fn answering(&self, cause: &BasicProperties, id: Uuid) -> BasicProperties {
        let id = id.to_string();
        let mut headers = FieldTable::default();
        for (name, value) in &self.headers {
            let value = match name.as_str() {
                "cloudEvents:id" => id.as_str(),
                "x-causation-id" => cause.message_id().as_ref().map_or("", |id| id.as_str()),
                _ => value,
            };
            headers.insert(name.as_str().into(), AMQPValue::LongString(value.into()));
        }
        let mut properties = BasicProperties::default()
            .with_content_type(self.content_type.as_str().into())
            .with_type(self.kind.as_str().into())
            .with_message_id(id.into())
            .with_timestamp(1_700_000_000)
            .with_app_id(self.app_id.as_str().into())
            .with_headers(headers);
        if let Some(mode) = self.delivery_mode {
            properties = properties.with_delivery_mode(mode);
        }
        if let Some(id) = cause.correlation_id().clone() {
            properties = properties.with_correlation_id(id);
        }
        properties
    }
}
