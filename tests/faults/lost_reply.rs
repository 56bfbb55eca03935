//! The reply to COMMIT is lost: nobody knows whether it is done, until somebody looks.

use uuid::Uuid;

use crate::kit::{Blow, Proxy};
use crate::support::deployment::Deployment;
use crate::support::site::Site;
use crate::support::{Harness, Message};

/// The row of the event that was committed unknown to anybody is nobody's only after this.
const LEASE: (&str, &str) = ("INVENTORY__OUTBOX__LEASE_SECONDS", "1");

#[tokio::test]
async fn a_command_whose_commit_is_not_answered_is_done_once() {
    let site = Site::shared().await;
    let proxy = Proxy::before(&site.database.url).await;
    let service = site.start_service_with(&[("DATABASE_URL", &proxy.url), LEASE]).await;
    service.ready().await;
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(10).await;
    harness.next_stock_event(product).await;
    harness.until_all_is_published().await;

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
