//! `GetReservation`: what has become of a reservation, by its own id, its cart's or its order's.

use serde_json::json;
use uuid::Uuid;

use crate::support::{Harness, Message, Received, Setup};

/// Asks by a key of a reservation.
async fn ask(harness: &mut Harness, field: &str, id: impl ToString) -> Received {
    harness.ask(Message::reservation_by(field, &id.to_string())).await
}

/// Demands which reservation is meant by a key.
async fn assert_found(harness: &mut Harness, field: &str, id: impl ToString, reservation: &str) {
    let reply = ask(harness, field, id).await;
    assert_eq!((reply.kind(), reply.text("reservationId")), ("GetReservation", reservation), "{reply:?}");
}

/// Reserves for a cart and an order.
async fn reserve(harness: &mut Harness, cart: Uuid, order: Uuid, lines: &[(Uuid, u64)]) -> Received {
    harness.outcome_of(&Message::reserve(cart, lines).with("orderId", order.to_string())).await
}

#[tokio::test]
async fn a_hold_is_told_by_each_of_its_keys() {
    let mut harness = Harness::start().await;
    let [a, b] = harness.products([9, 9]).await;
    let (cart, order) = (Uuid::new_v4(), Uuid::new_v4());
    let command = Message::reserve(cart, &[(b, 2), (a, 3)]).with("orderId", order.to_string());
    let reserved = harness.outcome_of(&command.with("holdSeconds", 86_400)).await;
    let id = reserved.reservation();

    let line = |product: Uuid, units: u64| json!({ "productId": product, "quantity": units, "held": units, "released": 0, "consumed": 0 });
    let expected = json!({
        "reservationId": id, "cartId": cart, "orderId": order, "status": "HELD",
        "items": [line(b, 2), line(a, 3)],
        "reservedAt": reserved.json["reservedAt"], "expiresAt": reserved.json["expiresAt"],
    });
    for (field, key) in [("reservationId", id), ("cartId", cart.to_string()), ("orderId", order.to_string())]
    {
        assert_eq!(ask(&mut harness, field, key.to_uppercase()).await.json, expected, "{field}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn what_ended_is_told_with_when_and_why() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let released = harness.reserve(Uuid::new_v4(), &[(product, 2)]).await;
    let command = Message::release(&released.reservation()).with("reason", "CHECKOUT_FAILED");
    harness.client.send(&command).await;
    let event = harness.next_movement_of(&command).await;

    let reply = ask(&mut harness, "cartId", released.text("cartId")).await;
    assert_eq!((reply.text("status"), reply.text("reason")), ("RELEASED", "CHECKOUT_FAILED"));
    assert_eq!(reply.text("endedAt"), event.text("releasedAt"));
    assert_eq!(reply.parts_of(product), (2, 0, 2, 0));
    assert!(reply.json.get("orderId").is_none() && reply.json.get("expiresAt").is_none(), "{reply:?}");

    let id = harness.reserve(Uuid::new_v4(), &[(product, 2)]).await.reservation();
    harness.ask(Message::release(&id)).await;
    let reply = harness.reservation(&id).await;
    assert!(reply.json.get("reason").is_none(), "the sender gave none: {reply:?}");
    harness.finish().await;
}

#[tokio::test]
async fn of_several_the_one_that_is_held_is_meant_or_else_the_latest() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let (cart, order) = (Uuid::new_v4(), Uuid::new_v4());
    let mut ids = Vec::new();
    for units in 1..=3 {
        ids.push(reserve(&mut harness, cart, order, &[(product, units)]).await.reservation());
    }
    // Two were superseded by the third.
    for (field, key) in [("cartId", cart), ("orderId", order)] {
        assert_found(&mut harness, field, key, &ids[2]).await;
    }
    let first = harness.reservation(&ids[0]).await;
    assert_eq!((first.text("status"), first.text("reason")), ("RELEASED", "SUPERSEDED"));
    assert_eq!(first.parts_of(product), (1, 0, 1, 0));

    harness.release(&ids[2]).await;
    for (field, key) in [("cartId", cart), ("orderId", order)] {
        assert_found(&mut harness, field, key, &ids[2]).await;
    }
    harness.finish().await;
}

#[tokio::test]
async fn what_is_held_for_an_order_is_meant_although_another_cart_came_later() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let order = Uuid::new_v4();
    let [early, late] = [Uuid::new_v4(), Uuid::new_v4()];
    let held = reserve(&mut harness, early, order, &[(product, 1)]).await.reservation();
    let ended = reserve(&mut harness, late, order, &[(product, 1)]).await.reservation();
    assert_found(&mut harness, "orderId", order, &ended).await;
    harness.ask(Message::consume(&ended)).await;
    assert_found(&mut harness, "orderId", order, &held).await;
    assert_found(&mut harness, "cartId", late, &ended).await;
    assert_found(&mut harness, "cartId", early, &held).await;
    harness.release(&held).await;
    assert_found(&mut harness, "orderId", order, &ended).await;
    harness.finish().await;
}

