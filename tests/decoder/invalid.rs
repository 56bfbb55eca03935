//! What is wrong is refused, with a code and the place.

use inventory_service::contract::{Code, Message, decode_command, decode_query};
use serde_json::json;

use super::{
    CART, INBOUND, LIMITS, OF_PARTS, PRODUCT, full_reserve, invalid_reserve, refused, reserve_with,
    reserve_without,
};

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
    refused("ConsumeInventory", json!([CART, null]).to_string(), Code::InvalidMessage, "");
    refused("ExtendHold", json!([CART, 60]).to_string(), Code::InvalidMessage, "");
    refused("GetStockLevel", json!([PRODUCT]).to_string(), Code::InvalidMessage, "");
    refused("GetStockLevels", json!([[PRODUCT]]).to_string(), Code::InvalidMessage, "");
    refused("GetReservation", json!([CART, null, null]).to_string(), Code::InvalidMessage, "");
    for name in OF_PARTS {
        let body = json!({ "reservationId": CART, "items": [[PRODUCT, 1]] });
        refused(name, body.to_string(), Code::InvalidMessage, "items[0]");
    }
}

#[test]
fn what_is_missing_is_named() {
    invalid_reserve(reserve_without("cartId"), "missing field `cartId`");
    invalid_reserve(reserve_without("items"), "missing field `items`");
    invalid_reserve(reserve_with("/items/0", "{\"quantity\": 1}"), "items[0]: missing field `productId`");
    let second = format!("[{{\"productId\": {PRODUCT:?}, \"quantity\": 1}}, {{\"productId\": {PRODUCT:?}}}]");
    invalid_reserve(reserve_with("/items", &second), "items[1]: missing field `quantity`");
    for (name, field) in [
        ("ReleaseInventory", "reservationId"),
        ("ConsumeInventory", "reservationId"),
        ("ExtendHold", "reservationId"),
        ("GetStockLevel", "productId"),
        ("GetStockLevels", "productIds"),
    ] {
        refused(name, "{}", Code::InvalidMessage, &format!("missing field `{field}`"));
    }
    let endless = json!({ "reservationId": CART }).to_string();
    refused("ExtendHold", endless, Code::InvalidMessage, "missing field `holdSeconds`");
    for name in OF_PARTS {
        let body = json!({ "reservationId": CART, "items": [{ "productId": PRODUCT }] }).to_string();
        refused(name, body, Code::InvalidMessage, "items[0]: missing field `quantity`");
    }
}

#[test]
fn what_is_twice_is_refused() {
    let twice = full_reserve().to_string().replacen('{', &format!("{{\"cartId\":{CART:?},"), 1);
    invalid_reserve(twice, "duplicate field `cartId`");
}

#[test]
fn a_reservation_that_is_not_named_by_exactly_one_key_is_refused() {
    let keys = ["reservationId", "cartId", "orderId"];
    let named = |fields: &[&str]| {
        let body: serde_json::Map<_, _> =
            fields.iter().map(|field| ((*field).to_owned(), json!(CART))).collect();
        json!(body).to_string()
    };
    for fields in [&[][..], &["productId"], &keys, &keys[..2], &keys[1..], &["reservationId", "orderId"]] {
        refused("GetReservation", named(fields), Code::InvalidMessage, "exactly one of reservationId");
    }
    let nulls = json!({ "reservationId": null, "cartId": null, "orderId": null }).to_string();
    refused("GetReservation", nulls, Code::InvalidMessage, "exactly one of reservationId");
}

