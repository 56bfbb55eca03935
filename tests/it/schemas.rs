//! `schemas/`, as another team uses them. What the service really sends is held against them in every test, by
//! `support::conformance`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::conformance::{document, validator};
use crate::support::{Harness, Message};

const ALL: [&str; 8] = [
    "get-stock-level-request",
    "get-stock-level-response",
    "inventory-reserved",
    "inventory-unavailable",
    "problem",
    "release-inventory",
    "release-inventory-reply",
    "reserve-inventory",
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
        ("release-inventory", "reservationId", "reason"),
        ("get-stock-level-request", "productId", ""),
        ("get-stock-level-response", "productId available", "reserved"),
        ("inventory-reserved", "reservationId items reservedAt", "orderId cartId expiresAt"),
        ("inventory-unavailable", "unavailableItems checkedAt", "orderId cartId reason"),
        ("release-inventory-reply", "reservationId status", ""),
        ("problem", "type title status detail code", ""),
    ] {
        let document = document(name);
        let demanded: BTreeSet<_> =
            document["required"].as_array().unwrap().iter().map(|field| field.as_str().unwrap()).collect();
        assert_eq!(demanded, required.split_whitespace().collect(), "{name}");
        let fields: BTreeSet<_> =
            document["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            required.split_whitespace().chain(optional.split_whitespace()).collect(),
            "{name}"
        );
        // Additive change must not break anyone.
        assert_ne!(document.get("additionalProperties"), Some(&Value::Bool(false)), "{name}");
    }
}

#[tokio::test]
async fn the_examples_of_what_comes_in_are_understood() {
    let mut harness = Harness::start().await;
    for example in examples(&document("reserve-inventory")) {
        let command = Message::reserve(uuid::Uuid::nil(), &[]).with_body(example.to_string());
        harness.outcome_of(&command).await.shortfalls();
    }
    for example in examples(&document("release-inventory")) {
        let command = Message::release("").with_body(example.to_string());
        harness.ask(command).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    }
    for example in examples(&document("get-stock-level-request")) {
        let query = Message::stock_level(uuid::Uuid::nil()).with_body(example.to_string());
        harness.ask(query).await.assert_problem("PRODUCT_NOT_FOUND", 404);
    }
    harness.finish().await;
}
