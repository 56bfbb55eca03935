//! Exchanges, queues and bindings (contract section 2): declared, or looked for. Works unchanged on RabbitMQ
//! 3.10 to 4.x.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};
use tracing::warn;

use crate::config::AmqpSettings;
use crate::contract::MessageType;

/// A queue that is looked through by people may be looked through for ever. RabbitMQ 4 would drop a message
/// after 20 deliveries: <https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling>.
const DELIVERIES_WITHOUT_LIMIT: i32 = i32::MAX;

/// AMQP's reply code for what a user has no right to.
const ACCESS_REFUSED: u16 = 403;

/// AMQP's reply code for what is not there.
const NOT_FOUND: u16 = 404;

/// The topology is not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The channel or the connection failed.
    #[error(transparent)]
    Amqp(#[from] lapin::Error),
    /// An exchange or a queue is missing, or has other arguments.
    #[error("{kind} {name} ({way_out}): {error}")]
    Unfit {
        /// Exchange or queue.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What to do.
        way_out: &'static str,
        /// What RabbitMQ says.
        error: lapin::Error,
    },
}

impl TopologyError {
    /// RabbitMQ has no code of its own for it.
    fn is_of_a_node_that_is_down(&self) -> bool {
        matches!(self, Self::Unfit { error, .. } if is_protocol_error(error, NOT_FOUND)
            && error.to_string().contains("home node"))
    }
}

pub(super) struct Exchange<'a> {
    pub(super) name: &'a str,
    pub(super) kind: ExchangeKind,
    pub(super) arguments: FieldTable,
}

pub(super) struct Queue<'a> {
    pub(super) name: &'a str,
    pub(super) arguments: FieldTable,
    /// Keys under which the exchange of the same name routes to it.
    pub(super) keys: Vec<&'a str>,
}

/// Declares the topology, or, where `amqp.declare` is off, checks that it is there. A classic queue on a node of a cluster
/// that is down is waited for by whoever consumes it, and holds up nobody else.
pub(super) async fn ensure(connection: &Connection, settings: &AmqpSettings) -> Result<(), TopologyError> {
    let is_down = |error: &TopologyError| warn!(%error, "a classic queue is where its node is");
    go_through(connection, settings, settings.declare, is_down).await
}

async fn go_through(
    connection: &Connection,
    settings: &AmqpSettings,
    declare: bool,
    is_down: impl Fn(&TopologyError),
) -> Result<(), TopologyError> {
    let mut channel = connection.create_channel().await?;
    for exchange in exchanges(settings) {
        ensure_exchange(&channel, declare, exchange).await?;
    }
    for queue in queues(settings) {
        match ensure_queue(&channel, declare, queue).await {
            Err(error) if error.is_of_a_node_that_is_down() => {
                is_down(&error);
                channel = connection.create_channel().await?;
            }
            result => result?,
        }
    }
    Ok(channel.close(200, "done".into()).await?)
}

/// Pause between two looks at what is there.
const LOOK_PAUSE: Duration = Duration::from_secs(5);

/// Sees to it that exchanges and queues that somebody deletes come back, as long as the connection lives: none of the service's
/// breaks for want of those that only others send through, or RabbitMQ itself. Declares nothing unless something is missing.
pub(super) async fn keep(connection: &Connection, settings: Arc<AmqpSettings>) -> Infallible {
    let mut told = String::new();
    loop {
        tokio::time::sleep(LOOK_PAUSE).await;
        let looked = go_through(connection, &settings, false, |_| {}).await;
        let missing = match looked {
            Err(TopologyError::Unfit { kind, name, error, .. }) => format!("{kind} {name}: {error}"),
            Err(TopologyError::Amqp(_)) | Ok(()) => String::new(),
        };
        // Whoever else uses a connection that is gone says so.
        if missing.is_empty() || !connection.status().connected() {
            told.clear();
            continue;
        }
        if missing != told {
            warn!(error = missing, "somebody has deleted what the service works with");
            told = missing;
        }
        // What stands in the way is told by every connection that is made.
        if settings.declare {
            let _ = ensure(connection, &settings).await;
        }
    }
}

