//! Contract 4.4: gives back once, whatever comes when.

use uuid::Uuid;

use crate::support::{Harness, Message};

#[tokio::test]
async fn gives_back_once_for_every_reason() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;

    for reason in [None, Some("CHECKOUT_FAILED"), Some("ORDER_CANCELLED"), Some("EXPIRED")] {
        let reservation = harness.reserve(Uuid::new_v4(), &[(product, 5)]).await.reservation();
        // Twice: by two commands, each with its own id.
        for _ in 0..2 {
            let command = Message::release(&reservation.to_uppercase());
            let command = reason.into_iter().fold(command, |command, reason| command.with("reason", reason));
            let reply = harness.ask(command).await;
            assert_eq!((reply.kind(), reply.text("status")), ("ReleaseInventory", "RELEASED"));
            assert_eq!(reply.text("reservationId"), reservation);
            harness.assert_level(product, 5, 0).await;
        }
    }
    harness.finish().await;
}

#[tokio::test]
async fn without_a_reply_to_it_is_done_in_silence() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;

    let reservation = harness.reserve(Uuid::new_v4(), &[(product, 5)]).await.reservation();
    harness.client.send(&Message::release(&reservation).without_id()).await;
    harness.client.send(&Message::release(&Uuid::new_v4().to_string())).await;
    // Behind them in the same queue, so they are done once this is.
    harness.reserve(Uuid::new_v4(), &[(product, 5)]).await.reservation();
    harness.finish().await;
}

#[tokio::test]
async fn an_unknown_one_is_remembered() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    let (cart, reservation) = (Uuid::new_v4(), Uuid::new_v4().to_string());

    let held = harness.reserve(cart, &[(product, 1)]).await.reservation();
    harness.ask(Message::release(&reservation)).await.assert_problem("RESERVATION_NOT_FOUND", 404);

    let late = Message::reserve(cart, &[(product, 3)]).with("reservationId", reservation.as_str());
    let event = harness.outcome_of(&late).await;
    assert_eq!((event.kind(), &event.json["reason"]), ("InventoryUnavailable", &"RELEASED_BEFORE".into()));
    assert_eq!(event.json["unavailableItems"].as_array().map(Vec::len), Some(0));
    assert_eq!(event.text("cartId"), cart.to_string());
    // What the cart holds already is not touched.
    harness.assert_level(product, 4, 1).await;
    assert_eq!(harness.reserve(cart, &[(product, 1)]).await.reservation(), held);
    harness.finish().await;
}

#[tokio::test]
async fn it_may_overtake_or_follow_its_reserve_at_once() {
    let mut harness = Harness::start().await;
    let product = harness.product(50).await;

    let mut commands = Vec::new();
    for turn in 0..40 {
        let reservation = Uuid::new_v4().to_string();
        let reserve = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        let reserve = reserve.with("reservationId", reservation.as_str());
        let release = Message::release(&reservation);
        commands.extend(if turn % 2 == 0 { [reserve, release] } else { [release, reserve] });
    }
    harness.client.send_all(&commands).await;
    for pair in commands.chunks(4) {
        harness.next_outcome_of(&pair[0]).await.reservation();
        let late = harness.next_outcome_of(&pair[3]).await;
        assert_eq!(late.json["reason"], "RELEASED_BEFORE", "{late:?}");
    }
    harness.assert_level(product, 50, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_consumed_one_cannot_be_released() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    let cart = Uuid::new_v4();
    let reservation = harness.reserve(cart, &[(product, 2)]).await.reservation();
    harness.ask(Message::consume(&reservation)).await;

    harness.ask(Message::release(&reservation)).await.assert_problem("RESERVATION_CONSUMED", 409);
    harness.assert_level(product, 3, 0).await;
    // The cart may go on shopping.
    assert_ne!(harness.reserve(cart, &[(product, 1)]).await.reservation(), reservation);
    harness.finish().await;
}
