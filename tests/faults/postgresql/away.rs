//! PostgreSQL cannot be reached: for long, while commands pile up, or without a word.

use super::{ONE_DELIVERY, TRIED_AGAIN};
use crate::kit::{Blow, Proxy, Weather, assert_small};
use crate::support::deployment::Deployment;
use crate::support::load::assert_one_outcome_each;
use crate::support::outage::{CARTS, light_load, outcomes, ready_again, until_missing};
use crate::support::scale::size;
use crate::support::site::Site;
use crate::support::{Harness, Message, eventually};

/// A service whose way to PostgreSQL leads through a proxy.
async fn behind_a_proxy(settings: &[(&str, &str)]) -> (Proxy, Harness) {
    let site = Site::shared().await;
    let proxy = Proxy::before(&site.database.url).await;
    let settings = [&[("DATABASE_URL", proxy.url.as_str()), ONE_DELIVERY], settings].concat();
    let service = site.start_service_with(&settings).await;
    service.ready().await;
    (proxy, Harness::of(Deployment { services: vec![service], site }).await)
}

async fn until_tried_again(harness: &mut Harness, times: u64) {
    let service = &harness.services()[0];
    let before = service.metric(TRIED_AGAIN).await;
    for more in 1..=times {
        let awaited = format!("attempt {more} of {times}");
        eventually(&awaited, async || service.metric(TRIED_AGAIN).await >= before + more).await;
    }
}

#[tokio::test]
async fn commands_pile_up_while_postgresql_is_away() {
    let (proxy, mut harness) = behind_a_proxy(&[]).await;
    let product = harness.product(1_000_000).await;
    harness.next_stock_event(product).await;
    harness.until_all_is_published().await;
    proxy.set(Weather::Refusing);
    proxy.strike(Blow::Reset);
    let count = size(3_000, 100_000);
    let carts: Vec<Message> =
        (0..count).map(|_| Message::reserve(uuid::Uuid::new_v4(), &[(product, 1)])).collect();
    harness.client.send_all(&carts).await;
    until_missing(&harness.services()[0], "PostgreSQL").await;
    // The pauses between attempts grow to two seconds.
    until_tried_again(&mut harness, size(6, 75)).await;
    until_missing(&harness.services()[0], "PostgreSQL").await;
    assert_eq!(harness.site().database.number("SELECT count(*) FROM command_outcome").await, 0);
    let prefetched = 512;
    let waiting = harness.client.depth(&harness.site().names.commands).await;
    assert!(waiting as usize >= count - prefetched, "{waiting} of {count} commands are left");
    assert_small(&harness.services()[0]);

    proxy.set(Weather::Clear);
    ready_again(&harness.services()[0]).await;
    let mut events = harness.client.events.take(count, "all outcomes").await;
    harness.until_all_is_published().await;
    assert_small(&harness.services()[0]);
    harness.assert_level(product, 1_000_000 - count as u64, count as u64).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

/// What a replica has beside the defaults, so that a silence is noticed soon.
const IMPATIENT: [(&str, &str); 3] = [
    ("INVENTORY__DATABASE__TRANSACTION_TIMEOUT_MS", "1000"),
    ("INVENTORY__DATABASE__CONNECT_TIMEOUT_MS", "1000"),
    ("INVENTORY__OUTBOX__LEASE_SECONDS", "1"),
];

#[tokio::test]
async fn a_black_hole_before_postgresql_is_waited_out() {
    let (proxy, mut harness) = behind_a_proxy(&IMPATIENT).await;
    let product = harness.product(1000).await;
    let mut load = light_load(harness.site(), product);
    load.confirmed(CARTS / 3).await;
    proxy.set(Weather::BlackHole);
    until_missing(&harness.services()[0], "PostgreSQL").await;
    until_tried_again(&mut harness, 2).await;
    proxy.set(Weather::Clear);
    ready_again(&harness.services()[0]).await;
    let carts = load.end().await;
    let mut events = outcomes(&mut harness, product, &carts).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

/// Its address is another server's now, as after a failover: no end of the old connections is ever told.
#[tokio::test]
async fn a_postgresql_that_is_gone_without_a_word_is_found_again() {
    let (proxy, mut harness) = behind_a_proxy(&IMPATIENT).await;
    let product = harness.product(1000).await;
    let mut load = light_load(harness.site(), product);
    load.confirmed(CARTS / 3).await;
    proxy.strike(Blow::Silence);
    load.confirmed(2 * CARTS / 3).await;
    proxy.strike(Blow::Silence);
    let carts = load.end().await;
    let mut events = outcomes(&mut harness, product, &carts).await;
    // Every part of the service has connections of its own: events and what is published in order go on as well.
    harness.next_stock_event(product).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

/// It needs nothing of PostgreSQL, and yet nothing is dead-lettered while that is away, not even while nobody has noticed.
#[tokio::test]
async fn what_is_bad_waits_for_postgresql_as_well() {
    let (proxy, mut harness) = behind_a_proxy(&IMPATIENT).await;
    proxy.set(Weather::BlackHole);
    let bad = Message::release("nobody");
    let question_of_nobody = Message::reservation_by("cartId", "nobody");
    harness.client.send(&bad).await;
    harness.client.send(&question_of_nobody).await;
    until_tried_again(&mut harness, 2).await;
    harness.services()[0].logged("queries wait for the database").await;
    let letters = harness.site().names.dead_letter.clone();
    assert_eq!(harness.client.depth(&letters).await, 0);
    proxy.set(Weather::Clear);
    let mut sent = vec![bad, question_of_nobody];
    while !sent.is_empty() {
        let letter = harness.dead_letter("what is bad").await;
        let position = sent.iter().position(|message| message.id() == letter.id()).unwrap();
        assert_eq!(letter.header("x-error-code").as_deref(), Some("INVALID_MESSAGE"), "{letter:?}");
        assert_eq!(letter.body, sent.remove(position).body, "{letter:?}");
    }
    ready_again(&harness.services()[0]).await;
    harness.finish_after_an_outage().await;
}
