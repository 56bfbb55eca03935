//! Makes a dead letter of a delivery: the body and the properties as they came, and why (contract section 5).

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::properties::short;
use super::publication::{Content, Publication};
use crate::clock;
use crate::contract::{Message, Problem, rfc3339};

/// Headers that make RabbitMQ send a message to more queues: <https://www.rabbitmq.com/docs/sender-selected>.
const SENDER_SELECTED: [(&str, &str); 2] = [("CC", "x-original-cc"), ("BCC", "x-original-bcc")];

/// Bytes that the headers of a message may have in a dead letter: with all other properties and what is added
/// they must fit one frame, and RabbitMQ's frames have 128 KiB unless set otherwise.
const HEADERS_BYTES_MAX: usize = 120_000;

/// The dead letter of a message that came with these properties, for this exchange and the queue of the same name.
#[must_use]
pub fn dead_letter(
    exchange: &str,
    message: &Message,
    properties: &BasicProperties,
    problem: &Problem,
) -> Publication {
    let (mut headers, left_out) = original_headers(properties);
    let mut put = |name: &str, value: &str| {
        headers.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    if left_out > 0 {
        put("x-original-headers-left-out", &left_out.to_string());
    }
    if let Some(expiration) = properties.expiration() {
        put("x-original-expiration", expiration.as_str());
    }
    if let Some(user_id) = properties.user_id() {
        put("x-original-user-id", user_id.as_str());
    }
    if let Some(reply_to) = properties.reply_to().as_ref().filter(|reply_to| is_acting(reply_to)) {
        put("x-original-reply-to", reply_to.as_str());
    }
    put("x-error-code", problem.code.name());
    put("x-error-detail", &problem.detail);
    put("x-original-exchange", &message.exchange);
    put("x-original-routing-key", &message.routing_key);
    put("x-failed-at", &rfc3339(clock::wall()));
    let exchange = short(exchange).unwrap_or_default();
    let letter = without_acting(properties).with_headers(headers);
    Publication {
        routing_key: exchange.clone(),
        exchange,
        content: Content::Letter(Box::new(letter), message.body.clone()),
    }
}

/// The headers as they came, but for those that would act on the broker, which get another name; and how many
/// are too large to be kept.
fn original_headers(properties: &BasicProperties) -> (FieldTable, usize) {
    let mut kept = FieldTable::default();
    let Some(original) = properties.headers() else { return (kept, 0) };
    let sized = |(name, value)| (size_of_entry(name, value), name, value);
    let mut entries: Vec<(usize, &ShortString, &AMQPValue)> = original.inner().iter().map(sized).collect();
    entries.sort_by_key(|(size, ..)| *size);
    let (mut room, mut left_out) = (HEADERS_BYTES_MAX, 0);
    for (size, name, value) in entries {
        let Some(rest) = room.checked_sub(size) else {
            left_out += 1;
            continue;
        };
        room = rest;
        let acting = SENDER_SELECTED.iter().find(|(acting, _)| *acting == name.as_str());
        let name = acting.map_or_else(|| name.clone(), |(_, kept_as)| (*kept_as).into());
        kept.insert(name, value.clone());
    }
    (kept, left_out)
}

/// What RabbitMQ replaces by the address of the publisher's own consumer, and refuses where there is none.
fn is_acting(reply_to: &ShortString) -> bool {
    reply_to.as_str() == "amq.rabbitmq.reply-to"
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
        message_id => with_message_id,
        timestamp => with_timestamp,
        kind => with_type,
        app_id => with_app_id,
        cluster_id => with_cluster_id,
    );
    match from.reply_to() {
        Some(reply_to) if !is_acting(reply_to) => to.with_reply_to(reply_to.clone()),
        _ => to,
    }
}

fn size_of_entry(name: &ShortString, value: &AMQPValue) -> usize {
    1 + name.as_str().len() + size_of_value(value)
}

/// Bytes that a value takes on the wire, at least as many as it really does.
fn size_of_value(value: &AMQPValue) -> usize {
    1 + match value {
        AMQPValue::LongString(text) => 4 + text.len(),
        AMQPValue::ShortString(text) => 1 + text.as_str().len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.len(),
        AMQPValue::FieldTable(table) => {
            4 + table.inner().iter().map(|(name, value)| size_of_entry(name, value)).sum::<usize>()
        }
        AMQPValue::FieldArray(array) => 4 + array.as_slice().iter().map(size_of_value).sum::<usize>(),
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Code;

    #[test]
    fn an_address_that_rabbitmq_would_fill_in_is_kept_under_another_name() {
        let message = Message {
            exchange: "inventory.commands".to_owned(),
            routing_key: "inventory.reserve".to_owned(),
            message_type: None,
            message_id: None,
            correlation_id: None,
            reply_to: None,
            traceparent: None,
            tracestate: None,
            body: Vec::new(),
        };
        let problem = Problem::new(Code::InvalidMessage, "no JSON");
        let letter = |reply_to: &str| {
            let properties = BasicProperties::default().with_reply_to(reply_to.into());
            dead_letter("letters", &message, &properties, &problem).properties()
        };
        let kept = |letter: &BasicProperties| {
            let headers = letter.headers().as_ref()?;
            headers.inner().get("x-original-reply-to").cloned()
        };
        let acting = letter("amq.rabbitmq.reply-to");
        assert_eq!(acting.reply_to(), &None);
        assert_eq!(kept(&acting), Some(AMQPValue::LongString("amq.rabbitmq.reply-to".into())));
        let harmless = letter("amq.rabbitmq.reply-to.of.somebody");
        assert_eq!(
            harmless.reply_to().as_ref().map(ShortString::as_str),
            Some("amq.rabbitmq.reply-to.of.somebody")
        );
        assert_eq!(kept(&harmless), None);
    }
}
