//! RabbitMQ does not take what is published (`basic.nack`), because a queue with `x-overflow = reject-publish` is full.

use std::collections::{BTreeSet, HashMap};

use lapin::Channel;
use lapin::types::AMQPValue;
use uuid::Uuid;

use super::deletions::undeclaring;
use super::{declare, delete_queue};
use crate::data::leave_backlog;
use crate::support::load::{Load, assert_one_outcome_each, carts_for};
use crate::support::{Harness, Message, Received, Setup, eventually};

const OUTCOMES: &str = "inventory.reserved";

/// A queue that takes so many messages, for what an exchange routes by this key.
async fn bounded(channel: &Channel, queue: &str, length: i32, exchange: &str, key: &str) {
    let limit = [
        ("x-max-length", AMQPValue::LongInt(length)),
        ("x-overflow", AMQPValue::LongString("reject-publish".into())),
    ];
    declare(channel, queue, &limit, exchange, key).await;
}

/// A subscriber to events with this key that takes one at a time.
async fn one_at_a_time(harness: &Harness, key: &str) -> (Channel, String) {
    let queue = format!("it-{}", Uuid::new_v4());
    let channel = harness.client.another_channel().await;
    bounded(&channel, &queue, 1, &harness.site().names.events, key).await;
    (channel, queue)
}

/// Takes one message after another out of a queue, until the outcome of each command was among them.
async fn drain(harness: &Harness, queue: &str, commands: &[Message]) -> Vec<Received> {
    let mut left: Vec<&str> = commands.iter().map(Message::id).collect();
    let mut taken = Vec::new();
    while !left.is_empty() {
        let event = harness.client.get(queue, "an event as soon as there is room for it").await;
        left.retain(|id| event.causation_id().as_deref() != Some(id));
        taken.push(event);
    }
    taken
}

#[tokio::test]
async fn a_subscriber_who_takes_one_event_at_a_time_gets_all_of_a_batch() {
    let mut harness = Setup::new().start().await;
    let product = harness.product(100).await;
    let (channel, queue) = one_at_a_time(&harness, OUTCOMES).await;

    harness.services()[0].pause();
    let carts = carts_for(product, 10);
    harness.client.send_all(&carts).await;
    harness.services()[0].resume();
    harness.services()[0].logged("a subscriber's queue refuses").await;
    // Others have theirs meanwhile, those of later commands too.
    let mut events = harness.next_outcomes_of(&carts).await;
    let released = Message::release(&events[0].reservation());
    harness.client.send(&released).await;
    harness.next_movement_of(&released).await;
    assert_eq!(harness.services()[0].readyz().await.0, 200);
    assert!(harness.site().database.number("SELECT count(*) FROM outbox").await > 0);

    events.extend(drain(&harness, &queue, &carts).await);
    delete_queue(&channel, &queue).await;
    harness.assert_level(product, 91, 9).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

#[tokio::test]
async fn a_full_subscriber_holds_up_nobody_else() {
    let mut harness = Setup::new().start().await;
    let product = harness.product(1000).await;
    let (channel, queue) = one_at_a_time(&harness, OUTCOMES).await;

    // One after another, so that each is a batch of its own: more of them than the service keeps in hand.
    let carts = carts_for(product, 200);
    let mut events = Vec::new();
    for cart in &carts {
        events.push(harness.outcome_of(cart).await);
    }
    delete_queue(&channel, &queue).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

/// What is refused is looked at again and again, and there is more of it all the time.
#[tokio::test]
async fn what_a_dead_replica_promised_is_told_while_a_subscriber_refuses() {
    let mut harness = Setup::new().start().await;
    let product = harness.product(1000).await;
    let (channel, queue) = one_at_a_time(&harness, OUTCOMES).await;
    let mut unavailable = harness.client.subscribed_to(&["inventory.unavailable"]).await;

    let mut load = Load::start(harness.site(), product, 1000);
    load.confirmed(100).await;
    // Its lease is over when much that is newer has been looked at.
    leave_backlog(&harness, 1, "clock_timestamp() + interval '3 seconds'").await;
    let promised = |event: &Received| event.json["reason"] == "RELEASED_BEFORE";
    unavailable.next_that("what was promised", promised).await;
    assert!(load.so_far() < 1000, "told only after the others");

    delete_queue(&channel, &queue).await;
    let carts = load.end().await;
    let mut events = harness.next_outcomes_of(&carts).await;
    events.extend(harness.finish_after_an_outage().await);
    events.retain(|event| !promised(event));
    assert_one_outcome_each(&events, &carts);
}

#[tokio::test]
async fn stock_events_that_are_refused_come_as_soon_as_there_is_room() {
    let mut harness = Setup::new().start().await;
    let (channel, queue) = one_at_a_time(&harness, "stock.#").await;
    let product = harness.product(1).await;
    for _ in 0..3 {
        let reserved = harness.reserve(Uuid::new_v4(), &[(product, 1)]).await;
        harness.release(&reserved.reservation()).await;
    }
    harness.services()[0].logged("a subscriber's queue refuses").await;
    // Others are told in order, which the harness looks at; who refuses is told late, and the version says so.
    let mut versions = BTreeSet::new();
    while versions.len() < 7 {
        let event = harness.client.get(&queue, "the next of the stock events").await;
        versions.insert(event.json["version"].as_u64().unwrap());
    }
    assert_eq!(versions, (1..=7).collect());
    delete_queue(&channel, &queue).await;
    harness.finish_after_an_outage().await;
}

/// Makes the queue of dead letters again, so that it takes no more than this.
async fn bound_dead_letters(harness: &Harness, channel: &Channel, length: i32) {
    let name = harness.site().names.dead_letter.clone();
    delete_queue(channel, &name).await;
    bounded(channel, &name, length, &name, &name).await;
}

#[tokio::test]
async fn a_full_queue_of_dead_letters_harms_no_good_command() {
    // A service that declares would find another queue than it expects.
    let mut harness = undeclaring().await;
    let product = harness.product(1000).await;
    let channel = harness.client.another_channel().await;
    bound_dead_letters(&harness, &channel, 1).await;

    let bad: Vec<Message> = (0..5).map(|_| Message::release("nobody")).collect();
    harness.client.send_all(&bad).await;
    harness.services()[0].logged("the dead-letter queue refuses").await;
    let mut events = Vec::new();
    let carts = carts_for(product, 50);
    for cart in &carts {
        events.push(harness.outcome_of(cart).await);
    }
    harness.services()[0].ready().await;

    // As soon as there is room each comes, once.
    let mut letters: HashMap<String, usize> = HashMap::new();
    while letters.len() < bad.len() {
        let letter = harness.dead_letter("the next dead letter").await;
        assert_eq!(letter.header("x-error-code").as_deref(), Some("INVALID_MESSAGE"), "{letter:?}");
        *letters.entry(letter.id().to_owned()).or_default() += 1;
    }
    assert!(bad.iter().all(|message| letters.get(message.id()) == Some(&1)), "{letters:?}");
    eventually("nothing is left in hand", async || {
        harness.client.depth(&harness.site().names.dead_letter).await == 0
    })
    .await;
    harness.assert_level(product, 950, 50).await;
    harness.finish().await;
    assert_one_outcome_each(&events, &carts);
}
