//! Connections that are made again whenever they are lost.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::endpoint::{self, CertificateError};
use super::socket::Socket;
use super::topology::{self, TopologyError};
use crate::config::{AmqpSettings, Secret, SettingsError};
use crate::contract::APP_ID;
use crate::metrics::Metrics;

/// Starts what the client would start when it first drops a socket on a thread of its own: a runtime of one of its
/// libraries. In that moment there may be no descriptor left; it would panic, and again at the end of every connection.
pub fn prepare() {
    // On a thread that has no runtime, as the client's has none. That it fails now is no worse than that it fails then.
    let _ = std::thread::spawn(|| drop(async_compat::Compat::new(()))).join();
}

/// A session that lived so long was a good one: the next pause is short again.
const GOOD_SESSION: Duration = Duration::from_secs(10);

/// RabbitMQ could not be reached, or does not have what the service needs.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// RabbitMQ or the network said no.
    #[error("{0}")]
    Refused(#[from] lapin::Error),
    /// No answer in time.
    #[error("RabbitMQ did not answer within {0:?}")]
    TimedOut(Duration),
    /// The address makes no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A certificate is not there.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// An exchange or a queue is not as it must be.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

/// What a connection is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// It is not made.
    Down,
    /// RabbitMQ takes nothing that is published on it (memory or disk alarm).
    Blocked,
    /// It is in use.
    Up,
}

/// One supervised connection.
#[derive(Debug)]
pub struct Link {
    name: &'static str,
    url: Secret,
    /// How often it was tried: each time another node of a cluster.
    attempts: usize,
    settings: Arc<AmqpSettings>,
    metrics: Arc<Metrics>,
    state: watch::Sender<LinkState>,
    socket: Socket,
    pauses: ExponentialBackoff,
    connected_at: Option<Instant>,
    was_made: bool,
}

impl Link {
    /// A connection on which commands or queries are consumed. It is not made yet; `state` tells when it is.
    #[must_use]
    pub fn consuming(name: &'static str, settings: Arc<AmqpSettings>, metrics: Arc<Metrics>) -> Self {
        Self::new(name, settings.url.clone(), settings, metrics)
    }

    /// A connection on which events or replies are published: another user's, where `amqp.publish_url` says so.
    #[must_use]
    pub fn publishing(name: &'static str, settings: Arc<AmqpSettings>, metrics: Arc<Metrics>) -> Self {
        Self::new(name, settings.publishing_url().clone(), settings, metrics)
    }

    fn new(name: &'static str, url: Secret, settings: Arc<AmqpSettings>, metrics: Arc<Metrics>) -> Self {
        let (state, socket) = (watch::Sender::new(LinkState::Down), Socket::default());
        Self {
            name,
            url,
            attempts: 0,
            settings,
            metrics,
            state,
            socket,
            pauses: pauses(PAUSE_MIN),
            connected_at: None,
            was_made: false,
        }
    }

