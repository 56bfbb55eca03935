//! Tiny bad messages without end, and good ones among them.

use std::time::{Duration, Instant};

use lapin::options::QueuePurgeOptions;
use uuid::Uuid;

use crate::support::scale::size;
use crate::support::{Harness, Message, Setup, eventually};

/// Bad messages that are sent in one burst.
const BURST: usize = 1000;

/// Good ones among them.
const GOOD: usize = 20;

/// Of each kind that can be told at a glance: no JSON, another shape, no such type.
fn bad(number: usize) -> Message {
    let message = Message::release("").with_id(&Uuid::new_v4().to_string());
    match number % 3 {
        0 => message.with_body("["),
        1 => message.with_body("{}"),
        _ => message.with_kind("X").with_body(""),
    }
}

/// A burst with the good ones spread over it; gives these.
fn burst(product: Uuid, bad_ones: usize) -> (Vec<Message>, Vec<Message>) {
    let good: Vec<Message> = (0..GOOD).map(|_| Message::reserve(Uuid::new_v4(), &[(product, 1)])).collect();
    let mut all = Vec::with_capacity(bad_ones + GOOD);
    for (position, command) in good.iter().enumerate() {
        all.push(command.clone());
        all.extend((0..bad_ones / GOOD).map(|number| bad(position + number)));
    }
    (all, good)
}

/// Sends a burst, and awaits the good ones while the next is not sent yet; says how long that takes.
async fn through(harness: &mut Harness, product: Uuid, bad_ones: usize) -> Duration {
    let (all, good) = burst(product, bad_ones);
    let began = Instant::now();
    harness.client.send_all(&all).await;
    for command in &good {
        harness.next_outcome_of(command).await.reservation();
    }
    began.elapsed()
}

#[tokio::test]
async fn bad_messages_without_end_harm_nobody() {
    let bursts = size(5, 1000);
    let setup = Setup::new().with("INVENTORY__LOG__FILTER", "error,inventory_service::service=info");
    let mut harness = setup.start().await;
    let product = harness.product(1_000_000).await;
    let letters = harness.site().names.dead_letter.clone();
    let alone = through(&mut harness, product, 0).await;
    let mut among = Duration::ZERO;
    for number in 1..=bursts {
        among += through(&mut harness, product, BURST).await;
        // Every tenth time, so that the queue does not grow for ever.
        if number % 10 == 0 || number == bursts {
            let sent = ((number - 1) % 10 + 1) * u32::try_from(BURST).unwrap();
            eventually("a dead letter of each", async || harness.client.depth(&letters).await == sent).await;
            let purged =
                harness.client.channel.queue_purge(letters.as_str().into(), QueuePurgeOptions::default());
            assert_eq!(purged.await.unwrap(), sent);
        }
    }
    eprintln!("{GOOD} good ones alone: {alone:?}; with {BURST} bad ones among them: {:?}", among / bursts);
    harness.finish().await;
}

/// RabbitMQ forgets acknowledgements where the channel is closed right after many single ones.
#[tokio::test]
async fn what_is_dead_lettered_at_the_end_does_not_come_again() {
    const BAD: usize = 400;
    let mut harness = Setup::new().start().await;
    let product = harness.product(1_000_000).await;
    let letters = harness.site().names.dead_letter.clone();
    // With the first one comes the connection.
    harness.client.send(&bad(0)).await;
    eventually("a dead letter", async || harness.client.depth(&letters).await == 1).await;
    through(&mut harness, product, BAD).await;
    harness.services().remove(0).stop().await;
    let purged = harness.client.channel.queue_purge(letters.as_str().into(), QueuePurgeOptions::default());
    assert_eq!(purged.await.unwrap(), 1 + u32::try_from(BAD).unwrap());
    harness.finish().await;
}
