//! A replica stands still for longer than the servers wait for it, another takes over, and the first wakes up as if nothing
//! had happened.

use uuid::Uuid;

use crate::fail_points::assert_told_the_same;
use crate::kit::between_services;
use crate::support::service::Service;
use crate::support::{Harness, Message, Setup, eventually, http};

/// RabbitMQ takes a connection for dead after about two of these.
const HEARTBEAT: (&str, &str) = ("INVENTORY__AMQP__HEARTBEAT_SECONDS", "1");

/// PostgreSQL ends a transaction in which nothing happens for so long.
const TRANSACTION: (&str, &str) = ("INVENTORY__DATABASE__TRANSACTION_TIMEOUT_MS", "2000");

/// What a zombie had begun to publish is nobody's only after this.
const LEASE: (&str, &str) = ("INVENTORY__OUTBOX__LEASE_SECONDS", "1");

/// Starts a replica that falls asleep over the command that is sent to it.
async fn asleep(harness: &Harness, point: &str, command: &Message) -> Service {
    let action = format!("{point}=1*return(stop)");
    let service = harness.site().start_service_with(&[("FAILPOINTS", &action)]).await;
    service.ready().await;
    harness.client.send(command).await;
    service.until_stopped().await;
    service
}

async fn a_zombie_does_no_harm(point: &str) {
    let [heartbeat, transaction, lease] = [HEARTBEAT, TRANSACTION, LEASE];
    let setup =
        Setup::new().with(heartbeat.0, heartbeat.1).with(transaction.0, transaction.1).with(lease.0, lease.1);
    let (mut harness, product) = between_services(setup).await;
    let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    let zombie = asleep(&harness, point, &command).await;

    harness.add_replica().await;
    let outcome = harness.next_outcome_of(&command).await;
    outcome.reservation();
    // It may have been told from the outbox; the command itself comes to the other only now.
    harness.services()[0].logged(command.id()).await;
    zombie.resume();
    eventually("that the zombie has noticed", async || {
        let metrics = http::get(zombie.address, "/metrics").await;
        metrics.is_ok_and(|(_, text)| text.contains("inventory_reconnects_total{connection=\"commands\"}"))
    })
    .await;
    zombie.ready().await;
    harness.services().push(zombie);

    // Both work: one of them at least on each of these.
    let carts: Vec<Message> = (0..4).map(|_| Message::reserve(Uuid::new_v4(), &[(product, 1)])).collect();
    let mut events = vec![outcome];
    for cart in &carts {
        events.push(harness.outcome_of(cart).await);
    }
    harness.assert_level(product, 995, 5).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_told_the_same(&events);
}

/// The other has to wait for its row locks, until PostgreSQL ends the transaction.
#[tokio::test]
async fn a_zombie_with_an_open_transaction() {
    Box::pin(a_zombie_does_no_harm("before-commit")).await;
}

/// The other tells of what the zombie has committed, and the zombie tells of it as well.
#[tokio::test]
async fn a_zombie_that_has_not_told_what_it_committed() {
    Box::pin(a_zombie_does_no_harm("after-commit")).await;
}
