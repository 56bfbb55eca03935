//! Nothing comes from RabbitMQ any more, or nothing ever came.

use std::time::Instant;

use crate::kit::{Proxy, Weather};
use crate::support::deployment::Deployment;
use crate::support::load::{Load, assert_one_outcome_each};
use crate::support::site::Site;
use crate::support::{Harness, eventually};

/// As impatient as can be.
const IMPATIENT: [(&str, &str); 2] =
    [("INVENTORY__AMQP__TIMEOUT_MS", "400"), ("INVENTORY__AMQP__HEARTBEAT_SECONDS", "1")];

/// Connections of a service: commands, queries, events and replies.
const LINKS: usize = 4;

#[tokio::test]
async fn a_black_hole_is_noticed_and_what_it_held_up_goes_on_after_it() {
    let site = Site::shared().await;
    let proxy = Proxy::before(&site.servers.amqp_url).await;
    let settings = [&IMPATIENT[..], &[("AMQP_URL", proxy.url.as_str())]].concat();
    let service = site.start_service_with(&settings).await;
    service.ready().await;
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(1000).await;
    harness.next_stock_event(product).await;

    let mut load = Load::start(harness.site(), product, 250);
    load.confirmed(50).await;
    proxy.set(Weather::BlackHole);
    let service = &harness.services()[0];
    eventually("/readyz misses all connections", async || {
        let (status, missing) = service.readyz().await;
        status == 503 && missing.matches("RabbitMQ").count() == LINKS
    })
    .await;
    // What is sent meanwhile waits: the senders' network is fine.
    let carts = load.end().await;
    proxy.set(Weather::Clear);
    let over = Instant::now();
    harness.services()[0].ready().await;
    let mut events = Vec::new();
    for cart in &carts {
        events.push(harness.next_outcome_of(cart).await);
    }
    super::broker::took(over.elapsed());
    harness.assert_level(product, 750, 250).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

#[tokio::test]
async fn a_broker_that_never_shakes_hands_is_waited_for_without_leaving_anything_behind() {
    let site = Site::shared().await;
    let proxy = Proxy::before(&site.servers.amqp_url).await;
    proxy.set(Weather::BlackHole);
    let settings = [&IMPATIENT[..], &[("AMQP_URL", proxy.url.as_str())]].concat();
    let service = site.start_service_with(&settings).await;
    service.logged("did not answer within").await;
    let (status, missing) = service.readyz().await;
    assert!(status == 503 && missing.matches("RabbitMQ").count() == LINKS, "{status} {missing}");
    proxy.until("several attempts", |seen| seen.connections >= 5 * LINKS).await;
    // Those that are being tried, and those that are about to end.
    let threads = service.threads("lapin-io-loop");
    assert!(threads <= 2 * LINKS, "{threads} threads wait for answers");

    proxy.set(Weather::Clear);
    let over = Instant::now();
    service.ready().await;
    super::broker::took(over.elapsed());
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(1).await;
    harness.reserve(uuid::Uuid::new_v4(), &[(product, 1)]).await.reservation();
    harness.finish().await;
}