/// What is no UUID, each in its own way.
const NO_UUIDS: [&str; 15] = [
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

#[test]
fn what_is_no_uuid_is_refused_where_it_stands() {
    for json in NO_UUIDS {
        invalid_reserve(reserve_with("/cartId", json), "at cartId: expected a UUID");
        invalid_reserve(reserve_with("/items/0/productId", json), "at items[0].productId: expected a UUID");
    }
    for json in NO_UUIDS.iter().filter(|json| **json != "null") {
        for field in ["customerId", "orderId", "reservationId"] {
            invalid_reserve(
                reserve_with(&format!("/{field}"), json),
                &format!("at {field}: expected a UUID"),
            );
        }
    }
}

#[test]
fn what_is_no_uuid_is_refused_in_every_message() {
    for json in NO_UUIDS {
        for name in ["ReleaseInventory", "ConsumeInventory", "ExtendHold"] {
            let body = format!("{{\"reservationId\": {json}, \"holdSeconds\": 1}}");
            refused(name, body, Code::InvalidMessage, "at reservationId: expected a UUID");
        }
        for name in OF_PARTS {
            let line = format!("{{\"productId\": {json}, \"quantity\": 1}}");
            let body = format!("{{\"reservationId\": {CART:?}, \"items\": [{line}]}}");
            refused(name, body, Code::InvalidMessage, "at items[0].productId: expected a UUID");
        }
        let products = format!("{{\"productIds\": [{PRODUCT:?}, {json}]}}");
        refused("GetStockLevels", products, Code::InvalidMessage, "at productIds[1]: expected a UUID");
    }
    for json in NO_UUIDS.iter().filter(|json| **json != "null") {
        for field in ["reservationId", "cartId", "orderId"] {
            let expected = format!("at {field}: expected a UUID");
            refused("GetReservation", format!("{{{field:?}: {json}}}"), Code::InvalidMessage, &expected);
        }
    }
}

#[test]
fn what_is_no_list_of_products_is_refused() {
    for json in ["null", "7", "\"text\"", "{}", "true", &format!("{PRODUCT:?}")] {
        refused(
            "GetStockLevels",
            format!("{{\"productIds\": {json}}}"),
            Code::InvalidMessage,
            "at productIds",
        );
    }
}

/// What is no positive integer, each in its own way.
const NO_QUANTITIES: [&str; 13] =
    ["0", "-1", "-0", "0.0", "1.5", "-1.0", "\"1\"", "null", "true", "[1]", "{\"1\": 1}", "1e-1", "1e300"];

#[test]
fn what_is_no_positive_integer_is_refused_where_it_stands() {
    for json in NO_QUANTITIES {
        for name in OF_PARTS {
            let line = format!("{{\"productId\": {PRODUCT:?}, \"quantity\": {json}}}");
            let body = format!("{{\"reservationId\": {CART:?}, \"items\": [{line}]}}");
            refused(name, body, Code::InvalidMessage, "at items[0].quantity: expected an integer");
        }
        let body = format!("{{\"reservationId\": {CART:?}, \"holdSeconds\": {json}}}");
        refused("ExtendHold", body, Code::InvalidMessage, "at holdSeconds: expected an integer");
        invalid_reserve(reserve_with("/items/0/quantity", json), "at items[0].quantity: expected an integer");
    }
    for json in NO_QUANTITIES.iter().filter(|json| **json != "null") {
        invalid_reserve(reserve_with("/holdSeconds", json), "at holdSeconds: expected an integer");
    }
    invalid_reserve(reserve_with("/holdSeconds", "1e999"), "not JSON: number out of range");
    invalid_reserve(reserve_with("/holdSeconds", "01"), "not JSON");
    invalid_reserve(reserve_with("/holdSeconds", "NaN"), "not JSON");
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
        (false, None, "inventory.commands", "ReleaseInventory (release-inventory)"),
        (false, Some("reserveInventory"), "reserve-inventory", "Commands are"),
        (false, Some("GetStockLevel"), "reserve-inventory", "queries queue"),
        (false, None, "get-stock-level", "queries queue"),
        (true, Some("ReserveInventory"), "get-stock-level", "commands queue"),
        (true, None, "release-inventory", "commands queue"),
        (true, Some("ConsumeInventory"), "", "commands queue"),
        (true, None, "extend-hold", "commands queue"),
        (false, Some("GetStockLevels"), "", "queries queue"),
        (false, None, "get-reservation", "queries queue"),
        (true, None, "", "GetReservation (get-reservation)"),
        (true, Some("Zimt-und-Zucker"), "get-stock-level", "GetStockLevel"),
    ] {
        let problem = decode(query, message_type, routing_key).map_err(|p| (p.code, p.detail.contains(part)));
        assert_eq!(problem, Err((Code::UnsupportedType, true)), "{message_type:?} {routing_key}");
    }
}
