//! Contract section 5: how much a sender may ask for at once. Each limit is a setting.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Harness, Message, Setup};

/// The largest quantity.
const QUANTITY_MAX: u64 = 2_147_483_647;

#[tokio::test]
async fn a_body_of_1_mib() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let of_bytes = |bytes: usize| {
        let message = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with("padding", "");
        let padding = "x".repeat(bytes - message.body.len());
        message.with("padding", padding)
    };

    harness.outcome_of(&of_bytes(1_048_576)).await.reservation();
    let too_large = of_bytes(1_048_577).with_reply_to(&harness.client.replies.queue);
    harness.client.send(&too_large).await;
    harness.assert_refused(&too_large, "MESSAGE_TOO_LARGE", 413).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_thousand_lines() {
    let mut harness = Harness::start().await;
    let products: Vec<(Uuid, u64)> = (0..1000).map(|_| (Uuid::new_v4(), 5)).collect();
    harness.site().count(&products).await;
    let lines: Vec<(Uuid, u64)> = products.iter().map(|(product, _)| (*product, 1)).collect();

    let event = harness.reserve(Uuid::new_v4(), &lines).await;
    assert_eq!(event.items().len(), 1000);
    assert_line_too_much(&mut harness, [lines, vec![(products[0].0, 1)]].concat()).await;
    harness.finish().await;
}

async fn assert_line_too_much(harness: &mut Harness, lines: Vec<(Uuid, u64)>) {
    let message = Message::reserve(Uuid::new_v4(), &lines).with_reply_to(&harness.client.replies.queue);
    harness.client.send(&message).await;
    harness.assert_refused(&message, "INVALID_MESSAGE", 400).await;
}

#[tokio::test]
async fn a_quantity_of_2_to_the_31_minus_1_a_line_and_in_total() {
    let mut harness = Harness::start().await;
    let product = harness.product(QUANTITY_MAX * 3).await;
    let cart = |lines: &[(Uuid, u64)]| Message::reserve(Uuid::new_v4(), lines);

    harness.outcome_of(&cart(&[(product, QUANTITY_MAX)])).await.reservation();
    let halves = [(product, QUANTITY_MAX / 2), (product, QUANTITY_MAX / 2 + 1)];
    harness.outcome_of(&cart(&halves)).await.reservation();
    // The level may need more than 32 bits.
    harness.assert_level(product, QUANTITY_MAX, QUANTITY_MAX * 2).await;

    let replies = harness.client.replies.queue.clone();
    for lines in [
        vec![(product, QUANTITY_MAX + 1)],
        vec![(product, QUANTITY_MAX), (product, 1)],
        vec![(product, QUANTITY_MAX); 1000],
    ] {
        let message = cart(&lines).with_reply_to(&replies);
        harness.client.send(&message).await;
        harness.assert_refused(&message, "INVALID_MESSAGE", 400).await;
    }
    harness.finish().await;
}

#[tokio::test]
async fn each_is_a_setting() {
    let setup = Setup::new()
        .with("INVENTORY__LIMITS__BODY_BYTES", "500")
        .with("INVENTORY__LIMITS__LINES", "2")
        .with("INVENTORY__LIMITS__QUANTITY", "10");
    let mut harness = setup.start().await;
    let [a, b] = harness.products([100, 100]).await;
    let replies = harness.client.replies.queue.clone();
    let cart = |lines: &[(Uuid, u64)]| Message::reserve(Uuid::new_v4(), lines).with_reply_to(&replies);

    let good = cart(&[(a, 10), (b, 10)]);
    harness.outcome_of(&good).await.reservation();
    harness.next_reply_to(&good).await;
    for (message, code, status) in [
        (cart(&[(a, 1), (b, 1), (a, 1)]), "INVALID_MESSAGE", 400),
        (cart(&[(a, 6), (a, 5)]), "INVALID_MESSAGE", 400),
        (cart(&[(a, 1)]).with("padding", "x".repeat(500)), "MESSAGE_TOO_LARGE", 413),
    ] {
        harness.client.send(&message).await;
        harness.assert_refused(&message, code, status).await;
    }
    harness.finish().await;
}

#[tokio::test]
async fn a_hold_ends_before_the_calendar_does() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let cart =
        |seconds: Value| Message::reserve(Uuid::new_v4(), &[(product, 1)]).with("holdSeconds", seconds);

    let event = harness.outcome_of(&cart(json!(QUANTITY_MAX))).await;
    assert!(event.text("expiresAt").starts_with("20"), "{event:?}");
    let message = cart(json!(QUANTITY_MAX + 1));
    harness.client.send(&message).await;
    harness.assert_refused(&message, "INVALID_MESSAGE", 400).await;
    harness.finish().await;
}
