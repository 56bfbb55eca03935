//! The decoder of inbound messages (contract sections 1 and 5): what the published schemas show is read, what
//! is wrong is refused with a code and a reason, and the reason never repeats what the message says.

mod examples;
mod fuzzed;
mod hostile;
mod invalid;
mod limits;
mod mutation;
mod silence;
#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

use inventory_service::contract::{
    Code, Limits, Message, MessageType, Problem, Query, decode_command, decode_query,
};
use inventory_service::domain::{Command, Reserve};
use serde_json::{Value, json};

const LIMITS: Limits =
    Limits { body_bytes: 1_048_576, lines: 1_000, products: 1_000, quantity: 2_147_483_647 };

/// Each inbound message with its schema.
const INBOUND: [(&str, &str); 7] = [
    ("ReserveInventory", "reserve-inventory.json"),
    ("ReleaseInventory", "release-inventory.json"),
    ("ConsumeInventory", "consume-inventory.json"),
    ("ExtendHold", "extend-hold.json"),
    ("GetStockLevel", "get-stock-level-request.json"),
    ("GetStockLevels", "get-stock-levels-request.json"),
    ("GetReservation", "get-reservation-request.json"),
];

/// Commands of which a part of a hold may be asked.
const OF_PARTS: [&str; 2] = ["ReleaseInventory", "ConsumeInventory"];

const CART: &str = "6f1c2a94-3d0b-4e57-9a86-1b7c5d2e8f03";
const PRODUCT: &str = "c7a0f3d8-1e62-4b95-8f47-39d5b2e0a61c";

/// What stands for something confidential.
const MARKER: &str = "Zimt-und-Zucker";

/// The same in the form of a UUID, such as a customer's.
const MARKED_UUID: &str = "fade0ff5-cafe-4bad-8ace-0ddba11fab1e";

fn message(message_type: &str, body: impl Into<Vec<u8>>) -> Message {
    Message { message_type: Some(message_type.to_owned()), body: body.into(), ..Message::default() }
}

/// Decodes as the queue for this type does.
fn decode(message_type: &str, body: impl Into<Vec<u8>>) -> Result<(), Problem> {
    let message = message(message_type, body);
    if is_query(message_type) {
        decode_query(&message, &LIMITS).map(|_| ())
    } else {
        decode_command(&message, &LIMITS).map(|_| ())
    }
}

fn is_query(message_type: &str) -> bool {
    MessageType::from_name(message_type).is_some_and(|known| !known.is_command())
}

fn command(message_type: &str, body: &Value) -> Command {
    decode_command(&message(message_type, body.to_string()), &LIMITS)
        .unwrap_or_else(|problem| panic!("{body}: {problem:?}"))
}

fn query(message_type: &str, body: &Value) -> Query {
    decode_query(&message(message_type, body.to_string()), &LIMITS)
        .unwrap_or_else(|problem| panic!("{body}: {problem:?}"))
}

fn reserve(body: &Value) -> Reserve {
    match command("ReserveInventory", body) {
        Command::Reserve(reserve) => reserve,
        other => panic!("{other:?}"),
    }
}

fn schema(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn validator(file: &str) -> jsonschema::Validator {
    jsonschema::draft7::new(&schema(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn examples(file: &str) -> Vec<Value> {
    let examples = schema(file)["examples"].as_array().cloned().unwrap_or_default();
    assert!(!examples.is_empty(), "{file} has no examples");
    examples
}

/// All examples with the type and the schema of their message.
fn all_examples() -> Vec<(&'static str, &'static str, Value)> {
    let of = |(name, file)| examples(file).into_iter().map(move |example| (name, file, example));
    INBOUND.into_iter().flat_map(of).collect()
}

fn full_reserve() -> Value {
    json!({
        "cartId": CART,
        "customerId": "2d9e6b71-8c45-4f0a-b3d2-7a1e5c984f60",
        "orderId": "b84d7e10-52f6-4c3a-8e91-0d6a9c4f7b25",
        "reservationId": "01938153-995c-7c80-9d35-e6a1740f2b98",
        "holdSeconds": 900,
        "items": [{ "productId": PRODUCT, "quantity": 2 }]
    })
}

fn put(body: &mut Value, pointer: &str, value: Value) {
    *body.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
}

/// Puts JSON in the place of a part of the full reserve.
fn reserve_with(pointer: &str, json: &str) -> String {
    let mut body = full_reserve();
    put(&mut body, pointer, json!("@@"));
    body.to_string().replace("\"@@\"", json)
}

fn reserve_without(field: &str) -> String {
    let mut body = full_reserve();
    body.as_object_mut().and_then(|body| body.remove(field)).unwrap_or_else(|| panic!("no {field}"));
    body.to_string()
}

fn refused(message_type: &str, body: impl Into<Vec<u8>>, code: Code, part: &str) {
    let body = body.into();
    let shown = String::from_utf8_lossy(&body[..body.len().min(400)]).into_owned();
    match decode(message_type, body) {
        Ok(()) => panic!("accepted as {message_type}: {shown}"),
        Err(problem) => {
            assert_eq!(problem.code, code, "{shown}");
            assert!(problem.detail.contains(part), "{shown}\n{} does not say {part}", problem.detail);
            assert!(problem.detail.len() <= 500, "{shown}\n{} is long", problem.detail);
        }
    }
}

fn invalid_reserve(body: impl Into<Vec<u8>>, part: &str) {
    refused("ReserveInventory", body, Code::InvalidMessage, part);
}

/// Pointers to all values in a document, the document itself included.
fn pointers(value: &Value) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (escaped(key), value)).collect(),
        Value::Array(values) => values.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    let below = below
        .into_iter()
        .flat_map(|(key, value)| pointers(value).into_iter().map(move |pointer| format!("/{key}{pointer}")));
    std::iter::once(String::new()).chain(below).collect()
}

/// A field's name as a JSON pointer has it.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The detail of a refusal, or nothing where the message was accepted.
fn detail(message_type: &str, body: impl Into<Vec<u8>>) -> String {
    decode(message_type, body).map_or_else(|problem| problem.detail, |()| String::new())
}

fn assert_silent(message_type: &str, body: &Value) {
    let detail = detail(message_type, body.to_string());
    for secret in [MARKER, MARKED_UUID, "fade0ff5"] {
        assert!(!detail.contains(secret), "{message_type} {body}\nis told: {detail}");
    }
}
