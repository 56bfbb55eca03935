//! The properties of a message as they are on the wire, and its body behind them: what the service sees of them, what its
//! answers take over, and what is in a dead letter.

use std::sync::Arc;

use inventory_service::batch::Reply;
use inventory_service::clock;
use inventory_service::contract::{
    Causation, Code, Limits, Message, MessageType, Problem, ReplyToPolicy, answer_problem, decode_command,
    decode_query,
};
use inventory_service::messaging::{Publication, dead_letter, take_message};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::protocol::basic::{gen_properties, parse_properties};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use uuid::Uuid;

use super::decoder::assert_tells;

const EXCHANGE: &str = "inventory.commands";
const ROUTING_KEY: &str = "reserve-inventory";
const DEAD_LETTERS: &str = "inventory.dead-letter";

/// As they are by default.
const LIMITS: Limits =
    Limits { body_bytes: 1_048_576, lines: 1_000, products: 1_000, quantity: 2_147_483_647 };

/// What properties may have on the wire: a frame of RabbitMQ, without what stands before them in it.
const PROPERTIES_BYTES_MAX: usize = 131_072 - 8 - 12;

/// What a message must have by itself for all of it to be in its dead letter.
const KEPT_WHOLE_BYTES_MAX: usize = 100_000;

/// Room to write properties into; no input has more.
const ROOM_BYTES: usize = 1 << 18;

/// The headers of every answer, and those that it may have.
const OF_ANSWERS: [&str; 10] = [
    "cloudEvents:id",
    "cloudEvents:source",
    "cloudEvents:specversion",
    "cloudEvents:subject",
    "cloudEvents:time",
    "cloudEvents:type",
    "schema-version",
    "traceparent",
    "tracestate",
    "x-causation-id",
];

/// The headers that tell why a letter is dead.
const OF_LETTERS: [&str; 9] = [
    "x-error-code",
    "x-error-detail",
    "x-original-exchange",
    "x-original-routing-key",
    "x-original-expiration",
    "x-original-user-id",
    "x-original-reply-to",
    "x-original-headers-left-out",
    "x-failed-at",
];

/// What the client can read never panics; the message has what came and nothing else; an answer takes over what the contract
/// says; and the dead letter has everything, does nothing at the broker, and fits into a frame.
pub fn holds(data: &[u8]) {
    let Ok((body, properties)) = parse_properties(data) else { return };
    let mut delivery = Delivery::mock(1, EXCHANGE.into(), ROUTING_KEY.into(), false, body.to_vec());
    delivery.properties = properties;
    let message = take_message(&mut delivery);
    assert_is_what_came(&message, &delivery.properties, body);
    let problem = refusal(&message);
    assert_answers(&message, &problem);
    assert_is_buried(&message, &delivery.properties, &problem);
}

fn assert_is_what_came(message: &Message, properties: &BasicProperties, body: &[u8]) {
    assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), (EXCHANGE, ROUTING_KEY));
    assert_eq!(message.body, body);
    let came = |property: &Option<ShortString>| {
        property.as_ref().map(|text| text.as_str().to_owned()).filter(|text| !text.is_empty())
    };
    assert_eq!(message.message_type, came(properties.kind()));
    assert_eq!(message.message_id, came(properties.message_id()));
    assert_eq!(message.correlation_id, came(properties.correlation_id()));
    assert_eq!(message.reply_to, came(properties.reply_to()));
    let headers = properties.headers().as_ref();
    let header = |name| match headers?.inner().get(name)? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok().map(ToOwned::to_owned),
        _ => None,
    };
    assert_eq!(message.traceparent, header("traceparent"));
    assert_eq!(message.tracestate, header("tracestate"));
}

