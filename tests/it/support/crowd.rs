//! Many senders at once.

use super::client::{connect, publish};
use super::names::Names;
use super::{Harness, Message};

/// Sends commands from many connections at once, each its share.
pub async fn send_from_many(harness: &Harness, senders: usize, commands: &[Message]) {
    let share = commands.len().div_ceil(senders);
    let (url, names) = (&harness.site().servers.amqp_url, &harness.site().names);
    let sending =
        commands.chunks(share).map(|share| tokio::spawn(send(url.clone(), names.clone(), share.to_vec())));
    for sender in sending.collect::<Vec<_>>() {
        sender.await.unwrap();
    }
}

async fn send(amqp_url: String, names: Names, commands: Vec<Message>) {
    let (_connection, channel) = connect(&amqp_url).await;
    let mut confirms = Vec::with_capacity(commands.len());
    for command in &commands {
        confirms.push(publish(&channel, &names, command).await.unwrap());
    }
    for confirm in confirms {
        confirm.await.unwrap();
    }
}
