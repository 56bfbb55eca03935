//! What holds for everything that goes out, whatever the test: contract sections 1 and 3, and `schemas/`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use chrono::DateTime;
use inventory_service::clock;
use jsonschema::Validator;
use serde_json::Value;
use uuid::Uuid;

use super::message::CUSTOMER;
use super::received::Received;

/// The version of the contract.
const SCHEMA_VERSION: &str = "1.2.0";

/// The headers that are there even where nothing came in.
const HEADERS_ALWAYS: [&str; 8] = [
    "cloudEvents:id",
    "cloudEvents:source",
    "cloudEvents:specversion",
    "cloudEvents:subject",
    "cloudEvents:time",
    "cloudEvents:type",
    "schema-version",
    "traceparent",
];

/// The headers that go out where something came in.
const HEADERS_CAUSED: [&str; 2] = ["tracestate", "x-causation-id"];

/// The events, and the keys under which they are published.
const EVENTS: [(&str, &str); 6] = [
    ("InventoryReserved", "inventory.reserved"),
    ("InventoryUnavailable", "inventory.unavailable"),
    ("InventoryReleased", "inventory.released"),
    ("InventoryConsumed", "inventory.consumed"),
    ("StockDepleted", "stock.depleted"),
    ("StockReplenished", "stock.replenished"),
];

/// How far the clocks of two processes on one machine may be apart, with patience for a slow one.
const SECONDS_APART_MAX: i64 = 600;

struct Schema {
    kind: &'static str,
    document: Value,
    validator: Validator,
}

/// The schemas of what goes out, by the `type` that it has.
static SCHEMAS: LazyLock<[Schema; 13]> = LazyLock::new(|| {
    [
        ("InventoryReserved", "inventory-reserved"),
        ("InventoryUnavailable", "inventory-unavailable"),
        ("InventoryReleased", "inventory-released"),
        ("InventoryConsumed", "inventory-consumed"),
        ("StockDepleted", "stock-depleted"),
        ("StockReplenished", "stock-replenished"),
        ("ReleaseInventory", "release-inventory-reply"),
        ("ConsumeInventory", "consume-inventory-reply"),
        ("ExtendHold", "extend-hold-reply"),
        ("GetStockLevel", "get-stock-level-response"),
        ("GetStockLevels", "get-stock-levels-response"),
        ("GetReservation", "get-reservation-response"),
        ("Error", "problem"),
    ]
    .map(|(kind, file)| {
        let document = document(file);
        let validator = validator(&document);
        Schema { kind, document, validator }
    })
});

