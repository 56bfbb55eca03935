//! Whatever comes: what is nested deep, random bytes, random JSON, and examples that were tampered with.

use inventory_service::contract::{Code, Problem};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::mutation::{applied, mutation};
use super::{
    CART, INBOUND, MARKED_UUID, MARKER, PRODUCT, all_examples, assert_silent, decode, invalid_reserve,
    pointers, put, refused, reserve_with, validator,
};

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
        for (name, field) in [
            ("ReleaseInventory", "reason"),
            ("ReleaseInventory", "items"),
            ("ConsumeInventory", "items"),
            ("ExtendHold", "holdSeconds"),
        ] {
            let body = format!("{{\"reservationId\": {CART:?}, {field:?}: {deep}}}");
            refused(name, body, Code::InvalidMessage, "");
        }
        for (name, field) in [("GetStockLevels", "productIds"), ("GetReservation", "cartId")] {
            refused(name, format!("{{{field:?}: {deep}}}"), Code::InvalidMessage, "");
        }
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
        "productIds",
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
        decode_as_all(&applied(&mutations, example.to_string().into_bytes()));
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
