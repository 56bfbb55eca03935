//! Asks for stock levels, and takes the answers by direct reply-to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::command::{QUERIES, get_stock_level};
use super::latencies::Latencies;
use super::rabbitmq::connect;
use super::random::Random;
use crate::failure::Failure;

/// The queue that leads straight back.
pub const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// After that RabbitMQ has dropped what nobody took (`amqp.query_ttl_ms`).
const ANSWER_MAX: Duration = Duration::from_secs(12);

/// How queries are asked.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// So many outstanding, always.
    Outstanding(u64),
    /// One every so often, however long the answers take.
    Every(Duration),
}

/// What was answered.
#[derive(Debug)]
pub struct QueryTally {
    /// Answers.
    pub answers: AtomicU64,
    /// Whether latencies are recorded.
    pub is_measured: AtomicBool,
    /// From when it was sent (with a pace: due) to when the answer was here.
    pub latencies: Latencies,
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Queries {
    /// What was answered so far.
    pub tally: Arc<QueryTally>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Failure>>,
}

impl Queries {
    /// Connects, and begins to ask for these products.
    pub async fn start(url: &str, products: &[Uuid], pace: Pace) -> Result<Self, Failure> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        let consume = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let replies =
            channel.basic_consume(DIRECT_REPLY_TO.into(), "".into(), consume, FieldTable::default()).await?;
        let tally = Arc::new(QueryTally {
            answers: AtomicU64::new(0),
            is_measured: AtomicBool::new(false),
            latencies: Latencies::new()?,
        });
        let bodies = products.iter().map(|product| get_stock_level(*product)).collect();
        let sent_at = Vec::new();
        let asker =
            Asker { channel, bodies, random: Random::new(), sent_at, answers: 0, tally: Arc::clone(&tally) };
        let stop = CancellationToken::new();
        let task = tokio::spawn(asker.run(connection, replies, pace, stop.clone()));
        Ok(Self { tally, stop, task })
    }

    /// Asks no more, and waits for what is still to come.
    pub async fn stop(self) -> Result<(), Failure> {
        self.stop.cancel();
        self.task.await.map_err(|error| Failure::Wrong(error.to_string()))?
    }
}

struct Asker {
    channel: Channel,
    bodies: Vec<Vec<u8>>,
    random: Random,
    /// By the number of the query.
    sent_at: Vec<Instant>,
    answers: usize,
    tally: Arc<QueryTally>,
}

impl Asker {
    async fn run(
        mut self,
        connection: Connection,
        mut replies: lapin::Consumer,
        pace: Pace,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        match pace {
            Pace::Outstanding(queries) => self.keep(queries, &mut replies, &stop).await?,
            Pace::Every(period) => self.pace(period, &mut replies, &stop).await?,
        }
        while self.answers < self.sent_at.len() {
            self.take_next(&mut replies).await?;
        }
        Ok(connection.close(200, "done".into()).await?)
    }

    async fn keep(
        &mut self,
        queries: u64,
        replies: &mut lapin::Consumer,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        for _ in 0..queries {
            self.ask(Instant::now()).await?;
        }
        while !stop.is_cancelled() {
            self.take_next(replies).await?;
            self.ask(Instant::now()).await?;
        }
        Ok(())
    }

    async fn pace(
        &mut self,
        period: Duration,
        replies: &mut lapin::Consumer,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut due = interval(period);
        due.set_missed_tick_behavior(MissedTickBehavior::Burst);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                due = due.tick() => self.ask(due.into_std()).await?,
                reply = replies.next() => self.take(reply)?,
            }
        }
    }

    async fn ask(&mut self, due: Instant) -> Result<(), Failure> {
        let properties = BasicProperties::default()
            .with_type("GetStockLevel".into())
            .with_content_type("application/json".into())
            .with_reply_to(DIRECT_REPLY_TO.into())
            .with_message_id(self.random.uuid().to_string().into())
            .with_correlation_id(Uuid::from_u64_pair(1, self.sent_at.len() as u64).to_string().into());
        let body = &self.bodies[self.random.below(self.bodies.len())];
        let options = BasicPublishOptions::default();
        self.channel
            .basic_publish(QUERIES.into(), "get-stock-level".into(), options, body, properties)
            .await?;
        self.sent_at.push(due);
        Ok(())
    }

    async fn take_next(&mut self, replies: &mut lapin::Consumer) -> Result<(), Failure> {
        let Ok(reply) = tokio::time::timeout(ANSWER_MAX, replies.next()).await else {
            let sent = self.sent_at.len() as u64;
            let (missing, seconds) = (sent - self.answers as u64, ANSWER_MAX.as_secs());
            return Err(Failure::Lost { missing, sent, of: "queries", seconds });
        };
        self.take(reply)
    }

    fn take(&mut self, reply: Option<lapin::Result<Delivery>>) -> Result<(), Failure> {
        let reply = reply.ok_or_else(|| Failure::Wrong("no more replies come".to_owned()))??;
        let properties = &reply.properties;
        if properties.kind().as_ref().is_none_or(|kind| kind.as_str() != "GetStockLevel") {
            return Err(Failure::Wrong(format!("a query was answered with {:?}", properties.kind())));
        }
        let id = properties.correlation_id().as_ref().and_then(|id| Uuid::parse_str(id.as_str()).ok());
        let number = id.map_or(u64::MAX, |id| id.as_u64_pair().1);
        let sent_at = usize::try_from(number).ok().and_then(|number| self.sent_at.get(number));
        let sent_at =
            sent_at.ok_or_else(|| Failure::Wrong("a reply to nothing that was asked".to_owned()))?;
        if self.tally.is_measured.load(Ordering::Relaxed) {
            self.tally.latencies.record(sent_at.elapsed());
        }
        self.answers += 1;
        self.tally.answers.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
