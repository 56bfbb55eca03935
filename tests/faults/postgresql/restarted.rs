//! PostgreSQL is away at the start, and again under light load: stopped cleanly, then killed.

use uuid::Uuid;

use super::ONE_DELIVERY;
use crate::support::deployment::Deployment;
use crate::support::load::assert_one_outcome_each;
use crate::support::names::Names;
use crate::support::outage::{CARTS, light_load, outcomes, ready_again, start_before, until_missing};
use crate::support::servers::{PrivateServers, Server};
use crate::support::site::Site;
use crate::support::{Harness, Message, Received};

/// PostgreSQL ends under light load, one way or the other, and is started again; gives the carts and what they came to.
async fn interrupt(
    harness: &mut Harness,
    product: Uuid,
    end: impl Future<Output = ()>,
    servers: &PrivateServers,
) -> (Vec<Message>, Vec<Received>) {
    let mut load = light_load(harness.site(), product);
    load.confirmed(CARTS / 3).await;
    end.await;
    until_missing(&harness.services()[0], "PostgreSQL").await;
    servers.start(Server::PostgreSql).await;
    ready_again(&harness.services()[0]).await;
    let carts = load.end().await;
    let events = outcomes(harness, product, &carts).await;
    (carts, events)
}

#[tokio::test]
async fn postgresql_goes_and_comes_back() {
    let servers = PrivateServers::new("faults-postgresql");
    servers.start(Server::PostgreSql).await;
    let site = Site::create(servers.with_shared_other(Server::PostgreSql), Names::unique()).await;
    let site = site.with(ONE_DELIVERY.0, ONE_DELIVERY.1);
    let service = start_before(&servers, Server::PostgreSql, &site, "PostgreSQL").await;
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(1000).await;

    let (carts, mut events) =
        interrupt(&mut harness, product, servers.stop(Server::PostgreSql), &servers).await;
    let other = harness.product(1000).await;
    let (more, after) = interrupt(&mut harness, other, servers.kill(Server::PostgreSql), &servers).await;
    events.extend(after);
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &[carts, more].concat());
}
