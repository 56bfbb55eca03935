//! An administrator ends sessions in the middle of what they do.

use uuid::Uuid;

use super::{ONE_DELIVERY, setup};
use crate::support::deployment::Deployment;
use crate::support::load::assert_one_outcome_each;
use crate::support::outage::{CARTS, light_load, outcomes};
use crate::support::site::Site;
use crate::support::{Harness, Message};

#[tokio::test]
async fn a_session_that_is_ended_inside_its_transaction() {
    let site = Site::shared().await;
    let points = ["inside-transaction", "before-commit"];
    let actions = points.map(|point| format!("{point}=1*return(stop)")).join(";");
    let service = site.start_service_with(&[("FAILPOINTS", &actions), ONE_DELIVERY]).await;
    service.ready().await;
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(10).await;
    let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    harness.client.send(&command).await;
    for point in points {
        harness.services()[0].logged(point).await;
        harness.services()[0].until_stopped().await;
        harness.site().database.terminate_sessions().await;
        harness.services()[0].resume();
    }
    harness.next_outcome_of(&command).await.reservation();
    harness.assert_level(product, 9, 1).await;
    assert!(harness.finish_after_an_outage().await.is_empty());
}

#[tokio::test]
async fn sessions_that_are_ended_again_and_again_under_load() {
    let mut harness = setup().with("INVENTORY__OUTBOX__LEASE_SECONDS", "1").start().await;
    let product = harness.product(1000).await;
    let mut load = light_load(harness.site(), product);
    for part in 1..=10 {
        load.confirmed(CARTS * part / 10).await;
        harness.site().database.terminate_sessions().await;
    }
    let carts = load.end().await;
    let mut events = outcomes(&mut harness, product, &carts).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}
