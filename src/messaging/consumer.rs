//! Consumes a queue: gathers what has arrived, has it handled, and settles every delivery.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt, TryFutureExt};
use lapin::message::Delivery;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ErrorKind};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Link;
use super::connection::{close, lost, on};
use super::properties::{short, take_message};
use super::settler::{Outlets, Settler};
use crate::batch::Settlement;
use crate::contract::Message;
use crate::fail_point;

/// How messages become batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Messages handled at once at most.
    pub at_once: usize,
    /// Shortest time from the beginning of a batch to that of the next.
    pub interval: Duration,
}

/// Handles what a queue brings.
pub trait Work: Send + Sync {
    /// How the next batch is made.
    fn pace(&self) -> Pace;

    /// Handles messages; the settlements are in the same order.
    fn handle(&self, messages: &[Message]) -> impl Future<Output = Vec<Settlement>> + Send;

    /// What waits is not in hand any more: it comes again, here or elsewhere.
    fn let_go(&self) {}
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
    /// Whether RabbitMQ takes out of the queue what was delivered too often.
    pub has_delivery_limit: bool,
    /// Who handles them.
    pub work: W,
    /// Where what is not acknowledged goes, and the answers.
    pub outlets: Outlets,
}

impl<W: Work> Consumer<W> {
    /// Consumes until `stop`; then works off what it was given already.
    pub async fn run(mut self, stop: CancellationToken) {
        // Whether a message that cannot be read may still be among those that come.
        let mut is_wary = false;
        while let Some(connection) = self.link.connect(&stop).await {
            let result = self.session(&connection, is_wary, &stop).await;
            self.link.down(connection).await;
            if let Err(error) = &result {
                warn!(connection = self.link.name(), %error, "consuming failed");
            }
            is_wary = result.is_err_and(|error| matches!(error.kind(), ErrorKind::ParsingError(_)));
            if is_wary {
                self.link.hurry();
            }
        }
    }

    /// A message that the client cannot even read takes the connection with it, and a delivery counts against
    /// every message that was on its way. Taken one by one the others come through unharmed, and that one is
    /// soon over RabbitMQ's delivery limit; or, where there is none, it is gone.
    async fn session(
        &self,
        connection: &Connection,
        is_wary: bool,
        stop: &CancellationToken,
    ) -> Result<(), lapin::Error> {
        if is_wary {
            warn!(connection = self.link.name(), "a message cannot be read: taking them one by one");
            if self.has_delivery_limit {
                self.consume(connection, 1, Some(self.prefetch), stop).await?;
            } else {
                self.take_out(connection, stop).await?;
            }
        }
        self.consume(connection, self.prefetch, None, stop).await
    }

    /// Takes as many as may have been on their way out of the queue, and handles one after the other.
    async fn take_out(&self, connection: &Connection, stop: &CancellationToken) -> Result<(), lapin::Error> {
        let channel = on(connection, connection.create_channel()).await?;
        let queue = short(&self.queue).unwrap_or_default();
        let settler = Settler::new(&self.outlets, connection, stop);
        for _ in 0..self.prefetch {
            if stop.is_cancelled() {
                break;
            }
            let taking = channel.basic_get(queue.clone(), BasicGetOptions { no_ack: true });
            let Some(mut taken) = on(connection, taking).await? else { break };
            // However long it takes: nobody else has it any more.
            let message = take_message(&mut taken.delivery);
            for settlement in self.work.handle(std::slice::from_ref(&message)).await {
                settler.answer(&taken.delivery, &message, settlement);
            }
        }
        on(connection, close(&channel)).await
    }

    /// Consumes until `stop`, or so many messages.
    async fn consume(
        &self,
        connection: &Connection,
        prefetch: u16,
        limit: Option<u16>,
        stop: &CancellationToken,
    ) -> Result<(), lapin::Error> {
        let (channel, consumer) = on(connection, self.open(connection, prefetch)).await?;
        self.link.up();
        let (inbox, arrived) = mpsc::channel(prefetch.into());
        let reading = read(connection, &channel, consumer, inbox, limit, stop);
        let (read, settled) = tokio::join!(
            // What is in hand may take long.
            reading.inspect_err(|_| self.link.lose()),
            self.work_off(connection, &channel, arrived, stop)
        );
        self.work.let_go();
        read.and(settled)?;
        on(connection, close(&channel)).await
    }

    async fn open(
        &self,
        connection: &Connection,
        prefetch: u16,
    ) -> Result<(Channel, lapin::Consumer), lapin::Error> {
        let channel = connection.create_channel().await?;
        channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        let queue = short(&self.queue).unwrap_or_default();
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        Ok((channel, consumer))
    }

