//! Connections, and what is looked after in RabbitMQ between the turns.

use lapin::options::{QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties};

use super::command::{COMMANDS, QUERIES};
use crate::failure::Failure;

/// The subscriber's queue.
pub const OUTCOMES: &str = "bench.outcomes";

/// Connects.
pub async fn connect(url: &str) -> Result<Connection, Failure> {
    Ok(Connection::connect(url, ConnectionProperties::default()).await?)
}

/// Arguments of a quorum queue.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}

/// Looks after the queues.
#[derive(Debug)]
pub struct Broker {
    _connection: Connection,
    channel: Channel,
}

impl Broker {
    /// Connects, and makes the queue of outcomes: not every turn has a subscriber.
    pub async fn open(url: &str) -> Result<Self, Failure> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(OUTCOMES.into(), durable, quorum()).await?;
        Ok(Self { _connection: connection, channel })
    }

    /// Fails where something is left that should have been handled, or was refused.
    pub async fn check_clean(&self) -> Result<(), Failure> {
        for queue in [COMMANDS, QUERIES, "inventory.dead-letter"] {
            let left = self.ready(queue).await?;
            if left > 0 {
                return Err(Failure::Wrong(format!("{left} messages are left in {queue}")));
            }
        }
        // Events of stock that nobody here subscribes to; and events that came twice, which is allowed.
        for queue in ["inventory.unrouted", OUTCOMES] {
            self.channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?;
        }
        Ok(())
    }

    async fn ready(&self, queue: &str) -> Result<u32, Failure> {
        let look = QueueDeclareOptions { passive: true, ..Default::default() };
        let queue = self.channel.queue_declare(queue.into(), look, FieldTable::default()).await?;
        Ok(queue.message_count())
    }
}
