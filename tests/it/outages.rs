//! PostgreSQL is away at the start, and again under light load: nothing lost, nothing twice, nothing dead-lettered because of
//! it.

use crate::support::deployment::Deployment;
use crate::support::load::{Load, assert_one_outcome_each};
use crate::support::names::Names;
use crate::support::servers::{PrivateServers, Server};
use crate::support::service::Service;
use crate::support::site::Site;
use crate::support::{Harness, eventually};

/// Carts that the light load consists of.
const CARTS: usize = 150;

/// Starts a service while PostgreSQL is away, and that after it.
async fn start_before(servers: &PrivateServers, site: &Site) -> Service {
    servers.stop(Server::PostgreSql).await;
    let service = site.start_service().await;
    service.logged("waiting for").await;
    let (status, missing) = service.readyz().await;
    assert_eq!(status, 503);
    assert!(missing.contains("PostgreSQL"), "{missing}");
    servers.start(Server::PostgreSql).await;
    service.ready().await;
    service
}

/// Stops PostgreSQL under load, and starts it again.
async fn interrupt(servers: &PrivateServers, service: &Service, load: &mut Load) {
    load.confirmed(CARTS / 3).await;
    servers.stop(Server::PostgreSql).await;
    eventually("/readyz names what is missing", async || {
        let (status, missing) = service.readyz().await;
        status == 503 && missing.contains("PostgreSQL")
    })
    .await;
    servers.start(Server::PostgreSql).await;
    service.ready().await;
}

#[tokio::test]
async fn postgresql_goes_and_comes_back() {
    let servers = PrivateServers::new("outages-postgresql");
    servers.start(Server::PostgreSql).await;
    let site = Site::create(servers.with_shared_other(Server::PostgreSql), Names::unique()).await;
    let service = start_before(&servers, &site).await;
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(1000).await;

    let mut load = Load::start(harness.site(), product, CARTS);
    interrupt(&servers, &harness.services()[0], &mut load).await;
    let carts = load.end().await;
    let mut events = Vec::new();
    for cart in &carts {
        events.push(harness.next_outcome_of(cart).await);
    }
    harness.assert_level(product, 1000 - CARTS as u64, CARTS as u64).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}
