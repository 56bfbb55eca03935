//! Contract section 2: exchanges and queues, as other teams may declare them too.

use lapin::ExchangeKind;
use lapin::options::{
    BasicGetOptions, BasicNackOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use uuid::Uuid;

use crate::support::client::{Client, connect};
use crate::support::service::Service;
use crate::support::site::Site;
use crate::support::{Harness, Message, Setup, eventually};

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert((*name).into(), value.clone());
    }
    table
}

/// Declares an exchange once more, durable and with these arguments. RabbitMQ refuses any difference.
async fn declare_exchange(client: &Client, name: &str, kind: ExchangeKind, arguments: FieldTable) -> bool {
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let channel = client.another_channel().await;
    channel.exchange_declare(name.into(), kind, options, arguments).await.is_ok()
}

/// The same with a queue.
async fn declare_queue(client: &Client, name: &str, arguments: FieldTable) -> bool {
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    let channel = client.another_channel().await;
    channel.queue_declare(name.into(), options, arguments).await.is_ok()
}

#[tokio::test]
async fn may_be_declared_again_with_the_same_arguments() {
    let harness = Harness::start().await;
    let (client, names) = (&harness.client, &harness.site().names);
    for exchange in [&names.commands, &names.queries, &names.dead_letter] {
        assert!(declare_exchange(client, exchange, ExchangeKind::Direct, table(&[])).await, "{exchange}");
    }
    let alternate = table(&[("alternate-exchange", text(&names.unrouted))]);
    assert!(declare_exchange(client, &names.events, ExchangeKind::Topic, alternate).await);
    assert!(!declare_exchange(client, &names.events, ExchangeKind::Topic, table(&[])).await);

    let commands = [
        ("x-queue-type", text("quorum")),
        ("x-delivery-limit", AMQPValue::LongInt(50)),
        ("x-dead-letter-exchange", text(&names.dead_letter)),
        ("x-dead-letter-routing-key", text(&names.dead_letter)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ];
    assert!(declare_queue(client, &names.commands, table(&commands)).await);
    assert!(!declare_queue(client, &names.commands, table(&commands[..5])).await);
    let queries = [("x-queue-type", text("classic")), ("x-message-ttl", AMQPValue::LongInt(10_000))];
    assert!(declare_queue(client, &names.queries, table(&queries)).await);
    let unrouted = [
        ("x-queue-type", text("classic")),
        ("x-max-length", AMQPValue::LongInt(100_000)),
        ("x-overflow", text("drop-head")),
    ];
    assert!(declare_queue(client, &names.unrouted, table(&unrouted)).await);
    harness.finish().await;
}

#[tokio::test]
async fn dead_letters_are_kept_for_ever_in_a_quorum_queue() {
    let harness = Harness::start().await;
    let (client, queue) = (&harness.client, &harness.site().names.dead_letter);
    // Not a classic one, and one whose messages never expire: RabbitMQ tells the difference.
    assert!(!declare_queue(client, queue, table(&[("x-queue-type", text("classic"))])).await);
    let expiring = [("x-queue-type", text("quorum")), ("x-message-ttl", AMQPValue::LongInt(60_000))];
    assert!(!declare_queue(client, queue, table(&expiring)).await);
    harness.finish().await;
}

#[tokio::test]
async fn events_that_nobody_subscribed_to_can_still_be_looked_at() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    let (client, names) = (&harness.client, harness.site().names.clone());
    assert_eq!(client.depth(&names.unrouted).await, 0, "somebody subscribed to all events so far");

    let (queue, key) = (client.events.queue.as_str(), "inventory.reserved");
    client
        .channel
        .queue_unbind(queue.into(), names.events.as_str().into(), key.into(), FieldTable::default())
        .await
        .unwrap();
    let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    client.send(&command).await;
    let event = client.get(&names.unrouted, "the event in the queue of the unrouted").await;
    assert_eq!(event.causation_id().as_deref(), Some(command.id()));
    assert_eq!((event.kind(), event.routing_key.as_str()), ("InventoryReserved", "inventory.reserved"));

    let bind = QueueBindOptions::default();
    client
        .channel
        .queue_bind(queue.into(), names.events.as_str().into(), key.into(), bind, FieldTable::default())
        .await
        .unwrap();
    harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
    harness.finish().await;
}

#[tokio::test]
async fn one_may_subscribe_to_one_kind_of_event() {
    let mut harness = Harness::start().await;
    let product = harness.product(1).await;
    let mut reserved = harness.client.subscribed_to(&["inventory.reserved"]).await;
    let mut unavailable = harness.client.subscribed_to(&["inventory.unavailable"]).await;
    harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
    harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.shortfalls();

    for (inbox, kind) in [(&mut reserved, "InventoryReserved"), (&mut unavailable, "InventoryUnavailable")] {
        // RabbitMQ gives an event to one queue after the other.
        assert_eq!(inbox.next(kind).await.kind(), kind);
        let others = inbox.rest().await;
        assert!(others.is_empty(), "{others:#?}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn poison_is_dead_lettered_by_the_broker_after_the_delivery_limit() {
    let mut harness = Setup::new().with("INVENTORY__AMQP__DELIVERY_LIMIT", "2").start().await;
    harness.services()[0].stop().await;
    let names = harness.site().names.clone();
    let poison =
        [Message::release("").with_body("poison"), Message::release("").with_body("more").straight()];
    harness.client.send_all(&poison).await;

    // The test plays a consumer that dies of them.
    let channel = harness.client.another_channel().await;
    eventually("both are taken for poison", async || {
        let options = BasicGetOptions::default();
        if let Some(message) = channel.basic_get(names.commands.as_str().into(), options).await.unwrap() {
            message.nack(BasicNackOptions { multiple: false, requeue: true }).await.unwrap();
        }
        harness.client.depth(&names.dead_letter).await == 2
    })
    .await;
    for _ in &poison {
        let letter = harness.dead_letter("poison").await;
        assert!(poison.iter().any(|message| message.body == letter.body), "{letter:?}");
        assert!(letter.raw_header("x-death").is_some(), "{letter:?}");
    }
    harness.services().clear();
    harness.finish().await;
}

#[tokio::test]
async fn without_declare_it_is_only_looked_for() {
    let site = Site::shared().await.with("INVENTORY__AMQP__DECLARE", "false");
    let mut service = site.start_service().await;
    service.logged("amqp.declare is off").await;
    let (status, missing) = service.readyz().await;
    assert_eq!(status, 503);
    assert!(missing.contains("RabbitMQ"), "{missing}");
    service.logged(&site.names.commands).await;
    let (_connection, channel) = connect(&site.servers.amqp_url).await;
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let found =
        channel.queue_declare(site.names.commands.as_str().into(), options, FieldTable::default()).await;
    assert!(found.is_err(), "it must not be declared");

    // Somebody else declares it: the service goes on by itself.
    let declaring = ("INVENTORY__AMQP__DECLARE".to_owned(), "true".to_owned());
    let mut other = Service::start(&[site.settings.as_slice(), &[declaring]].concat()).await;
    other.ready().await;
    other.stop().await;
    service.ready().await;
    service.stop().await;
}
