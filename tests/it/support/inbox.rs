//! A queue that a test reads.

use std::collections::VecDeque;

use futures_util::StreamExt;
use lapin::Channel;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::FieldTable;
use uuid::Uuid;

use super::received::Received;
use super::{PATIENCE, within};

/// What arrives in a queue, in its order. Everything is looked over as it is taken out.
#[derive(Debug)]
pub struct Inbox {
    pub queue: String,
    channel: Channel,
    consumer: lapin::Consumer,
    /// Arrived, while something else was awaited.
    waiting: VecDeque<Received>,
    look_over: fn(&Received),
}

impl Inbox {
    /// Begins to consume.
    pub async fn open(channel: &Channel, queue: &str, look_over: fn(&Received)) -> Self {
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer =
            channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await.unwrap();
        let channel = channel.clone();
        Self { queue: queue.to_owned(), channel, consumer, waiting: VecDeque::new(), look_over }
    }

    /// The next message, whatever it is.
    pub async fn next(&mut self, awaited: &str) -> Received {
        self.next_that(awaited, |_| true).await
    }

    /// So many messages, in the order of their arrival.
    pub async fn take(&mut self, count: usize, awaited: &str) -> Vec<Received> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            taken.push(self.next(&format!("{awaited}, {} of {count}", taken.len() + 1)).await);
        }
        taken
    }

    /// The next message that a command caused.
    pub async fn next_caused_by(&mut self, message_id: &str, awaited: &str) -> Received {
        self.next_that(awaited, |message| message.causation_id().as_deref() == Some(message_id)).await
    }

    /// The next message that is the right one. Others stay, for whoever awaits them.
    pub async fn next_that(&mut self, awaited: &str, is_right: impl Fn(&Received) -> bool) -> Received {
        if let Some(message) =
            self.waiting.iter().position(&is_right).and_then(|position| self.waiting.remove(position))
        {
            return message;
        }
        loop {
            let Ok(delivered) = tokio::time::timeout(PATIENCE, self.consumer.next()).await else {
                panic!("awaited {awaited} in vain. Arrived instead: {:#?}", self.waiting);
            };
            let message = self.received(delivered);
            if is_right(&message) {
                return message;
            }
            self.waiting.push_back(message);
        }
    }

    /// All that is in the queue now, and was not awaited by anybody.
    pub async fn rest(&mut self) -> Vec<Received> {
        let rest = self.raw_rest().await;
        rest.iter().for_each(self.look_over);
        rest
    }

    /// The same, where what arrives is not from the service.
    pub async fn raw_rest(&mut self) -> Vec<Received> {
        let fence = Uuid::new_v4().to_string();
        let properties = lapin::BasicProperties::default().with_message_id(fence.as_str().into());
        let queue = self.queue.as_str().into();
        let options = BasicPublishOptions::default();
        let sent = self.channel.basic_publish("".into(), queue, options, &[], properties).await.unwrap();
        sent.await.unwrap();
        loop {
            let delivered = within("the fence behind the last message", self.consumer.next()).await;
            let delivery = delivered.expect("the queue is there").expect("the connection is there");
            let id = delivery.properties.message_id().as_ref().map(ToString::to_string);
            if id.as_deref() == Some(&fence) {
                return self.waiting.drain(..).collect();
            }
            self.waiting.push_back(delivery.into());
        }
    }

    fn received(&self, delivered: Option<lapin::Result<lapin::message::Delivery>>) -> Received {
        let delivery = delivered.unwrap_or_else(|| panic!("{} was deleted", self.queue));
        let message = Received::from(delivery.unwrap_or_else(|error| panic!("{}: {error}", self.queue)));
        (self.look_over)(&message);
        message
    }
}
