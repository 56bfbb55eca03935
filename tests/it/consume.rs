//! The goods leave the house: out of what is held, or, after the hold has lapsed, out of what is available.

use uuid::Uuid;

use crate::support::{Harness, Message, Received, Setup};

/// Nobody sweeps: what lapses is found by the commands.
async fn without_sweep() -> Harness {
    Setup::new().with("INVENTORY__EXPIRY__SWEEP_INTERVAL_MS", "60000").start().await
}

/// Sends a consumption that must succeed; gives the reply and the event.
async fn consume(harness: &mut Harness, command: Message) -> (Received, Received) {
    let command = command.with_reply_to(&harness.client.replies.queue);
    harness.client.send(&command).await;
    let reply = harness.next_reply_to(&command).await;
    assert_eq!(reply.kind(), "ConsumeInventory", "{reply:?}");
    let event = harness.next_movement_of(&command).await;
    assert_eq!(event.kind(), "InventoryConsumed", "{event:?}");
    assert_eq!(event.json.get("takenAgain"), reply.json.get("takenAgain"));
    (reply, event)
}

/// Reserves, and makes the hold lapse: its units go back, or are about to.
async fn lapsed(harness: &mut Harness, lines: &[(Uuid, u64)]) -> String {
    let command = Message::reserve(Uuid::new_v4(), lines).with("holdSeconds", 3600);
    let id = harness.outcome_of(&command).await.reservation();
    let sql = format!("UPDATE reservation SET expires_at = clock_timestamp() WHERE reservation_id = '{id}'");
    assert_eq!(harness.site().database.execute(&sql).await, 1);
    id
}

#[tokio::test]
async fn what_is_held_leaves_the_house() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    let (cart, order) = (Uuid::new_v4(), Uuid::new_v4().to_string());
    let reserve = Message::reserve(cart, &[(product, 2)]).with("orderId", order.as_str());
    let id = harness.outcome_of(&reserve).await.reservation();

    let (reply, event) = consume(&mut harness, Message::consume(&id.to_uppercase())).await;
    assert_eq!((reply.text("reservationId"), reply.text("status")), (id.as_str(), "CONSUMED"));
    assert!(reply.json.get("takenAgain").is_none(), "{reply:?}");
    assert_eq!((event.text("reservationId"), event.items()), (id.as_str(), vec![(product.to_string(), 2)]));
    assert_eq!((event.text("cartId"), event.text("orderId")), (cart.to_string().as_str(), order.as_str()));
    harness.assert_level(product, 3, 0).await;
    let now = harness.reservation(&id).await;
    assert_eq!((now.text("status"), now.text("endedAt")), ("CONSUMED", event.text("consumedAt")));

    // Once more by another command: it is so already, and no event.
    let reply = harness.ask(Message::consume(&id)).await;
    assert_eq!((reply.kind(), reply.text("status")), ("ConsumeInventory", "CONSUMED"));
    let too_much = harness.ask(Message::consume(&id).of(&[(product, 1)])).await;
    too_much.assert_problem("EXCEEDS_HELD", 409);
    assert_eq!(too_much.items_in("held"), []);
    assert!(harness.client.movements.rest().await.is_empty());
    harness.assert_level(product, 3, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn what_is_not_held_cannot_leave() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    let released = harness.reserve(Uuid::new_v4(), &[(product, 2)]).await.reservation();
    harness.release(&released).await;
    let early = Uuid::new_v4().to_string();
    harness.ask(Message::release(&early)).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    let unknown = Uuid::new_v4().to_string();
    for (id, code, status) in [
        (&released, "RESERVATION_RELEASED", 409),
        (&early, "RESERVATION_NOT_FOUND", 404),
        (&unknown, "RESERVATION_NOT_FOUND", 404),
    ] {
        harness.ask(Message::consume(id)).await.assert_problem(code, status);
        harness.ask(Message::consume(id).of(&[(product, 1)])).await.assert_problem(code, status);
    }
    // Unlike a release, it is not remembered.
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with("reservationId", unknown.as_str());
    assert_eq!(harness.outcome_of(&reserve).await.reservation(), unknown);
    harness.assert_level(product, 4, 1).await;
    harness.finish().await;
}

#[tokio::test]
async fn what_lapsed_is_taken_again_where_it_is_available() {
    let mut harness = Harness::start().await;
    let [a, b] = harness.products([5, 5]).await;
    let id = lapsed(&mut harness, &[(a, 3), (b, 5)]).await;
    harness.lapse_of(&id).await;
    // Somebody else has some of it, and leaves enough.
    harness.reserve(Uuid::new_v4(), &[(a, 2)]).await.reservation();

    let (reply, event) = consume(&mut harness, Message::consume(&id)).await;
    assert_eq!((reply.text("status"), &reply.json["takenAgain"]), ("CONSUMED", &true.into()));
    assert_eq!(event.items(), [(a.to_string(), 3), (b.to_string(), 5)]);
    harness.assert_level(a, 0, 2).await;
    harness.assert_level(b, 0, 0).await;
    let now = harness.reservation(&id).await;
    assert_eq!((now.text("status"), now.parts_of(a)), ("CONSUMED", (3, 0, 0, 3)));
    assert!(now.json.get("lapsed").is_none(), "{now:?}");
    harness.ask(Message::release(&id)).await.assert_problem("RESERVATION_CONSUMED", 409);
    harness.finish().await;
}

