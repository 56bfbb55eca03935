//! Puts the service together, runs it, and takes it apart in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::batch::{Bookkeeper, Expiry, Handler, KnownObstacles, Pressure, Resting, Searched, Standstill};
use crate::config::{Settings, SettingsError};
use crate::contract::ReplyToPolicy;
use crate::http::{self, Health};
use crate::messaging::{Consumer, Link, Outlets, Publisher};
use crate::metrics::Metrics;
use crate::outbox_relay::Relay;
use crate::query::Responder;
use crate::shutdown::Shutdown;
use crate::storage::{Database, StorageError, migrations};
use crate::{messaging, retention};

/// Commits whose events may wait for the relay; then the handler waits, and RabbitMQ with it.
const COMMITS_WAITING_MAX: usize = 16;

/// Pause between two looks at a database that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Why the service cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The schema, or rights that are missing.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The address for health and metrics.
    #[error("http.address {address} cannot be listened on: {error}")]
    Http {
        /// The setting.
        address: std::net::SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// Work in hand did not come to its end within the grace period, or before the second signal.
    #[error("stopped before all work in hand was finished; what was not acknowledged comes again")]
    GraceOver,
    /// A fault of this program. Without one of its parts it would look well and do nothing.
    #[error(
        "stopped because of a fault of this program, which the log tells; what was not acknowledged comes again"
    )]
    Fault,
}

/// Runs the service until it is told to stop.
pub async fn run(settings: Settings, shutdown: Shutdown) -> Result<(), ServiceError> {
    messaging::check(&settings.amqp)?;
    messaging::prepare();
    let database = Database::for_service(&settings.database)?;
    let address = settings.http.address;
    let listener = TcpListener::bind(address).await.map_err(|error| ServiceError::Http { address, error })?;
    let parts = Parts::new(settings, database, shutdown.clone());
    let serving = http::serve(listener, parts.health(), shutdown.hard.clone());
    // Nobody would see any more how the others are.
    let end = shutdown.soft.clone().drop_guard();
    let http = tokio::spawn(async move {
        let _end = end;
        serving.await
    });
    info!(%address, version = env!("CARGO_PKG_VERSION"), "inventory service starting");
    let result = parts.run().await;
    shutdown.hard.cancel();
    match tokio::time::timeout(PAUSE, http).await {
        Ok(Ok(Ok(()))) => result,
        Ok(ended) => {
            error!(?ended, "health and metrics ended early");
            result.and(Err(ServiceError::Fault))
        }
        Err(_) => {
            debug!("somebody was still reading health or metrics");
            result
        }
    }
}

/// Everything that the tasks share.
struct Parts {
    settings: Settings,
    database: Database,
    schema: Arc<AtomicBool>,
    standstill: Standstill,
    metrics: Arc<Metrics>,
    links: Links,
    shutdown: Shutdown,
}

/// The connections to RabbitMQ, named for what stalls when one of them does.
struct Links {
    commands: Link,
    queries: Link,
    events: Link,
    replies: Link,
    dead_letters: Link,
}

impl Links {
    fn new(settings: &Settings, metrics: &Arc<Metrics>) -> Self {
        let amqp = Arc::new(settings.amqp.clone());
        let consuming = |name| Link::consuming(name, Arc::clone(&amqp), Arc::clone(metrics));
        let publishing = |name| Link::publishing(name, Arc::clone(&amqp), Arc::clone(metrics));
        Self {
            commands: consuming("commands"),
            queries: consuming("queries"),
            events: publishing("events"),
            replies: publishing("replies"),
            dead_letters: publishing("dead letters"),
        }
    }

    /// Without which nothing goes on.
    fn vital(&self) -> [&Link; 4] {
        [&self.commands, &self.queries, &self.events, &self.replies]
    }
}

impl Parts {
    fn new(settings: Settings, database: Database, shutdown: Shutdown) -> Self {
        let metrics = Arc::new(Metrics::default());
        let links = Links::new(&settings, &metrics);
        let schema = Arc::new(AtomicBool::new(false));
        let standstill = Standstill::default();
        Self { settings, database, schema, standstill, metrics, links, shutdown }
    }

