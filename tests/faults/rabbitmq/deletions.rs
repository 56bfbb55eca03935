//! Somebody deletes what the service works with: it is declared again, or waited for where `amqp.declare` is off.

use lapin::Confirmation;
use lapin::options::{ConfirmSelectOptions, ExchangeDeleteOptions};
use lapin::types::FieldTable;

use super::{bind, delete_queue};
use crate::support::client::publish;
use crate::support::load::{Load, assert_one_outcome_each, carts_for};
use crate::support::service::Service;
use crate::support::{Harness, Message, Received, Setup, eventually};

/// Declares everything once more, as somebody does who may.
async fn declare(harness: &Harness) {
    let declaring = ("INVENTORY__AMQP__DECLARE".to_owned(), "true".to_owned());
    let mut other = Service::start(&[harness.site().settings.as_slice(), &[declaring]].concat()).await;
    other.ready().await;
    other.stop().await;
}

/// A service that only looks for its exchanges and queues, which are there.
pub(super) async fn undeclaring() -> Harness {
    let mut harness = Setup::new().start().await;
    harness.services()[0].stop().await;
    let service = harness.site().start_service_with(&[("INVENTORY__AMQP__DECLARE", "false")]).await;
    service.ready().await;
    harness.services()[0] = service;
    harness
}

async fn until_missed(harness: &mut Harness, name: &str) {
    harness.services()[0].logged("amqp.declare is off").await;
    let service = &harness.services()[0];
    eventually("/readyz says what is missing", async || {
        let (status, missing) = service.readyz().await;
        status == 503 && missing.contains("RabbitMQ")
    })
    .await;
    service.logged(name).await;
}