#[tokio::test]
async fn many_at_once_are_each_answered_with_their_own() {
    let mut harness = Harness::start().await;
    let product = harness.product(900).await;
    let replies = harness.client.replies.queue.clone();
    let mut queries = Vec::new();
    for _ in 0..40 {
        let (cart, order) = (Uuid::new_v4(), Uuid::new_v4());
        let old = reserve(&mut harness, cart, order, &[(product, 1)]).await.reservation();
        let new = reserve(&mut harness, cart, order, &[(product, 2)]).await.reservation();
        for (field, key, expected) in [
            ("reservationId", old.clone(), &old),
            ("cartId", cart.to_string(), &new),
            ("orderId", order.to_string(), &new),
            ("reservationId", new.clone(), &new),
        ] {
            let query = Message::reservation_by(field, &key).with_reply_to(&replies);
            queries.push((query, expected.clone()));
        }
    }
    let burst: Vec<Message> = queries.iter().map(|(query, _)| query.clone()).collect();
    harness.client.send_all(&burst).await;
    for (query, expected) in &queries {
        assert_eq!(harness.next_reply_to(query).await.text("reservationId"), expected);
    }
    harness.finish().await;
}

#[tokio::test]
async fn what_nobody_reserved_is_a_problem_for_the_asker_only() {
    let mut harness = Harness::start().await;
    let product = harness.product(1).await;
    // Remembered, but no reservation.
    let early = Uuid::new_v4().to_string();
    harness.ask(Message::release(&early)).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    ask(&mut harness, "reservationId", &early).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    // A cart that came away empty-handed has none.
    let cart = Uuid::new_v4();
    let order = Uuid::new_v4();
    reserve(&mut harness, cart, order, &[(product, 2)]).await.shortfalls();
    for field in ["reservationId", "cartId", "orderId"] {
        ask(&mut harness, field, Uuid::new_v4()).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    }
    for (field, key) in [("cartId", cart), ("orderId", order)] {
        ask(&mut harness, field, key).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    }
    // A key of one kind is no key of another.
    let id = harness.reserve(cart, &[(product, 1)]).await.reservation();
    ask(&mut harness, "cartId", id).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    ask(&mut harness, "orderId", cart).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    harness.finish().await;
}

#[tokio::test]
async fn what_cannot_be_understood_is_answered_and_not_dead_lettered() {
    let mut harness = Harness::start().await;
    let id = Uuid::new_v4();
    for body in [
        json!({}),
        json!([id]),
        json!({ "productId": id }),
        json!({ "reservationId": "x" }),
        json!({ "cartId": [id] }),
        json!({ "orderId": null }),
        json!({ "reservationId": id, "cartId": id }),
        json!({ "reservationId": id, "cartId": id, "orderId": id }),
    ] {
        let query = Message::reservation_by("cartId", "").with_body(body.to_string());
        harness.ask(query).await.assert_problem("INVALID_MESSAGE", 400);
    }
    harness.finish().await;
}

/// Somebody has changed a row by hand so that it makes no sense any more.
#[tokio::test]
async fn one_that_cannot_be_read_hinders_nobody_else_until_it_is_mended() {
    let mut harness = Setup::new().start().await;
    let product = harness.product(9).await;
    let [whole, broken] = [1, 2].map(|units| [(product, units)]);
    let whole = harness.reserve(Uuid::new_v4(), &whole).await.reservation();
    let broken = harness.reserve(Uuid::new_v4(), &broken).await.reservation();
    let set = |released: &str| {
        format!("UPDATE reservation SET released = ARRAY[{released}] WHERE reservation_id = '{broken}'")
    };
    harness.site().database.execute(&set("3")).await;
    harness.services()[0].pause();
    let replies = harness.client.replies.queue.clone();
    let about = |id: &str| Message::reservation_by("reservationId", id).with_reply_to(&replies);
    let asked = [about(&whole), about(&broken), about(&whole)];
    harness.client.send_all(&asked).await;
    harness.services()[0].resume();
    for query in [&asked[0], &asked[2]] {
        assert_eq!(harness.next_reply_to(query).await.text("reservationId"), whole);
    }
    harness.site().database.execute(&set("0")).await;
    assert_eq!(harness.next_reply_to(&asked[1]).await.text("reservationId"), broken);
    harness.finish_after_an_outage().await;
}
