//! RabbitMQ is away at the start, and again under light load: nothing lost, nothing twice, nothing dead-lettered because
//! of it.

use uuid::Uuid;

use crate::support::Harness;
use crate::support::client::{Client, declare_durable_events};
use crate::support::deployment::Deployment;
use crate::support::names::Names;
use crate::support::outage::{CARTS, Load, assert_one_outcome_each, outcomes, start_before, until_missing};
use crate::support::servers::{PrivateServers, Server};
use crate::support::service::Service;
use crate::support::site::Site;

/// Stops a server under load, and starts it again.
async fn interrupt(servers: &PrivateServers, server: Server, service: &Service, load: &mut Load, name: &str) {
    load.confirmed(CARTS / 3).await;
    servers.stop(server).await;
    until_missing(service, name).await;
    servers.start(server).await;
    service.ready().await;
}

#[tokio::test]
async fn rabbitmq_goes_and_comes_back() {
    let servers = PrivateServers::new("outages-rabbitmq");
    servers.start(Server::RabbitMq).await;
    let site = Site::create(servers.with_shared_other(Server::RabbitMq), Names::unique()).await;
    let service = start_before(&servers, Server::RabbitMq, &site, "RabbitMQ").await;
    // Events must outlive the broker to be counted.
    declare_durable_events(&site.servers.amqp_url, &site.names, "it-events").await;
    let product = Uuid::new_v4();
    let counted = site.inventory(&["stock", "set", &product.to_string(), "1000"]).await;
    assert_eq!(counted.code, Some(0), "{counted:?}");

    let mut load = Load::start(&site, product);
    interrupt(&servers, Server::RabbitMq, &service, &mut load, "RabbitMQ").await;
    let carts = load.end().await;
    let client = Client::connect_to_durable_events(&site.servers.amqp_url, &site.names, "it-events").await;
    let mut harness = Harness::with(client, Deployment { services: vec![service], site });
    let mut events = outcomes(&mut harness, product, &carts).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}
