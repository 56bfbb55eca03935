//! A message that the client library cannot even parse: a property that is no UTF-8. It ends the connection each time that
//! it is delivered, until RabbitMQ has delivered it too often and dead-letters it.

use std::time::Instant;

use lapin::options::QueuePurgeOptions;
use uuid::Uuid;

use crate::fail_points::assert_told_the_same;
use crate::support::wire::{Wire, long, short};
use crate::support::{Message, Setup, eventually};

/// Flags of the properties that these messages have.
const HEADERS: u16 = 1 << 13;
const MESSAGE_ID: u16 = 1 << 7;
const TYPE: u16 = 1 << 5;

/// Carts before, between and behind them.
const CARTS: usize = 30;

#[tokio::test]
async fn what_cannot_even_be_parsed_is_taken_out_and_its_neighbours_are_served() {
    let mut harness = Setup::new().start().await;
    let product = harness.product(1000).await;
    let (commands, letters) = {
        let names = &harness.site().names;
        (names.commands.clone(), names.dead_letter.clone())
    };
    let mut wire = Wire::open(&harness.site().servers.amqp_url).await;
    let body = Message::reserve(Uuid::new_v4(), &[(product, 1)]).body;
    let no_id = [short(b"\xff\xfe"), short("ReserveInventory")].concat();
    let no_header = [long(&[&short(b"\xc3")[..], b"V"].concat()), short("ReserveInventory")].concat();

    let carts: Vec<Message> = (0..CARTS).map(|_| Message::reserve(Uuid::new_v4(), &[(product, 1)])).collect();
    let began = Instant::now();
    for (position, cart) in carts.iter().enumerate() {
        harness.client.send(cart).await;
        match position {
            10 => wire.publish_raw(&commands, MESSAGE_ID | TYPE, &no_id, &body).await,
            20 => wire.publish_raw(&commands, HEADERS | TYPE, &no_header, &body).await,
            _ => {}
        }
    }
    let mut events = Vec::new();
    for cart in &carts {
        let event = harness.next_outcome_of(cart).await;
        event.reservation();
        events.push(event);
    }
    eventually("both dead letters", async || harness.client.depth(&letters).await == 2).await;
    eprintln!("two that cannot be parsed: all others were served after {:?}", began.elapsed());
    // Unread: the client library of the tests could not read them either.
    let purged = harness.client.channel.queue_purge(letters.as_str().into(), QueuePurgeOptions::default());
    assert_eq!(purged.await.unwrap(), 2);
    harness.services()[0].ready().await;
    harness.assert_level(product, 1000 - CARTS as u64, CARTS as u64).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_told_the_same(&events);
}

/// Nothing takes it out of this queue but the service: it would be delivered again for ever.
#[tokio::test]
async fn a_query_that_cannot_even_be_parsed_is_taken_out_and_its_neighbours_are_answered() {
    let mut harness = Setup::new().with("INVENTORY__AMQP__QUERY_TTL_MS", "86400000").start().await;
    let product = harness.product(7).await;
    let queries = harness.site().names.queries.clone();
    let mut wire = Wire::open(&harness.site().servers.amqp_url).await;
    let body = Message::stock_level(product).body;
    let no_id = [short(b"\xff\xfe"), short("GetStockLevel")].concat();
    let replies = &harness.client.replies.queue;
    let asked: Vec<Message> =
        (0..CARTS).map(|_| Message::stock_level(product).with_reply_to(replies)).collect();
    harness.services()[0].pause();
    harness.client.send_all(&asked[..CARTS / 2]).await;
    wire.publish_raw(&queries, MESSAGE_ID | TYPE, &no_id, &body).await;
    harness.client.send_all(&asked[CARTS / 2..]).await;
    harness.services()[0].resume();
    for query in &asked {
        assert_eq!(harness.next_reply_to(query).await.json["available"], 7);
    }
    harness.services()[0].ready().await;
    // Those that were on their way when the connection was lost are answered twice, before this one.
    assert_eq!(harness.level(product).await.available, 7);
    harness.client.replies.rest().await;
    harness.finish_after_an_outage().await;
}