/// A published schema.
pub fn document(name: &str) -> Value {
    let path = format!("{}/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A validator that takes formats seriously.
pub fn validator(document: &Value) -> Validator {
    jsonschema::draft7::options().should_validate_formats(true).build(document).expect("a draft-07 schema")
}

/// Demands of an event what holds for every event.
pub fn assert_is_event(event: &Received) {
    assert_goes_out_well(event);
    let (_, key) = EVENTS
        .into_iter()
        .find(|(kind, _)| *kind == event.kind())
        .unwrap_or_else(|| panic!("no event: {event:?}"));
    assert_eq!(event.routing_key, key, "{event:?}");
    assert_eq!(*event.properties.delivery_mode(), Some(2), "events are persistent: {event:?}");
}

/// Demands of a reply what holds for every reply.
pub fn assert_is_reply(reply: &Received) {
    assert_goes_out_well(reply);
    assert_eq!(reply.exchange, "", "replies go through the default exchange: {reply:?}");
}

fn assert_goes_out_well(message: &Received) {
    assert_properties(message);
    assert_headers(message);
    assert_body(message);
    assert_says_nothing_about_the_customer(message);
}

fn assert_properties(message: &Received) {
    let properties = &message.properties;
    let content_type = match message.kind() {
        "Error" => "application/problem+json",
        _ => "application/json",
    };
    let is = properties.content_type().as_ref().map(ToString::to_string);
    assert_eq!(is.as_deref(), Some(content_type), "{message:?}");
    assert!(Uuid::try_parse(message.id()).is_ok(), "message_id: {message:?}");
    let app = properties.app_id().as_ref().map(ToString::to_string);
    assert_eq!(app.as_deref(), Some("inventory-service"), "{message:?}");
    let seconds = properties.timestamp().unwrap_or_else(|| panic!("no timestamp: {message:?}"));
    assert_recent(i64::try_from(seconds).unwrap(), message);
    assert!(properties.content_encoding().is_none(), "content_encoding: {message:?}");
    assert!(properties.priority().is_none(), "priority: {message:?}");
    assert!(properties.reply_to().is_none(), "reply_to: {message:?}");
    assert!(properties.expiration().is_none(), "expiration: {message:?}");
    assert!(properties.user_id().is_none(), "user_id: {message:?}");
    assert!(properties.cluster_id().is_none(), "cluster_id: {message:?}");
}

fn assert_headers(message: &Received) {
    let names: BTreeSet<&str> = message.header_names().into_iter().collect();
    let missing: Vec<_> = HEADERS_ALWAYS.iter().filter(|name| !names.contains(*name)).collect();
    let is_known = |name: &&&str| HEADERS_ALWAYS.contains(*name) || HEADERS_CAUSED.contains(*name);
    let surplus: Vec<_> = names.iter().filter(|name| !is_known(name)).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:?}, surplus {surplus:?}: {message:?}"
    );
    let header = |name| message.header(name).unwrap_or_else(|| panic!("{name} is no text: {message:?}"));
    assert_eq!(header("cloudEvents:specversion"), "1.0");
    assert_eq!(header("cloudEvents:id"), message.id());
    assert_eq!(header("cloudEvents:source"), "/inventory-service");
    assert_eq!(header("cloudEvents:type"), message.kind());
    assert!(!header("cloudEvents:subject").is_empty(), "{message:?}");
    assert_recent(time(&header("cloudEvents:time")), message);
    assert_eq!(header("schema-version"), SCHEMA_VERSION);
    assert!(is_traceparent(&header("traceparent")), "{message:?}");
}

fn assert_body(message: &Received) {
    let schema = SCHEMAS.iter().find(|schema| schema.kind == message.kind());
    let schema = schema.unwrap_or_else(|| panic!("a type that the contract does not name: {message:?}"));
    let errors: Vec<String> = schema
        .validator
        .iter_errors(&message.json)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?} in {message:?}");
    let fields = message.json.as_object().expect("the schema demands an object");
    let surplus: Vec<_> =
        fields.keys().filter(|field| schema.document["properties"].get(field).is_none()).collect();
    assert!(surplus.is_empty(), "fields that the schema does not name, {surplus:?}: {message:?}");
}

fn assert_says_nothing_about_the_customer(message: &Received) {
    let everything = format!("{}{:?}", String::from_utf8_lossy(&message.body), message.properties);
    assert!(!names_the_customer(&everything), "{everything}");
}

/// Whether the customer can be found in a text, however it is written.
pub fn names_the_customer(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("customerid\":") || text.contains(&CUSTOMER.replace('-', "")) || tells(&text, CUSTOMER)
}

/// Whether a secret can be found in a text, as it is or as the numbers of its bytes.
pub fn tells(text: &str, secret: &str) -> bool {
    let bytes: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    text.contains(secret) || text.contains(&bytes.join(", "))
}

fn assert_recent(seconds: i64, message: &Received) {
    let apart = (clock::wall().timestamp() - seconds).abs();
    assert!(apart < SECONDS_APART_MAX, "{apart} seconds from now: {message:?}");
}

/// The seconds since 1970 of an RFC 3339 time in UTC.
pub fn time(text: &str) -> i64 {
    assert!(text.ends_with('Z'), "{text} is not UTC with Z");
    DateTime::parse_from_rfc3339(text).unwrap_or_else(|error| panic!("{text}: {error}")).timestamp()
}

/// Whether a text is a W3C trace parent of version 00.
pub fn is_traceparent(text: &str) -> bool {
    let fields: Vec<&str> = text.split('-').collect();
    let is_hex = |field: &str, digits: usize| {
        field.len() == digits && field.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    };
    matches!(fields[..], ["00", trace, span, flags]
        if is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2))
}
