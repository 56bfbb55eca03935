//! SIGTERM at a bad moment: all that is in hand is finished or rolled back, and the exit code is 0.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::support::{Harness, Message, Setup, eventually};

/// Sends carts to a service that cannot go on with them, and asks it to end.
async fn interrupt(harness: &mut Harness, product: Uuid) -> (Vec<Message>, PgConnection) {
    let lock = harness.site().database.lock_stock(product).await;
    let cart = |_| Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    let carts: Vec<Message> = (0..100).map(cart).collect();
    harness.client.send_all(&carts).await;
    harness.site().database.until_somebody_waits_for_a_lock().await;
    harness.services()[0].terminate();
    harness.services()[0].logged("SIGTERM: finishing what is in hand").await;
    (carts, lock)
}

async fn assert_all_carts_are_served(harness: &mut Harness, carts: &[Message], product: Uuid) {
    for cart in carts {
        harness.next_outcome_of(cart).await.reservation();
    }
    harness.assert_level(product, 1000 - carts.len() as u64, carts.len() as u64).await;
}

#[tokio::test]
async fn a_batch_that_can_be_finished_is_finished() {
    let mut harness = Setup::new().patient().start().await;
    let product = harness.product(1000).await;
    let (carts, lock) = interrupt(&mut harness, product).await;
    lock.close().await.unwrap();
    let status = harness.services()[0].exit().await;
    assert_eq!(status.code(), Some(0));
    // Some of it at least was in hand: it was committed, acknowledged and published before the end.
    let left = harness.client.depth(&harness.site().names.commands).await as usize;
    assert!(left < carts.len(), "{left} carts are left");

    harness.services().clear();
    harness.add_replica().await;
    assert_all_carts_are_served(&mut harness, &carts, product).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_batch_that_cannot_be_finished_is_rolled_back() {
    let setup = Setup::new().with("INVENTORY__DATABASE__LOCK_TIMEOUT_MS", "300");
    let mut harness = setup.start().await;
    let product = harness.product(1000).await;
    let (carts, lock) = interrupt(&mut harness, product).await;
    let status = harness.services()[0].exit().await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(harness.site().database.number("SELECT count(*) FROM reservation").await, 0);
    until_all_are_back(&harness, &carts).await;

    lock.close().await.unwrap();
    harness.services().clear();
    harness.add_replica().await;
    assert_all_carts_are_served(&mut harness, &carts, product).await;
    harness.finish().await;
}

/// RabbitMQ gives back what was not acknowledged only after the channel is closed.
async fn until_all_are_back(harness: &Harness, carts: &[Message]) {
    let left = async || harness.client.depth(&harness.site().names.commands).await as usize;
    eventually("that all carts are back in the queue", async || left().await == carts.len()).await;
}

/// Demands that a service which is not let finish ends at once, and that the next does all that it left.
async fn assert_stopped_at_once(harness: &mut Harness, product: Uuid, carts: &[Message], lock: PgConnection) {
    let status = harness.services()[0].exit().await;
    assert_eq!(status.code(), Some(3), "that work was left is told");
    assert!(harness.log().contains("stopping at once"), "{}", harness.log());
    until_all_are_back(harness, carts).await;

    lock.close().await.unwrap();
    harness.services().clear();
    // This one is let finish.
    harness.add_replica_with(&[("INVENTORY__SHUTDOWN__GRACE_SECONDS", "20")]).await;
    assert_all_carts_are_served(harness, carts, product).await;
}

#[tokio::test]
async fn a_second_sigterm_stops_at_once() {
    let mut harness = Setup::new().patient().start().await;
    let product = harness.product(1000).await;
    let (carts, lock) = interrupt(&mut harness, product).await;
    harness.services()[0].terminate();
    assert_stopped_at_once(&mut harness, product, &carts, lock).await;
    harness.finish().await;
}

#[tokio::test]
async fn the_end_of_the_grace_period_stops_at_once() {
    let mut harness = Setup::new().patient().with("INVENTORY__SHUTDOWN__GRACE_SECONDS", "1").start().await;
    let product = harness.product(1000).await;
    let (carts, lock) = interrupt(&mut harness, product).await;
    assert_stopped_at_once(&mut harness, product, &carts, lock).await;
    harness.finish().await;
}

#[tokio::test]
async fn it_ends_with_0_while_it_waits_for_its_servers() {
    let site = crate::support::site::Site::shared().await;
    let nowhere =
        ("postgres://inventory:secret@127.0.0.1:1/inventory", "amqp://inventory:secret@127.0.0.1:1/%2f");
    let site = site.with("DATABASE_URL", nowhere.0).with("AMQP_URL", nowhere.1);
    let mut service = site.start_service().await;
    service.logged("waiting for the database").await;
    let (status, missing) = service.readyz().await;
    assert_eq!(status, 503);
    assert!(missing.contains("PostgreSQL") && missing.contains("RabbitMQ"), "{missing}");
    service.stop().await;
    assert!(!service.log().contains("secret"), "{}", service.log());
}

#[tokio::test]
async fn a_replica_goes_while_another_carries_on() {
    let mut harness = Setup::new().replicas(2).start().await;
    let product = harness.product(1000).await;
    let cart = |_| Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    let carts: Vec<Message> = (0..500).map(cart).collect();
    harness.client.send_all(&carts).await;
    harness.services()[0].stop().await;
    harness.services().remove(0);
    assert_all_carts_are_served(&mut harness, &carts, product).await;
    harness.finish().await;
}

#[tokio::test]
async fn sigint_ends_it_as_well() {
    let mut harness = Setup::new().start().await;
    let product = harness.product(9).await;
    harness.reserve(Uuid::new_v4(), &[(product, 1)]).await;
    harness.services()[0].interrupt();
    assert_eq!(harness.services()[0].exit().await.code(), Some(0));
    assert!(harness.log().contains("SIGINT: finishing what is in hand"), "{}", harness.log());
}
