//! Contract 4.1 and 4.2: all or nothing, exactly one outcome.

use serde_json::json;
use uuid::Uuid;

use crate::support::{Harness, Message};

#[tokio::test]
async fn holds_every_line_or_nothing() {
    let mut harness = Harness::start().await;
    let [plenty, scarce] = harness.products([10, 1]).await;

    let event = harness.reserve(Uuid::new_v4(), &[(plenty, 4), (scarce, 1)]).await;
    assert_eq!(event.items(), [(plenty.to_string(), 4), (scarce.to_string(), 1)]);

    let event = harness.reserve(Uuid::new_v4(), &[(plenty, 1), (scarce, 1)]).await;
    assert_eq!(event.shortfalls(), [(scarce.to_string(), 1, 0)]);
    harness.assert_level(plenty, 6, 4).await;
    harness.assert_level(scarce, 0, 1).await;
    harness.finish().await;
}

#[tokio::test]
async fn repeats_the_ids_of_the_cart_and_the_order() {
    let mut harness = Harness::start().await;
    let product = harness.product(1).await;
    let (cart, order) = (Uuid::new_v4(), Uuid::new_v4());

    for (quantity, kind) in [(2, "InventoryUnavailable"), (1, "InventoryReserved")] {
        let command = Message::reserve(cart, &[(product, quantity)]).with("orderId", order.to_string());
        let event = harness.outcome_of(&command).await;
        assert_eq!(event.kind(), kind);
        assert_eq!(
            (event.text("cartId"), event.text("orderId")),
            (cart.to_string().as_str(), order.to_string().as_str())
        );
    }

    let event = harness.reserve(Uuid::new_v4(), &[(product, 1)]).await;
    assert!(event.json.get("orderId").is_none(), "nobody named an order: {event:?}");
    harness.finish().await;
}

#[tokio::test]
async fn names_every_product_that_falls_short_with_totals() {
    let mut harness = Harness::start().await;
    let [plenty, scarce, empty] = harness.products([10, 3, 0]).await;
    let unknown = Uuid::max();

    let lines = [(scarce, 2), (plenty, 1), (empty, 1), (scarce, 3), (unknown, 7)];
    let event = harness.reserve(Uuid::new_v4(), &lines).await;
    let mut expected = [(scarce.to_string(), 5, 3), (empty.to_string(), 1, 0), (unknown.to_string(), 7, 0)];
    expected.sort();
    assert_eq!(event.shortfalls(), expected);
    harness.finish().await;
}

#[tokio::test]
async fn adds_up_lines_for_the_same_product() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;

    // In the other case it is the same product still.
    let upper = json!({ "productId": product.to_string().to_uppercase(), "quantity": 2 });
    let lower = json!({ "productId": product, "quantity": 3 });
    let command = Message::reserve(Uuid::new_v4(), &[]).with("items", json!([upper, lower]));
    let event = harness.outcome_of(&command).await;
    assert_eq!(event.items(), [(product.to_string(), 5)]);
    harness.assert_level(product, 0, 5).await;
    harness.finish().await;
}

#[tokio::test]
async fn reads_ids_in_any_case_and_writes_them_in_lower_case() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    let [cart, order, reservation] = [(); 3].map(|()| Uuid::new_v4().to_string());

    let command = Message::reserve(Uuid::nil(), &[(product, 1)])
        .with("cartId", cart.to_uppercase())
        .with("orderId", order.to_uppercase())
        .with("reservationId", reservation.to_uppercase());
    let event = harness.outcome_of(&command).await;
    assert_eq!(
        (event.text("cartId"), event.text("orderId"), event.text("reservationId")),
        (cart.as_str(), order.as_str(), reservation.as_str())
    );
    harness.finish().await;
}

#[tokio::test]
async fn ignores_fields_that_it_does_not_know() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;

    let line = json!({ "productId": product, "quantity": 1, "colour": { "deep": ["red", null] } });
    let command = Message::reserve(Uuid::new_v4(), &[]).with("items", json!([line])).with("coupon", "SPRING");
    harness.outcome_of(&command).await.reservation();
    harness.finish().await;
}

#[tokio::test]
async fn an_outcome_is_true_when_it_arrives() {
    let mut harness = Harness::start().await;
    let product = harness.product(20).await;

    for reserved in 1..=20 {
        harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
        harness.assert_level(product, 20 - reserved, reserved).await;
    }
    harness.finish().await;
}

#[tokio::test]
async fn one_senders_commands_keep_their_order() {
    let mut harness = Harness::start().await;
    let product = harness.product(1).await;

    // One unit goes from hand to hand: each reserve fits only once the release before it is done.
    let mut commands = Vec::new();
    for _ in 0..50 {
        let reservation = Uuid::new_v4().to_string();
        let reserve = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        commands.push(reserve.with("reservationId", reservation.as_str()));
        commands.push(Message::release(&reservation));
    }
    harness.client.send_all(&commands).await;
    for command in commands.iter().step_by(2) {
        harness.next_outcome_of(command).await.reservation();
    }
    harness.assert_level(product, 1, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn the_end_of_a_hold_is_shown() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;

    let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with("holdSeconds", 86_400);
    let event = harness.outcome_of(&command).await;
    let lasts = time(event.text("expiresAt")) - time(event.text("reservedAt"));
    assert_eq!(lasts, 86_400);

    let event = harness.reserve(Uuid::new_v4(), &[(product, 1)]).await;
    assert!(event.json.get("expiresAt").is_none(), "this one does not lapse: {event:?}");
    harness.finish().await;
}

fn time(text: &str) -> i64 {
    crate::support::conformance::time(text)
}
