//! Contract 4.2: no change without its event. What a crash left in the outbox is found again.

use std::collections::HashMap;

use uuid::Uuid;

use crate::support::{Harness, Message, Setup, eventually};

/// Promises an event the way that a replica does which then dies.
pub async fn leave_behind(harness: &Harness, claimed_until: &str) -> Uuid {
    leave_commit_behind(harness, &["InventoryUnavailable"], claimed_until).await[0]
}

/// Promises events of one commit, of these types.
async fn leave_commit_behind(harness: &Harness, types: &[&str], claimed_until: &str) -> Vec<Uuid> {
    let events: Vec<Uuid> = types.iter().map(|_| Uuid::now_v7()).collect();
    let cart = Uuid::new_v4();
    let body = format!(
        r#"{{"cartId":"{cart}","unavailableItems":[],"reason":"RELEASED_BEFORE","checkedAt":"2026-01-01T00:00:00Z"}}"#
    );
    let list = events.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let sql = format!(
        "INSERT INTO outbox (events, event_ids, event_types, subjects, bodies, occurred_at, correlation_ids,
                             causation_ids, traceparents, tracestates, claimed_until)
         SELECT count(*), array_agg(event_id ORDER BY position), '{{{types}}}'::text[], array_agg('{cart}'::text),
                array_agg(convert_to('{body}', 'UTF8')), array_agg(clock_timestamp()),
                array_agg('correlation'::bytea), array_agg(event_id::text::bytea ORDER BY position),
                array_agg('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'::bytea),
                array_agg('vendor=1'::bytea), {claimed_until}
         FROM unnest('{{{list}}}'::uuid[]) WITH ORDINALITY AS event (event_id, position)",
        types = types.join(",")
    );
    harness.site().database.execute(&sql).await;
    events
}

#[tokio::test]
async fn an_event_with_an_expired_lease_is_published_and_deleted() {
    let mut harness = Harness::start().await;
    let event = leave_behind(&harness, "clock_timestamp() - interval '1 second'").await;
    let found = harness.client.events.next_caused_by(&event.to_string(), "the orphaned event").await;
    assert_eq!((found.id(), found.correlation_id()), (event.to_string().as_str(), Some("correlation")));
    assert_eq!(found.header("tracestate").as_deref(), Some("vendor=1"));
    harness.finish().await;
}

#[tokio::test]
async fn an_event_that_another_replica_sees_to_is_left_alone() {
    let mut harness = Setup::new().with("INVENTORY__OUTBOX__SWEEP_INTERVAL_MS", "20").start().await;
    let product = harness.product(9).await;
    let theirs = leave_behind(&harness, "clock_timestamp() + interval '1 hour'").await;
    let orphan = leave_behind(&harness, "clock_timestamp() - interval '1 second'").await;
    harness.client.events.next_caused_by(&orphan.to_string(), "the orphaned event").await;
    harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
    let left = "SELECT count(*) FROM outbox WHERE claimed_until > clock_timestamp() + interval '10 minutes'";
    assert_eq!(harness.site().database.number(left).await, 1);

    let over = format!("UPDATE outbox SET claimed_until = now() WHERE '{theirs}' = ANY (event_ids)");
    assert_eq!(harness.site().database.execute(&over).await, 1);
    harness.client.events.next_caused_by(&theirs.to_string(), "the event whose lease is over").await;
    harness.finish().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_does_not_hold_up_the_others() {
    let mut harness = Setup::new().with("INVENTORY__OUTBOX__SWEEP_INTERVAL_MS", "20").start().await;
    let ours_for_now = "clock_timestamp() + interval '1 hour'";
    let broken = leave_behind(&harness, ours_for_now).await;
    let also_broken = leave_behind(&harness, ours_for_now).await;
    let of_another_release = format!(
        "UPDATE outbox SET event_types = '{{InventoryReturned}}', claimed_until = clock_timestamp(),
                           is_ordered = event_ids = '{{{broken}}}'
         WHERE event_ids[1] IN ('{broken}', '{also_broken}')"
    );
    harness.site().database.execute(&of_another_release).await;

    let orphan = leave_behind(&harness, "clock_timestamp()").await;
    harness.client.events.next_caused_by(&orphan.to_string(), "the orphaned event").await;
    let product = harness.product(1).await;
    assert_eq!(harness.next_stock_event(product).await.json["version"], 1);
    // They stay, for the release that can read them.
    eventually("only they are left", async || {
        harness.site().database.number("SELECT count(*) FROM outbox").await == 2
    })
    .await;
    for service in harness.services() {
        service.logged("cannot be published").await;
        service.stop().await;
    }
}

#[tokio::test]
async fn of_a_commit_only_those_events_stay_that_cannot_be_read() {
    let mut harness = Setup::new().with("INVENTORY__OUTBOX__SWEEP_INTERVAL_MS", "20").start().await;
    let types = ["InventoryUnavailable", "InventoryReturned", "InventoryUnavailable"];
    let events = leave_commit_behind(&harness, &types, "clock_timestamp()").await;
    for readable in [events[0], events[2]] {
        let found =
            harness.client.events.next_caused_by(&readable.to_string(), "an event of the commit").await;
        assert_eq!(found.id(), readable.to_string());
    }
    let left = format!(
        "SELECT count(*) FROM outbox WHERE events = 1 AND event_ids = '{{{}}}' AND NOT is_ordered",
        events[1]
    );
    eventually("only the other one is left", async || harness.site().database.number(&left).await == 1).await;
    for service in harness.services() {
        service.logged("cannot be published").await;
        service.stop().await;
    }
}

#[tokio::test]
async fn two_replicas_publish_each_orphan_once() {
    let setup = Setup::new().replicas(2).with("INVENTORY__OUTBOX__SWEEP_INTERVAL_MS", "20");
    let mut harness = setup.start().await;
    let mut events = Vec::new();
    for _ in 0..50 {
        events.push(leave_behind(&harness, "clock_timestamp()").await);
    }
    for event in events {
        harness.client.events.next_caused_by(&event.to_string(), "an orphaned event").await;
    }
    harness.finish().await;
}

#[tokio::test]
async fn what_a_killed_replica_promised_is_published_by_another() {
    let setup = Setup::new().replicas(2).with("INVENTORY__OUTBOX__LEASE_SECONDS", "1");
    let mut harness = setup.start().await;
    let product = harness.product(100_000).await;
    let carts: Vec<Message> = (0..1000).map(|_| Message::reserve(Uuid::new_v4(), &[(product, 1)])).collect();
    harness.client.send_all(&carts).await;
    // In the middle of it, at a moment that nobody chose.
    let first = harness.client.events.next("any event").await;
    harness.services()[0].kill();
    harness.services().remove(0);

    let mut events = HashMap::from([(first.causation_id().unwrap(), first)]);
    for cart in &carts {
        if !events.contains_key(cart.id()) {
            let event = harness.next_outcome_of(cart).await;
            events.insert(cart.id().to_owned(), event);
        }
    }
    harness.assert_level(product, 99_000, 1000).await;
    // An event that comes again is the very same.
    for again in harness.finish_after_an_outage().await {
        let event = &events[&again.causation_id().unwrap()];
        assert_eq!((again.id(), &again.body), (event.id(), &event.body));
    }
}