#[tokio::test]
async fn what_lapsed_is_taken_again_part_by_part() {
    let mut harness = without_sweep().await;
    let [a, b] = harness.products([5, 5]).await;
    let id = lapsed(&mut harness, &[(a, 3), (b, 1)]).await;

    // Not even swept yet.
    let (reply, _) = consume(&mut harness, Message::consume(&id).of(&[(a, 1)])).await;
    assert_eq!((reply.text("status"), &reply.json["takenAgain"]), ("RELEASED", &true.into()));
    assert_eq!(harness.lapse_of(&id).await.items(), [(a.to_string(), 3), (b.to_string(), 1)]);
    let now = harness.reservation(&id).await;
    assert_eq!((now.text("status"), now.text("reason")), ("RELEASED", "EXPIRED"));
    assert_eq!(now.json["lapsed"], true, "the rest may still be consumed: {now:?}");
    assert_eq!((now.parts_of(a), now.parts_of(b)), ((3, 0, 2, 1), (1, 0, 1, 0)), "{now:?}");

    let too_much = harness.ask(Message::consume(&id).of(&[(a, 3)])).await;
    too_much.assert_problem("EXCEEDS_HELD", 409);
    assert_eq!(too_much.items_in("held"), [(a.to_string(), 2), (b.to_string(), 1)]);
    let (_, event) = consume(&mut harness, Message::consume(&id)).await;
    assert_eq!(event.items(), [(a.to_string(), 2), (b.to_string(), 1)]);
    let now = harness.reservation(&id).await;
    assert_eq!((now.text("status"), now.parts_of(a)), ("CONSUMED", (3, 0, 0, 3)));
    harness.assert_level(a, 2, 0).await;
    harness.assert_level(b, 4, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn what_lapsed_and_has_gone_is_refused_and_nothing_changes() {
    let mut harness = without_sweep().await;
    let [a, b, c] = harness.products([5, 5, 5]).await;
    let id = lapsed(&mut harness, &[(a, 5), (b, 4), (c, 1)]).await;
    harness.reserve(Uuid::new_v4(), &[(a, 2), (b, 5), (c, 4)]).await.reservation();
    harness.lapse_of(&id).await;

    let refused = harness.ask(Message::consume(&id)).await;
    refused.assert_problem("HOLD_LAPSED", 409);
    assert_eq!(refused.unavailable_items(), [(a.to_string(), 5, 3), (b.to_string(), 4, 0)]);
    let part = harness.ask(Message::consume(&id).of(&[(a, 3), (b, 1)])).await;
    assert_eq!(part.unavailable_items(), [(b.to_string(), 1, 0)], "only what was asked for");
    for (product, available, reserved) in [(a, 3, 2), (b, 0, 5), (c, 1, 4)] {
        harness.assert_level(product, available, reserved).await;
    }
    // What is there may still be had.
    consume(&mut harness, Message::consume(&id).of(&[(a, 3), (c, 1)])).await;
    harness.assert_level(a, 0, 2).await;
    harness.assert_level(c, 0, 4).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_late_consumption_takes_back_other_lapsed_holds() {
    let mut harness = without_sweep().await;
    let product = harness.product(4).await;
    let late = lapsed(&mut harness, &[(product, 3)]).await;
    let rival = lapsed(&mut harness, &[(product, 4)]).await;
    harness.lapse_of(&late).await;
    let (reply, _) = consume(&mut harness, Message::consume(&late)).await;
    assert_eq!(reply.text("status"), "CONSUMED");
    assert_eq!(harness.lapse_of(&rival).await.items(), [(product.to_string(), 4)]);
    harness.assert_level(product, 1, 0).await;
    harness.ask(Message::consume(&rival)).await.assert_problem("HOLD_LAPSED", 409);
    harness.finish().await;
}

#[tokio::test]
async fn what_a_sender_calls_expired_has_not_lapsed() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    let id = harness.reserve(Uuid::new_v4(), &[(product, 2)]).await.reservation();
    harness.ask(Message::release(&id).with("reason", "EXPIRED")).await;
    harness.ask(Message::consume(&id)).await.assert_problem("RESERVATION_RELEASED", 409);
    assert!(harness.reservation(&id).await.json.get("lapsed").is_none());
    harness.assert_level(product, 5, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn the_last_units_that_lapsed_leave_once() {
    let mut harness = Setup::new().replicas(2).with("INVENTORY__BATCH__COMMANDS", "4").start().await;
    let product = harness.product(30).await;
    let mut holds = Vec::new();
    for _ in 0..10 {
        holds.push(lapsed(&mut harness, &[(product, 3)]).await);
    }
    for id in &holds {
        harness.lapse_of(id).await;
    }
    harness.reserve(Uuid::new_v4(), &[(product, 15)]).await.reservation();
    // Five of them can still have their goods, whichever come first.
    let replies = harness.client.replies.queue.clone();
    let commands: Vec<Message> =
        holds.iter().map(|id| Message::consume(id).with_reply_to(&replies)).collect();
    harness.client.send_all(&commands).await;
    let mut consumed = 0;
    for command in &commands {
        let reply = harness.next_reply_to(command).await;
        if reply.kind() == "ConsumeInventory" {
            consumed += 1;
        } else {
            reply.assert_problem("HOLD_LAPSED", 409);
        }
    }
    assert_eq!(consumed, 5);
    harness.assert_level(product, 0, 15).await;
    harness.finish().await;
}
