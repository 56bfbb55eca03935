//! Contract section 3: the same `message_id` with the same body is the same command.

use uuid::Uuid;

use crate::support::{Harness, Message, Received};

/// An event told again: the very same.
fn assert_same(first: &Received, again: &Received) {
    assert_eq!((again.id(), &again.body), (first.id(), &first.body));
    let time = |event: &Received| event.header("cloudEvents:time");
    assert_eq!(time(again), time(first));
}

#[tokio::test]
async fn a_repeated_reserve_is_applied_once_and_answered_the_same() {
    let mut harness = Harness::start().await;
    let product = harness.product(3).await;
    for quantity in [2, 9] {
        let command = Message::reserve(Uuid::new_v4(), &[(product, quantity)])
            .with_reply_to(&harness.client.replies.queue);
        let event = harness.outcome_of(&command).await;
        let reply = harness.next_reply_to(&command).await;
        assert_same(&event, &reply);
        // Again later, and several times in one batch.
        let copies = vec![command.clone(); 5];
        harness.client.send_all(&copies).await;
        for copy in &copies {
            assert_same(&event, &harness.next_outcome_of(copy).await);
            assert_same(&event, &harness.next_reply_to(copy).await);
        }
    }
    harness.assert_level(product, 1, 2).await;
    harness.finish().await;
}

#[tokio::test]
async fn copies_in_one_batch_are_one_command() {
    let mut harness = Harness::start().await;
    let product = harness.product(100).await;
    let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    harness.client.send_all(&vec![command.clone(); 100]).await;
    let first = harness.next_outcome_of(&command).await;
    for _ in 1..100 {
        assert_same(&first, &harness.next_outcome_of(&command).await);
    }
    harness.assert_level(product, 99, 1).await;
    harness.finish().await;
}

#[tokio::test]
async fn an_outcome_stands_whatever_happened_since() {
    let mut harness = Harness::start().await;
    let product = harness.product(2).await;

    // Reserved, and released since: told again, and nothing is held.
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 2)]);
    let reserved = harness.outcome_of(&reserve).await;
    harness.release(&reserved.reservation()).await;
    assert_same(&reserved, &harness.outcome_of(&reserve).await);
    harness.assert_level(product, 2, 0).await;

    // Unavailable, and counted since.
    let early = Message::reserve(Uuid::new_v4(), &[(product, 3)]);
    let unavailable = harness.outcome_of(&early).await;
    harness.site().count(&[(product, 50)]).await;
    assert_same(&unavailable, &harness.outcome_of(&early).await);
    harness.assert_level(product, 50, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_repeated_release_is_answered_the_same() {
    let mut harness = Harness::start().await;
    let product = harness.product(2).await;
    let reservation = harness.reserve(Uuid::new_v4(), &[(product, 2)]).await.reservation();

    for target in [reservation, Uuid::new_v4().to_string()] {
        let command = Message::release(&target);
        let first = harness.ask(command.clone()).await;
        // With another address for the answer it goes there.
        let mut elsewhere = harness.client.reply_queue().await;
        harness.client.send(&command.clone().with_reply_to(&elsewhere.queue)).await;
        let again = elsewhere.next("the reply at another address").await;
        assert_same(&first, &again);
        assert_eq!(first.kind(), again.kind());
    }
    harness.assert_level(product, 2, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn the_same_id_with_another_body_is_a_fault() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let replies = harness.client.replies.queue.clone();

    let original = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    let event = harness.outcome_of(&original).await;
    let other_body = original.clone().with("cartId", Uuid::new_v4().to_string());
    let other_kind = Message::release(&event.reservation()).with_id(original.id());
    for forgery in [other_body, other_kind] {
        let forgery = forgery.with_reply_to(&replies);
        harness.client.send(&forgery).await;
        harness.assert_refused(&forgery, "MESSAGE_ID_REUSED", 409).await;
    }
    harness.assert_level(product, 8, 1).await;
    assert_same(&event, &harness.outcome_of(&original).await);

    // In one burst exactly one of them is the command.
    let twins = [1, 2].map(|quantity| {
        Message::reserve(Uuid::new_v4(), &[(product, quantity)]).with_id("twins").with_reply_to(&replies)
    });
    harness.client.send_all(&twins).await;
    harness.next_outcome_of(&twins[0]).await.reservation();
    harness.next_reply_to(&twins[0]).await.reservation();
    harness.assert_refused(&twins[1], "MESSAGE_ID_REUSED", 409).await;
    harness.assert_level(product, 7, 2).await;
    harness.finish().await;
}

#[tokio::test]
async fn without_an_id_only_the_cart_protects() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let command = Message::reserve(Uuid::new_v4(), &[(product, 2)]).without_id();
    let mut reservations = Vec::new();
    for _ in 0..2 {
        harness.client.send(&command).await;
        reservations.push(harness.client.events.next("the event").await.reservation());
    }
    assert_eq!(reservations[0], reservations[1]);
    harness.assert_level(product, 7, 2).await;
    harness.finish().await;
}

#[tokio::test]
async fn ids_are_told_apart_byte_by_byte() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    for (count, id) in ["id", "ID", "id ", "id\0", "ïd"].into_iter().enumerate() {
        let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with_id(id);
        harness.outcome_of(&command).await.reservation();
        harness.assert_level(product, 8 - count as u64, count as u64 + 1).await;
    }
    harness.finish().await;
}
