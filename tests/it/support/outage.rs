//! A server is away while there is light load.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use lapin::{Channel, Connection};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::client::{publish, try_connect};
use super::names::Names;
use super::servers::{PrivateServers, Server};
use super::service::Service;
use super::site::Site;
use super::{Harness, Message, Received, eventually, within};

/// Carts that it consists of.
pub const CARTS: usize = 150;

/// Pause between two carts.
const PACE: Duration = Duration::from_millis(10);

/// Pause before a sender tries again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Light load: a sender that repeats each command until the broker has confirmed it, as senders should.
#[derive(Debug)]
pub struct Load {
    carts: Vec<Message>,
    confirmed: watch::Receiver<usize>,
    sender: JoinHandle<()>,
}

impl Load {
    /// Carts that take a unit each.
    pub fn start(site: &Site, product: Uuid) -> Self {
        let cart = |_| Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        let carts: Vec<Message> = (0..CARTS).map(cart).collect();
        let (count, confirmed) = watch::channel(0);
        let (url, names) = (site.servers.amqp_url.clone(), site.names.clone());
        let sender = tokio::spawn(send_all(url, names, carts.clone(), count));
        Self { carts, confirmed, sender }
    }

    /// Waits until so many carts are sent.
    pub async fn confirmed(&mut self, count: usize) {
        let confirmed = self.confirmed.wait_for(|confirmed| *confirmed >= count);
        within(&format!("{count} confirmed carts"), confirmed).await.unwrap();
    }

    /// Waits for its end; gives the carts.
    pub async fn end(mut self) -> Vec<Message> {
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
pub fn assert_one_outcome_each(events: &[Received], carts: &[Message]) {
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
pub async fn outcomes(harness: &mut Harness, product: Uuid, carts: &[Message]) -> Vec<Received> {
    let mut events = Vec::new();
    for cart in carts {
        events.push(harness.next_outcome_of(cart).await);
    }
    harness.assert_level(product, 1000 - CARTS as u64, CARTS as u64).await;
    events
}

/// Starts a service while a server is away, and that server after it.
pub async fn start_before(servers: &PrivateServers, server: Server, site: &Site, name: &str) -> Service {
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

/// Waits until `/readyz` names what is missing.
pub async fn until_missing(service: &Service, name: &str) {
    eventually(&format!("/readyz names {name}"), async || {
        let (status, missing) = service.readyz().await;
        status == 503 && missing.contains(name)
    })
    .await;
}

/// Work goes on by itself so soon after the end of a fault.
const RECOVERY_MAX: Duration = Duration::from_secs(10);

/// Waits until the service is ready once a fault has ended, which must be soon.
pub async fn ready_again(service: &Service) {
    let ended = Instant::now();
    service.ready().await;
    let took = ended.elapsed();
    eprintln!("ready again after {took:?}");
    assert!(took < RECOVERY_MAX, "{took:?}");
}
