//! AMQP properties and headers, to and from the contract's values (contract section 3).

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::contract::{APP_ID, Answer, Causation, Message, SCHEMA_VERSION};

/// AMQP `delivery_mode` of what survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// Takes the message out of a delivery; its properties stay where they are.
#[must_use]
pub fn take_message(delivery: &mut Delivery) -> Message {
    let properties = &delivery.properties;
    let header = |name| {
        let headers = properties.headers().as_ref()?;
        headers.inner().get(name).and_then(header_text)
    };
    Message {
        exchange: delivery.exchange.to_string(),
        routing_key: delivery.routing_key.to_string(),
        message_type: present(properties.kind().as_ref()),
        message_id: present(properties.message_id().as_ref()),
        correlation_id: present(properties.correlation_id().as_ref()),
        reply_to: present(properties.reply_to().as_ref()),
        traceparent: header("traceparent"),
        tracestate: header("tracestate"),
        body: std::mem::take(&mut delivery.data),
    }
}

fn present(property: Option<&ShortString>) -> Option<String> {
    property.map(ToString::to_string).filter(|text| !text.is_empty())
}

fn header_text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// The properties of an event or a reply. Events are persistent, and so is the reply that repeats one.
pub(super) fn of_answer(answer: &Answer, causation: &Causation) -> BasicProperties {
    let mut properties = BasicProperties::default()
        .with_content_type(answer.content_type.into())
        .with_type(answer.message_type.into())
        .with_message_id(answer.id.to_string().into())
        .with_timestamp(u64::try_from(answer.occurred_at.timestamp()).unwrap_or_default())
        .with_app_id(APP_ID.into())
        .with_headers(headers(answer, causation));
    if let Some(id) = causation.correlation_id.as_deref().and_then(short) {
        properties = properties.with_correlation_id(id);
    }
    if answer.event.is_some() {
        properties = properties.with_delivery_mode(PERSISTENT);
    }
    properties
}

fn headers(answer: &Answer, causation: &Causation) -> FieldTable {
    let mut headers = FieldTable::default();
    let mut put = |name: &str, value: String| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    put("schema-version", SCHEMA_VERSION.to_owned());
    let trace = causation.trace(answer);
    put("traceparent", trace.traceparent);
    if let Some(state) = trace.tracestate {
        put("tracestate", state);
    }
    if let Some(id) = &causation.causation_id {
        put("x-causation-id", id.clone());
    }
    // CloudEvents 1.0 in binary mode: <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md>.
    put("cloudEvents:specversion", "1.0".to_owned());
    put("cloudEvents:id", answer.id.to_string());
    put("cloudEvents:source", format!("/{APP_ID}"));
    put("cloudEvents:type", answer.message_type.to_owned());
    put("cloudEvents:time", answer.time());
    put("cloudEvents:subject", answer.subject.clone());
    headers
}

/// A string of at most 255 bytes; nothing where it is longer.
pub(super) fn short(text: &str) -> Option<ShortString> {
    ShortString::try_new(text).ok()
}
