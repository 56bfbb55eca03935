//! Moves events from the outbox to the broker: publish, confirm, done.
//!
//! The events of a fresh commit are published from memory. What a crash left behind is found again in the
//! table, by whichever replica looks first; an event may so be published twice, with the same id and bytes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use sqlx::PgConnection;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::batch::{Event, Promised};
use crate::config::OutboxSettings;
use crate::fail_point;
use crate::messaging::{Publication, Publisher, Stopped};
use crate::metrics::Metrics;
use crate::storage::outbox::{self, Waiting};
use crate::storage::{Database, StorageError};

/// Events that go out together: then no more commits are taken along. Enough to make confirms cheap, and few enough to
/// keep the client's copies of them small.
const EVENTS_AT_ONCE: usize = 1024;

/// Publications that may wait for their confirms at once.
const PUBLISHING_MAX: usize = 4;

/// Pause between two deletions of what is published: many small ones would cost as much as the commands themselves.
const FORGET_PAUSE: Duration = Duration::from_millis(20);

/// Publications whose rows wait to be deleted.
const PUBLISHED_WAITING_MAX: usize = 64;

/// Pause between looks for events that another process wrote and that are published in order.
const ORDERED_INTERVAL: Duration = Duration::from_millis(250);

/// Pause while another replica publishes in order.
const ORDERED_PAUSE: Duration = Duration::from_millis(50);

/// Pause before what was refused is published again, where some of it was taken: whoever refuses has room by and by.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Pause before another try to delete what is published.
const PAUSE: Duration = Duration::from_millis(500);

