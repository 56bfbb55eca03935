//! Contract 4.3: one live hold a cart.

use uuid::Uuid;

use crate::support::conformance::time;
use crate::support::{Harness, Message};

#[tokio::test]
async fn the_same_items_answer_with_the_reservation_that_stands() {
    let mut harness = Harness::start().await;
    let [a, b] = harness.products([2, 2]).await;
    let cart = Uuid::new_v4();

    let first = harness.reserve(cart, &[(a, 2), (b, 1)]).await;
    // Nothing is left, and the order of the lines is no difference; nor is another id of the sender's choice.
    let again = Message::reserve(cart, &[(b, 1), (a, 2)]).with("reservationId", Uuid::new_v4().to_string());
    let second = harness.outcome_of(&again).await;
    assert_eq!(second.reservation(), first.reservation());
    assert_eq!(second.text("reservedAt"), first.text("reservedAt"));
    assert_ne!(second.id(), first.id(), "another command has an event of its own");
    harness.assert_level(a, 0, 2).await;
    harness.assert_level(b, 1, 1).await;
    harness.finish().await;
}

#[tokio::test]
async fn other_items_replace_the_hold_in_one_step() {
    let mut harness = Harness::start().await;
    let [a, b] = harness.products([5, 5]).await;
    let cart = Uuid::new_v4();

    let first = harness.reserve(cart, &[(a, 4)]).await.reservation();
    // Fits only once the old hold is counted as free.
    let second = harness.reserve(cart, &[(a, 5), (b, 1)]).await;
    assert_eq!(second.items(), [(a.to_string(), 5), (b.to_string(), 1)]);
    assert_ne!(second.reservation(), first);
    harness.assert_level(a, 0, 5).await;
    harness.assert_level(b, 4, 1).await;

    // The replaced one has ended as released: to release it is no error, and gives nothing back.
    harness.release(&first).await;
    harness.assert_level(a, 0, 5).await;
    harness.release(&second.reservation()).await;
    harness.assert_level(a, 5, 0).await;
    harness.assert_level(b, 5, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn other_items_that_do_not_fit_change_nothing() {
    let mut harness = Harness::start().await;
    let [a, b] = harness.products([5, 1]).await;
    let cart = Uuid::new_v4();

    let first = harness.reserve(cart, &[(a, 4)]).await.reservation();
    let refused = harness.reserve(cart, &[(a, 6), (b, 2)]).await;
    let products: Vec<_> = refused.shortfalls().into_iter().map(|(product, ..)| product).collect();
    assert_eq!(products, [a.to_string(), b.to_string()]);
    harness.assert_level(a, 1, 4).await;
    harness.assert_level(b, 1, 0).await;

    // It stands as it did.
    assert_eq!(harness.reserve(cart, &[(a, 4)]).await.reservation(), first);
    // Another cart cannot have what this one holds.
    let other = harness.reserve(Uuid::new_v4(), &[(a, 2)]).await;
    assert_eq!(other.shortfalls(), [(a.to_string(), 2, 1)]);
    harness.finish().await;
}

#[tokio::test]
async fn the_sender_may_choose_the_id() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let (cart, chosen) = (Uuid::new_v4(), Uuid::new_v4().to_string());
    let with_chosen =
        |quantity| Message::reserve(cart, &[(product, quantity)]).with("reservationId", chosen.as_str());

    assert_eq!(harness.outcome_of(&with_chosen(2)).await.reservation(), chosen);
    // The cart changes its mind under the same id.
    assert_eq!(harness.outcome_of(&with_chosen(3)).await.reservation(), chosen);
    harness.assert_level(product, 6, 3).await;
    harness.release(&chosen).await;
    harness.assert_level(product, 9, 0).await;

    // What was released under this id stays so.
    let late = harness.outcome_of(&with_chosen(1)).await;
    assert_eq!((late.kind(), &late.json["reason"]), ("InventoryUnavailable", &"RELEASED_BEFORE".into()));
    harness.assert_level(product, 9, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn an_id_that_belongs_to_another_cart_is_refused() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let (owner, stranger) = (Uuid::new_v4(), Uuid::new_v4());

    let taken = harness.reserve(owner, &[(product, 2)]).await.reservation();
    let own = harness.reserve(stranger, &[(product, 1)]).await.reservation();
    let command = Message::reserve(stranger, &[(product, 5)])
        .with("reservationId", taken.as_str())
        .with_reply_to(&harness.client.replies.queue);
    harness.client.send(&command).await;
    harness.assert_refused(&command, "RESERVATION_ID_REUSED", 409).await;

    harness.assert_level(product, 6, 3).await;
    assert_eq!(harness.reserve(stranger, &[(product, 1)]).await.reservation(), own);
    harness.finish().await;
}

#[tokio::test]
async fn the_end_moves_later_never_earlier() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let cart = Uuid::new_v4();
    let mut ends = Vec::new();
    for seconds in [1000, 10, 2000] {
        let command = Message::reserve(cart, &[(product, 1)]).with("holdSeconds", seconds);
        ends.push(time(harness.outcome_of(&command).await.text("expiresAt")));
    }
    assert_eq!(ends[0], ends[1], "a shorter time does not move it");
    assert!((990..1100).contains(&(ends[2] - ends[0])), "a longer time does: {ends:?}");

    // A hold without an end does not get one.
    let lasting = Uuid::new_v4();
    harness.reserve(lasting, &[(product, 1)]).await.reservation();
    let command = Message::reserve(lasting, &[(product, 1)]).with("holdSeconds", 10);
    let event = harness.outcome_of(&command).await;
    assert!(event.json.get("expiresAt").is_none(), "{event:?}");
    harness.finish().await;
}

#[tokio::test]
async fn a_cart_holds_anew_after_its_release() {
    let mut harness = Harness::start().await;
    let product = harness.product(1).await;
    let cart = Uuid::new_v4();

    let first = harness.reserve(cart, &[(product, 1)]).await.reservation();
    harness.release(&first).await;
    let second = harness.reserve(cart, &[(product, 1)]).await.reservation();
    assert_ne!(second, first);
    harness.release(&first).await;
    harness.assert_level(product, 0, 1).await;
    harness.finish().await;
}