    fn health(&self) -> Health {
        Health {
            database: self.database.clone(),
            schema: Arc::clone(&self.schema),
            standstill: self.standstill.clone(),
            links: self.links.vital().map(|link| (link.name(), link.state())).to_vec(),
            stop: self.shutdown.soft.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }

    async fn run(self) -> Result<(), ServiceError> {
        let Some(prepared) = self.shutdown.soft.run_until_cancelled(self.prepare_schema()).await else {
            return Ok(());
        };
        prepared?;
        let (database, Shutdown { soft, hard }) = (self.database.clone(), self.shutdown.clone());
        let mut tasks = self.spawn();
        let mut has_fault = false;
        let finished = hard.run_until_cancelled(async {
            while let Some(task) = tasks.join_next().await {
                if let Err(error) = task {
                    error!(%error, "a task ended with a fault: stopping");
                    has_fault = true;
                    soft.cancel();
                }
            }
        });
        let is_finished = finished.await.is_some();
        if has_fault {
            return Err(ServiceError::Fault);
        }
        if !is_finished {
            return Err(ServiceError::GraceOver);
        }
        database.close().await;
        info!("stopped: what was in hand is finished, or comes again");
        Ok(())
    }

    /// Waits for the database, and brings its schema up to date or checks it.
    async fn prepare_schema(&self) -> Result<(), ServiceError> {
        let database = Database::for_operator(&self.settings.database)?;
        loop {
            // Where nothing is missing, nothing takes longer than a deadline.
            let prepared = match migrations::missing(&self.database).await {
                Ok(Some(_)) if self.settings.database.migrate => migrations::apply(&database).await,
                missing => missing.and_then(migrations::complete),
            };
            match prepared {
                // At the start it is a wrong setting.
                Err(error @ StorageError::Unusable) => return Err(error.into()),
                Err(error)
                    if error.is_away()
                        || error.is_lost_race()
                        || matches!(error, StorageError::TooSlow(_)) =>
                {
                    warn!(%error, "waiting for the database");
                    tokio::time::sleep(PAUSE).await;
                }
                prepared => {
                    prepared?;
                    break;
                }
            }
        }
        database.close().await;
        self.schema.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Starts all tasks. Each ends when `soft` says so and it has nothing in hand any more; the relay and the
    /// publishers after those who feed them.
    fn spawn(self) -> JoinSet<()> {
        let Self { settings, database, standstill, metrics, links, shutdown, .. } = self;
        let Shutdown { soft, .. } = shutdown;
        let mut tasks = JoinSet::new();
        let link = links.events.state();
        let (events, publishing_events) = Publisher::of_events(links.events);
        let (replies, publishing_replies) = Publisher::of_replies(links.replies);
        let (dead_letters, publishing_dead_letters) = Publisher::of_dead_letters(links.dead_letters);
        for publishing in [publishing_events, publishing_replies, publishing_dead_letters] {
            tasks.spawn(publishing.run(soft.clone()));
        }

        let in_order = Arc::new(Notify::new());
        let relay = Relay {
            database: database.clone(),
            publisher: events,
            exchange: settings.amqp.events.clone(),
            settings: settings.outbox,
            in_order: Arc::clone(&in_order),
            link,
            metrics: Arc::clone(&metrics),
        };
        let (to_relay, commits) = mpsc::channel(COMMITS_WAITING_MAX);
        tasks.spawn(relay.clone().relay(commits, soft.clone()));
        tasks.spawn(relay.clone().relay_in_order(soft.clone()));
        tasks.spawn(relay.clone().measure(soft.clone()));
        tasks.spawn(relay.sweep(soft.clone()));
        tasks.spawn(retention::run(database.clone(), settings.retention.clone(), soft.clone()));

        let bookkeeper = Bookkeeper {
            database: database.clone(),
            lease_seconds: settings.outbox.lease_seconds,
            relay: to_relay,
            metrics: Arc::clone(&metrics),
            searched: Searched::default(),
        };
        let (expiry, batch) = (settings.expiry, settings.batch);
        let expiry = Expiry { bookkeeper: bookkeeper.clone(), settings: expiry, batch };
        tasks.spawn(expiry.run(soft.clone()));
        let workshop = Workshop {
            settings: &settings,
            database,
            standstill,
            metrics,
            dead_letters,
            replies,
            pressure: Pressure::default(),
            soft: soft.clone(),
        };
        tasks.spawn(workshop.commands(links.commands, bookkeeper).run(soft.clone()));
        tasks.spawn(workshop.queries(links.queries).run(soft));
        tasks
    }
}

/// What both consumers are made of.
struct Workshop<'a> {
    settings: &'a Settings,
    database: Database,
    standstill: Standstill,
    metrics: Arc<Metrics>,
    dead_letters: Publisher,
    replies: Publisher,
    pressure: Pressure,
    soft: CancellationToken,
}

impl Workshop<'_> {
    fn commands(&self, link: Link, bookkeeper: Bookkeeper) -> Consumer<Handler> {
        let Settings { amqp, batch, expiry, limits, .. } = self.settings;
        let handler = Handler {
            bookkeeper,
            limits: *limits,
            reply_to: self.reply_to(),
            batch: *batch,
            default_hold_seconds: expiry.default_hold(),
            metrics: Arc::clone(&self.metrics),
            stop: self.soft.clone(),
            obstacles: KnownObstacles::default(),
            resting: Resting::default(),
            standstill: self.standstill.clone(),
            pressure: self.pressure.clone(),
        };
        let consumer = self.consumer(link, amqp.commands.clone(), amqp.commands_prefetch, handler);
        Consumer { has_delivery_limit: true, ..consumer }
    }

    fn queries(&self, link: Link) -> Consumer<Responder> {
        let Settings { amqp, limits, .. } = self.settings;
        let responder = Responder {
            database: self.database.clone(),
            limits: *limits,
            reply_to: self.reply_to(),
            metrics: Arc::clone(&self.metrics),
            stop: self.soft.clone(),
            pressure: self.pressure.clone(),
        };
        self.consumer(link, amqp.queries.clone(), amqp.queries_prefetch, responder)
    }

    fn reply_to(&self) -> ReplyToPolicy {
        let amqp = &self.settings.amqp;
        ReplyToPolicy::new(amqp.reply_to_allow.clone(), amqp.own_queues())
    }

    fn consumer<W: messaging::Work>(&self, link: Link, queue: String, prefetch: u16, work: W) -> Consumer<W> {
        Consumer {
            link,
            queue,
            prefetch,
            has_delivery_limit: false,
            work,
            outlets: Outlets {
                dead_letters: self.dead_letters.clone(),
                dead_letter_exchange: self.settings.amqp.dead_letter.clone(),
                replies: self.replies.clone(),
                metrics: Arc::clone(&self.metrics),
            },
        }
    }
}
