//! Moves events from the outbox to the broker: publish, confirm, done.
//!
//! The events of a fresh commit are published from memory. What a crash left behind is found again in the
//! table, by whichever replica looks first; an event may so be published twice, with the same id and bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use sqlx::PgConnection;
use tokio::sync::{Notify, mpsc};
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
        published: mpsc::Sender<Vec<i64>>,
    ) {
        let mut publishing = FuturesOrdered::new();
        loop {
            tokio::select! {
                biased;
                // The other side ends only after this one.
                Some(keys) = publishing.next() => {
                    let _ = published.send(keys).await;
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
    async fn publish_rows(&self, keys: Vec<i64>, events: Vec<Event>) -> Vec<i64> {
        match self.publish(&events).await {
            Ok(()) => keys,
            Err(error) => {
                warn!(%error, events = events.len(), "events stay in the outbox");
                Vec::new()
            }
        }
    }

    /// Deletes what is published, now and then and while the next is being published.
    async fn forget_published(&self, mut published: mpsc::Receiver<Vec<i64>>, stop: &CancellationToken) {
        let mut keys = Vec::new();
        while published.recv_many(&mut keys, PUBLISHED_WAITING_MAX).await > 0 {
            let rows: Vec<i64> = keys.drain(..).flatten().collect();
            if rows.is_empty() {
                continue;
            }
            fail_point::reach("before-outbox-delete");
            self.forget(&rows, stop).await;
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
        let Some(next) = outbox::next_in_order(transaction.connection()?).await? else {
            transaction.rollback().await?;
            return Ok(InOrder::Another);
        };
        if next.is_empty() {
            transaction.rollback().await?;
            return Ok(InOrder::Nothing);
        }
        let sorted = sort(next);
        self.publish(&sorted.events).await?;
        self.finish(transaction.connection()?, &sorted).await?;
        transaction.commit().await?;
        Ok(InOrder::More)
    }

    /// Looks for orphans now and then, until `stop`.
    pub async fn sweep(self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(Duration::from_millis(self.settings.sweep_interval_ms));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            if let Err(error) = self.measure().await {
                warn!(%error, "the outbox cannot be looked at");
                continue;
            }
            while !stop.is_cancelled() {
                match self.adopt_orphans().await {
                    Ok(0) => break,
                    Ok(events) => info!(events, "published events that had been left in the outbox"),
                    Err(error) => {
                        warn!(%error, "orphaned events cannot be published");
                        break;
                    }
                }
            }
        }
    }

    async fn measure(&self) -> Result<(), StorageError> {
        let backlog = self.database.using(async |connection| outbox::backlog(connection).await).await?;
        self.metrics.outbox(backlog.events, backlog.oldest_seconds);
        Ok(())
    }

    /// Publishes what nobody saw to in time; says how much that was.
    async fn adopt_orphans(&self) -> Result<usize, RelayError> {
        let lease_seconds = self.settings.lease_seconds;
        let claiming =
            async |connection: &mut PgConnection| outbox::claim_orphans(connection, lease_seconds).await;
        let sorted = sort(self.database.using(claiming).await?);
        self.publish(&sorted.events).await?;
        self.database.using(async |connection| self.finish(connection, &sorted).await).await?;
        Ok(sorted.events.len())
    }

    /// Deletes what is published. What cannot be read stays, but out of the way.
    async fn finish(&self, connection: &mut PgConnection, sorted: &Sorted) -> Result<(), StorageError> {
        for (key, events) in &sorted.unreadable {
            outbox::set_aside(&mut *connection, *key, events, self.settings.lease_seconds).await?;
        }
        outbox::delete(connection, &sorted.keys()).await
    }

    async fn publish(&self, events: &[Event]) -> Result<(), Stopped> {
        if events.is_empty() {
            return Ok(());
        }
        let publications =
            events.iter().filter_map(|event| Publication::event(&self.exchange, event)).collect();
        self.publisher.publish(publications).await?;
        self.metrics.published(events.len());
        Ok(())
    }

    /// Deletes what is published. What cannot be deleted in the end is published once more by somebody.
    async fn forget(&self, keys: &[i64], stop: &CancellationToken) {
        let deleting = async |connection: &mut PgConnection| outbox::delete(connection, keys).await;
        while let Err(error) = self.database.using(deleting).await {
            warn!(%error, events = keys.len(), "published events cannot be deleted from the outbox yet");
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

/// Events of the outbox by what can be done with them.
#[derive(Default)]
struct Sorted {
    /// The keys of their rows.
    rows: BTreeSet<i64>,
    /// In the order in which they were written.
    events: Vec<Event>,
    /// Events that this program did not write, by the keys of their rows. They must not hold up the others.
    unreadable: BTreeMap<i64, Vec<Uuid>>,
}

impl Sorted {
    /// The rows of which all is published.
    fn keys(&self) -> Vec<i64> {
        self.rows.iter().filter(|key| !self.unreadable.contains_key(key)).copied().collect()
    }
}

fn sort(waiting: Vec<Waiting>) -> Sorted {
    let mut sorted = Sorted::default();
    for Waiting { outbox_id, event } in waiting {
        let event_id = event.event_id;
        sorted.rows.insert(outbox_id);
        match Event::try_from(event) {
            Ok(event) => sorted.events.push(event),
            Err(error) => {
                error!(%error, "an event in the outbox cannot be published: `inventory verify` says more");
                sorted.unreadable.entry(outbox_id).or_default().push(event_id);
            }
        }
    }
    sorted
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