/// Why the message is refused; the others are treated as if they were.
fn refusal(message: &Message) -> Problem {
    let own_queues = vec![EXCHANGE.to_owned(), DEAD_LETTERS.to_owned()];
    let policy = ReplyToPolicy::new(vec!["*".to_owned()], own_queues.clone());
    match policy.check(message) {
        Ok(to) => assert!(to.is_none_or(|to| !own_queues.iter().any(|own| own == to)), "{to:?}"),
        Err(problem) => return problem,
    }
    let is_query = MessageType::of(message).is_some_and(|kind| !kind.is_command());
    let refused =
        if is_query { decode_query(message, &LIMITS).err() } else { decode_command(message, &LIMITS).err() };
    refused.inspect(assert_tells).unwrap_or_else(|| Problem::new(Code::MessageIdReused, "Told once already."))
}

fn assert_answers(message: &Message, problem: &Problem) {
    let (id, causation) = (Uuid::from_u128(7), Arc::new(Causation::of(message)));
    let answer = Arc::new(answer_problem(id, problem, clock::wall()));
    let Some(to) = message.reply_to.clone() else { return };
    let reply = Publication::reply(Reply { to, answer, causation });
    let properties = reply.expect("a name of at most 255 bytes").properties();
    let expected = message.correlation_id.as_ref().or(message.message_id.as_ref());
    let correlation = properties.correlation_id().as_ref().map(|id| id.as_str().to_owned());
    assert_eq!(correlation.as_ref(), expected);
    for (name, value) in properties.headers().as_ref().expect("headers").inner() {
        assert!(OF_ANSWERS.contains(&name.as_str()), "{name}");
        let AMQPValue::LongString(value) = value else { panic!("{name} is no text") };
        if name.as_str() == "tracestate" {
            let is_passable = value.as_bytes().iter().all(|b| matches!(b, b' '..=b'~' | b'\t'));
            assert!(is_passable && value.len() <= 512, "{value}");
        }
    }
    assert_can_be_sent(&properties);
}

fn assert_is_buried(message: &Message, properties: &BasicProperties, problem: &Problem) {
    let letter = dead_letter(DEAD_LETTERS, message, properties, problem).properties();
    assert!(letter.expiration().is_none() && letter.user_id().is_none());
    assert_eq!(
        (letter.message_id(), letter.kind(), letter.correlation_id()),
        (properties.message_id(), properties.kind(), properties.correlation_id())
    );
    let harmless = properties.reply_to().as_ref().filter(|to| to.as_str() != "amq.rabbitmq.reply-to");
    assert_eq!(letter.reply_to().as_ref(), harmless);
    let headers = letter.headers().as_ref().expect("headers").inner();
    assert!(!headers.contains_key("CC") && !headers.contains_key("BCC"), "it would be copied");
    let code = AMQPValue::LongString(problem.code.name().into());
    assert_eq!(headers.get("x-error-code"), Some(&code));
    assert_can_be_sent(&letter);
    if written(properties).len() > KEPT_WHOLE_BYTES_MAX {
        return;
    }
    for (name, value) in properties.headers().iter().flat_map(FieldTable::inner) {
        let kept_as = match name.as_str() {
            "CC" => "x-original-cc",
            "BCC" => "x-original-bcc",
            // What would take their place is the sender's own doing.
            "x-original-cc" | "x-original-bcc" => continue,
            name if OF_LETTERS.contains(&name) => continue,
            name => name,
        };
        // Compared as they are written: a number that is none is not even itself.
        let kept = headers.get(kept_as).map(|value| format!("{value:?}"));
        assert_eq!(kept, Some(format!("{value:?}")), "{name}");
    }
}

/// Demands that it fits into a frame, and that whoever receives it can read it.
fn assert_can_be_sent(properties: &BasicProperties) {
    let bytes = written(properties);
    assert!(bytes.len() <= PROPERTIES_BYTES_MAX, "{} bytes", bytes.len());
    let (rest, read) = parse_properties(&bytes[..]).expect("what is written can be read");
    assert!(rest.is_empty());
    assert_eq!(written(&read), bytes);
}

/// As they are on the wire.
pub(crate) fn written(properties: &BasicProperties) -> Vec<u8> {
    let mut bytes = vec![0; ROOM_BYTES];
    let written = gen_properties(properties)(bytes.as_mut_slice().into()).expect("room for it");
    let (_, length) = written.into_inner();
    bytes.truncate(usize::try_from(length).expect("less than there is room for"));
    bytes
}
