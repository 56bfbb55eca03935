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
use lapin::options::{QueueBindOptions, QueueDeleteOptions};
use lapin::types::FieldTable;

use self::broker::Scene;

/// Deletes a queue, with all that is in it.
async fn delete_queue(channel: &Channel, queue: &str) {
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
}

/// Binds a queue; says whether both ends are there.
async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> bool {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default())
        .await
        .is_ok()
}
