//! Contract 4.5: stock levels from committed state.

use uuid::Uuid;

use crate::support::{Harness, Message};

#[tokio::test]
async fn tells_what_is_available_and_what_is_reserved() {
    let mut harness = Harness::start().await;
    let [some, none] = harness.products([7, 0]).await;
    harness.reserve(Uuid::new_v4(), &[(some, 2)]).await.reservation();

    harness.assert_level(some, 5, 2).await;
    harness.assert_level(none, 0, 0).await;
    let upper = Message::stock_level(some).with("productId", some.to_string().to_uppercase());
    assert_eq!(harness.ask(upper).await.text("productId"), some.to_string());

    let counted = harness.site().inventory(&["stock", "set", &some.to_string(), "30"]).await;
    assert_eq!(counted.code, Some(0), "{counted:?}");
    harness.assert_level(some, 28, 2).await;
    harness.finish().await;
}

#[tokio::test]
async fn an_unknown_product_is_a_problem_for_the_asker_only() {
    let mut harness = Harness::start().await;
    let unknown = Uuid::new_v4();
    harness.ask(Message::stock_level(unknown)).await.assert_problem("PRODUCT_NOT_FOUND", 404);
    // To be asked for does not make it known.
    harness.reserve(Uuid::new_v4(), &[(unknown, 1)]).await.shortfalls();
    harness.ask(Message::stock_level(unknown)).await.assert_problem("PRODUCT_NOT_FOUND", 404);
    harness.finish().await;
}

#[tokio::test]
async fn many_at_once_are_all_answered() {
    let mut harness = Harness::start().await;
    let products = harness.products([1, 2, 3]).await;
    let replies = harness.client.replies.queue.clone();

    let query = |number: usize| Message::stock_level(products[number % 3]).with_reply_to(&replies);
    let queries: Vec<Message> = (0..600).map(query).collect();
    harness.client.send_all(&queries).await;
    for (number, query) in queries.iter().enumerate() {
        let reply = harness.next_reply_to(query).await;
        assert_eq!(reply.json["available"], number % 3 + 1, "{reply:?}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn its_message_id_is_no_idempotency_key() {
    let mut harness = Harness::start().await;
    let [a, b] = harness.products([1, 2]).await;
    for (product, available) in [(a, 1), (b, 2), (a, 1)] {
        let reply = harness.ask(Message::stock_level(product).with_id("one for all")).await;
        assert_eq!(reply.json["available"], available, "{reply:?}");
    }
    harness.finish().await;
}
