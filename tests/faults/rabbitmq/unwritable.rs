//! RabbitMQ cannot write to a queue, because it has no leader, or does not allow a message: it says nothing more, or closes the
//! channel. Whoever it is for waits, and nobody else does.

use std::time::Instant;

use lapin::types::AMQPValue;
use uuid::Uuid;

use super::broker::{KILL_CHANNELS, broker, took};
use super::{Scene, declare, delete_queue};
use crate::support::client::{Client, connect};
use crate::support::load::carts_for;
use crate::support::names::Names;
use crate::support::{Message, eventually};

/// Longest that RabbitMQ may take to confirm.
const TIMEOUT: (&str, &str) = ("INVENTORY__AMQP__TIMEOUT_MS", "1000");

impl Scene {
    /// Suspends or resumes the process that leads a quorum queue.
    async fn leader(&self, queue: &str, what: &str) {
        let name = format!("sys:{what}(binary_to_atom(<<\"%2F_{queue}\">>)).");
        self.broker.rabbitmqctl(&["eval", &name]).await;
    }

    /// A subscriber with a quorum queue that has no leader.
    async fn subscriber_without_leader(&self, key: &str) -> String {
        let queue = format!("it-{}", Uuid::new_v4());
        let (_connection, channel) = connect(&self.site.servers.amqp_url).await;
        let quorum = [("x-queue-type", AMQPValue::LongString("quorum".into()))];
        declare(&channel, &queue, &quorum, &self.site.names.events, key).await;
        self.leader(&queue, "suspend").await;
        queue
    }

    /// Takes out whatever dead letters there are, until none can come any more.
    async fn drop_dead_letters(&self, client: &Client) {
        let Names { commands, dead_letter, .. } = &self.site.names;
        eventually("every command is settled", async || self.broker.have_settled(&[commands]).await).await;
        eventually("no dead letter is left", async || {
            while client.try_get(dead_letter).await.is_some() {}
            client.depth(dead_letter).await == 0
        })
        .await;
    }
}

/// More than the service takes in while it waits for confirms, each a batch of its own.
#[tokio::test]
async fn a_subscriber_that_cannot_be_written_to_stops_no_command() {
    let scene = Scene::open(broker().await, &[TIMEOUT, ("INVENTORY__BATCH__COMMANDS", "1")]).await;
    let queue = scene.subscriber_without_leader("inventory.reserved").await;

    let carts = carts_for(scene.product, 60);
    scene.send(&carts).await;
    scene.until_decided(carts.len()).await;
    scene.service.logged("RabbitMQ did not confirm in time").await;

    scene.leader(&queue, "resume").await;
    let (_connection, channel) = connect(&scene.site.servers.amqp_url).await;
    delete_queue(&channel, &queue).await;
    scene.finish(&carts).await;
}

/// Stock events are published one after the other, and by one replica.
#[tokio::test]
async fn a_subscriber_to_stock_events_that_cannot_be_written_to_holds_up_nobody_for_ever() {
    let settings = [TIMEOUT, ("INVENTORY__DATABASE__TRANSACTION_TIMEOUT_MS", "3000")];
    let scene = Scene::open(broker().await, &settings).await;
    let Scene { site, product, .. } = &scene;
    let client = Client::connect(&site.servers.amqp_url, &site.names).await;
    let mut depleted = client.subscribed_to(&["stock.depleted"]).await;
    let queue = scene.subscriber_without_leader("stock.#").await;

    let all = Message::reserve(Uuid::new_v4(), &[(*product, 10_000)]);
    scene.send(std::slice::from_ref(&all)).await;
    depleted.next("the event, for whoever can be written to").await;
    scene.service.logged("events that are published in order are published again").await;
    scene.service.logged("a subscriber's queue refuses").await;
    let in_order = async || site.database.number("SELECT count(*) FROM outbox WHERE is_ordered").await;
    eventually("the order is given up", async || in_order().await == 0).await;

    scene.leader(&queue, "resume").await;
    delete_queue(&client.channel, &queue).await;
    scene.until_all_is_told().await;
}

#[tokio::test]
async fn dead_letters_that_cannot_be_written_hold_up_nobody() {
    let scene = Scene::open(broker().await, &[TIMEOUT]).await;
    let letters = scene.site.names.dead_letter.clone();
    scene.leader(&letters, "suspend").await;
    let bad: Vec<Message> = (0..3).map(|_| Message::release("nobody")).collect();
    scene.send(&bad).await;
    scene.service.logged("the dead-letter queue refuses").await;
    let mut carts = carts_for(scene.product, 100);
    scene.send(&carts).await;
    scene.until_decided(carts.len()).await;
    scene.service.ready().await;

    // Not even where the channel of the commands has to be made again meanwhile.
    let began = Instant::now();
    scene.broker.rabbitmqctl(&["eval", KILL_CHANNELS]).await;
    let more = carts_for(scene.product, 100);
    scene.send(&more).await;
    carts.extend(more);
    scene.until_decided(carts.len()).await;
    took(began.elapsed());

    scene.leader(&letters, "resume").await;
    let client = Client::connect(&scene.site.servers.amqp_url, &scene.site.names).await;
    let mut left: Vec<&str> = bad.iter().map(Message::id).collect();
    while !left.is_empty() {
        let letter = client.get(&letters, "each dead letter").await;
        left.retain(|id| *id != letter.id());
    }
    // What came again after the channel was closed is there twice.
    scene.drop_dead_letters(&client).await;
    scene.finish(&carts).await;
}

/// Bytes of a message that is understood by nobody.
const LARGE: usize = 300_000;

#[tokio::test]
async fn a_dead_letter_that_is_not_allowed_is_left_to_rabbitmq() {
    let limit = ("INVENTORY__AMQP__DELIVERY_LIMIT", "3");
    // Longer than the service is paused: that would count as a delivery.
    let heartbeat = ("INVENTORY__AMQP__HEARTBEAT_SECONDS", "60");
    let scene = Scene::open(broker().await, &[limit, heartbeat]).await;
    let carts = carts_for(scene.product, 50);
    let small = Message::release("nobody");
    let large = Message::release("somebody").with_body(vec![b' '; LARGE]);
    scene.service.pause();
    scene.send(&carts[..25]).await;
    scene.send(&[small.clone(), large.clone(), small.clone()]).await;
    scene.send(&carts[25..]).await;
    let allow = |bytes: &str| format!("application:set_env(rabbit, max_message_size, {bytes}).");
    scene.broker.rabbitmqctl(&["eval", &allow("200000")]).await;
    scene.service.resume();

    let client = Client::connect(&scene.site.servers.amqp_url, &scene.site.names).await;
    let letters = &scene.site.names.dead_letter;
    let mut got = Vec::new();
    while !got.iter().any(|id| id == large.id()) {
        let letter = client.get(letters, "the dead letters").await;
        let by_the_service = letter.header("x-error-code").is_some();
        assert_eq!(by_the_service, letter.id() != large.id(), "{letter:?}");
        got.push(letter.id().to_owned());
    }
    assert!(got.iter().filter(|id| *id == small.id()).count() >= 2, "{got:?}");
    scene.until_decided(carts.len()).await;
    scene.drop_dead_letters(&client).await;
    scene.broker.rabbitmqctl(&["eval", &allow("134217728")]).await;
    scene.finish(&carts).await;
}
