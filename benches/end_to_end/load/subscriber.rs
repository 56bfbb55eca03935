//! Takes the outcomes, and tells which command each belongs to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::latencies::Latencies;
use super::rabbitmq::{OUTCOMES, connect};
use super::schedule::Schedule;
use crate::failure::Failure;

/// The exchange of all events.
pub const EVENTS: &str = "inventory.events";
/// What happens to reservations, and not to stock.
pub const OF_RESERVATIONS: &str = "inventory.#";
const PREFETCH: u16 = 1000;
const ACKNOWLEDGED_AT_ONCE: u32 = 100;
/// The sender is woken once for so many outcomes.
const WAKES_AFTER: u64 = 32;

/// What has come back.
#[derive(Debug)]
pub struct Tally {
    pub(super) outcomes: AtomicU64,
    /// Lines of the commands whose outcomes these are.
    pub lines: AtomicU64,
    unavailable: AtomicU64,
    foreign: AtomicU64,
    /// From when it was due to when its outcome was here.
    pub latencies: Latencies,
    pub(super) arrived: Notify,
}

impl Tally {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            outcomes: AtomicU64::new(0),
            lines: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
            foreign: AtomicU64::new(0),
            latencies: Latencies::new()?,
            arrived: Notify::new(),
        })
    }

    /// There is enough stock for all, and nobody else sends.
    pub fn verify(&self) -> Result<(), Failure> {
        let (unavailable, foreign) = (&self.unavailable, &self.foreign);
        for (events, what) in [(unavailable, "InventoryUnavailable"), (foreign, "belonging to no command")] {
            let events = events.load(Ordering::Relaxed);
            if events > 0 {
                return Err(Failure::Wrong(format!("{events} events {what}, where there may be none")));
            }
        }
        Ok(())
    }
}

/// A subscriber with a durable queue, as another team would have it.
#[derive(Debug)]
pub struct Subscriber {
    connection: Connection,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Failure>>,
    /// What has come back.
    pub tally: Arc<Tally>,
}

struct Counter {
    tally: Arc<Tally>,
    session: u64,
    lines: Arc<[u32]>,
    schedule: Option<Schedule>,
    /// By the number of the command: an event may come twice.
    is_counted: Vec<bool>,
}

impl Subscriber {
    /// Connects and subscribes.
    pub async fn open(
        url: &str,
        session: u64,
        lines: Arc<[u32]>,
        schedule: Option<Schedule>,
    ) -> Result<Self, Failure> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        let consumer = subscribe(&channel).await?;
        let tally = Arc::new(Tally::new()?);
        let counter = Counter { tally: Arc::clone(&tally), session, lines, schedule, is_counted: Vec::new() };
        let stop = CancellationToken::new();
        let task = tokio::spawn(counter.count(consumer, stop.clone()));
        Ok(Self { connection, stop, task, tally })
    }

    /// Acknowledges what has come, and disconnects. The queue stays, empty, for the next.
    pub async fn close(self) -> Result<(), Failure> {
        self.stop.cancel();
        self.task.await.map_err(|error| Failure::Wrong(error.to_string()))??;
        Ok(self.connection.close(200, "done".into()).await?)
    }
}

async fn subscribe(channel: &Channel) -> Result<lapin::Consumer, Failure> {
    let bind = QueueBindOptions::default();
    channel
        .queue_bind(OUTCOMES.into(), EVENTS.into(), OF_RESERVATIONS.into(), bind, FieldTable::default())
        .await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let consume = BasicConsumeOptions::default();
    Ok(channel.basic_consume(OUTCOMES.into(), "".into(), consume, FieldTable::default()).await?)
}

impl Counter {
    async fn count(mut self, mut consumer: lapin::Consumer, stop: CancellationToken) -> Result<(), Failure> {
        let all = BasicAckOptions { multiple: true };
        let (mut last, mut unacknowledged) = (None, 0);
        while let Some(Some(delivery)) = stop.run_until_cancelled(consumer.next()).await {
            let delivery = delivery?;
            self.take(&delivery);
            unacknowledged += 1;
            if unacknowledged >= ACKNOWLEDGED_AT_ONCE {
                unacknowledged = 0;
                delivery.acker.ack(all).await?;
            }
            last = (unacknowledged > 0).then_some(delivery.acker);
        }
        if let Some(last) = last {
            last.ack(all).await?;
        }
        Ok(())
    }

    fn take(&mut self, delivery: &Delivery) {
        let now = Instant::now();
        let tally = &self.tally;
        let Some(number) = number(delivery, self.session) else {
            tally.foreign.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        if index >= self.is_counted.len() {
            self.is_counted.resize((index + 1).next_power_of_two(), false);
        }
        if std::mem::replace(&mut self.is_counted[index], true) {
            return;
        }
        if delivery.properties.kind().as_ref().is_some_and(|kind| kind.as_str() == "InventoryUnavailable") {
            tally.unavailable.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(latency) = self.schedule.and_then(|schedule| schedule.latency(number, now)) {
            tally.latencies.record(latency);
        }
        tally.lines.fetch_add(self.lines[index % self.lines.len()].into(), Ordering::Relaxed);
        if tally.outcomes.fetch_add(1, Ordering::Relaxed).is_multiple_of(WAKES_AFTER) {
            tally.arrived.notify_one();
        }
    }
}

/// Which command of this session an event belongs to.
fn number(delivery: &Delivery, session: u64) -> Option<u64> {
    let id = Uuid::parse_str(delivery.properties.correlation_id().as_ref()?.as_str()).ok()?;
    let (of, number) = id.as_u64_pair();
    (of == session).then_some(number)
}
