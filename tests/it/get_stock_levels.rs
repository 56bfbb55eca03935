//! `GetStockLevels`: many products, of one moment.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Harness, Message, Received, Setup};

/// What is said of products that are known: product, available, reserved, in the order of the reply.
fn levels(reply: &Received) -> Vec<(String, u64, u64)> {
    assert_eq!(reply.kind(), "GetStockLevels", "{reply:?}");
    let level = |level: &Value| {
        let units = |field: &str| level[field].as_u64().unwrap();
        (level["productId"].as_str().unwrap().to_owned(), units("available"), units("reserved"))
    };
    reply.json["stockLevels"].as_array().unwrap().iter().map(level).collect()
}

fn unknown(reply: &Received) -> &Value {
    &reply.json["unknownProductIds"]
}

#[tokio::test]
async fn tells_of_known_and_unknown_products_in_the_order_asked_for() {
    let mut harness = Harness::start().await;
    let [a, b, none] = harness.products([7, 5, 0]).await;
    harness.reserve(Uuid::new_v4(), &[(a, 2), (b, 5)]).await.reservation();
    let [x, y] = [Uuid::new_v4(), Uuid::new_v4()];

    let reply = harness.ask(Message::stock_levels(&[x, b, none, y, a])).await;
    let expected = [(b.to_string(), 0, 5), (none.to_string(), 0, 0), (a.to_string(), 5, 2)];
    assert_eq!((levels(&reply), unknown(&reply)), (expected.to_vec(), &json!([x, y])));

    let upper = Message::stock_levels(&[]).with("productIds", json!([a.to_string().to_uppercase()]));
    assert_eq!(levels(&harness.ask(upper).await), [(a.to_string(), 5, 2)]);
    let reply = harness.ask(Message::stock_levels(&[x])).await;
    assert_eq!((levels(&reply), unknown(&reply)), (vec![], &json!([x])));
    harness.finish().await;
}

#[tokio::test]
async fn what_is_asked_for_twice_is_told_twice() {
    let mut harness = Harness::start().await;
    let product = harness.product(3).await;
    let other = Uuid::new_v4();
    let reply = harness.ask(Message::stock_levels(&[product, other, product, other])).await;
    let told = (product.to_string(), 3, 0);
    assert_eq!((levels(&reply), unknown(&reply)), (vec![told.clone(), told], &json!([other, other])));
    harness.finish().await;
}

#[tokio::test]
async fn a_thousand_products() {
    let mut harness = Harness::start().await;
    let products: Vec<(Uuid, u64)> = (0..1000).map(|number| (Uuid::new_v4(), number % 2)).collect();
    harness.site().count(&products).await;
    let ids: Vec<Uuid> = products.iter().map(|(product, _)| *product).collect();

    let reply = harness.ask(Message::stock_levels(&ids)).await;
    let expected: Vec<_> = products.iter().map(|(product, units)| (product.to_string(), *units, 0)).collect();
    assert_eq!(levels(&reply), expected);
    let one_more = [ids.as_slice(), &ids[..1]].concat();
    harness.ask(Message::stock_levels(&one_more)).await.assert_problem("INVALID_MESSAGE", 400);
    harness.finish().await;
}

#[tokio::test]
async fn how_many_is_a_setting() {
    let mut harness = Setup::new().with("INVENTORY__LIMITS__PRODUCTS", "2").start().await;
    let [a, b] = harness.products([1, 2]).await;
    assert_eq!(levels(&harness.ask(Message::stock_levels(&[a, b])).await).len(), 2);
    harness.ask(Message::stock_levels(&[a, b, a])).await.assert_problem("INVALID_MESSAGE", 400);
    harness.finish().await;
}

#[tokio::test]
async fn all_are_of_one_moment() {
    let mut harness = Harness::start().await;
    let [a, b] = harness.products([1000, 1000]).await;
    let replies = harness.client.replies.queue.clone();
    // Every cart takes the same of both: no moment knows a difference.
    let cart = || Message::reserve(Uuid::new_v4(), &[(a, 1), (b, 1)]);
    let query = || Message::stock_levels(&[a, b]).with_reply_to(&replies);
    let (carts, queries): (Vec<_>, Vec<_>) = (0..300).map(|_| (cart(), query())).unzip();
    let pairs = carts.iter().zip(&queries);
    let mixed: Vec<Message> = pairs.flat_map(|(cart, query)| [cart.clone(), query.clone()]).collect();
    harness.client.send_all(&mixed).await;
    for query in &queries {
        let reply = harness.next_reply_to(query).await;
        let levels = levels(&reply);
        assert_eq!((levels[0].1, levels[0].2), (levels[1].1, levels[1].2), "{reply:?}");
    }
    for cart in &carts {
        harness.next_outcome_of(cart).await.reservation();
    }
    harness.finish().await;
}

#[tokio::test]
async fn what_cannot_be_understood_is_answered_and_not_dead_lettered() {
    let mut harness = Harness::start().await;
    for body in [
        json!({}),
        json!([]),
        json!({ "productIds": [] }),
        json!({ "productIds": null }),
        json!({ "productIds": Uuid::nil() }),
        json!({ "productIds": [Uuid::nil(), "x"] }),
        json!({ "productIds": [null] }),
        json!({ "productIds": [[Uuid::nil()]] }),
    ] {
        let query = Message::stock_levels(&[]).with_body(body.to_string());
        harness.ask(query).await.assert_problem("INVALID_MESSAGE", 400);
    }
    harness.finish().await;
}