/// Moves events to the broker.
#[derive(Debug, Clone)]
pub struct Relay {
    /// Where they come from.
    pub database: Database,
    /// Where they go.
    pub publisher: Publisher,
    /// The exchange.
    pub exchange: String,
    /// How long they are one replica's.
    pub settings: OutboxSettings,
    /// Says that there is something to be published in order.
    pub in_order: Arc<Notify>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Relay {
    /// Relays what commits promise, until nobody is left to promise anything.
    pub async fn relay(self, promised: mpsc::Receiver<Promised>, stop: CancellationToken) {
        let (published, confirmed) = mpsc::channel(PUBLISHED_WAITING_MAX);
        tokio::join!(self.publish_promised(promised, published), self.forget_published(confirmed, &stop));
        // The last of this replica: nobody else may be there to see to it.
        while matches!(self.publish_in_order().await, Ok(InOrder::More)) {}
    }

    /// Publishes what commits promise, those together that have come meanwhile; the next while the broker has still to
    /// confirm the last.
    async fn publish_promised(
        &self,
        mut promised: mpsc::Receiver<Promised>,
        published: mpsc::Sender<Published>,
    ) {
        let mut publishing = FuturesOrdered::new();
        loop {
            tokio::select! {
                biased;
                // The other side ends only after this one.
                Some(done) = publishing.next() => {
                    let _ = published.send(done).await;
                }
                Some(first) = promised.recv(), if publishing.len() < PUBLISHING_MAX => {
                    let Promised { keys, events, has_ordered } = gather(first, &mut promised);
                    if has_ordered {
                        self.in_order.notify_one();
                    }
                    publishing.push_back(self.publish_rows(keys, events));
                }
                else => return,
            }
        }
    }

    /// Publishes the events of these rows; gives the rows that may go.
    async fn publish_rows(&self, rows: Vec<i64>, events: Vec<Event>) -> Published {
        self.publish(rows, &events).await.unwrap_or_else(|error| {
            warn!(%error, events = events.len(), "events stay in the outbox");
            Published::default()
        })
    }

    /// Deletes what is published, now and then and while the next is being published.
    async fn forget_published(&self, mut published: mpsc::Receiver<Published>, stop: &CancellationToken) {
        let mut all = Vec::new();
        while published.recv_many(&mut all, PUBLISHED_WAITING_MAX).await > 0 {
            let done = all.drain(..).fold(Published::default(), Published::and);
            if done.rows.is_empty() {
                continue;
            }
            fail_point::reach("before-outbox-delete");
            self.forget(&done, stop).await;
            stop.run_until_cancelled(tokio::time::sleep(FORGET_PAUSE)).await;
        }
    }

    /// Publishes, in the order in which they happened, the events that have one: woken by a commit of this
    /// replica, or now and then for those of others. One replica at a time does it.
    pub async fn relay_in_order(self, stop: CancellationToken) {
        loop {
            let pause = match self.publish_in_order().await {
                Ok(InOrder::More) => continue,
                Ok(InOrder::Nothing) => ORDERED_INTERVAL,
                // What we were woken for may not be among what the other one has seen.
                Ok(InOrder::Another) => ORDERED_PAUSE,
                Err(error) => {
                    warn!(%error, "events that are published in order wait");
                    PAUSE
                }
            };
            if stop.is_cancelled() {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.in_order.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn publish_in_order(&self) -> Result<InOrder, RelayError> {
        let mut transaction = self.database.begin().await?;
        let next = outbox::next_in_order(transaction.connection()?);
        let Some(next) = self.database.in_time(next).await? else {
            transaction.rollback().await?;
            return Ok(InOrder::Another);
        };
        if next.is_empty() {
            transaction.rollback().await?;
            return Ok(InOrder::Nothing);
        }
        let published = self.publish_waiting(next).await?;
        // However long the broker took.
        let settling = async {
            self.settle(transaction.connection()?, &published).await?;
            transaction.commit().await
        };
        self.database.in_time(settling).await?;
        Ok(InOrder::More)
    }

    /// Looks for orphans now and then, until `stop`.
    pub async fn sweep(self, stop: CancellationToken) {
        let mut interval = self.interval();
        let mut after = i64::MIN;
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            while !stop.is_cancelled() {
                match self.adopt_orphans(&mut after).await {
                    Ok(Published { events: 0, .. }) => break,
                    Ok(Published { events, refused, .. }) => {
                        info!(events, "published events that had been left in the outbox");
                        if !refused.is_empty() {
                            stop.run_until_cancelled(tokio::time::sleep(REFUSED_PAUSE)).await;
                        }
                    }
                    Err(error) => {
                        warn!(%error, "orphaned events cannot be published");
                        break;
                    }
                }
            }
        }
    }

    /// Measures the outbox now and then, until `stop`: on its own, for nothing leaves while RabbitMQ takes nothing, and that
    /// must be seen.
    pub async fn measure(self, stop: CancellationToken) {
        let mut interval = self.interval();
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            match self.database.using(async |connection| outbox::backlog(connection).await).await {
                Ok(backlog) => self.metrics.outbox(backlog.events, backlog.oldest_seconds),
                Err(error) => warn!(%error, "the outbox cannot be looked at"),
            }
        }
    }

    fn interval(&self) -> Interval {
        let mut interval = tokio::time::interval(Duration::from_millis(self.settings.sweep_interval_ms));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    }

    /// Publishes what nobody saw to in time; says what came of it. In rounds, each row `after` the last: what is refused
    /// again and again must not hold up what comes after it.
    async fn adopt_orphans(&self, after: &mut i64) -> Result<Published, RelayError> {
        let (lease_seconds, last) = (self.settings.lease_seconds, *after);
        let claiming = async |connection: &mut PgConnection| {
            outbox::claim_orphans(connection, lease_seconds, last).await
        };
        let published = self.publish_waiting(self.database.using(claiming).await?).await?;
        *after = published.rows.iter().max().copied().unwrap_or(i64::MIN);
        self.database.using(async |connection| self.settle(connection, &published).await).await?;
        Ok(published)
    }

    /// Publishes events that were found in the outbox.
    async fn publish_waiting(&self, waiting: Vec<Waiting>) -> Result<Published, Stopped> {
        let (mut rows, mut unreadable, mut events) = (BTreeSet::new(), Vec::new(), Vec::new());
        for Waiting { outbox_id, event } in waiting {
            let event_id = event.event_id;
            rows.insert(outbox_id);
            match Event::try_from(event) {
                Ok(event) => events.push(event),
                Err(error) => {
                    error!(%error, "an event in the outbox cannot be published: `inventory verify` says more");
                    unreadable.push(event_id);
                }
            }
        }
        Ok(Published { unreadable, ..self.publish(rows.into_iter().collect(), &events).await? })
    }

    /// Publishes the events of these rows.
    async fn publish(&self, rows: Vec<i64>, events: &[Event]) -> Result<Published, Stopped> {
        if events.is_empty() {
            return Ok(Published { rows, ..Published::default() });
        }
        let publications =
            events.iter().filter_map(|event| Publication::event(&self.exchange, event)).collect();
        let refused = self.publisher.publish(publications).await?;
        if !refused.is_empty() {
            warn!(events = refused.len(), "a subscriber's queue refuses events: they stay in the outbox");
        }
        let taken = events.len() - refused.len();
        self.metrics.published(taken);
        let refused =
            refused.into_iter().filter_map(|position| Some(events.get(position)?.answer.id)).collect();
        Ok(Published { rows, events: taken, refused, unreadable: Vec::new() })
    }

    /// Deletes what is published. What was refused stays for whoever looks next, and what cannot be read for later: it must
    /// not hold up the others.
    async fn settle(&self, connection: &mut PgConnection, published: &Published) -> Result<(), StorageError> {
        let Published { rows, refused, unreadable, .. } = published;
        let left = [refused.as_slice(), unreadable].concat();
        if !left.is_empty() {
            let lease_seconds = if refused.is_empty() { self.settings.lease_seconds } else { 0 };
            outbox::set_aside(&mut *connection, rows, &left, lease_seconds).await?;
        }
        outbox::delete(connection, rows, &left).await
    }

    /// The same, until it is done. What cannot be deleted in the end is published once more by somebody.
    async fn forget(&self, published: &Published, stop: &CancellationToken) {
        while let Err(error) =
            self.database.using(async |connection| self.settle(connection, published).await).await
        {
            warn!(%error, rows = published.rows.len(), "published events cannot be deleted from the outbox yet");
            if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                break;
            }
        }
    }
}

/// Takes along what else has been promised meanwhile.
fn gather(mut first: Promised, promised: &mut mpsc::Receiver<Promised>) -> Promised {
    while first.events.len() < EVENTS_AT_ONCE
        && let Ok(next) = promised.try_recv()
    {
        first.keys.extend(next.keys);
        first.events.extend(next.events);
        first.has_ordered |= next.has_ordered;
    }
    first
}

/// Rows of the outbox whose events the broker has seen.
#[derive(Default)]
struct Published {
    rows: Vec<i64>,
    /// How many of the events it has taken.
    events: usize,
    /// Those that it has not.
    refused: Vec<Uuid>,
    /// Those that this program did not write.
    unreadable: Vec<Uuid>,
}

impl Published {
    fn and(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self.events += other.events;
        self.refused.extend(other.refused);
        self.unreadable.extend(other.unreadable);
        self
    }
}

/// What came of a look for events that are published in order.
enum InOrder {
    /// Some were published; there may be more.
    More,
    Nothing,
    /// Another replica is at it.
    Another,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Stopped(#[from] Stopped),
}
