//! One connection to the broker with all that hangs on it, and its replacement when it breaks.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::{
    Channel, Connection, ConnectionProperties, Consumer, ErrorKind, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
        QueueBindOptions, QueueDeclareOptions,
    },
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{FieldTable, ShortString},
    uri::AMQPUri,
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    ClientError, Settings,
    publisher::{Publication, publish_all},
    waiting::{Source, Waiting},
};

/// A pseudo-queue of the broker: what is sent to it reaches the channel that asked, without a queue being
/// declared.
pub const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";
const EVENT_KEYS: [&str; 2] = ["inventory.reserved", "inventory.unavailable"];
const EVENT_PREFETCH: u16 = 256;
/// Unless the URI says otherwise. The broker's own suggestion, a minute, notices a dead peer late.
const HEARTBEAT_SECONDS: u16 = 20;
const OPEN_WITHIN: Duration = Duration::from_secs(10);
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
const RECONNECT_AFTER: Duration = Duration::from_millis(200);
const RECONNECT_AFTER_AT_MOST: Duration = Duration::from_secs(5);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Amqp(#[from] lapin::Error),
    #[error("the broker cancelled a consumer")]
    Cancelled,
    #[error("the broker confirmed nothing for {} s", .0.as_secs())]
    NotConfirmed(Duration),
}

/// A connection, ready to ask and to hear the answers.
pub struct Session {
    connection: Connection,
    requests: Channel,
    replies: Consumer,
    events: Consumer,
}

impl Session {
    /// Subscribes before anything can be sent: an outcome that is published before its reader's queue is
    /// bound is missed.
    pub async fn open(settings: &Settings) -> Result<Self, ClientError> {
        timeout(OPEN_WITHIN, Self::set_up(settings)).await.map_err(|_| ClientError::ConnectTimeout {
            address: address(&settings.uri),
            within: OPEN_WITHIN,
        })?
    }

    async fn set_up(settings: &Settings) -> Result<Self, ClientError> {
        let connection = connect(settings).await?;
        check_exchanges(&connection, settings).await?;
        let events = subscribe_to_events(&connection, &settings.events_exchange).await?;
        let requests = connection.create_channel().await?;
        requests.confirm_select(ConfirmSelectOptions::default()).await?;
        // Direct replies come only to the channel which the question was published on.
        let replies = subscribe_to_replies(&requests).await?;
        Ok(Self { connection, requests, replies, events })
    }

    /// Sends and receives until the client is closed (`Ok`) or the connection is unusable.
    async fn run(
        &mut self,
        publications: &mut mpsc::Receiver<Publication>,
        waiting: &Waiting,
    ) -> Result<(), SessionError> {
        tokio::select! {
            ended = publish_all(&self.requests, publications) => ended,
            ended = receive(&mut self.replies, Source::Reply, waiting) => ended,
            ended = receive(&mut self.events, Source::Event, waiting) => ended,
        }
    }

    /// Takes leave of the broker, but does not wait for one that is gone.
    async fn close(self) {
        let closing = self.connection.close(200, "OK".into());
        if !matches!(timeout(CLOSE_WITHIN, closing).await, Ok(Ok(()))) {
            tracing::debug!("the connection was not closed in good order");
        }
    }
}

/// Keeps a session running, and opens a new one when it breaks.
///
/// lapin's own recovery is not used: a fresh connection with fresh channels is simpler to be sure of. The
/// queue of events went with the old connection, so events may have been missed; whoever waits for one sends
/// its command again with the same message id, and the service repeats the outcome.
pub async fn keep_connected(
    mut session: Session,
    settings: Settings,
    mut publications: mpsc::Receiver<Publication>,
    waiting: Waiting,
) {
    while let Err(error) = session.run(&mut publications, &waiting).await {
        tracing::warn!(%error, "the connection to RabbitMQ broke; connecting again");
        session.close().await;
        match reopen(&settings, &publications).await {
            Some(reopened) => session = reopened,
            None => return,
        }
    }
    session.close().await;
}

