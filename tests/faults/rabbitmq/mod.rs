//! RabbitMQ refuses, forgets, stalls, cuts off, and goes away: nothing is lost, nothing is done twice, and work goes on by
//! itself.

mod alarms;
mod broker;
mod cluster;
mod deletions;
mod forced;
mod network;
mod refusals;
mod restarts;
mod rolling;
mod unwritable;

use lapin::Channel;
use lapin::options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};

use self::broker::Scene;

/// Deletes a queue, with all that is in it.
async fn delete_queue(channel: &Channel, queue: &str) {
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
}

/// Declares a durable queue with these arguments, for what an exchange routes by this key.
async fn declare(channel: &Channel, queue: &str, arguments: &[(&str, AMQPValue)], exchange: &str, key: &str) {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert((*name).into(), value.clone());
    }
    let options = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.into(), options, table).await.unwrap();
    assert!(bind(channel, queue, exchange, key).await);
}

/// Binds a queue; says whether both ends are there.
async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> bool {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default())
        .await
        .is_ok()
}
