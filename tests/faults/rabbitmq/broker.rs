//! A RabbitMQ for what would harm other tests, and what happens on it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::support::client::{Client, declare_durable_events};
use crate::support::deployment::Deployment;
use crate::support::load::{Load, assert_one_outcome_each};
use crate::support::names::Names;
use crate::support::servers::{PrivateServers, Server};
use crate::support::service::Service;
use crate::support::site::Site;
use crate::support::{Harness, Message};

/// Units on hand: more than anybody asks for.
const ON_HAND: usize = 10_000;

/// Carts in which a service shows that it is at work again.
const SOME: usize = 20;

/// What the tests share: one starts it, and the last one ends it.
struct Shared {
    servers: PrivateServers,
    turn: Arc<tokio::sync::Mutex<()>>,
}

static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
static STARTED: AtomicUsize = AtomicUsize::new(0);

fn shared() -> Arc<Shared> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let name = format!("rabbitmq-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let new = Arc::new(Shared { servers: PrivateServers::new(&name), turn: Arc::default() });
        *shared = Arc::downgrade(&new);
        new
    })
}

/// That RabbitMQ, for one test at a time.
pub struct Broker {
    shared: Arc<Shared>,
    _turn: OwnedMutexGuard<()>,
}

impl Broker {
    pub async fn take() -> Self {
        let shared = shared();
        let turn = Arc::clone(&shared.turn).lock_owned().await;
        shared.servers.start(Server::RabbitMq).await;
        Self { shared, _turn: turn }
    }

    pub fn servers(&self) -> &PrivateServers {
        &self.shared.servers
    }

    /// Runs `rabbitmqctl`.
    pub async fn ctl(&self, arguments: &[&str]) {
        self.servers().rabbitmqctl(arguments).await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Nobody knows in which state it was left.
        if std::thread::panicking() {
            *SHARED.lock().unwrap_or_else(PoisonError::into_inner) = Weak::new();
        }
    }
}

/// A service on that RabbitMQ. What it tells outlives every connection.
pub struct Scene {
    pub service: Service,
    pub site: Site,
    pub product: Uuid,
    events: String,
    // Dropped last: the others still have something to take away there.
    pub broker: Broker,
}

impl Scene {
    pub async fn open(broker: Broker, settings: &[(&str, &str)]) -> Self {
        let servers = broker.servers().with_shared_other(Server::RabbitMq);
        let mut site = Site::create(servers, Names::unique()).await;
        site.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let service = site.start_service().await;
        service.ready().await;
        let (product, events) = (Uuid::new_v4(), format!("it-{}", Uuid::new_v4()));
        declare_durable_events(&site.servers.amqp_url, &site.names, &events).await;
        site.count(&[(product, ON_HAND as u64)]).await;
        Self { service, site, product, events, broker }
    }

    /// Light load.
    pub fn load(&self, carts: usize) -> Load {
        Load::start(&self.site, self.product, carts)
    }

    /// Waits until the service is ready and at work after a fault that is over now.
    pub async fn recovers(&self, load: &mut Load) {
        let over = Instant::now();
        self.service.ready().await;
        load.goes_on(SOME).await;
        took(over.elapsed());
    }

    /// Demands one outcome of each command, which may be told more than once, and what must hold at every end.
    pub async fn finish(self, commands: &[Message]) {
        let Self { service, site, product, events, broker } = self;
        let client = Client::connect_to_durable_events(&site.servers.amqp_url, &site.names, &events).await;
        let mut harness = Harness::with(client, Deployment { services: vec![service], site });
        let mut told = Vec::new();
        for command in commands {
            told.push(harness.next_outcome_of(command).await);
        }
        harness.assert_level(product, (ON_HAND - commands.len()) as u64, commands.len() as u64).await;
        told.extend(harness.finish_after_an_outage().await);
        assert_one_outcome_each(&told, commands);
        drop(broker);
    }
}

/// Says how long a recovery took.
pub fn took(time: Duration) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    eprintln!("{test}: at work again after {} ms", time.as_millis());
}
