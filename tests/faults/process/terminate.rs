//! SIGTERM at each fail point: what is in hand is finished, and the service ends with 0.

use sqlx::Connection;
use uuid::Uuid;

use crate::fail_points::{POINTS, assert_told_the_same};
use crate::kit::{Proxy, Weather, between_services};
use crate::postgresql::until_waiting;
use crate::support::load::assert_one_outcome_each;
use crate::support::outage::until_missing;
use crate::support::service::Service;
use crate::support::site::Site;
use crate::support::{Harness, Message, Setup};

/// What is left of a command after the end of its service.
async fn left_of(harness: &Harness, command: &Message) -> (i64, u32, i64) {
    let database = &harness.site().database;
    let decided = format!(
        "SELECT count(*) FROM command_outcome WHERE message_id = convert_to('{}', 'UTF8')",
        command.id()
    );
    (
        database.number(&decided).await,
        harness.client.depth(&harness.site().names.commands).await,
        database.number("SELECT count(*) FROM outbox").await,
    )
}

#[tokio::test]
async fn terminated_at_each_fail_point_in_turn() {
    let (mut harness, product) = between_services(Setup::new()).await;

    let mut events = Vec::new();
    for point in POINTS {
        let action = format!("{point}=1*return(stop)");
        let mut service = harness.site().start_service_with(&[("FAILPOINTS", &action)]).await;
        // What is decided while there is no connection for events yet stays in the outbox.
        service.ready().await;
        let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        harness.client.send(&command).await;
        service.until_stopped().await;
        service.terminate();
        service.resume();
        assert_eq!(service.exit().await.code(), Some(0), "{point}");
        // Decided, acknowledged, and published: the message was in hand when the signal came.
        assert_eq!(left_of(&harness, &command).await, (1, 0, 0), "{point}");
        let event = harness.next_outcome_of(&command).await;
        event.reservation();
        events.push(event);
    }

    harness.add_replica().await;
    harness.assert_level(product, 1000 - POINTS.len() as u64, POINTS.len() as u64).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_told_the_same(&events);
}

/// A batch or several, as they arrive.
const IN_HAND: usize = 200;

/// A service with a proxy before PostgreSQL.
async fn behind_a_proxy() -> (Proxy, Service, Harness, Uuid) {
    let (harness, product) = between_services(Setup::new()).await;
    let proxy = Proxy::before(&harness.site().database.url).await;
    let service = harness.site().start_service_with(&[("DATABASE_URL", &proxy.url)]).await;
    service.ready().await;
    (proxy, service, harness, product)
}

#[tokio::test]
async fn terminated_while_postgresql_says_nothing_it_lets_go_of_what_it_has() {
    let (proxy, mut service, mut harness, product) = behind_a_proxy().await;
    proxy.set(Weather::BlackHole);
    let carts: Vec<Message> =
        (0..IN_HAND).map(|_| Message::reserve(Uuid::new_v4(), &[(product, 1)])).collect();
    harness.client.send_all(&carts).await;
    // It goes back to its queue, where it expires.
    harness.client.send(&Message::reservation_by("cartId", "nobody")).await;
    until_missing(&service, "PostgreSQL").await;
    service.terminate();
    assert_eq!(service.exit().await.code(), Some(0));
    assert_eq!(harness.client.depth(&harness.site().names.dead_letter).await, 0);

    harness.add_replica().await;
    let mut events = harness.client.events.take(carts.len(), "all outcomes").await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

/// Each look at what is locked waits for an answer, and the grace period is not much longer than two such waits.
#[tokio::test]
async fn terminated_while_postgresql_says_nothing_it_lets_go_of_what_waits_for_a_lock() {
    let (proxy, mut service, mut harness, product) = behind_a_proxy().await;
    let lock = harness.site().database.lock_stock(product).await;
    let cart = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    harness.client.send(&cart).await;
    until_waiting(&service, 1).await;
    proxy.set(Weather::BlackHole);
    service.terminate();
    assert_eq!(service.exit().await.code(), Some(0));
    lock.close().await.unwrap();

    harness.add_replica().await;
    let mut events = vec![harness.next_outcome_of(&cart).await];
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &[cart]);
}

#[tokio::test]
async fn terminated_while_rabbitmq_says_nothing_it_ends_with_0() {
    let site = Site::shared().await;
    let proxy = Proxy::before(&site.servers.amqp_url).await;
    let mut service = site.start_service_with(&[("AMQP_URL", &proxy.url)]).await;
    service.ready().await;
    proxy.set(Weather::BlackHole);
    service.terminate();
    assert_eq!(service.exit().await.code(), Some(0));
}
