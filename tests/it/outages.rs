//! Either server is away at the start, and again under light load: nothing lost, nothing twice, nothing
//! dead-lettered because of it.

use uuid::Uuid;

use crate::support::client::{Client, declare_durable_events};
use crate::support::deployment::Deployment;
use crate::support::load::{Load, assert_one_outcome_each};
use crate::support::names::Names;
use crate::support::servers::{PrivateServers, Server};
use crate::support::service::Service;
use crate::support::site::Site;
use crate::support::{Harness, Message, Received, eventually};

/// Carts that the light load consists of.
const CARTS: usize = 150;

/// Awaits the outcome of every cart, and demands that each holds what it asked for, once.
async fn outcomes(harness: &mut Harness, product: Uuid, carts: &[Message]) -> Vec<Received> {
    let mut events = Vec::new();
    for cart in carts {
        events.push(harness.next_outcome_of(cart).await);
    }
    harness.assert_level(product, 1000 - CARTS as u64, CARTS as u64).await;
    events
}

/// Starts a service while a server is away, and that server after it.
async fn start_before(servers: &PrivateServers, server: Server, site: &Site, name: &str) -> Service {
    servers.stop(server).await;
    let service = site.start_service().await;
    service.logged("waiting for").await;
    let (status, missing) = service.readyz().await;
    assert_eq!(status, 503);
    assert!(missing.contains(name), "{name} is not in {missing:?}");
    servers.start(server).await;
    service.ready().await;
    service
}

/// Stops a server under load, and starts it again.
async fn interrupt(servers: &PrivateServers, server: Server, service: &Service, load: &mut Load, name: &str) {
    load.confirmed(CARTS / 3).await;
    servers.stop(server).await;
    eventually("/readyz names what is missing", async || {
        let (status, missing) = service.readyz().await;
        status == 503 && missing.contains(name)
    })
    .await;
    servers.start(server).await;
    service.ready().await;
}

#[tokio::test]
async fn postgresql_goes_and_comes_back() {
    let servers = PrivateServers::new("outages-postgresql");
    servers.start(Server::PostgreSql).await;
    let site = Site::create(servers.with_shared_other(Server::PostgreSql), Names::unique()).await;
    let service = start_before(&servers, Server::PostgreSql, &site, "PostgreSQL").await;
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(1000).await;

    let mut load = Load::start(harness.site(), product, CARTS);
    interrupt(&servers, Server::PostgreSql, &harness.services()[0], &mut load, "PostgreSQL").await;
    let carts = load.end().await;
    let mut events = outcomes(&mut harness, product, &carts).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}
