//! Makes a dead letter of a delivery: the body and the properties as they came, and why (contract section 5).

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};

use super::publisher::{Payload, Publication};
use crate::clock;
use crate::contract::{Message, Problem, rfc3339};

/// Headers that make RabbitMQ send a message to more queues: <https://www.rabbitmq.com/docs/sender-selected>.
const SENDER_SELECTED: [(&str, &str); 2] = [("CC", "x-original-cc"), ("BCC", "x-original-bcc")];

/// Bytes that the headers of a message may have to become a dead letter of ours: with all other properties and
/// what is added they must fit one frame, and RabbitMQ's frames have 128 KiB unless set otherwise.
const HEADERS_BYTES_MAX: usize = 120_000;

/// The dead letter; nothing where the headers leave no room for ours. RabbitMQ itself can dead-letter such a
/// message, with all that came and without our reason.
pub(super) fn dead_letter(
    exchange: &str,
    message: &Message,
    properties: &BasicProperties,
    problem: &Problem,
) -> Option<Publication> {
    let original = properties.headers().clone().unwrap_or_default();
    if size_of_table(&original) > HEADERS_BYTES_MAX {
        return None;
    }
    let mut headers = FieldTable::default();
    for (name, value) in original.inner() {
        let kept_as = SENDER_SELECTED.iter().find(|(acting, _)| *acting == name.as_str());
        let name = kept_as.map_or_else(|| name.clone(), |(_, kept)| (*kept).into());
        headers.insert(name, value.clone());
    }
    let mut put = |name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    if let Some(expiration) = properties.expiration() {
        put("x-original-expiration", expiration.as_str());
    }
    if let Some(user_id) = properties.user_id() {
        put("x-original-user-id", user_id.as_str());
    }
    put("x-error-code", problem.code.name());
    put("x-error-detail", &problem.detail);
    put("x-original-exchange", &message.exchange);
    put("x-original-routing-key", &message.routing_key);
    put("x-failed-at", &rfc3339(clock::wall()));
    Some(Publication {
        exchange: exchange.to_owned(),
        routing_key: exchange.to_owned(),
        is_mandatory: true,
        properties: without_acting(properties).with_headers(headers),
        payload: Payload::Bytes(message.body.clone()),
    })
}

/// The properties without those that would act on the broker: an expiration would drop the dead letter, and
/// RabbitMQ refuses a user id that is not the publisher's own.
fn without_acting(from: &BasicProperties) -> BasicProperties {
    let mut to = BasicProperties::default();
    macro_rules! keep {
        ($($read:ident => $write:ident),* $(,)?) => {
            $(if let Some(value) = from.$read() {
                to = to.$write(value.clone());
            })*
        };
    }
    keep!(
        content_type => with_content_type,
        content_encoding => with_content_encoding,
        delivery_mode => with_delivery_mode,
        priority => with_priority,
        correlation_id => with_correlation_id,
        reply_to => with_reply_to,
        message_id => with_message_id,
        timestamp => with_timestamp,
        kind => with_type,
        app_id => with_app_id,
        cluster_id => with_cluster_id,
    );
    to
}

/// Bytes that a table takes on the wire.
fn size_of_table(table: &FieldTable) -> usize {
    let entries = table.inner().iter().map(|(name, value)| 1 + name.as_str().len() + size_of_value(value));
    entries.sum::<usize>() + 4
}

fn size_of_value(value: &AMQPValue) -> usize {
    1 + match value {
        AMQPValue::LongString(text) => 4 + text.len(),
        AMQPValue::ShortString(text) => 1 + text.as_str().len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.len(),
        AMQPValue::FieldTable(table) => size_of_table(table),
        AMQPValue::FieldArray(array) => 4 + array.as_slice().iter().map(size_of_value).sum::<usize>(),
        _ => 8,
    }
}
