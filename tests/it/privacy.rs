//! Contract section 1: `customerId` never leaves the service, and no password is in the log. The end of every
//! test searches for both; here the log says all that it can.

use lapin::types::FieldTable;
use uuid::Uuid;

use crate::support::conformance::names_the_customer;
use crate::support::message::CUSTOMER;
use crate::support::{Harness, Message, Setup, http};

async fn assert_discreet(filter: &str, format: &str) {
    let setup = Setup::new().with("INVENTORY__LOG__FILTER", filter).with("INVENTORY__LOG__FORMAT", format);
    let mut harness = setup.start().await;
    say_everything(&mut harness).await;
    let address = harness.services()[0].address;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let (status, body) = http::get(address, path).await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        assert!(!names_the_customer(&body), "{path}: {body}");
    }
    let in_the_books = "SELECT count(*) FROM (
        SELECT reservation::text AS row FROM reservation UNION ALL
        SELECT fact::text FROM reservation_movement AS fact UNION ALL
        SELECT convert_from(event_body, 'UTF8') FROM command_outcome UNION ALL
        SELECT convert_from(body, 'UTF8') FROM command_outcome) AS everything WHERE row LIKE '%5ec2e7ed%'";
    assert_eq!(harness.site().database.number(in_the_books).await, 0);
    assert_eq!(harness.log().starts_with('{'), format == "json", "the log is as it was asked for");
    harness.finish().await;
}

/// Good and bad messages, all with the customer in them.
async fn say_everything(harness: &mut Harness) {
    let product = harness.product(3).await;
    let cart = || Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    let reservation = harness.outcome_of(&cart()).await.reservation();
    harness
        .outcome_of(&cart().with("items", serde_json::json!([{ "productId": product, "quantity": 9 }])))
        .await;
    let asked = [
        Message::extend(&reservation, 60),
        Message::reservation_by("reservationId", &reservation),
        Message::release(&reservation),
        Message::consume(&reservation),
        Message::stock_level(product),
        Message::stock_levels(&[product]),
    ];
    for message in asked {
        harness.ask(message.with("customerId", CUSTOMER)).await;
    }
    let bad = [
        cart().with("customerId", format!("{CUSTOMER}0")),
        cart().with("customerId", serde_json::json!([CUSTOMER])),
        cart().with("cartId", format!("x{CUSTOMER}")),
        cart().with("items", CUSTOMER),
        cart().with_body(CUSTOMER),
        cart().with_body(format!("{{\"customerId\":\"{CUSTOMER}\"")),
        Message::release(&format!("{CUSTOMER}!")),
        Message::release(&reservation).with("reason", CUSTOMER),
        Message::consume(&reservation).with("items", CUSTOMER),
        Message::extend(CUSTOMER, 1).with("holdSeconds", CUSTOMER),
    ];
    for message in bad {
        let message = message.with_reply_to(&harness.client.replies.queue);
        harness.client.send(&message).await;
        let letter = harness.assert_refused(&message, "INVALID_MESSAGE", 400).await;
        assert!(!names_the_customer(&letter.header("x-error-detail").unwrap()), "{letter:?}");
    }
}

#[tokio::test]
async fn nothing_confidential_is_said_by_default() {
    assert_discreet("info", "text").await;
}

#[tokio::test]
async fn nothing_confidential_is_said_when_everything_is() {
    assert_discreet("trace", "json").await;
}

/// The client would log all of it, its bytes as numbers.
#[tokio::test]
async fn a_message_that_finds_no_queue_is_not_said() {
    let mut harness = Setup::new().with("INVENTORY__LOG__FILTER", "trace").start().await;
    let bad = || Message::release("nobody").with_body(CUSTOMER);
    // With the connection comes the binding.
    let first = bad();
    harness.client.send(&first).await;
    assert_eq!(harness.dead_letter("the first").await.id(), first.id());
    let letters = harness.site().names.dead_letter.clone();
    let name = letters.as_str();
    let channel = harness.client.another_channel().await;
    channel.queue_unbind(name.into(), name.into(), name.into(), FieldTable::default()).await.unwrap();
    let bad = bad();
    harness.client.send(&bad).await;
    harness.services()[0].logged("no queue for a message").await;
    assert_eq!(harness.dead_letter("the one that found no queue").await.id(), bad.id());
    let as_numbers = format!("{:?}", CUSTOMER.as_bytes());
    let log = harness.log();
    assert!(!log.contains(as_numbers.trim_matches(['[', ']'])), "{log}");
    harness.finish().await;
}
