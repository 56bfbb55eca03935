//! Servers for what would harm other tests, and what happens on them.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

use crate::support::client::{Client, declare_durable_events};
use crate::support::deployment::Deployment;
use crate::support::load::{Load, assert_one_outcome_each};
use crate::support::names::Names;
use crate::support::sender::Sender;
use crate::support::servers::{PrivateServers, Server, Servers};
use crate::support::service::Service;
use crate::support::site::Site;
use crate::support::{Harness, Message, eventually};

/// Evaluated by RabbitMQ it closes all channels.
pub const KILL_CHANNELS: &str = "[exit(Channel, kill) || Channel <- rabbit_channel:list_local()].";

/// Units on hand: more than anybody asks for.
const ON_HAND: usize = 10_000;

/// Servers that tests share: the first one makes them, and the last one ends them.
pub struct Shared<T> {
    current: Mutex<Weak<Held<T>>>,
    made: AtomicUsize,
}

struct Held<T> {
    servers: T,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Shared servers, for one test at a time.
pub struct Turn<T: 'static> {
    held: Arc<Held<T>>,
    of: &'static Shared<T>,
    _only: OwnedMutexGuard<()>,
}

impl<T> Shared<T> {
    pub const fn new() -> Self {
        Self { current: Mutex::new(Weak::new()), made: AtomicUsize::new(0) }
    }

    fn current(&self) -> MutexGuard<'_, Weak<Held<T>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(&self, make: impl FnOnce(usize) -> T) -> Arc<Held<T>> {
        let mut current = self.current();
        current.upgrade().unwrap_or_else(|| {
            let servers = make(self.made.fetch_add(1, Ordering::Relaxed));
            let held = Arc::new(Held { servers, turn: Arc::default() });
            *current = Arc::downgrade(&held);
            held
        })
    }

    /// Waits for its turn. What is made is given a number.
    pub async fn take(&'static self, make: impl Fn(usize) -> T) -> Turn<T> {
        loop {
            let held = self.hold(&make);
            let turn = Arc::clone(&held.turn).lock_owned().await;
            // Who had them before may have left them for good.
            if std::ptr::eq(self.current().as_ptr(), Arc::as_ptr(&held)) {
                return Turn { held, of: self, _only: turn };
            }
        }
    }
}

impl<T> Deref for Turn<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held.servers
    }
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        // Nobody knows in which state they were left.
        if std::thread::panicking() {
            *self.of.current() = Weak::new();
        }
    }
}

/// Two, or most of the time that tests take would be that of waiting for their turn.
static BROKERS: [Shared<PrivateServers>; 2] = [Shared::new(), Shared::new()];

/// A RabbitMQ that runs.
pub async fn broker() -> Turn<PrivateServers> {
    static TURNS: AtomicUsize = AtomicUsize::new(0);
    let which = TURNS.fetch_add(1, Ordering::Relaxed) % BROKERS.len();
    let make = |number| PrivateServers::new(&format!("rabbitmq-{which}-{number}"));
    let broker = BROKERS[which].take(make).await;
    broker.start(Server::RabbitMq).await;
    broker
}

/// A service on shared servers. What it tells outlives every connection.
pub struct Scene<T: 'static = PrivateServers> {
    pub service: Service,
    pub site: Site,
    pub product: Uuid,
    events: String,
    // Dropped last: the others still have something to take away there.
    pub broker: Turn<T>,
}

impl Scene {
    /// On one RabbitMQ.
    pub async fn open(broker: Turn<PrivateServers>, settings: &[(&str, &str)]) -> Self {
        let servers = broker.with_shared_other(Server::RabbitMq);
        Self::on(servers, broker, settings).await
    }
}

impl<T> Scene<T> {
    /// With these servers.
    pub async fn on(servers: Servers, broker: Turn<T>, settings: &[(&str, &str)]) -> Self {
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

    /// Sends messages, each until the broker has confirmed it.
    pub async fn send(&self, messages: &[Message]) {
        Sender::new(&self.site.servers.amqp_url, &self.site.names).send(messages).await;
    }

    /// Waits until so many commands are decided.
    pub async fn until_decided(&self, commands: usize) {
        eventually("all is decided", async || self.decided().await == commands).await;
    }

    /// Waits until nothing is left in the outbox.
    pub async fn until_all_is_told(&self) {
        eventually("all of it is told", async || {
            self.site.database.number("SELECT count(*) FROM outbox").await == 0
        })
        .await;
    }

    /// How many commands are decided by now.
    pub async fn decided(&self) -> usize {
        let decided = self.site.database.number("SELECT count(*) FROM command_outcome").await;
        usize::try_from(decided).unwrap()
    }

    /// Waits until the service is ready and has caught up after a fault that is over now.
    pub async fn recovers(&self, load: &Load) {
        let (over, sent) = (Instant::now(), load.so_far());
        self.service.ready().await;
        eventually("all that was sent is decided", async || self.decided().await >= sent).await;
        took(over.elapsed());
    }

    /// Demands one outcome of each command, which may be told more than once, and what must hold at every end.
    pub async fn finish(self, commands: &[Message]) {
        // Boxed: everything that awaits it would be as large.
        Box::pin(self.demand_one_outcome_each(commands)).await;
    }

    async fn demand_one_outcome_each(self, commands: &[Message]) {
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
