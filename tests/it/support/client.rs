//! A plain AMQP client, with nothing of the service's own in it.

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Confirmation, Connection, ConnectionProperties};
use uuid::Uuid;

use super::conformance::{assert_is_event, assert_is_reply};
use super::inbox::Inbox;
use super::message::{Message, Queue};
use super::names::Names;
use super::received::Received;
use super::{eventually_some, within};

/// The keys of what reserves came to.
const OUTCOMES: [&str; 2] = ["inventory.reserved", "inventory.unavailable"];

/// The keys of what has become of holds.
const MOVEMENTS: [&str; 2] = ["inventory.released", "inventory.consumed"];

/// The keys of what has become of stock.
const STOCK: [&str; 1] = ["stock.#"];

/// A client that sends, and reads events, replies and dead letters.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    pub channel: Channel,
    pub names: Names,
    /// What reserves came to.
    pub events: Inbox,
    /// What has become of holds: `InventoryReleased` and `InventoryConsumed`.
    pub movements: Inbox,
    /// `StockDepleted` and `StockReplenished`.
    pub stock: Inbox,
    /// Answers to what names this queue in `reply_to`.
    pub replies: Inbox,
}

impl Client {
    /// Connects to a broker where the service has declared its topology.
    pub async fn connect(amqp_url: &str, names: &Names) -> Self {
        let (connection, channel) = connect(amqp_url).await;
        let outcomes = temporary_subscription(&channel, names, &OUTCOMES).await;
        Self::of(connection, channel, names, &outcomes).await
    }

    /// Connects, and reads what reserves came to from a queue that was declared by `declare_durable_events`.
    pub async fn connect_to_durable_events(amqp_url: &str, names: &Names, queue: &str) -> Self {
        let (connection, channel) = connect(amqp_url).await;
        Self::of(connection, channel, names, queue).await
    }

    async fn of(connection: Connection, channel: Channel, names: &Names, outcomes: &str) -> Self {
        let movements = temporary_subscription(&channel, names, &MOVEMENTS).await;
        let stock = temporary_subscription(&channel, names, &STOCK).await;
        let replies = temporary_queue(&channel).await;
        Self {
            events: Inbox::open(&channel, outcomes, assert_is_event).await,
            movements: Inbox::open(&channel, &movements, assert_is_event).await,
            stock: Inbox::open(&channel, &stock, assert_is_event).await,
            replies: Inbox::open(&channel, &replies, assert_is_reply).await,
            connection,
            channel,
            names: names.clone(),
        }
    }

    /// Another channel: RabbitMQ closes the one on which something went wrong.
    pub async fn another_channel(&self) -> Channel {
        self.connection.create_channel().await.unwrap()
    }

    /// A queue of the test's own, for events with these keys.
    pub async fn subscribed_to(&self, keys: &[&str]) -> Inbox {
        let queue = temporary_subscription(&self.channel, &self.names, keys).await;
        Inbox::open(&self.channel, &queue, assert_is_event).await
    }

    /// A queue of the test's own, for replies.
    pub async fn reply_queue(&self) -> Inbox {
        let queue = temporary_queue(&self.channel).await;
        Inbox::open(&self.channel, &queue, assert_is_reply).await
    }

    /// Sends a message; returns once the broker has it in a queue.
    pub async fn send(&self, message: &Message) {
        self.send_all(std::slice::from_ref(message)).await;
    }

    /// Sends messages in one burst.
    pub async fn send_all(&self, messages: &[Message]) {
        let mut confirms = Vec::with_capacity(messages.len());
        for message in messages {
            confirms.push(publish(&self.channel, &self.names, message).await.unwrap());
        }
        for (message, confirm) in messages.iter().zip(confirms) {
            let what = format!("the broker's confirm of {}", message.describe());
            let confirmation = within(&what, confirm).await.unwrap();
            assert!(matches!(confirmation, Confirmation::Ack(None)), "{what}: {confirmation:?}");
        }
    }

    /// Takes a message out of a queue, as soon as there is one.
    pub async fn get(&self, queue: &str, awaited: &str) -> Received {
        eventually_some(awaited, async || self.try_get(queue).await).await
    }

    /// Takes a message out of a queue, where there is one.
    pub async fn try_get(&self, queue: &str) -> Option<Received> {
        let options = BasicGetOptions { no_ack: true };
        let message = self.channel.basic_get(queue.into(), options).await.unwrap();
        message.map(|message| Received::from(message.delivery))
    }

    /// Messages that wait in a queue.
    pub async fn depth(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let declared = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        declared.unwrap_or_else(|error| panic!("{queue}: {error}")).message_count()
    }
}

/// Declares a queue for what reserves come to that outlives this connection, and the broker.
pub async fn declare_durable_events(amqp_url: &str, names: &Names, queue: &str) {
    declare_durable(amqp_url, names, queue, &OUTCOMES).await;
}

/// The same for events with these keys; without any, for replies.
pub async fn declare_durable(amqp_url: &str, names: &Names, queue: &str, keys: &[&str]) {
    let (_connection, channel) = connect(amqp_url).await;
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
    subscribe(&channel, queue, names, keys).await;
}

/// A connection, and a channel that confirms.
pub async fn connect(amqp_url: &str) -> (Connection, Channel) {
    try_connect(amqp_url).await.expect("RabbitMQ")
}

/// The same, where RabbitMQ may be away.
pub async fn try_connect(amqp_url: &str) -> lapin::Result<(Connection, Channel)> {
    let connection = Connection::connect(amqp_url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok((connection, channel))
}

/// Hands a message to the broker.
pub async fn publish(
    channel: &Channel,
    names: &Names,
    message: &Message,
) -> lapin::Result<lapin::PublisherConfirm> {
    let name = match message.queue {
        Queue::Commands => &names.commands,
        Queue::Queries => &names.queries,
    };
    let (exchange, key) =
        if message.is_straight { ("", name.as_str()) } else { (name.as_str(), message.routing_key.as_str()) };
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    channel.basic_publish(exchange.into(), key.into(), options, &message.body, message.to_properties()).await
}

/// A queue with a name of its own that goes with the connection.
async fn temporary_queue(channel: &Channel) -> String {
    let name = format!("it-{}", Uuid::new_v4());
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await.unwrap();
    name
}

/// The same, for events with these keys.
async fn temporary_subscription(channel: &Channel, names: &Names, keys: &[&str]) -> String {
    let queue = temporary_queue(channel).await;
    subscribe(channel, &queue, names, keys).await;
    queue
}

async fn subscribe(channel: &Channel, queue: &str, names: &Names, keys: &[&str]) {
    for key in keys {
        let (exchange, options) = (names.events.as_str(), QueueBindOptions::default());
        channel
            .queue_bind(queue.into(), exchange.into(), (*key).into(), options, FieldTable::default())
            .await
            .unwrap();
    }
}
