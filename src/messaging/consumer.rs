//! Consumes a queue: gathers what has arrived, has it handled, and settles every delivery.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Connection, ErrorKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::connection::{close, lost};
use super::dead_letter::dead_letter;
use super::properties::{short, take_message};
use super::{Link, Publication, Publisher};
use crate::batch::{Disposition, Settlement};
use crate::contract::{Message, Problem};
use crate::metrics::Metrics;

/// Pause before a message goes back to the queue that could not be handled.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Handles what a queue brings.
pub trait Work: Send + Sync {
    /// Handles messages; the settlements are in the same order.
    fn handle(&self, messages: &[Message]) -> impl Future<Output = Vec<Settlement>> + Send;
}

/// A consumer of one queue.
#[derive(Debug)]
pub struct Consumer<W> {
    /// The connection; its own.
    pub link: Link,
    /// The queue.
    pub queue: String,
    /// Unacknowledged messages at most.
    pub prefetch: u16,
    /// Messages handled at once at most.
    pub at_once: usize,
    /// Who handles them.
    pub work: W,
    /// Where dead letters go.
    pub dead_letters: Publisher,
    /// Where replies go.
    pub replies: Publisher,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl<W: Work> Consumer<W> {
    /// Consumes until `stop`; then works off what it was given already.
    pub async fn run(mut self, stop: CancellationToken) {
        // Whether a message that cannot be read may still be among those that come.
        let mut is_wary = false;
        while let Some(connection) = self.link.connect(&stop).await {
            let result = self.session(&connection, &mut is_wary, &stop).await;
            self.link.down(connection).await;
            if let Err(error) = result {
                warn!(connection = self.link.name(), %error, "consuming failed");
                is_wary |= matches!(error.kind(), ErrorKind::ParsingError(_));
            }
            if is_wary {
                self.link.hurry();
            }
        }
    }

    /// A message that the client cannot even read takes the connection with it, and a delivery counts against
    /// every message that was on its way. Taken one by one the others come through unharmed, and that one is
    /// soon over RabbitMQ's delivery limit.
    async fn session(
        &self,
        connection: &Connection,
        is_wary: &mut bool,
        stop: &CancellationToken,
    ) -> Result<(), lapin::Error> {
        if *is_wary {
            warn!(connection = self.link.name(), "a message cannot be read: taking them one by one");
            self.consume(connection, 1, Some(self.prefetch), stop).await?;
            *is_wary = false;
        }
        self.consume(connection, self.prefetch, None, stop).await
    }

    /// Consumes until `stop`, or so many messages.
    async fn consume(
        &self,
        connection: &Connection,
        prefetch: u16,
        limit: Option<u16>,
        stop: &CancellationToken,
    ) -> Result<(), lapin::Error> {
        let channel = connection.create_channel().await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let queue = short(&self.queue).unwrap_or_default();
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        self.link.up();
        let (inbox, arrived) = mpsc::channel(prefetch.into());
        let (read, settled) = tokio::join!(
            read(connection, &channel, consumer, inbox, limit, stop),
            self.work_off(&channel, arrived, stop)
        );
        read.and(settled)?;
        close(&channel).await
    }

    /// Batches form by themselves: what arrives while one is handled is the next.
    async fn work_off(
        &self,
        channel: &Channel,
        mut arrived: mpsc::Receiver<Delivery>,
        stop: &CancellationToken,
    ) -> Result<(), lapin::Error> {
        let mut given_back = JoinSet::new();
        let mut deliveries = Vec::with_capacity(self.at_once);
        while arrived.recv_many(&mut deliveries, self.at_once).await > 0 {
            // What a dead channel left behind comes again on the next.
            if !channel.status().connected() {
                deliveries.clear();
                continue;
            }
            let messages: Vec<Message> = deliveries.iter_mut().map(take_message).collect();
            let settlements = self.work.handle(&messages).await;
            let batch: Vec<_> = deliveries.drain(..).zip(messages).zip(settlements).collect();
            self.settle(batch, &mut given_back, stop).await?;
            while given_back.try_join_next().is_some() {}
        }
        Ok(())
    }

    async fn settle(
        &self,
        batch: Vec<((Delivery, Message), Settlement)>,
        given_back: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<(), lapin::Error> {
        let mut done: Vec<Acker> = Vec::with_capacity(batch.len());
        let mut replies = Vec::new();
        let mut dead = DeadLetters::default();
        // A multiple acknowledgement covers all tags below: none of them may still be open.
        let mut all_below_are_done = given_back.is_empty();
        for ((delivery, message), settlement) in batch {
            replies.extend(settlement.reply.map(Publication::reply));
            match settlement.disposition {
                Disposition::Acknowledge => done.push(delivery.acker),
                Disposition::DeadLetter(problem) => {
                    self.bury(delivery, &message, &problem, &mut dead);
                }
                Disposition::Retry => {
                    all_below_are_done = false;
                    if !stop.is_cancelled() {
                        given_back.spawn(give_back(delivery.acker));
                    }
                }
            }
        }
        if !replies.is_empty() {
            let count = replies.len();
            if !self.replies.try_publish(replies) {
                self.metrics.replies_dropped(count);
            }
        }
        let has_dead = !dead.originals.is_empty() || !dead.for_the_broker.is_empty();
        self.publish_dead(dead, &mut done).await?;
        acknowledge(done, all_below_are_done && !has_dead).await
    }

    fn bury(&self, delivery: Delivery, message: &Message, problem: &Problem, dead: &mut DeadLetters) {
        self.metrics.dead_letter(problem.code.name());
        let exchange = &self.link.settings().dead_letter;
        match dead_letter(exchange, message, &delivery.properties, problem) {
            Some(letter) => {
                dead.letters.push(letter);
                dead.originals.push(delivery.acker);
            }
            None => dead.for_the_broker.push(delivery.acker),
        }
    }

    /// A message is acknowledged only once it is safe among the dead letters.
    async fn publish_dead(&self, dead: DeadLetters, done: &mut Vec<Acker>) -> Result<(), lapin::Error> {
        for acker in dead.for_the_broker {
            acker.nack(BasicNackOptions { multiple: false, requeue: false }).await?;
        }
        if dead.letters.is_empty() {
            return Ok(());
        }
        match self.dead_letters.publish(dead.letters).await {
            Ok(()) => done.extend(dead.originals),
            Err(error) => warn!(%error, "dead letters stay in their queue"),
        }
        Ok(())
    }
}

/// What goes to the dead letters.
#[derive(Default)]
struct DeadLetters {
    letters: Vec<Publication>,
    /// The deliveries that `letters` were made of.
    originals: Vec<Acker>,
    /// Deliveries that only the broker itself can dead-letter.
    for_the_broker: Vec<Acker>,
}

/// Passes deliveries on until the consumer ends. On `stop`, or after so many, it asks for no more, and passes on
/// what it was given.
async fn read(
    connection: &Connection,
    channel: &Channel,
    mut consumer: lapin::Consumer,
    inbox: mpsc::Sender<Delivery>,
    mut limit: Option<u16>,
    stop: &CancellationToken,
) -> Result<(), lapin::Error> {
    let mut is_asking = true;
    loop {
        let wants_more = tokio::select! {
            biased;
            delivery = consumer.next() => {
                let Some(delivery) = delivery else { return Ok(()) };
                if inbox.send(delivery?).await.is_err() {
                    // The worker is gone only after an error of its own, which is the one to report.
                    return Ok(());
                }
                limit = limit.map(|left| left.saturating_sub(1));
                limit != Some(0)
            },
            () = stop.cancelled(), if is_asking => false,
            () = lost(connection) => return Err(io::Error::from(io::ErrorKind::ConnectionAborted).into()),
        };
        if is_asking && !wants_more {
            is_asking = false;
            channel.basic_cancel(consumer.tag(), BasicCancelOptions::default()).await?;
        }
    }
}

/// Puts a message back after a pause; a dead channel has done so already.
async fn give_back(acker: Acker) {
    tokio::time::sleep(RETRY_PAUSE).await;
    if let Err(error) = acker.nack(BasicNackOptions { multiple: false, requeue: true }).await {
        debug!(%error, "a message could not be given back: its channel has done so");
    }
}

/// Acknowledges with one frame where that cannot cover anything still open.
async fn acknowledge(done: Vec<Acker>, all_below_are_done: bool) -> Result<(), lapin::Error> {
    if all_below_are_done && let Some(last) = done.last() {
        last.ack(BasicAckOptions { multiple: true }).await?;
        return Ok(());
    }
    for acker in done {
        acker.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

impl Work for crate::batch::Handler {
    fn handle(&self, messages: &[Message]) -> impl Future<Output = Vec<Settlement>> + Send {
        self.handle(messages)
    }
}

impl Work for crate::query::Responder {
    fn handle(&self, messages: &[Message]) -> impl Future<Output = Vec<Settlement>> + Send {
        self.handle(messages)
    }
}
