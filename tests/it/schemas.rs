//! `schemas/`, as another team uses them. What the service really sends is held against them in every test, by
//! `support::conformance`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::conformance::{document, validator};
use crate::support::{Harness, Message};

const ALL: [&str; 20] = [
    "consume-inventory",
    "consume-inventory-reply",
    "extend-hold",
    "extend-hold-reply",
    "get-reservation-request",
    "get-reservation-response",
    "get-stock-level-request",
    "get-stock-level-response",
    "get-stock-levels-request",
    "get-stock-levels-response",
    "inventory-consumed",
    "inventory-released",
    "inventory-reserved",
    "inventory-unavailable",
    "problem",
    "release-inventory",
    "release-inventory-reply",
    "reserve-inventory",
    "stock-depleted",
    "stock-replenished",
];

fn examples(document: &Value) -> &Vec<Value> {
    document["examples"].as_array().expect("every schema has examples")
}

#[test]
fn each_is_draft_07_with_examples_that_hold() {
    for name in ALL {
        let document = document(name);
        assert_eq!(document["$schema"], "http://json-schema.org/draft-07/schema#", "{name}");
        jsonschema::draft7::meta::validate(&document).unwrap_or_else(|error| panic!("{name}: {error}"));
        let validator = validator(&document);
        for example in examples(&document) {
            assert!(validator.is_valid(example), "{name}: {example}");
        }
        assert!(!examples(&document).is_empty(), "{name}");
    }
}

#[test]
fn there_is_one_for_each_message_and_no_other() {
    let folder = format!("{}/schemas", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let found: BTreeSet<String> = files.map(|name| name.to_string_lossy().into_owned()).collect();
    let expected: BTreeSet<String> = ALL.iter().map(|name| format!("{name}.json")).collect();
    assert_eq!(found, expected);
}

#[test]
fn fields_are_those_of_the_contract() {
    for (name, required, optional) in [
        ("reserve-inventory", "cartId items", "customerId orderId reservationId holdSeconds"),
        ("release-inventory", "reservationId", "reason items"),
        ("consume-inventory", "reservationId", "items"),
        ("extend-hold", "reservationId holdSeconds", ""),
        ("get-stock-level-request", "productId", ""),
        ("get-stock-level-response", "productId available", "reserved"),
        ("get-stock-levels-request", "productIds", ""),
        ("get-stock-levels-response", "stockLevels unknownProductIds", ""),
        // Exactly one of them, which `required` cannot say.
        ("get-reservation-request", "", "reservationId cartId orderId"),
        (
            "get-reservation-response",
            "reservationId cartId status items reservedAt",
            "orderId expiresAt endedAt reason lapsed",
        ),
        ("inventory-reserved", "reservationId items reservedAt", "orderId cartId expiresAt"),
        ("inventory-unavailable", "unavailableItems checkedAt", "orderId cartId reason"),
        ("inventory-released", "reservationId cartId items releasedAt", "orderId reason"),
        ("inventory-consumed", "reservationId cartId items consumedAt", "orderId takenAgain"),
        ("stock-depleted", "productId version depletedAt", ""),
        ("stock-replenished", "productId available version replenishedAt", ""),
        ("release-inventory-reply", "reservationId status", ""),
        ("consume-inventory-reply", "reservationId status", "takenAgain"),
        ("extend-hold-reply", "reservationId status", "expiresAt"),
        ("problem", "type title status detail code", "held unavailableItems"),
    ] {
        let document = document(name);
        let demanded = document["required"].as_array().into_iter().flatten();
        let demanded: BTreeSet<_> = demanded.filter_map(Value::as_str).collect();
        assert_eq!(demanded, required.split_whitespace().collect(), "{name}");
        let fields = document["properties"].as_object().unwrap().keys().map(String::as_str);
        let named = required.split_whitespace().chain(optional.split_whitespace());
        assert_eq!(fields.collect::<BTreeSet<_>>(), named.collect(), "{name}");
        // Additive change must not break anyone.
        assert_ne!(document.get("additionalProperties"), Some(&Value::Bool(false)), "{name}");
    }
}

/// What the examples of commands and queries come to, in a database that knows nothing of them.
const ASKED: [(&str, &str, &str); 6] = [
    ("release-inventory", "ReleaseInventory", "RESERVATION_NOT_FOUND"),
    ("consume-inventory", "ConsumeInventory", "RESERVATION_NOT_FOUND"),
    ("extend-hold", "ExtendHold", "RESERVATION_NOT_FOUND"),
    ("get-reservation-request", "GetReservation", "RESERVATION_NOT_FOUND"),
    ("get-stock-level-request", "GetStockLevel", "PRODUCT_NOT_FOUND"),
    ("get-stock-levels-request", "GetStockLevels", ""),
];

#[tokio::test]
async fn the_examples_of_what_comes_in_are_understood() {
    let mut harness = Harness::start().await;
    for example in examples(&document("reserve-inventory")) {
        let command = Message::reserve(uuid::Uuid::nil(), &[]).with_body(example.to_string());
        harness.outcome_of(&command).await.shortfalls();
    }
    for (name, kind, code) in ASKED {
        for example in examples(&document(name)) {
            let pattern =
                if name.ends_with("-request") { Message::stock_levels(&[]) } else { Message::release("") };
            let reply = harness.ask(pattern.with_kind(kind).with_body(example.to_string())).await;
            if code.is_empty() {
                assert_eq!(reply.kind(), kind, "{reply:?}");
            } else {
                reply.assert_problem(code, 404);
            }
        }
    }
    harness.finish().await;
}
