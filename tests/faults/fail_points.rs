//! SIGKILL at each fail point: what was promised is kept by whoever comes next, and nothing is done twice.

use std::collections::HashMap;

use uuid::Uuid;

use crate::kit::between_services;
use crate::support::{Message, Received, Setup};

/// In the order in which a command comes to them.
pub const POINTS: [&str; 8] = [
    "after-receive",
    "inside-transaction",
    "before-commit",
    "after-commit",
    "after-publish",
    "after-confirm",
    "before-outbox-delete",
    "before-acknowledge",
];

/// Demands the same id and the same bytes whenever an outcome was told.
pub fn assert_told_the_same(events: &[Received]) {
    let mut first: HashMap<String, &Received> = HashMap::new();
    for event in events {
        let told = first.entry(event.causation_id().unwrap()).or_insert(event);
        assert_eq!((event.id(), &event.body), (told.id(), &told.body));
    }
}

/// What a replica has in hand when it dies comes to the next, which dies one point later.
#[tokio::test]
async fn killed_at_each_fail_point_in_turn() {
    let setup = Setup::new().with("INVENTORY__OUTBOX__LEASE_SECONDS", "1");
    let (mut harness, product) = between_services(setup).await;

    let mut commands = Vec::new();
    for point in POINTS {
        let action = format!("{point}=1*return(stop)");
        let mut service = harness.site().start_service_with(&[("FAILPOINTS", &action)]).await;
        let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        harness.client.send(&command).await;
        commands.push(command);
        service.until_stopped().await;
        service.logged(point).await;
        service.kill();
    }

    harness.add_replica().await;
    let mut events = Vec::new();
    for command in &commands {
        let event = harness.next_outcome_of(command).await;
        event.reservation();
        events.push(event);
    }
    harness.assert_level(product, 1000 - POINTS.len() as u64, POINTS.len() as u64).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_told_the_same(&events);
}

/// Without one of its tasks a service would look well and do nothing: it ends, and whoever runs it starts another.
#[tokio::test]
async fn a_fault_of_the_program_ends_it() {
    let mut harness = Setup::new().start().await;
    let product = harness.product(10).await;
    harness.services()[0].stop().await;
    harness.services().clear();

    let mut faulty = harness.site().start_service_with(&[("FAILPOINTS", "after-receive=1*panic")]).await;
    let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    harness.client.send(&command).await;
    assert_eq!(faulty.exit().await.code(), Some(3));
    assert!(faulty.log().contains("a task ended with a fault"), "{}", faulty.log());

    harness.add_replica().await;
    harness.next_outcome_of(&command).await.reservation();
    harness.assert_level(product, 9, 1).await;
    harness.finish_after_an_outage().await;
}
