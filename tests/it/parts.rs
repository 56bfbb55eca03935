//! Parts of a hold: released and consumed one by one, unit for unit. `docs/reservations.md`, “Commands by state”.

use serde_json::json;
use uuid::Uuid;

use crate::support::{Harness, Message, Received};

/// A hold of 5 of one product and 2 of another, out of 10 each.
struct Held {
    harness: Harness,
    a: Uuid,
    b: Uuid,
    cart: Uuid,
    id: String,
}

impl Held {
    async fn begin() -> Self {
        let mut harness = Harness::start().await;
        let [a, b] = harness.products([10, 10]).await;
        let cart = Uuid::new_v4();
        let id = harness.reserve(cart, &[(a, 5), (b, 2)]).await.reservation();
        Self { harness, a, b, cart, id }
    }

    /// Sends a command that takes out a part, and demands what it is told to have come to; gives the event.
    async fn take_out(&mut self, command: Message, status: &str) -> Received {
        let command = command.with_reply_to(&self.harness.client.replies.queue);
        self.harness.client.send(&command).await;
        let reply = self.harness.next_reply_to(&command).await;
        assert_eq!((reply.text("reservationId"), reply.text("status")), (self.id.as_str(), status));
        assert!(reply.json.get("takenAgain").is_none(), "{reply:?}");
        let event = self.harness.next_movement_of(&command).await;
        assert_eq!(event.text("reservationId"), self.id);
        assert_eq!(event.text("cartId"), self.cart.to_string());
        event
    }

    async fn assert_parts(&mut self, status: &str, a: (u64, u64, u64, u64), b: (u64, u64, u64, u64)) {
        let now = self.harness.reservation(&self.id).await;
        assert_eq!(
            (now.text("status"), now.parts_of(self.a), now.parts_of(self.b)),
            (status, a, b),
            "{now:?}"
        );
        assert_eq!(now.json.get("endedAt").is_some(), status != "HELD", "{now:?}");
    }

    fn release(&self) -> Message {
        Message::release(&self.id)
    }

    fn consume(&self) -> Message {
        Message::consume(&self.id)
    }
}

#[tokio::test]
async fn a_hold_is_released_part_by_part() {
    let mut held = Held::begin().await;
    let (a, b) = (held.a, held.b);
    // Lines for the same product are added up, in whatever case.
    let upper = json!({ "productId": a.to_string().to_uppercase(), "quantity": 1 });
    let lower = json!({ "productId": a, "quantity": 2 });
    let lines = held.release().with("items", json!([upper, lower])).with("reason", "ORDER_CANCELLED");
    let event = held.take_out(lines, "HELD").await;
    assert_eq!(event.items(), [(a.to_string(), 3)]);
    assert_eq!((event.kind(), event.text("reason")), ("InventoryReleased", "ORDER_CANCELLED"));
    held.assert_parts("HELD", (5, 2, 3, 0), (2, 2, 0, 0)).await;
    held.harness.assert_level(a, 8, 2).await;

    // What is left, with its last unit the reservation.
    held.take_out(held.release().of(&[(b, 2), (a, 1)]), "HELD").await;
    let last = held.take_out(held.release().of(&[(a, 1)]), "RELEASED").await;
    assert!(last.json.get("reason").is_none(), "the sender gave none: {last:?}");
    held.assert_parts("RELEASED", (5, 0, 5, 0), (2, 0, 2, 0)).await;
    held.harness.assert_level(a, 10, 0).await;
    held.harness.assert_level(b, 10, 0).await;
    held.harness.finish().await;
}

#[tokio::test]
async fn a_hold_is_consumed_part_by_part() {
    let mut held = Held::begin().await;
    let (a, b) = (held.a, held.b);
    let event = held.take_out(held.consume().of(&[(a, 4)]), "HELD").await;
    assert_eq!((event.kind(), event.items()), ("InventoryConsumed", vec![(a.to_string(), 4)]));
    held.assert_parts("HELD", (5, 1, 0, 4), (2, 2, 0, 0)).await;
    held.harness.assert_level(a, 5, 1).await;

    let event = held.take_out(held.consume(), "CONSUMED").await;
    assert_eq!(event.items(), [(a.to_string(), 1), (b.to_string(), 2)]);
    held.assert_parts("CONSUMED", (5, 0, 0, 5), (2, 0, 0, 2)).await;
    held.harness.assert_level(a, 5, 0).await;
    held.harness.assert_level(b, 8, 0).await;
    held.harness.finish().await;
}

