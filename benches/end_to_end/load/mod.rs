//! Puts load on whatever consumes the commands and queries, and takes what comes back.
//!
//! All of it costs processor time that is taken from what is measured, from all of them alike: so it is kept cheap, and
//! reported.

mod command;
mod invoices;
mod latencies;
mod probe;
mod publisher;
mod queries;
mod rabbitmq;
mod random;
mod schedule;
mod source;
mod subscriber;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

pub use command::{COMMANDS, PRODUCTS, QUERIES, product};
pub use invoices::{Invoice, read as read_invoices};
pub use probe::take_samples;
pub use publisher::Publisher;
pub use queries::{Pace, Queries};
pub use rabbitmq::{Broker, connect};
pub use schedule::Schedule;
pub use source::{Carts, Invoices, Mixed, Source};
pub use subscriber::{EVENTS, Subscriber, Tally};

/// Commands outstanding in a closed loop, the same for all: about twice what any worker takes unacknowledged, or more.
pub const OUTSTANDING: u64 = 4000;

/// Commands that are published together at most.
const PUBLISHED_AT_ONCE: u64 = 200;

/// Without a single outcome for so long, what is missing is lost.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Sends commands and counts their outcomes. Every load has its own session, so that what an earlier one left cannot
/// be taken for an outcome.
#[derive(Debug)]
pub struct Load {
    publisher: Publisher,
    subscriber: Subscriber,
    sent: u64,
}

impl Load {
    /// Connects and subscribes. `lines` are those of the commands by their number, over and over.
    pub async fn open(url: &str, lines: Arc<[u32]>, schedule: Option<Schedule>) -> Result<Self, Failure> {
        let session = uuid::Uuid::new_v4().as_u64_pair().0;
        let subscriber = Subscriber::open(url, session, lines, schedule).await?;
        let publisher = Publisher::open(url, session).await?;
        Ok(Self { publisher, subscriber, sent: 0 })
    }

    /// What has come back.
    #[must_use]
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.subscriber.tally)
    }

    /// Keeps [`OUTSTANDING`] commands on their way until `stop`.
    pub async fn saturate(
        &mut self,
        source: &mut impl Source,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let tally = self.tally();
        while !stop.is_cancelled() {
            let room = (tally.outcomes() + OUTSTANDING).saturating_sub(self.sent).min(PUBLISHED_AT_ONCE);
            if room < PUBLISHED_AT_ONCE / 4 {
                let _ = tokio::time::timeout(Duration::from_millis(100), tally.arrived.notified()).await;
                continue;
            }
            self.publish(source, room).await?;
        }
        Ok(())
    }

    /// Sends every command when it is due, however long earlier ones take.
    pub async fn follow(&mut self, source: &mut impl Source, schedule: Schedule) -> Result<(), Failure> {
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        while self.sent < schedule.commands {
            tick.tick().await;
            let due = schedule.due_by(Instant::now());
            while self.sent < due {
                self.publish(source, (due - self.sent).min(PUBLISHED_AT_ONCE)).await?;
            }
        }
        Ok(())
    }

    /// Sends so many, and waits until RabbitMQ has them.
    pub async fn send(&mut self, source: &mut impl Source, commands: u64) -> Result<(), Failure> {
        while self.sent < commands {
            self.publish(source, (commands - self.sent).min(PUBLISHED_AT_ONCE)).await?;
        }
        self.publisher.confirmed().await
    }

    /// Waits until all that was sent has its outcome, and the right one.
    pub async fn drain(&mut self) -> Result<(), Failure> {
        self.publisher.confirmed().await?;
        let tally = self.tally();
        let (mut seen, mut since) = (tally.outcomes(), Instant::now());
        while tally.outcomes() < self.sent {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if tally.outcomes() > seen {
                (seen, since) = (tally.outcomes(), Instant::now());
            }
            if since.elapsed() > SILENCE_MAX {
                let (missing, seconds) = (self.sent - seen, SILENCE_MAX.as_secs());
                return Err(Failure::Lost { missing, sent: self.sent, of: "commands", seconds });
            }
        }
        tally.verify()
    }

    /// Unsubscribes and disconnects.
    pub async fn close(self) -> Result<(), Failure> {
        self.publisher.close().await?;
        self.subscriber.close().await
    }

    async fn publish(&mut self, source: &mut impl Source, commands: u64) -> Result<(), Failure> {
        let numbers = self.sent..self.sent + commands;
        let commands = numbers.clone().map(|number| source.next(number)).collect();
        self.sent = numbers.end;
        self.publisher.publish(numbers.start, commands).await
    }
}

impl Tally {
    /// Commands that have their outcome.
    #[must_use]
    pub fn outcomes(&self) -> u64 {
        self.outcomes.load(Ordering::Relaxed)
    }

    /// Commands that have their outcome, and the lines of these.
    #[must_use]
    pub fn done(&self) -> (u64, u64) {
        (self.outcomes(), self.lines.load(Ordering::Relaxed))
    }
}
