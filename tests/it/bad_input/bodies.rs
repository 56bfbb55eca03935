//! Bodies that are no messages.

use serde_json::{Value, json};
use uuid::Uuid;

use super::assert_refused_between_good_ones;
use crate::support::{Harness, Message};

/// A body that would be a good reserve.
fn reserve() -> Value {
    json!({ "cartId": Uuid::new_v4(), "items": [{ "productId": Uuid::new_v4(), "quantity": 1 }] })
}

fn with(field: &str, value: impl Into<Value>) -> Vec<u8> {
    let mut body = reserve();
    body[field] = value.into();
    body.to_string().into_bytes()
}

fn without(field: &str) -> Vec<u8> {
    let mut body = reserve();
    body.as_object_mut().unwrap().remove(field);
    body.to_string().into_bytes()
}

fn with_line(line: &Value) -> Vec<u8> {
    with("items", json!([{ "productId": Uuid::new_v4(), "quantity": 1 }, line]))
}

/// With a quantity that may be no JSON.
fn with_quantity(quantity: &str) -> Vec<u8> {
    let [cart, product] = [Uuid::new_v4(), Uuid::new_v4()];
    format!(r#"{{"cartId":"{cart}","items":[{{"productId":"{product}","quantity":{quantity}}}]}}"#)
        .into_bytes()
}

/// With bytes behind a good beginning.
fn with_raw_field(bytes: &[u8]) -> Vec<u8> {
    let mut body = reserve().to_string().into_bytes();
    body.pop();
    body.extend_from_slice(br#","note":""#);
    body.extend_from_slice(bytes);
    body.extend_from_slice(br#""}"#);
    body
}

/// No UUIDs, each in its own way.
fn no_uuids() -> Vec<Value> {
    let good = Uuid::new_v4();
    vec![
        json!(""),
        json!("abc"),
        json!(good.simple().to_string()),
        json!(good.braced().to_string()),
        json!(good.urn().to_string()),
        json!(format!(" {good}")),
        json!(format!("{good}\n")),
        json!(format!("{good}0")),
        json!(good.to_string().replace('-', "_")),
        json!(good.to_string()[1..]),
        json!(5),
        json!(true),
        json!([good]),
        json!({ "id": good }),
    ]
}

fn no_json() -> Vec<Vec<u8>> {
    let good = reserve().to_string();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        Vec::new(),
        b" \n".to_vec(),
        b"{".to_vec(),
        b"hello".to_vec(),
        good.as_bytes()[..good.len() - 1].to_vec(),
        format!("{good} x").into_bytes(),
        format!("{good}{good}").into_bytes(),
        format!("{good}\0").into_bytes(),
        vec![0; 20],
        (0..=255).collect(),
        utf16,
        with_raw_field(b"\xff\xfe"),
        with_raw_field(b"\xc0\xaf"),
        with_raw_field(b"\xed\xa0\x80"),
        with_raw_field(b"caf\xe9"),
        with_raw_field(b"a\nb"),
        with_raw_field(br"\x41"),
        b"[".repeat(100_000),
        br#"{"a":"#.repeat(100_000),
    ]
}

fn another_shape() -> Vec<Vec<u8>> {
    let roots = [json!(null), json!(true), json!(17), json!("x"), json!([]), json!([reserve()]), json!({})];
    let mut bodies: Vec<Vec<u8>> = roots.iter().map(|root| root.to_string().into_bytes()).collect();
    bodies.extend(["cartId", "items"].map(without));
    let product = Uuid::new_v4();
    bodies.extend(
        [json!(null), json!([]), json!({}), json!("x"), json!(1), json!([null]), json!([[product, 1]])]
            .map(|items| with("items", items)),
    );
    for line in [
        json!({}),
        json!("x"),
        json!({ "productId": product }),
        json!({ "quantity": 1 }),
        json!({ "productId": product, "quantity": null }),
        json!({ "productId": product, "quantity": "1" }),
        json!({ "productId": product, "quantity": true }),
        json!({ "productId": product, "quantity": [1] }),
    ] {
        bodies.push(with_line(&line));
    }
    bodies
}

fn no_quantities() -> Vec<Vec<u8>> {
    let long = "1".repeat(10_000);
    [
        "0",
        "-1",
        "-0",
        "1.5",
        "0.5",
        "1e-1",
        "1.0000000001",
        "2147483648",
        "4294967297",
        "9223372036854775808",
        "18446744073709551616",
        "18446744073709551617",
        "3e9",
        "1e400",
        "NaN",
        "Infinity",
        "0x1",
        "01",
        "+1",
        "1.",
        &long,
    ]
    .map(with_quantity)
    .to_vec()
}

fn no_fields() -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for value in no_uuids() {
        for field in ["cartId", "customerId", "orderId", "reservationId"] {
            bodies.push(with(field, value.clone()));
        }
        bodies.push(with_line(&json!({ "productId": value, "quantity": 1 })));
    }
    for field in ["cartId", "items"] {
        bodies.push(with(field, Value::Null));
    }
    bodies.extend(
        [json!(0), json!(-1), json!(1.5), json!("60"), json!(true), json!({})]
            .map(|seconds| with("holdSeconds", seconds)),
    );
    bodies
}

#[tokio::test]
async fn no_reserve() {
    let bodies = [no_json(), another_shape(), no_quantities(), no_fields()].concat();
    assert_invalid(&Message::reserve(Uuid::nil(), &[]), bodies).await;
}

#[tokio::test]
async fn no_release() {
    let good = Uuid::new_v4();
    let mut bodies = vec![b"{".to_vec(), Vec::new()];
    let shapes = [json!({}), json!([good]), json!(good), json!(null)];
    bodies.extend(shapes.iter().map(|shape| shape.to_string().into_bytes()));
    for value in no_uuids() {
        bodies.push(json!({ "reservationId": value }).to_string().into_bytes());
    }
    for reason in [json!("NO_SUCH"), json!("expired"), json!(""), json!(1), json!(["EXPIRED"])] {
        bodies.push(json!({ "reservationId": good, "reason": reason }).to_string().into_bytes());
    }
    assert_invalid(&Message::release(""), bodies).await;
}

/// What is no list of items.
fn no_items() -> Vec<Value> {
    let product = Uuid::new_v4();
    let line = |product: Value, quantity: Value| json!([{ "productId": product, "quantity": quantity }]);
    let mut lists = vec![json!([]), json!({}), json!("x"), json!(1), json!([null]), json!([[product, 1]])];
    lists.extend(no_uuids().into_iter().map(|id| line(id, json!(1))));
    lists.extend(
        [json!(0), json!(-1), json!(1.5), json!("1"), json!(null), json!(2_147_483_648_u64)]
            .map(|quantity| line(json!(product), quantity)),
    );
    lists.push(json!([{ "productId": product }]));
    lists
}

#[tokio::test]
async fn no_part() {
    let of =
        |items: Value| json!({ "reservationId": Uuid::new_v4(), "items": items }).to_string().into_bytes();
    assert_invalid(&Message::release(""), no_items().into_iter().map(of).collect()).await;
    assert_invalid(&Message::consume(""), no_items().into_iter().map(of).collect()).await;
}

#[tokio::test]
async fn no_consumption() {
    let mut bodies = vec![b"{".to_vec(), b"{}".to_vec(), json!([Uuid::new_v4()]).to_string().into_bytes()];
    let of = |id: Value| json!({ "reservationId": id }).to_string().into_bytes();
    bodies.extend(no_uuids().into_iter().map(of));
    assert_invalid(&Message::consume(""), bodies).await;
}

#[tokio::test]
async fn no_extension() {
    let good = Uuid::new_v4();
    let of = |id: Value, seconds: Value| json!({ "reservationId": id, "holdSeconds": seconds }).to_string();
    let mut bodies =
        vec![json!({ "reservationId": good }).to_string(), json!({ "holdSeconds": 5 }).to_string()];
    bodies.extend(no_uuids().into_iter().map(|id| of(id, json!(5))));
    bodies.extend(
        [json!(0), json!(-1), json!(1.5), json!("60"), json!(null), json!([5]), json!(2_147_483_648_u64)]
            .map(|seconds| of(json!(good), seconds)),
    );
    assert_invalid(&Message::extend("", 1), bodies.into_iter().map(String::into_bytes).collect()).await;
}

/// Demands that each body is refused, and that the good ones between them are not.
async fn assert_invalid(pattern: &Message, bodies: Vec<Vec<u8>>) {
    let mut harness = Harness::start().await;
    let replies = harness.client.replies.queue.clone();
    let bad = |(number, body): (usize, Vec<u8>)| {
        let id = format!("{number} {}", Uuid::new_v4());
        let message = pattern.clone().with_body(body).with_id(&id).with_reply_to(&replies);
        (message, "INVALID_MESSAGE", 400)
    };
    let bad: Vec<_> = bodies.into_iter().enumerate().map(bad).collect();
    let letters = assert_refused_between_good_ones(&mut harness, &bad).await;
    for letter in letters.values() {
        let detail = letter.header("x-error-detail").unwrap();
        assert!((1..=500).contains(&detail.len()), "a sentence for people: {letter:?}");
    }
    harness.finish().await;
}
