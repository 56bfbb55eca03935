//! The topology as a document that RabbitMQ imports: <https://www.rabbitmq.com/docs/definitions>.

use lapin::ExchangeKind;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Map, Value, json};

use super::topology::{Exchange, Queue, exchanges, queues};
use crate::config::AmqpSettings;

/// Exchanges, queues and bindings, as the service would declare them itself in this virtual host.
#[must_use]
pub fn definitions(settings: &AmqpSettings, vhost: &str) -> Value {
    let queues = queues(settings);
    json!({
        "exchanges": exchanges(settings).iter().map(|it| exchange(it, vhost)).collect::<Vec<_>>(),
        "queues": queues.iter().map(|it| queue(it, vhost)).collect::<Vec<_>>(),
        "bindings": queues.iter().flat_map(|it| bindings(it, vhost)).collect::<Vec<_>>(),
    })
}

fn exchange(exchange: &Exchange<'_>, vhost: &str) -> Value {
    let Exchange { name, kind, arguments } = exchange;
    json!({
        "name": name, "vhost": vhost, "type": type_of(kind), "durable": true, "auto_delete": false, "internal": false,
        "arguments": object(arguments),
    })
}

fn type_of(kind: &ExchangeKind) -> &str {
    match kind {
        ExchangeKind::Direct => "direct",
        ExchangeKind::Fanout => "fanout",
        ExchangeKind::Headers => "headers",
        ExchangeKind::Topic => "topic",
        ExchangeKind::Custom(kind) => kind,
    }
}

fn queue(queue: &Queue<'_>, vhost: &str) -> Value {
    json!({
        "name": queue.name, "vhost": vhost, "durable": true, "auto_delete": false,
        "arguments": object(&queue.arguments),
    })
}

fn bindings(queue: &Queue<'_>, vhost: &str) -> Vec<Value> {
    let binding = |key: &&str| {
        json!({
            "source": queue.name, "vhost": vhost, "destination": queue.name, "destination_type": "queue",
            "routing_key": key, "arguments": {},
        })
    };
    queue.keys.iter().map(binding).collect()
}

fn object(table: &FieldTable) -> Map<String, Value> {
    let entries = table.inner().iter();
    entries.map(|(name, value)| (name.to_string(), argument(value))).collect()
}

/// The topology has texts and whole numbers only.
fn argument(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::LongString(text) => String::from_utf8_lossy(text.as_bytes()).into(),
        AMQPValue::LongInt(number) => (*number).into(),
        AMQPValue::LongLongInt(number) => (*number).into(),
        _ => Value::Null,
    }
}
