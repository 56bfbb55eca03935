//! Nothing comes from RabbitMQ any more, or nothing ever came.

use std::time::Instant;

use uuid::Uuid;

use super::broker::took;
use crate::kit::{Blow, Proxy, Weather};
use crate::support::deployment::Deployment;
use crate::support::load::{Load, assert_one_outcome_each};
use crate::support::site::Site;
use crate::support::{Harness, eventually};

/// As impatient as can be where connecting takes a while.
const IMPATIENT: [(&str, &str); 2] =
    [("INVENTORY__AMQP__CONNECT_TIMEOUT_MS", "1000"), ("INVENTORY__AMQP__HEARTBEAT_SECONDS", "2")];

/// Connections of a service: commands, queries, events and replies.
const LINKS: usize = 4;

async fn behind_a_proxy() -> (Proxy, Harness, Uuid) {
    let site = Site::shared().await;
    let proxy = Proxy::before(&site.servers.amqp_url).await;
    let settings = [&IMPATIENT[..], &[("AMQP_URL", proxy.url.as_str())]].concat();
    let service = site.start_service_with(&settings).await;
    service.ready().await;
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(1000).await;
    harness.next_stock_event(product).await;
    (proxy, harness, product)
}

/// Its address is another server's now, as after a failover: no end of the old connections is ever told.
#[tokio::test]
async fn a_rabbitmq_that_is_gone_without_a_word_is_found_again() {
    let (proxy, mut harness, product) = behind_a_proxy().await;
    let mut load = Load::start(harness.site(), product, 250);
    load.confirmed(50).await;
    let made = proxy.seen().connections;
    proxy.strike(Blow::Silence);
    proxy.until("all connections once more", |seen| seen.connections >= made + LINKS).await;
    harness.services()[0].ready().await;
    let carts = load.end().await;
    let mut events = harness.next_outcomes_of(&carts).await;
    harness.assert_level(product, 750, 250).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

#[tokio::test]
async fn a_black_hole_is_noticed_and_what_it_held_up_goes_on_after_it() {
    let (proxy, mut harness, product) = behind_a_proxy().await;
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
    let mut events = harness.next_outcomes_of(&carts).await;
    took(over.elapsed());
    harness.assert_level(product, 750, 250).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

#[tokio::test]
async fn a_broker_that_refuses_and_then_never_shakes_hands_is_waited_for() {
    let site = Site::shared().await;
    let proxy = Proxy::before(&site.servers.amqp_url).await;
    proxy.set(Weather::Refusing);
    let settings = [&IMPATIENT[..], &[("AMQP_URL", proxy.url.as_str())]].concat();
    let service = site.start_service_with(&settings).await;
    service.logged("waiting for RabbitMQ").await;
    proxy.set(Weather::BlackHole);
    service.logged("did not answer within").await;
    let (status, missing) = service.readyz().await;
    assert!(status == 503 && missing.matches("RabbitMQ").count() == LINKS, "{status} {missing}");
    let attempts = proxy.seen().connections;
    proxy.until("several attempts", |seen| seen.connections >= attempts + 4 * LINKS).await;
    // Nothing is left behind: these are those that are being tried, and those that are about to end.
    let threads = service.threads("lapin-io-loop");
    assert!(threads <= 2 * LINKS, "{threads} threads wait for answers");

    proxy.set(Weather::Clear);
    let over = Instant::now();
    service.ready().await;
    took(over.elapsed());
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(1).await;
    harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
    harness.finish().await;
}

/// Several nodes in one URL, each behind a proxy of its own.
fn nodes(proxies: &[Proxy]) -> String {
    let (login, _) = proxies[0].url.rsplit_once('@').unwrap();
    let addresses: Vec<&str> = proxies.iter().map(|proxy| address(&proxy.url)).collect();
    format!("{login}@{}/%2f", addresses.join(","))
}

fn address(url: &str) -> &str {
    let (_, address) = url.rsplit_once('@').unwrap();
    address.trim_end_matches("/%2f")
}

#[tokio::test]
async fn where_one_node_does_not_answer_the_next_is_tried() {
    let site = Site::shared().await;
    let proxies = [Proxy::before(&site.servers.amqp_url).await, Proxy::before(&site.servers.amqp_url).await];
    proxies[0].set(Weather::Refusing);
    let service = site.start_service_with(&[("AMQP_URL", nodes(&proxies).as_str())]).await;
    service.ready().await;
    assert!(proxies[1].seen().connections >= LINKS, "{:?}", proxies[1].seen());

    // All at once there is only the other one.
    proxies[0].set(Weather::Clear);
    proxies[1].set(Weather::Refusing);
    proxies[1].strike(Blow::Reset);
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(1).await;
    harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
    harness.services()[0].ready().await;
    harness.finish_after_an_outage().await;
}
