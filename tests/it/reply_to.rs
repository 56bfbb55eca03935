//! Contract sections 3 and 4.6: where answers may go, and that they are best effort.

use futures_util::StreamExt;
use lapin::options::BasicConsumeOptions;
use lapin::types::FieldTable;
use uuid::Uuid;

use crate::support::conformance::assert_is_reply;
use crate::support::message::Queue;
use crate::support::{Harness, Message, Received, Setup, within};

#[tokio::test]
async fn direct_reply_to() {
    let harness = Harness::start().await;
    let product = harness.product(4).await;
    let channel = &harness.client.channel;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let pseudo_queue = "amq.rabbitmq.reply-to";
    let mut replies =
        channel.basic_consume(pseudo_queue.into(), "".into(), options, FieldTable::default()).await.unwrap();

    harness.client.send(&Message::stock_level(product).with_reply_to(pseudo_queue)).await;
    let delivery = within("the direct reply", replies.next()).await.unwrap().unwrap();
    let reply = Received::from(delivery);
    assert_is_reply(&reply);
    assert_eq!(reply.json["available"], 4, "{reply:?}");
    harness.finish().await;
}

#[tokio::test]
async fn the_services_own_queues_are_refused() {
    let mut harness = Harness::start().await;
    let product = harness.product(4).await;
    let names = harness.site().names.clone();
    for queue in names.queues() {
        let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with_reply_to(queue);
        let query = Message::stock_level(product).with_reply_to(queue);
        let broken = Message::release("").with_reply_to(queue);
        for message in [command, query, broken] {
            harness.client.send(&message).await;
            let letter = harness.dead_letter("the dead letter of what nobody may be told").await;
            assert_eq!(letter.header("x-error-code").as_deref(), Some("REPLY_TO_REFUSED"), "{letter:?}");
            assert_eq!((letter.id(), &letter.body), (message.id(), &message.body));
        }
    }
    harness.assert_level(product, 4, 0).await;
    assert_eq!(harness.client.depth(&names.unrouted).await, 0);
    harness.finish().await;
}

#[tokio::test]
async fn only_names_that_are_allowed() {
    let setup = Setup::new().with("INVENTORY__AMQP__REPLY_TO_ALLOW", "it-*,checkout.*.replies");
    let mut harness = setup.start().await;
    let product = harness.product(4).await;
    // The harness's own queues are called it-….
    harness.assert_level(product, 4, 0).await;

    let refused = Message::stock_level(product).with_reply_to("warehouse.replies");
    harness.client.send(&refused).await;
    let letter = harness.dead_letter("the dead letter").await;
    assert_eq!(letter.header("x-error-code").as_deref(), Some("REPLY_TO_REFUSED"));
    // Allowed, although nobody is there.
    harness.client.send(&Message::stock_level(product).with_reply_to("checkout.1.replies")).await;
    harness.assert_level(product, 4, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_queue_that_is_gone_harms_nobody() {
    let mut harness = Harness::start().await;
    let product = harness.product(40).await;
    let mut carts = Vec::new();
    for turn in 0..20 {
        let queue = if turn % 2 == 0 { "it-nobody" } else { harness.client.replies.queue.as_str() };
        carts.push(Message::reserve(Uuid::new_v4(), &[(product, 1)]).with_reply_to(queue));
    }
    harness.client.send_all(&carts).await;
    for (turn, cart) in carts.iter().enumerate() {
        harness.next_outcome_of(cart).await.reservation();
        if turn % 2 == 1 {
            harness.next_reply_to(cart).await.reservation();
        }
    }
    harness.finish().await;
}

#[tokio::test]
async fn a_query_needs_one() {
    let harness = Harness::start().await;
    for message in [Message::stock_level(Uuid::nil()), Message::stock_level(Uuid::nil()).with_reply_to("")] {
        assert_eq!(message.queue, Queue::Queries);
        harness.client.send(&message).await;
        let letter = harness.dead_letter("the dead letter").await;
        assert_eq!(letter.header("x-error-code").as_deref(), Some("INVALID_MESSAGE"), "{letter:?}");
    }
    harness.finish().await;
}