/// Tries until it works, ever more slowly; gives up only when the client is gone.
async fn reopen(settings: &Settings, publications: &mpsc::Receiver<Publication>) -> Option<Session> {
    let mut pause = RECONNECT_AFTER;
    while !publications.is_closed() {
        sleep(pause).await;
        match Session::open(settings).await {
            Ok(session) => return Some(session),
            Err(error) => tracing::warn!(%error, "not connected yet"),
        }
        pause = (pause * 2).min(RECONNECT_AFTER_AT_MOST);
    }
    None
}

async fn connect(settings: &Settings) -> Result<Connection, ClientError> {
    let name = format!("{} ({})", settings.app_id, std::process::id());
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let mut uri = settings.uri.clone();
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
    Connection::connect_uri(uri, properties)
        .await
        .map_err(|source| ClientError::Connect { address: address(&settings.uri), source })
}

/// The service owns its exchanges; a client only looks whether they are there.
async fn check_exchanges(connection: &Connection, settings: &Settings) -> Result<(), ClientError> {
    let exchanges = [
        (&settings.commands_exchange, ExchangeKind::Direct),
        (&settings.queries_exchange, ExchangeKind::Direct),
        (&settings.events_exchange, ExchangeKind::Topic),
    ];
    let channel = connection.create_channel().await?;
    for (exchange, kind) in exchanges {
        let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        channel
            .exchange_declare(exchange.clone(), kind, passive, FieldTable::default())
            .await
            .map_err(|error| missing_exchange(exchange, error))?;
    }
    channel.close(200, "OK".into()).await?;
    Ok(())
}

fn missing_exchange(exchange: &ShortString, error: lapin::Error) -> ClientError {
    let not_found = AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND);
    match error.kind() {
        ErrorKind::ProtocolError(problem) if *problem.kind() == not_found => {
            ClientError::NoExchange { exchange: exchange.to_string(), source: error }
        }
        _ => error.into(),
    }
}

/// Binds a queue of our own to the outcomes.
///
/// This one has a name made by the broker and goes with the connection, which suits a program that only cares
/// for the commands it has sent itself. A service that must hear of every event, also of those from while it
/// was down, declares a durable queue with a name instead.
async fn subscribe_to_events(
    connection: &Connection,
    exchange: &ShortString,
) -> Result<Consumer, ClientError> {
    let channel = connection.create_channel().await?;
    // Bounds what the broker sends ahead of our acknowledgements; has to stand before the consumer.
    channel.basic_qos(EVENT_PREFETCH, BasicQosOptions::default()).await?;
    let exclusive =
        QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), exclusive, FieldTable::default()).await?.name().clone();
    for key in EVENT_KEYS {
        let options = QueueBindOptions::default();
        channel
            .queue_bind(queue.clone(), exchange.clone(), key.into(), options, FieldTable::default())
            .await?;
    }
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default());
    Ok(consumer.await?)
}

/// Direct reply-to knows no acknowledgements.
async fn subscribe_to_replies(channel: &Channel) -> Result<Consumer, ClientError> {
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let queue = DIRECT_REPLY_TO.into();
    let consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default());
    Ok(consumer.await?)
}

async fn receive(consumer: &mut Consumer, source: Source, waiting: &Waiting) -> Result<(), SessionError> {
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        let acker = delivery.acker.clone();
        waiting.deliver(source, delivery);
        // Acknowledged when it has been dealt with, not before.
        if source == Source::Event {
            acker.ack(BasicAckOptions::default()).await?;
        }
    }
    Err(SessionError::Cancelled)
}

/// Where the broker is, without the password.
fn address(uri: &AMQPUri) -> String {
    let authority = &uri.authority;
    format!("{}:{} (virtual host `{}`)", authority.host, authority.port, uri.vhost)
}
