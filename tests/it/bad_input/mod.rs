//! Contract section 5: never a crash, never an endless redelivery, nothing lost, the neighbours unharmed.

mod bodies;
mod dead_letters;

use std::collections::HashMap;

use serde_json::json;
use uuid::Uuid;

use crate::support::message::Queue;
use crate::support::{Harness, Message, Received};

/// Sends bad messages between good ones in one burst, and demands that each of them has the outcome it should.
/// Gives the dead letters by `message_id`.
async fn assert_refused_between_good_ones(
    harness: &mut Harness,
    bad: &[(Message, &str, u16)],
) -> HashMap<String, Received> {
    let product = harness.product(1_000_000).await;
    let mut good = Vec::new();
    let mut burst = Vec::new();
    for (message, ..) in bad {
        let neighbour = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        burst.extend([neighbour.clone(), message.clone()]);
        good.push(neighbour);
    }
    harness.client.send_all(&burst).await;
    for neighbour in &good {
        harness.next_outcome_of(neighbour).await.reservation();
    }
    let good = good.len() as u64;
    harness.assert_level(product, 1_000_000 - good, good).await;
    for (message, code, status) in bad.iter().filter(|(message, ..)| message.reply_to.is_some()) {
        harness.next_reply_to(message).await.assert_problem(code, *status);
    }
    take_dead_letters(harness, bad).await
}

async fn take_dead_letters(harness: &Harness, bad: &[(Message, &str, u16)]) -> HashMap<String, Received> {
    let mut letters = HashMap::new();
    for count in 1..=bad.len() {
        let letter = harness.dead_letter(&format!("dead letter {count} of {}", bad.len())).await;
        letters.insert(letter.id().to_owned(), letter);
    }
    for (message, code, _) in bad {
        let letter = letters.get(message.id()).unwrap_or_else(|| panic!("{} is lost", message.describe()));
        assert_eq!(letter.header("x-error-code").as_deref(), Some(*code), "{letter:?}");
        assert_eq!(letter.body, message.body, "{letter:?}");
    }
    letters
}

#[tokio::test]
async fn every_code_is_told_and_dead_lettered() {
    let mut harness = Harness::start().await;
    let product = harness.product(50).await;
    let replies = harness.client.replies.queue.clone();
    let first = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    let taken = harness.outcome_of(&first).await.reservation();

    let reserve = || Message::reserve(Uuid::new_v4(), &[(product, 1)]).with_reply_to(&replies);
    let too_large = vec![b'x'; 1_048_577];
    let bad = [
        (reserve().with_body("[]"), "INVALID_MESSAGE", 400),
        (reserve().with_kind("ReturnInventory"), "UNSUPPORTED_TYPE", 400),
        (reserve().with_kind("reserveinventory"), "UNSUPPORTED_TYPE", 400),
        (reserve().with_body(too_large), "MESSAGE_TOO_LARGE", 413),
        (reserve().with("reservationId", taken.as_str()), "RESERVATION_ID_REUSED", 409),
    ];
    assert_refused_between_good_ones(&mut harness, &bad).await;

    let reused = reserve().with_id(first.id());
    harness.client.send(&reused).await;
    harness.assert_refused(&reused, "MESSAGE_ID_REUSED", 409).await;
    harness.assert_level(product, 49, 1).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_refusal_that_is_business_is_answered_and_not_dead_lettered() {
    let mut harness = Harness::start().await;
    let nobody = Uuid::new_v4();
    harness.ask(Message::stock_level(nobody)).await.assert_problem("PRODUCT_NOT_FOUND", 404);
    let nobody = nobody.to_string();
    for message in [
        Message::extend(&nobody, 60),
        Message::consume(&nobody),
        Message::reservation_by("orderId", &nobody),
        Message::release(&nobody),
    ] {
        harness.ask(message).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    }
    harness.finish().await;
}

#[tokio::test]
async fn a_query_that_can_be_answered_is_not_dead_lettered() {
    let mut harness = Harness::start().await;
    let product = harness.product(3).await;
    let query = || Message::stock_level(product);
    for body in ["", "{", "{}", "[]", r#"{"productId":5}"#, r#"{"productId":null}"#] {
        harness.ask(query().with_body(body)).await.assert_problem("INVALID_MESSAGE", 400);
    }
    harness.ask(query().with_body(vec![0xff; 9])).await.assert_problem("INVALID_MESSAGE", 400);
    harness.ask(query().with_kind("GetStock")).await.assert_problem("UNSUPPORTED_TYPE", 400);
    let too_large = query().with_body(vec![b'x'; 1_048_577]);
    harness.ask(too_large).await.assert_problem("MESSAGE_TOO_LARGE", 413);
    harness.assert_level(product, 3, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn what_went_to_the_wrong_queue_is_not_lost() {
    let mut harness = Harness::start().await;
    let product = harness.product(3).await;
    let replies = harness.client.replies.queue.clone();

    // Nobody could ever answer it.
    let unanswerable = Message::stock_level(product);
    harness.client.send(&unanswerable).await;
    harness.assert_refused(&unanswerable, "INVALID_MESSAGE", 400).await;

    let id = Uuid::new_v4().to_string();
    let astray = [
        (Message::stock_level(product), Queue::Commands),
        (Message::stock_levels(&[product]), Queue::Commands),
        (Message::reservation_by("cartId", &id), Queue::Commands),
        (Message::reserve(Uuid::new_v4(), &[(product, 1)]), Queue::Queries),
        (Message::consume(&id), Queue::Queries),
        (Message::extend(&id, 5), Queue::Queries),
    ];
    for (message, queue) in astray {
        let mut message = message.with_reply_to(&replies).straight();
        message.queue = queue;
        harness.client.send(&message).await;
        harness.assert_refused(&message, "UNSUPPORTED_TYPE", 400).await;
    }
    harness.assert_level(product, 3, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_problem_says_where_the_fault_is() {
    let mut harness = Harness::start().await;
    let product = Uuid::new_v4();
    let lines = json!([{ "productId": product, "quantity": 1 }, { "productId": product, "quantity": 0 }]);
    let message = Message::reserve(Uuid::new_v4(), &[]).with("items", lines);
    let message = message.with_reply_to(&harness.client.replies.queue);
    harness.client.send(&message).await;
    let reply = harness.next_reply_to(&message).await;
    reply.assert_problem("INVALID_MESSAGE", 400);
    assert!(reply.text("detail").contains("items[1].quantity"), "{reply:?}");
    let letter = harness.dead_letter("the dead letter").await;
    assert_eq!(letter.header("x-error-detail").as_deref(), Some(reply.text("detail")));
    harness.finish().await;
}