    /// What it is for.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &AmqpSettings {
        &self.settings
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Tells what the connection is good for.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.state.subscribe()
    }

    /// Connects, however long it takes. Nothing where the service stops before.
    pub async fn connect(&mut self, stop: &CancellationToken) -> Option<Connection> {
        if self.connected_at.is_some_and(|at| at.elapsed() > GOOD_SESSION) {
            self.pauses = pauses(PAUSE_MIN);
        }
        loop {
            if self.connected_at.is_some() {
                let pause = self.pauses.next().unwrap_or(PAUSE_MAX);
                stop.run_until_cancelled(tokio::time::sleep(pause)).await?;
            }
            self.connected_at = Some(Instant::now());
            match stop.run_until_cancelled(self.try_connect()).await? {
                Ok(connection) => {
                    if std::mem::replace(&mut self.was_made, true) {
                        self.metrics.reconnected(self.name);
                    }
                    return Some(connection);
                }
                Err(error) => {
                    self.socket.shut();
                    warn!(connection = self.name, %error, "waiting for RabbitMQ");
                }
            }
        }
    }

    /// Lets the next pause be hardly any: RabbitMQ is well, and others wait for this connection.
    pub(super) fn hurry(&mut self) {
        self.pauses = pauses(PAUSE_IN_A_HURRY);
    }

    async fn try_connect(&mut self) -> Result<Connection, ConnectError> {
        let limit = self.settings.connect_timeout();
        let properties =
            ConnectionProperties::default().with_connection_name(format!("{APP_ID} {}", self.name).into());
        let mut nodes = endpoint::parse("amqp.url", &self.url)?;
        let mut uri = nodes.swap_remove(self.attempts % nodes.len());
        self.attempts += 1;
        uri.query.heartbeat.get_or_insert(self.settings.heartbeat_seconds);
        let certificates = endpoint::certificates(&self.settings)?;
        let connecting = self.socket.connect(uri, properties, certificates, limit);
        let connection = timeout(limit, connecting).await.map_err(|_| ConnectError::TimedOut(limit))??;
        let limit = self.settings.timeout();
        let declaring = topology::ensure(&connection, &self.settings);
        timeout(limit, declaring).await.map_err(|_| ConnectError::TimedOut(limit))??;
        Ok(connection)
    }

    /// The connection is in use now.
    pub fn up(&self) {
        self.state.send_replace(LinkState::Up);
        info!(connection = self.name, "connected to RabbitMQ");
    }

    /// The connection is not good for anything any more.
    pub(super) fn lose(&self) {
        self.state.send_replace(LinkState::Down);
    }

    /// The connection is not in use any more. Closes it, as far as it still can be.
    pub async fn down(&self, connection: Connection) {
        self.lose();
        if connection.status().connected() {
            let closing = connection.close(200, "done".into());
            let limit = self.settings.timeout().min(Duration::from_secs(2));
            if let Ok(Ok(())) = timeout(limit, closing).await {
                // The client is about to end it, and would call it broken.
                return self.socket.leave();
            }
        }
        self.socket.shut();
    }

    /// Sees to it that what somebody deletes comes back.
    pub(super) fn keep_topology<'c>(
        &self,
        connection: &'c Connection,
    ) -> impl Future<Output = Infallible> + use<'c> {
        topology::keep(connection, Arc::clone(&self.settings))
    }

    /// Watches over a connection in use: says when RabbitMQ takes nothing on it, and ends when it is gone.
    pub(super) fn watch(&self, connection: &Connection) -> impl Future<Output = lapin::Error> + use<> {
        let (status, state, name) = (connection.status().clone(), self.state.clone(), self.name);
        async move {
            while status.connected() {
                let is_blocked = status.blocked();
                let next = if is_blocked { LinkState::Blocked } else { LinkState::Up };
                let is_news = |now: &LinkState| *now != LinkState::Down && *now != next;
                if state.send_if_modified(|now| is_news(now) && std::mem::replace(now, next) != next) {
                    warn!(
                        connection = name,
                        is_blocked, "RabbitMQ has a memory or disk alarm, or is over it"
                    );
                }
                tokio::time::sleep(GLANCE).await;
            }
            io::Error::from(io::ErrorKind::ConnectionAborted).into()
        }
    }
}

/// Waits until a connection is gone, and says so. By looking: whoever waits for work on a connection is told of
/// its end by nothing else.
pub(super) async fn lost(connection: &Connection) -> lapin::Error {
    while connection.status().connected() {
        tokio::time::sleep(GLANCE).await;
    }
    io::Error::from(io::ErrorKind::ConnectionAborted).into()
}

/// Awaits an operation on a connection, but no longer than the connection lives: the client does not always
/// answer what was asked in the moment in which it went.
pub(super) async fn on<T>(
    connection: &Connection,
    operation: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, lapin::Error> {
    tokio::select! {
        biased;
        result = operation => result,
        gone = lost(connection) => Err(gone),
        () = tokio::time::sleep(OPERATION_MAX) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}

/// Closes a channel that is done with, before its connection: the client would call it an error otherwise.
pub(super) async fn close(channel: &Channel) -> Result<(), lapin::Error> {
    if channel.status().connected() { channel.close(200, "done".into()).await } else { Ok(()) }
}

/// Pause between two looks at a connection.
pub(super) const GLANCE: Duration = Duration::from_millis(250);

/// Longest operation on a connection that lives: its channel may be gone without an answer, too.
const OPERATION_MAX: Duration = Duration::from_secs(30);

/// Longest pause between two attempts to connect; chance makes it up to twice as long.
const PAUSE_MAX: Duration = Duration::from_millis(1500);

/// The first pause after a connection is lost.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// The first pause where it is known why the connection was lost, and that the next one will do.
const PAUSE_IN_A_HURRY: Duration = Duration::from_millis(10);

fn pauses(min: Duration) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(min)
        .with_max_delay(PAUSE_MAX)
        .with_jitter()
        .without_max_times()
        .build()
}
