//! What is wrong is told without repeating it: it may be a customer's id.

use serde_json::{Value, json};

use super::{MARKED_UUID, MARKER, all_examples, assert_silent, detail, full_reserve, pointers, put};

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