pub(super) fn exchanges(settings: &AmqpSettings) -> [Exchange<'_>; 5] {
    let direct = |name| Exchange { name, kind: ExchangeKind::Direct, arguments: FieldTable::default() };
    [
        direct(&settings.commands),
        direct(&settings.queries),
        direct(&settings.dead_letter),
        Exchange { name: &settings.unrouted, kind: ExchangeKind::Fanout, arguments: FieldTable::default() },
        Exchange {
            name: &settings.events,
            kind: ExchangeKind::Topic,
            arguments: table([("alternate-exchange", text(&settings.unrouted))]),
        },
    ]
}

pub(super) fn queues(settings: &AmqpSettings) -> [Queue<'_>; 4] {
    [
        Queue {
            name: &settings.dead_letter,
            arguments: table([
                ("x-queue-type", text("quorum")),
                ("x-delivery-limit", AMQPValue::LongInt(DELIVERIES_WITHOUT_LIMIT)),
            ]),
            keys: vec![&settings.dead_letter],
        },
        Queue {
            name: &settings.commands,
            arguments: table([
                ("x-queue-type", text("quorum")),
                ("x-delivery-limit", number(settings.delivery_limit)),
                ("x-dead-letter-exchange", text(&settings.dead_letter)),
                ("x-dead-letter-routing-key", text(&settings.dead_letter)),
                // Only with this overflow does a quorum queue dead-letter at least once.
                ("x-dead-letter-strategy", text("at-least-once")),
                ("x-overflow", text("reject-publish")),
            ]),
            keys: MessageType::COMMANDS.map(MessageType::routing_key).to_vec(),
        },
        Queue {
            name: &settings.queries,
            arguments: table([
                ("x-queue-type", text("classic")),
                ("x-message-ttl", number(settings.query_ttl_ms)),
            ]),
            keys: MessageType::QUERIES.map(MessageType::routing_key).to_vec(),
        },
        Queue {
            name: &settings.unrouted,
            arguments: table([
                ("x-queue-type", text("classic")),
                ("x-max-length", number(settings.unrouted_max_length)),
                ("x-overflow", text("drop-head")),
            ]),
            keys: vec![""],
        },
    ]
}

async fn ensure_exchange(
    channel: &Channel,
    declare: bool,
    exchange: Exchange<'_>,
) -> Result<(), TopologyError> {
    let options = ExchangeDeclareOptions { durable: true, passive: !declare, ..Default::default() };
    channel
        .exchange_declare(short(exchange.name), exchange.kind, options, exchange.arguments)
        .await
        .map_err(|error| explain("exchange", exchange.name, declare, error))
}

async fn ensure_queue(channel: &Channel, declare: bool, queue: Queue<'_>) -> Result<(), TopologyError> {
    let options = QueueDeclareOptions { durable: true, passive: !declare, ..Default::default() };
    channel
        .queue_declare(short(queue.name), options, queue.arguments)
        .await
        .map_err(|error| explain("queue", queue.name, declare, error))?;
    if declare {
        for key in queue.keys {
            let options = QueueBindOptions::default();
            channel
                .queue_bind(short(queue.name), short(queue.name), short(key), options, FieldTable::default())
                .await?;
        }
    }
    Ok(())
}

fn explain(kind: &'static str, name: &str, declare: bool, error: lapin::Error) -> TopologyError {
    let way_out = if declare && is_protocol_error(&error, ACCESS_REFUSED) {
        "this user may not declare: set amqp.declare = false once `inventory provision` has declared it"
    } else if declare {
        "if it exists with other arguments, delete it once it is empty, or set amqp.declare = false"
    } else {
        "amqp.declare is off, so it must be there already"
    };
    TopologyError::Unfit { kind, name: name.to_owned(), way_out, error }
}

fn is_protocol_error(error: &lapin::Error, code: u16) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error) if error.get_id() == code)
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(short(key), value);
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn number(value: u32) -> AMQPValue {
    AMQPValue::LongLongInt(value.into())
}

/// Names are at most 255 bytes: the settings are checked for it.
fn short(name: &str) -> ShortString {
    ShortString::try_new(name).unwrap_or_default()
}
