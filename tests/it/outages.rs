//! Either server is away at the start, and again under light load: nothing lost, nothing twice, nothing
//! dead-lettered because of it.

use std::collections::HashMap;
use std::time::Duration;

use lapin::{Channel, Connection};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::client::{Client, declare_durable_events, publish, try_connect};
use crate::support::deployment::Deployment;
use crate::support::names::Names;
use crate::support::servers::{PrivateServers, Server};
use crate::support::service::Service;
use crate::support::site::Site;
use crate::support::{Harness, Message, Received, eventually, within};

/// Carts that the light load consists of.
const CARTS: usize = 150;

/// Pause between two carts.
const PACE: Duration = Duration::from_millis(10);

/// Pause before a sender tries again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Light load: a sender that repeats each command until the broker has confirmed it, as senders should.
struct Load {
    carts: Vec<Message>,
    confirmed: watch::Receiver<usize>,
    sender: JoinHandle<()>,
}

impl Load {
    fn start(site: &Site, product: Uuid) -> Self {
        let cart = |_| Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        let carts: Vec<Message> = (0..CARTS).map(cart).collect();
        let (count, confirmed) = watch::channel(0);
        let (url, names) = (site.servers.amqp_url.clone(), site.names.clone());
        let sender = tokio::spawn(send_all(url, names, carts.clone(), count));
        Self { carts, confirmed, sender }
    }

    async fn confirmed(&mut self, count: usize) {
        let confirmed = self.confirmed.wait_for(|confirmed| *confirmed >= count);
        within(&format!("{count} confirmed carts"), confirmed).await.unwrap();
    }

    /// Waits for its end; gives the carts.
    async fn end(mut self) -> Vec<Message> {
        self.confirmed(CARTS).await;
        self.sender.await.unwrap();
        self.carts
    }
}

async fn send_all(url: String, names: Names, carts: Vec<Message>, count: watch::Sender<usize>) {
    let mut open: Option<(Connection, Channel)> = None;
    for cart in carts {
        while !send(&mut open, &url, &names, &cart).await {
            open = None;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        count.send_modify(|count| *count += 1);
        tokio::time::sleep(PACE).await;
    }
}

async fn send(open: &mut Option<(Connection, Channel)>, url: &str, names: &Names, cart: &Message) -> bool {
    if open.is_none() {
        *open = try_connect(url).await.ok();
    }
    let Some((_, channel)) = open else { return false };
    match publish(channel, names, cart).await {
        Ok(confirm) => confirm.await.is_ok_and(|confirmation| confirmation.is_ack()),
        Err(_) => false,
    }
}

/// Demands exactly one outcome of each cart. It may be told more than once, always with the same words.
fn assert_one_outcome_each(events: &[Received], carts: &[Message]) {
    let mut outcomes: HashMap<String, &Received> = HashMap::new();
    for event in events {
        event.reservation();
        let first = outcomes.entry(event.causation_id().unwrap()).or_insert(event);
        assert_eq!((event.id(), &event.body), (first.id(), &first.body));
    }
    let unanswered = carts.iter().filter(|cart| !outcomes.contains_key(cart.id())).count();
    assert_eq!((unanswered, outcomes.len()), (0, carts.len()));
}

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

    let mut load = Load::start(harness.site(), product);
    interrupt(&servers, Server::PostgreSql, &harness.services()[0], &mut load, "PostgreSQL").await;
    let carts = load.end().await;
    let mut events = outcomes(&mut harness, product, &carts).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
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