#[tokio::test]
async fn a_queue_of_commands_that_is_deleted_is_declared_again() {
    // What waits for a lock for too long is nobody's once its queue is gone.
    let mut harness = Setup::new().patient().start().await;
    let product = harness.product(100).await;
    let names = harness.site().names.clone();
    let channel = harness.client.another_channel().await;

    // What the service has in hand is done all the same, though nobody is left who could be told so.
    let lock = harness.site().database.lock_stock(product).await;
    let carts = carts_for(product, 2);
    harness.client.send(&carts[0]).await;
    harness.site().database.until_somebody_waits_for_a_lock().await;
    delete_queue(&channel, &names.commands).await;
    drop(lock);
    let mut events = vec![harness.next_outcome_of(&carts[0]).await];
    harness.services()[0].logged("the queue was deleted").await;
    harness.services()[0].ready().await;
    events.push(harness.outcome_of(&carts[1]).await);
    harness.assert_level(product, 98, 2).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

#[tokio::test]
async fn a_queue_of_commands_that_is_deleted_is_waited_for_without_declare() {
    let mut harness = undeclaring().await;
    let product = harness.product(100).await;
    let names = harness.site().names.clone();
    let channel = harness.client.another_channel().await;
    delete_queue(&channel, &names.commands).await;
    until_missed(&mut harness, &names.commands).await;
    declare(&harness).await;
    harness.services()[0].ready().await;
    let carts = carts_for(product, 1);
    let event = harness.outcome_of(&carts[0]).await;
    assert_one_outcome_each(&[event], &carts);
    harness.finish().await;
}

/// Nobody looks for bindings before there is something to be sent over them.
#[tokio::test]
async fn a_dead_letter_that_reaches_no_queue_holds_up_no_event() {
    let mut harness = undeclaring().await;
    let product = harness.product(100).await;
    let channel = harness.client.another_channel().await;
    let letters = harness.site().names.dead_letter.clone();
    let name = letters.as_str();
    channel.queue_unbind(name.into(), name.into(), name.into(), FieldTable::default()).await.unwrap();
    let bad = Message::release("nobody");
    harness.client.send(&bad).await;
    harness.services()[0].logged("no queue for a message").await;
    let carts = carts_for(product, 5);
    let mut events = Vec::new();
    for cart in &carts {
        events.push(harness.outcome_of(cart).await);
    }
    assert!(bind(&channel, name, name, name).await);
    assert_eq!(harness.dead_letter("the one that found no queue").await.id(), bad.id());
    harness.assert_level(product, 95, 5).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

/// Whether a message finds its queue.
async fn arrives(harness: &Harness, message: &Message) -> bool {
    let channel = harness.client.another_channel().await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let Ok(confirm) = publish(&channel, &harness.site().names, message).await else { return false };
    matches!(confirm.await, Ok(Confirmation::Ack(None)))
}

/// No connection of the service breaks for want of them: senders work with these, and RabbitMQ itself.
#[tokio::test]
async fn what_the_service_itself_does_not_work_with_is_declared_again_as_well() {
    let mut harness = Setup::new().start().await;
    let product = harness.product(100).await;
    let names = harness.site().names.clone();
    let channel = harness.client.another_channel().await;
    delete_queue(&channel, &names.unrouted).await;
    delete_queue(&channel, &names.dead_letter).await;
    // What is waited for below goes last: all of it is there once that is.
    for exchange in [&names.unrouted, &names.dead_letter, &names.queries, &names.commands] {
        let options = ExchangeDeleteOptions::default();
        channel.exchange_delete(exchange.as_str().into(), options).await.unwrap();
    }

    let cart = carts_for(product, 1).remove(0);
    eventually("commands arrive again", async || arrives(&harness, &cart).await).await;
    harness.next_outcome_of(&cart).await.reservation();
    let question = Message::stock_level(product).with_reply_to(&harness.client.replies.queue);
    eventually("queries arrive again", async || arrives(&harness, &question).await).await;
    harness.next_reply_to(&question).await;
    let bad = Message::release("nobody");
    harness.client.send(&bad).await;
    assert_eq!(harness.dead_letter("the bad one").await.id(), bad.id());
    harness.finish().await;
}

/// The outcomes that nobody was subscribed to.
async fn unrouted(harness: &Harness) -> Vec<Received> {
    let mut events = Vec::new();
    while let Some(event) = harness.client.try_get(&harness.site().names.unrouted).await {
        events.push(event);
    }
    events.into_iter().filter(|event| event.kind() == "InventoryReserved").collect()
}

/// Deletes the exchange of events under load; ends once all outcomes are told again.
async fn lose_the_exchange(harness: &mut Harness, until_it_is_back: impl AsyncFnOnce(&mut Harness)) {
    let product = harness.product(1000).await;
    harness.next_stock_event(product).await;
    let names = harness.site().names.clone();
    let channel = harness.client.another_channel().await;
    let mut load = Load::start(harness.site(), product, 150);
    load.confirmed(50).await;
    let options = ExchangeDeleteOptions::default();
    channel.exchange_delete(names.events.as_str().into(), options).await.unwrap();
    until_it_is_back(harness).await;

    // The bindings went with it: until subscribers are back the alternate exchange has what was told.
    let client = &harness.client;
    eventually("the exchange is there again", async || {
        let channel = client.another_channel().await;
        bind(&channel, &client.events.queue, &names.events, "inventory.reserved").await
    })
    .await;
    let carts = load.end().await;
    harness.until_all_are_decided(carts.len()).await;
    let mut events = unrouted(harness).await;
    events.extend(harness.client.events.rest().await);
    harness.assert_level(product, 850, 150).await;
    assert_one_outcome_each(&events, &carts);
}

#[tokio::test]
async fn an_exchange_of_events_that_is_deleted_is_declared_again() {
    let mut harness = Setup::new().start().await;
    lose_the_exchange(&mut harness, async |harness| {
        harness.services()[0].logged("publishing failed").await;
    })
    .await;
    harness.finish_after_an_outage().await;
}

#[tokio::test]
async fn an_exchange_of_events_that_is_deleted_is_waited_for_without_declare() {
    let mut harness = undeclaring().await;
    lose_the_exchange(&mut harness, async |harness| {
        let name = harness.site().names.events.clone();
        until_missed(harness, &name).await;
        assert!(harness.site().database.number("SELECT count(*) FROM outbox").await > 0);
        declare(harness).await;
    })
    .await;
    harness.finish_after_an_outage().await;
}
