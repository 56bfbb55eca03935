//! The decoder of inbound messages (contract sections 1 and 5): what the published schemas show is read, what
//! is wrong is refused with a code and a reason, and the reason never repeats what the message says.

use std::path::Path;

use inventory_service::contract::{Code, Limits, Message, Problem, decode_command, decode_query};
use inventory_service::domain::{Command, ProductId, Release, ReleaseReason, ReservationId, Reserve};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use uuid::Uuid;

const LIMITS: Limits = Limits { body_bytes: 1_048_576, lines: 1_000, quantity: 2_147_483_647 };

/// Each inbound message with its schema.
const INBOUND: [(&str, &str); 3] = [
    ("ReserveInventory", "reserve-inventory.json"),
    ("ReleaseInventory", "release-inventory.json"),
    ("GetStockLevel", "get-stock-level-request.json"),
];

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
    match message_type {
        "GetStockLevel" => decode_query(&message, &LIMITS).map(|_| ()),
        _ => decode_command(&message, &LIMITS).map(|_| ()),
    }
}

fn command(message_type: &str, body: &Value) -> Command {
    decode_command(&message(message_type, body.to_string()), &LIMITS)
        .unwrap_or_else(|problem| panic!("{body}: {problem:?}"))
}

fn reserve(body: &Value) -> Reserve {
    match command("ReserveInventory", body) {
        Command::Reserve(reserve) => reserve,
        other @ Command::Release(_) => panic!("{other:?}"),
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

// What is read.

#[test]
fn schemas_are_draft_07_and_describe_their_examples() {
    for (name, file, example) in all_examples() {
        assert_eq!(schema(file)["$schema"], "http://json-schema.org/draft-07/schema#", "{file}");
        let errors: Vec<String> = validator(file).iter_errors(&example).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{name} {example}: {errors:?}");
    }
}

#[test]
fn every_example_of_a_schema_is_read() {
    for (name, _, example) in all_examples() {
        assert_eq!(decode(name, example.to_string()), Ok(()), "{name} {example}");
    }
}

#[test]
fn every_field_of_a_reserve_is_read() {
    let reserve = reserve(&full_reserve());
    let id = |text: Option<Uuid>| text.map(|id| id.to_string()).unwrap_or_default();
    assert_eq!(reserve.cart.to_string(), CART);
    assert_eq!(id(reserve.order.map(|id| id.0)), "b84d7e10-52f6-4c3a-8e91-0d6a9c4f7b25");
    assert_eq!(id(reserve.reservation.map(|id| id.0)), "01938153-995c-7c80-9d35-e6a1740f2b98");
    assert_eq!(reserve.hold_seconds, Some(900));
    let items: Vec<_> = reserve.items.iter().map(|i| (i.product.to_string(), i.quantity)).collect();
    assert_eq!(items, [(PRODUCT.to_owned(), 2)]);
}

#[test]
fn every_reason_of_a_release_is_read() {
    let id = Uuid::from_u128(7);
    let release = |reason| command("ReleaseInventory", &json!({ "reservationId": id, "reason": reason }));
    for (name, reason) in [
        ("CHECKOUT_FAILED", ReleaseReason::CheckoutFailed),
        ("ORDER_CANCELLED", ReleaseReason::OrderCancelled),
        ("EXPIRED", ReleaseReason::Expired),
    ] {
        let expected = Release { reservation: ReservationId(id), reason: Some(reason) };
        assert_eq!(release(name), Command::Release(expected));
    }
}

#[test]
fn a_uuid_is_read_in_any_case_as_the_same() {
    let query =
        |id: &str| decode_query(&message("GetStockLevel", json!({ "productId": id }).to_string()), &LIMITS);
    let lower = query("0e5b94f2-7a3d-4c18-a6e0-d82f61b7c935");
    assert_eq!(query("0E5B94F2-7A3D-4C18-A6E0-D82F61B7C935"), lower);
    assert_eq!(query("0e5B94f2-7A3d-4C18-a6E0-d82F61b7C935"), lower);
    assert_eq!(lower, Ok(ProductId(Uuid::from_u128(0x0e5b_94f2_7a3d_4c18_a6e0_d82f_61b7_c935))));
}

#[test]
fn the_customer_is_checked_and_forgotten() {
    let mut without = full_reserve();
    without["customerId"].take();
    assert_eq!(reserve(&full_reserve()), reserve(&without));
}

#[test]
fn unknown_fields_are_ignored_at_every_level() {
    let mut body = full_reserve();
    body["giftWrap"] = json!({ "paper": ["red", null, 1.5e300], "cartId": 7 });
    body["items"][0]["engraving"] = json!([["for", "you"]]);
    body["CartId"] = json!("another name, because names have a case");
    assert_eq!(reserve(&body), reserve(&full_reserve()));
}

#[test]
fn an_integer_may_be_written_with_a_fraction_of_zero() {
    for quantity in ["2", "2.0", "2e0", "0.2e1", "20E-1"] {
        let body = full_reserve().to_string().replace("\"quantity\":2", &format!("\"quantity\":{quantity}"));
        let decoded = decode_command(&message("ReserveInventory", body.clone()), &LIMITS);
        assert_eq!(decoded, Ok(Command::Reserve(reserve(&full_reserve()))), "{body}");
    }
}

#[test]
fn the_limits_themselves_are_allowed() {
    let largest = json!({ "productId": PRODUCT, "quantity": 2_147_483_647_u64 });
    let line = |number: u128| json!({ "productId": Uuid::from_u128(number), "quantity": 1 });
    let full: Vec<Value> = (0..1_000).map(line).collect();
    for items in [json!([largest]), json!(full)] {
        let body = json!({ "cartId": CART, "items": items, "holdSeconds": 2_147_483_647_u64 });
        assert_eq!(decode("ReserveInventory", body.to_string()), Ok(()));
    }
    let mut padded = full_reserve().to_string();
    padded.extend(std::iter::repeat_n(' ', LIMITS.body_bytes - padded.len()));
    assert_eq!(decode("ReserveInventory", padded), Ok(()));
}

#[test]
fn where_the_type_is_missing_the_routing_key_decides() {
    for (routing_key, file) in [
        ("reserve-inventory", "reserve-inventory.json"),
        ("release-inventory", "release-inventory.json"),
        ("get-stock-level", "get-stock-level-request.json"),
    ] {
        let body = examples(file)[0].to_string().into_bytes();
        let message = Message { routing_key: routing_key.to_owned(), body, ..Message::default() };
        let decoded = match routing_key {
            "get-stock-level" => decode_query(&message, &LIMITS).map(|_| ()),
            _ => decode_command(&message, &LIMITS).map(|_| ()),
        };
        assert_eq!(decoded, Ok(()), "{routing_key}");
        let with_another_type = Message { message_type: Some("ReserveInventory2".to_owned()), ..message };
        let problem = decode_command(&with_another_type, &LIMITS).map_err(|problem| problem.code);
        assert_eq!(problem, Err(Code::UnsupportedType), "the type decides, where there is one");
    }
}

// What is refused.

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

#[test]
fn what_is_not_json_is_refused() {
    let half = full_reserve().to_string();
    for (body, part) in [
        (&b""[..], "not JSON: EOF"),
        (b" \n", "not JSON: EOF"),
        (b"cart", "not JSON"),
        (b"{", "not JSON: EOF"),
        (b"{'cartId': 1}", "not JSON: key must be a string"),
        (b"{} {}", "not valid: missing field `cartId`"),
        (b"\xef\xbb\xbf{}", "not JSON: expected value"),
        (b"{\"cartId\": \"\xff\"}", "not UTF-8"),
        (b"\x00", "not JSON"),
        (&half.as_bytes()[..half.len() - 1], "not JSON: EOF"),
    ] {
        invalid_reserve(body, part);
    }
    invalid_reserve(format!("{half},"), "not JSON");
    invalid_reserve(format!("{half}{half}"), "not JSON");
}

#[test]
fn what_is_no_object_is_refused() {
    for body in ["null", "7", "\"text\"", "true", "[]"] {
        for (name, _) in INBOUND {
            refused(name, body, Code::InvalidMessage, "expected an object");
        }
    }
}

/// A schema says `"type": "object"`; an array of the values in some order is none.
#[test]
fn an_array_is_no_object() {
    invalid_reserve(
        json!([CART, null, null, null, null, [{ "productId": PRODUCT, "quantity": 1 }]]).to_string(),
        "",
    );
    invalid_reserve(reserve_with("/items/0", &json!([PRODUCT, 1]).to_string()), "items[0]");
    refused("ReleaseInventory", json!([CART, "EXPIRED"]).to_string(), Code::InvalidMessage, "");
    refused("GetStockLevel", json!([PRODUCT]).to_string(), Code::InvalidMessage, "");
}

#[test]
fn what_is_missing_is_named() {
    invalid_reserve(reserve_without("cartId"), "missing field `cartId`");
    invalid_reserve(reserve_without("items"), "missing field `items`");
    invalid_reserve(reserve_with("/items/0", "{\"quantity\": 1}"), "items[0]: missing field `productId`");
    let second = format!("[{{\"productId\": {PRODUCT:?}, \"quantity\": 1}}, {{\"productId\": {PRODUCT:?}}}]");
    invalid_reserve(reserve_with("/items", &second), "items[1]: missing field `quantity`");
    refused("ReleaseInventory", "{}", Code::InvalidMessage, "missing field `reservationId`");
    refused("GetStockLevel", "{}", Code::InvalidMessage, "missing field `productId`");
}

#[test]
fn what_is_twice_is_refused() {
    let twice = full_reserve().to_string().replacen('{', &format!("{{\"cartId\":{CART:?},"), 1);
    invalid_reserve(twice, "duplicate field `cartId`");
}

#[test]
fn what_is_no_uuid_is_refused_where_it_stands() {
    let wrong = [
        "\"\"",
        "null",
        "7",
        "true",
        "[]",
        "{}",
        "\"cart\"",
        "\"6f1c2a943d0b4e579a861b7c5d2e8f03\"",
        "\"{6f1c2a94-3d0b-4e57-9a86-1b7c5d2e8f03}\"",
        "\"urn:uuid:6f1c2a94-3d0b-4e57-9a86-1b7c5d2e8f03\"",
        "\" 6f1c2a94-3d0b-4e57-9a86-1b7c5d2e8f03\"",
        "\"6f1c2a94-3d0b-4e57-9a86-1b7c5d2e8f0\"",
        "\"6f1c2a94-3d0b-4e57-9a86-1b7c5d2e8f0g\"",
        "\"6f1c2a943-d0b-4e57-9a86-1b7c5d2e8f03\"",
        "[\"6f1c2a94-3d0b-4e57-9a86-1b7c5d2e8f03\"]",
    ];
    for json in wrong {
        invalid_reserve(reserve_with("/cartId", json), "at cartId: expected a UUID");
        invalid_reserve(reserve_with("/items/0/productId", json), "at items[0].productId: expected a UUID");
    }
    for json in wrong.iter().filter(|json| **json != "null") {
        for field in ["customerId", "orderId", "reservationId"] {
            invalid_reserve(
                reserve_with(&format!("/{field}"), json),
                &format!("at {field}: expected a UUID"),
            );
        }
    }
}

#[test]
fn what_is_no_positive_integer_is_refused_where_it_stands() {
    let wrong = [
        "0",
        "-1",
        "-0",
        "0.0",
        "1.5",
        "-1.0",
        "\"1\"",
        "null",
        "true",
        "[1]",
        "{\"1\": 1}",
        "1e-1",
        "1e300",
    ];
    for json in wrong {
        invalid_reserve(reserve_with("/items/0/quantity", json), "at items[0].quantity: expected an integer");
    }
    for json in wrong.iter().filter(|json| **json != "null") {
        invalid_reserve(reserve_with("/holdSeconds", json), "at holdSeconds: expected an integer");
    }
    invalid_reserve(reserve_with("/holdSeconds", "1e999"), "not JSON: number out of range");
    invalid_reserve(reserve_with("/holdSeconds", "01"), "not JSON");
    invalid_reserve(reserve_with("/holdSeconds", "NaN"), "not JSON");
}

#[test]
fn what_is_over_a_limit_is_refused() {
    let line = format!("{{\"productId\":{PRODUCT:?},\"quantity\":1}}");
    let lines = |count: usize| format!("[{}]", vec![line.as_str(); count].join(","));
    let most = format!("{{\"productId\":{PRODUCT:?},\"quantity\":2147483647}}");
    let largest = u64::MAX.to_string();
    invalid_reserve(reserve_with("/items", "[]"), "items is empty");
    invalid_reserve(reserve_with("/items", &lines(1_001)), "items has 1001 lines, the limit is 1000");
    for quantity in ["2147483648", "4294967297", "9007199254740991.0", largest.as_str()] {
        invalid_reserve(reserve_with("/items/0/quantity", quantity), "over the limit of 2147483647");
    }
    invalid_reserve(reserve_with("/items", &format!("[{most},{line}]")), "over the limit of 2147483647");
    invalid_reserve(
        reserve_with("/items", &format!("[{most},{most},{most}]")),
        "over the limit of 2147483647",
    );
    for seconds in ["2147483648", "4294967296", largest.as_str()] {
        invalid_reserve(reserve_with("/holdSeconds", seconds), "holdSeconds is over the limit of 2147483647");
    }
    for (name, _) in INBOUND {
        let large = vec![b' '; LIMITS.body_bytes + 1];
        refused(name, large, Code::MessageTooLarge, "has 1048577 bytes, the limit is 1048576");
    }
}

#[test]
fn a_reason_that_is_not_known_is_refused() {
    for reason in ["\"\"", "\"expired\"", "\"LOST\"", "7", "[]", "[\"EXPIRED\"]", "true"] {
        let body = format!("{{\"reservationId\": {CART:?}, \"reason\": {reason}}}");
        refused("ReleaseInventory", body, Code::InvalidMessage, "at reason");
    }
}

/// A reason is a string.
#[test]
fn an_object_is_no_reason() {
    let body = json!({ "reservationId": CART, "reason": { "EXPIRED": null } });
    refused("ReleaseInventory", body.to_string(), Code::InvalidMessage, "at reason");
}

#[test]
fn a_type_that_is_not_taken_here_is_refused_before_its_body_is_read() {
    let decode = |query: bool, message_type: Option<&str>, routing_key: &str| {
        let message_type = message_type.map(ToOwned::to_owned);
        let message = Message { message_type, routing_key: routing_key.to_owned(), ..Message::default() };
        if query {
            decode_query(&message, &LIMITS).map(|_| ())
        } else {
            decode_command(&message, &LIMITS).map(|_| ())
        }
    };
    for (query, message_type, routing_key, part) in [
        (false, None, "", "name one in the property type"),
        (false, None, "inventory.commands", "reserve-inventory or release-inventory"),
        (false, Some("reserveInventory"), "reserve-inventory", "Commands are"),
        (false, Some("GetStockLevel"), "reserve-inventory", "queries queue"),
        (false, None, "get-stock-level", "queries queue"),
        (true, Some("ReserveInventory"), "get-stock-level", "commands queue"),
        (true, None, "release-inventory", "commands queue"),
        (true, Some("Zimt-und-Zucker"), "get-stock-level", "GetStockLevel"),
    ] {
        let problem = decode(query, message_type, routing_key).map_err(|p| (p.code, p.detail.contains(part)));
        assert_eq!(problem, Err((Code::UnsupportedType, true)), "{message_type:?} {routing_key}");
    }
}

#[test]
fn what_is_nested_100_000_deep_is_refused() {
    const DEPTH: usize = 100_000;
    let arrays = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    let objects = format!("{}1{}", "{\"a\":".repeat(DEPTH), "}".repeat(DEPTH));
    for deep in [arrays, objects] {
        for (name, _) in INBOUND {
            refused(name, deep.clone(), Code::InvalidMessage, "");
            refused(name, deep[..deep.len() - 1].to_owned(), Code::InvalidMessage, "");
        }
        for pointer in ["/cartId", "/customerId", "/holdSeconds", "/items", "/items/0", "/items/0/quantity"] {
            invalid_reserve(reserve_with(pointer, &deep), "");
        }
        let body = format!("{{\"reservationId\": {CART:?}, \"reason\": {deep}}}");
        refused("ReleaseInventory", body, Code::InvalidMessage, "");
    }
}

/// Unknown fields are ignored, however they are built: what matters is that nothing overflows.
#[test]
fn an_unknown_field_may_be_nested_deep() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!("{{\"unknown\": {deep}, \"productId\": {PRODUCT:?}}}");
    let _ = decode("GetStockLevel", body);
    let open = format!("{{\"unknown\": {}", "[".repeat(100_000));
    refused("GetStockLevel", open, Code::InvalidMessage, "not JSON");
}

// What is told about it.

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

/// Ways to hide something confidential in a value.
fn hiding_places(secret: &str) -> Vec<Value> {
    vec![
        json!(secret),
        json!(format!("expected {secret}")),
        json!(format!("{secret}, expected {secret}")),
        json!(format!("`{secret}` expected \u{0} {secret}")),
        json!([secret]),
        json!([[secret], secret]),
        json!({ secret: 1 }),
        json!({ "productId": secret, "quantity": secret }),
        json!({ secret: { secret: [secret] } }),
    ]
}

#[test]
fn a_value_at_any_place_is_never_repeated() {
    for (name, _, example) in all_examples() {
        for pointer in pointers(&example) {
            for secret in [MARKER, MARKED_UUID] {
                for hidden in hiding_places(secret) {
                    let mut body = example.clone();
                    put(&mut body, &pointer, hidden);
                    assert_silent(name, &body);
                }
            }
        }
    }
}

/// A customer's id in the wrong field is still a customer's id.
#[test]
fn a_product_whose_quantity_is_over_the_limit_is_not_repeated() {
    let mut body = full_reserve();
    body["items"][0] = json!({ "productId": MARKED_UUID, "quantity": 2_147_483_648_u64 });
    assert_silent("ReserveInventory", &body);
}

#[test]
fn a_number_is_never_repeated() {
    for (name, _, example) in all_examples() {
        for pointer in pointers(&example) {
            for number in
                [json!(4_711_471_147_114_711_u64), json!(-4_711_471_147_114_711_i64), json!(4_711.471_147_11)]
            {
                let mut body = example.clone();
                put(&mut body, &pointer, number);
                let detail = detail(name, body.to_string());
                assert!(!detail.contains("4711"), "{name} {body}\nis told: {detail}");
            }
        }
    }
}

// Whatever comes.

/// JSON as it may come from anywhere, with something confidential in it.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        2 => Just(json!(MARKER)),
        1 => Just(json!(format!("expected {MARKER}"))),
        1 => Just(json!(MARKED_UUID)),
        1 => Just(json!(PRODUCT)),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((field_name(), inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn field_name() -> impl Strategy<Value = String> {
    let known = select(vec![
        "cartId",
        "customerId",
        "orderId",
        "reservationId",
        "holdSeconds",
        "items",
        "productId",
        "quantity",
        "reason",
        MARKER,
    ]);
    prop_oneof![8 => known.prop_map(ToOwned::to_owned), 1 => ".{0,8}"]
}

/// An example with some of its values replaced.
fn changed_example() -> impl Strategy<Value = (&'static str, &'static str, Value)> {
    (select(all_examples()), vec((any::<Index>(), any_json()), 1..4)).prop_map(
        |((name, file, example), changes)| {
            let mut body = example;
            for (index, json) in changes {
                let places = pointers(&body);
                put(&mut body, &places[index.index(places.len())], json);
            }
            (name, file, body)
        },
    )
}

/// A change to the bytes of a body.
#[derive(Debug, Clone)]
enum Mutation {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, u8),
    Repeat(Index, u8),
}

impl Mutation {
    fn apply(&self, body: &mut Vec<u8>) {
        let end = |at: usize, count: u8, len: usize| len.min(at + usize::from(count));
        let len = body.len();
        match self {
            Self::Set(at, byte) => {
                body.iter_mut().skip(at.index(len + 1)).take(1).for_each(|old| *old = *byte);
            }
            Self::Insert(at, bytes) => {
                let at = at.index(len + 1);
                body.splice(at..at, bytes.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(len + 1);
                body.drain(at..end(at, *count, len));
            }
            Self::Repeat(at, count) => {
                let at = at.index(len + 1);
                let repeated = body[at..end(at, *count, len)].to_vec();
                body.splice(at..at, repeated);
            }
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let telling = select(b"{}[]\",:\\-+.eE019tfnu \x00\x7f\xc3\xff".to_vec());
    let byte = prop_oneof![telling, any::<u8>()];
    prop_oneof![
        (at(), byte.clone()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), vec(byte, 1..8)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (at(), any::<u8>()).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (at(), any::<u8>()).prop_map(|(at, count)| Mutation::Repeat(at, count)),
    ]
}

/// Decodes a body as every message; what is refused is refused as a body.
fn decode_as_all(body: &[u8]) {
    for (name, _) in INBOUND {
        if let Err(problem) = decode(name, body) {
            assert_eq!(problem.code, Code::InvalidMessage);
            assert!((1..=500).contains(&problem.detail.len()), "{}", problem.detail);
        }
    }
}

/// What two readers may see differently: a schema says nothing of totals, and `null` is tolerated for what
/// may be left out.
fn is_over_a_total(problem: &Problem) -> bool {
    problem.detail.contains("over the limit")
}

fn without_nulls(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    body
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_survived(body in vec(any::<u8>(), 0..200)) {
        decode_as_all(&body);
    }

    #[test]
    fn random_mutations_of_examples_are_survived(
        (_, _, example) in select(all_examples()),
        mutations in vec(mutation(), 1..6),
    ) {
        let mut body = example.to_string().into_bytes();
        for mutation in &mutations {
            mutation.apply(&mut body);
        }
        decode_as_all(&body);
    }

    #[test]
    fn the_detail_never_repeats_a_value(body in any_json()) {
        for (name, _) in INBOUND {
            assert_silent(name, &body);
        }
    }

    #[test]
    fn the_detail_never_repeats_a_value_of_a_changed_example((name, _, body) in changed_example()) {
        assert_silent(name, &body);
    }
}

#[test]
fn decoder_and_schema_agree() {
    let validators = INBOUND.map(|(name, file)| (name, validator(file)));
    let config = ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |((name, _, body) in changed_example())| {
        let (_, validator) = validators.iter().find(|(of, _)| *of == name).expect("a validator for each message");
        match decode(name, body.to_string()) {
            Ok(()) => prop_assert!(validator.is_valid(&without_nulls(&body)), "accepted: {name} {body}"),
            Err(problem) => prop_assert!(
                !validator.is_valid(&body) || is_over_a_total(&problem),
                "refused: {name} {body}\n{}", problem.detail
            ),
        }
    });
}
