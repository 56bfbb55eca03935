//! The reply to COMMIT is lost: nobody knows whether it is done, until somebody looks.

use uuid::Uuid;

use crate::kit::{Blow, Proxy};
use crate::support::deployment::Deployment;
use crate::support::process::{inventory, run};
use crate::support::site::Site;
use crate::support::{Harness, Message};

/// The row of the event that was committed unknown to anybody is nobody's only after this.
const LEASE: (&str, &str) = ("INVENTORY__OUTBOX__LEASE_SECONDS", "3");

/// A service behind a proxy to its database, at rest, and a product.
async fn scene() -> (Harness, Proxy, Uuid) {
    let site = Site::shared().await;
    let proxy = Proxy::before(&site.database.url).await;
    let service = site.start_service_with(&[("DATABASE_URL", &proxy.url), LEASE]).await;
    service.ready().await;
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(10).await;
    harness.next_stock_event(product).await;
    harness.until_all_is_published().await;
    (harness, proxy, product)
}

#[tokio::test]
async fn a_command_whose_commit_is_not_answered_is_done_once() {
    let (mut harness, proxy, product) = scene().await;
    proxy.strike(Blow::LoseCommitReply);
    let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    let outcome = harness.outcome_of(&command).await;
    outcome.reservation();
    assert_eq!(proxy.seen().commit_replies_lost, 1);
    harness.assert_level(product, 9, 1).await;
    for again in harness.finish_after_an_outage().await {
        assert_eq!((again.id(), &again.body), (outcome.id(), &outcome.body));
    }
}

/// Nothing tells that it is the same, so it is done twice. What is told of that are two facts.
#[tokio::test]
async fn a_command_without_an_id_whose_commit_is_not_answered_makes_two_events() {
    let (mut harness, proxy, product) = scene().await;
    proxy.strike(Blow::LoseCommitReply);
    let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with("holdSeconds", 600).without_id();
    harness.client.send(&command).await;
    let events = harness.client.events.take(2, "both outcomes").await;
    assert_eq!(proxy.seen().commit_replies_lost, 1);
    assert_eq!(events[0].reservation(), events[1].reservation());
    assert_ne!(events[0].text("expiresAt"), events[1].text("expiresAt"), "the second is another fact");
    assert_ne!(events[0].id(), events[1].id());
    harness.assert_level(product, 9, 1).await;
    for again in harness.finish_after_an_outage().await {
        assert!(events.iter().any(|event| event.id() == again.id()), "{again:?}");
    }
}

#[tokio::test]
async fn an_adjustment_whose_commit_is_not_answered_says_where_to_look() {
    let (mut harness, proxy, product) = scene().await;
    proxy.strike(Blow::LoseCommitReply);
    let mut command = inventory();
    command.args(["stock", "adjust", &product.to_string(), "5"]).env("DATABASE_URL", &proxy.url);
    let ended = run(command).await;
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains(&format!("inventory ledger {product}")), "{ended:?}");
    harness.assert_level(product, 15, 0).await;
    harness.finish().await;
}