    /// Batches form by themselves: what arrives while one is handled, or before its interval is over, is the next.
    async fn work_off(
        &self,
        connection: &Connection,
        channel: &Channel,
        mut arrived: mpsc::Receiver<Delivery>,
        stop: &CancellationToken,
    ) -> Result<(), lapin::Error> {
        let mut settler = Settler::new(&self.outlets, connection, stop);
        let (mut deliveries, mut waiting) = (Vec::new(), Vec::new());
        let mut began = None;
        loop {
            let pace = self.work.pace();
            if !wait_for_first(&mut arrived, &mut deliveries, pace.at_once, !waiting.is_empty()).await {
                break;
            }
            // A timer would round even a time that has passed up to the next millisecond.
            if let Some(next) = began.map(|at| at + pace.interval).filter(|next| *next > Instant::now()) {
                sleep_until(next).await;
            }
            began = Some(Instant::now());
            gather(&mut arrived, &mut deliveries, pace.at_once).await;
            // What a dead channel left behind comes again on the next.
            if !channel.status().connected() {
                deliveries.clear();
                waiting.clear();
                continue;
            }
            let arrived = deliveries.drain(..).map(|mut delivery| {
                let message = take_message(&mut delivery);
                (delivery, message)
            });
            // Those that wait came first.
            let (batch, messages): (Vec<Delivery>, Vec<Message>) = waiting.into_iter().chain(arrived).unzip();
            fail_point::reach("after-receive");
            let settlements = self.work.handle(&messages).await;
            let handled = messages.len();
            waiting = settler.settle(batch.into_iter().zip(messages).zip(settlements)).await?;
            // Others may have it: whoever stops tries no more where nothing can be done.
            if stop.is_cancelled() && waiting.len() == handled {
                break;
            }
        }
        settler.finish().await
    }
}

/// Batches begin no sooner after each other. At a part of capacity they would be of two or three messages otherwise, and the
/// round trips of so many take the processor away from those whom every message waits for: at a quarter of capacity 99 % of
/// the outcomes are there a quarter sooner for this wait, and of queries a tenth more are answered, for half of the work.
const INTERVAL: Duration = Duration::from_millis(2);

/// Commands of a batch while many queries are asked: RabbitMQ has as much to do with a batch as everybody else together, and
/// queries wait behind it.
const AT_ONCE_BESIDE_QUERIES: usize = 64;

/// Longest time in which messages are taken one by one. Whatever stands in the way then stands in everybody's.
const ONE_BY_ONE_MAX: Duration = Duration::from_mins(1);

/// Pause before what waits is handled again where nothing else comes.
const WAITING_PAUSE: Duration = Duration::from_millis(200);

/// Takes what has arrived, or waits for it. Says whether there is anything to do: where something waits already there
/// soon is.
async fn wait_for_first(
    arrived: &mut mpsc::Receiver<Delivery>,
    into: &mut Vec<Delivery>,
    limit: usize,
    is_waited_for: bool,
) -> bool {
    let first = arrived.recv_many(into, limit);
    if is_waited_for {
        !timeout(WAITING_PAUSE, first).await.is_ok_and(|first| first == 0)
    } else {
        first.await > 0
    }
}

/// Takes along what else has arrived, and what arrives in the moment that it takes to let every other task have its
/// turn: who waits for nothing else waits no longer for that, and under load a batch is larger, which is cheaper for all.
async fn gather(arrived: &mut mpsc::Receiver<Delivery>, into: &mut Vec<Delivery>, limit: usize) {
    let mut more = into.len();
    while more > 0 && into.len() < limit {
        tokio::task::yield_now().await;
        let before = into.len();
        while into.len() < limit
            && let Ok(delivery) = arrived.try_recv()
        {
            into.push(delivery);
        }
        more = into.len() - before;
    }
}

/// Passes deliveries on until the consumer ends. On `stop`, or after so many or a while, it asks for no more, and passes
/// on what it was given.
async fn read(
    connection: &Connection,
    channel: &Channel,
    mut consumer: lapin::Consumer,
    inbox: mpsc::Sender<Delivery>,
    mut limit: Option<u16>,
    stop: &CancellationToken,
) -> Result<(), lapin::Error> {
    let mut is_asking = true;
    let mut limit_is_over = pin!(sleep(ONE_BY_ONE_MAX));
    loop {
        let wants_more = tokio::select! {
            biased;
            delivery = consumer.next() => {
                let Some(delivery) = delivery else {
                    return if is_asking { Err(io::Error::other("the queue was deleted").into()) } else { Ok(()) };
                };
                if inbox.send(delivery?).await.is_err() {
                    // The worker is gone only after an error of its own, which is the one to report.
                    return Ok(());
                }
                limit = limit.map(|left| left.saturating_sub(1));
                limit != Some(0)
            },
            () = stop.cancelled(), if is_asking => false,
            () = &mut limit_is_over, if is_asking && limit.is_some() => false,
            // The same.
            () = inbox.closed() => return Ok(()),
            gone = lost(connection) => return Err(gone),
        };
        if is_asking && !wants_more {
            is_asking = false;
            on(connection, channel.basic_cancel(consumer.tag(), BasicCancelOptions::default())).await?;
        }
    }
}

impl Work for crate::batch::Handler {
    fn pace(&self) -> Pace {
        let at_once = self.batch.commands;
        if self.pressure.is_high() && self.batch.beside_queries_ms > 0 {
            let interval = Duration::from_millis(self.batch.beside_queries_ms);
            Pace { at_once: at_once.min(AT_ONCE_BESIDE_QUERIES), interval }
        } else {
            Pace { at_once, interval: INTERVAL }
        }
    }

    fn handle(&self, messages: &[Message]) -> impl Future<Output = Vec<Settlement>> + Send {
        self.handle(messages)
    }

    fn let_go(&self) {
        self.metrics.waiting(0);
    }
}

impl Work for crate::query::Responder {
    fn pace(&self) -> Pace {
        Pace { at_once: usize::MAX, interval: INTERVAL }
    }

    fn handle(&self, messages: &[Message]) -> impl Future<Output = Vec<Settlement>> + Send {
        self.handle(messages)
    }
}