#[tokio::test]
async fn a_reservation_ends_with_the_act_that_takes_its_last_unit() {
    for ends_consumed in [true, false] {
        let mut held = Held::begin().await;
        let (a, b) = (held.a, held.b);
        held.take_out(held.consume().of(&[(a, 2)]), "HELD").await;
        held.take_out(held.release().of(&[(a, 1), (b, 2)]), "HELD").await;
        let (status, parts) = if ends_consumed {
            held.take_out(held.consume(), "CONSUMED").await;
            ("CONSUMED", (5, 0, 1, 4))
        } else {
            held.take_out(held.release(), "RELEASED").await;
            ("RELEASED", (5, 0, 3, 2))
        };
        held.assert_parts(status, parts, (2, 0, 2, 0)).await;
        held.harness.finish().await;
    }
}

#[tokio::test]
async fn more_than_is_held_is_refused_and_told_what_is() {
    let mut held = Held::begin().await;
    let (a, b) = (held.a, held.b);
    held.take_out(held.consume().of(&[(a, 2)]), "HELD").await;
    let too_much = [vec![(a, 4)], vec![(a, 1), (b, 3)], vec![(b, 1), (Uuid::new_v4(), 1)]];
    for lines in too_much {
        for command in [held.release().of(&lines), held.consume().of(&lines)] {
            let reply = held.harness.ask(command).await;
            reply.assert_problem("EXCEEDS_HELD", 409);
            assert_eq!(reply.items_in("held"), [(a.to_string(), 3), (b.to_string(), 2)]);
        }
    }
    held.assert_parts("HELD", (5, 3, 0, 2), (2, 2, 0, 0)).await;
    held.harness.assert_level(a, 5, 3).await;

    // Where nothing is left, nothing is.
    held.take_out(held.release(), "RELEASED").await;
    let reply = held.harness.ask(held.release().of(&[(a, 1)])).await;
    reply.assert_problem("EXCEEDS_HELD", 409);
    assert_eq!(reply.items_in("held"), []);
    assert!(held.harness.client.movements.rest().await.is_empty(), "what is refused is no event");
    held.harness.finish().await;
}

#[tokio::test]
async fn the_same_items_are_those_that_are_held_now() {
    let mut held = Held::begin().await;
    let (a, b, cart) = (held.a, held.b, held.cart);
    held.take_out(held.release().of(&[(a, 4), (b, 2)]), "HELD").await;
    let same = held.harness.reserve(cart, &[(a, 1)]).await;
    assert_eq!(same.reservation(), held.id);

    let other = Message::reserve(cart, &[(a, 5), (b, 2)]);
    let replaced = held.harness.outcome_of(&other).await;
    assert_ne!(replaced.reservation(), held.id);
    let superseded = held.harness.next_movement_of(&other).await;
    assert_eq!(
        (superseded.text("reservationId"), superseded.text("reason")),
        (held.id.as_str(), "SUPERSEDED")
    );
    assert_eq!(superseded.items(), [(a.to_string(), 1)], "what this step released");
    held.assert_parts("RELEASED", (5, 0, 5, 0), (2, 0, 2, 0)).await;
    held.harness.assert_level(a, 5, 5).await;
    held.harness.finish().await;
}

#[tokio::test]
async fn what_was_consumed_stays_so_when_the_cart_changes_its_mind() {
    let mut held = Held::begin().await;
    let (a, b, cart) = (held.a, held.b, held.cart);
    held.take_out(held.consume().of(&[(a, 3)]), "HELD").await;
    // Under the same id: the hold is amended.
    let amend = Message::reserve(cart, &[(b, 4)]).with("reservationId", held.id.as_str());
    let amended = held.harness.outcome_of(&amend).await;
    assert_eq!((amended.reservation(), amended.items()), (held.id.clone(), vec![(b.to_string(), 4)]));
    held.assert_parts("HELD", (3, 0, 0, 3), (4, 4, 0, 0)).await;
    held.harness.assert_level(a, 7, 0).await;
    held.harness.assert_level(b, 6, 4).await;
    held.take_out(held.consume(), "CONSUMED").await;
    held.assert_parts("CONSUMED", (3, 0, 0, 3), (4, 0, 0, 4)).await;
    held.harness.finish().await;
}
