//! Moves events from the outbox to the broker: publish, confirm, done.
//!
//! The events of a fresh commit are published from memory. What a crash left behind is found again in the
//! table, by whichever replica looks first; an event may so be published twice, with the same id and bytes.

mod in_order;
mod orphans;
mod promised;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::sync::{Notify, watch};
use tracing::{error, warn};
use uuid::Uuid;

use crate::batch::Event;
use crate::config::OutboxSettings;
use crate::messaging::{LinkState, Publication, Publisher, Unpublished};
use crate::metrics::Metrics;
use crate::storage::outbox::{self, Waiting};
use crate::storage::{Database, StorageError};

/// Pause before another try where the database cannot be used.
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
    /// What the connection of the publisher is good for.
    pub link: watch::Receiver<LinkState>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Relay {
    /// Whether what is claimed now could leave: otherwise it is another replica's.
    fn can_publish(&self) -> bool {
        *self.link.borrow() == LinkState::Up
    }

    /// Publishes events that were found in the outbox.
    async fn publish_waiting(&self, waiting: Vec<Waiting>) -> Result<Published, Unpublished> {
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

    /// Publishes the events of these rows; where RabbitMQ does not allow one of them, in halves.
    async fn publish(&self, rows: Vec<i64>, events: &[Event]) -> Result<Published, Unpublished> {
        let mut published = Published { rows, ..Published::default() };
        let mut parts = vec![events];
        while let Some(part) = parts.pop() {
            match (self.publish_together(part, &mut published).await, part) {
                (Ok(()), _) => {}
                (Err(Unpublished::NotAllowed(error)), [event]) => {
                    error!(%error, event_id = %event.answer.id, "an event stays in the outbox");
                    published.refused.push(event.answer.id);
                }
                (Err(Unpublished::NotAllowed(_)), _) => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                (Err(stopped), _) => return Err(stopped),
            }
        }
        Ok(published)
    }

    async fn publish_together(&self, events: &[Event], published: &mut Published) -> Result<(), Unpublished> {
        if events.is_empty() {
            return Ok(());
        }
        let publication = |event| Some((event, Publication::event(&self.exchange, event)?));
        let (events, publications): (Vec<&Event>, Vec<_>) = events.iter().filter_map(publication).unzip();
        let refused = self.publisher.publish(publications).await?;
        let count = refused.positions.len();
        if count > 0 {
            warn!(events = count, "a subscriber's queue refuses events: they stay in the outbox");
        }
        self.metrics.published(events.len() - count);
        published.events += events.len() - count;
        published.is_late |= refused.is_late;
        let ids = refused.positions.into_iter().filter_map(|position| Some(events.get(position)?.answer.id));
        published.refused.extend(ids);
        Ok(())
    }

    /// Deletes what is published. What was refused stays for whoever looks next, and what cannot be read for later: it must
    /// not hold up the others.
    async fn settle(
        &self,
        connection: &mut PgConnection,
        published: &Published,
        refused_seconds: u32,
    ) -> Result<(), StorageError> {
        let Published { rows, refused, unreadable, .. } = published;
        let left = [refused.as_slice(), unreadable].concat();
        if !left.is_empty() {
            let lease_seconds =
                if refused.is_empty() { self.settings.lease_seconds } else { refused_seconds };
            outbox::set_aside(&mut *connection, rows, &left, lease_seconds).await?;
        }
        outbox::delete(connection, rows, &left).await
    }
}

/// Rows of the outbox whose events the broker has seen.
#[derive(Default)]
struct Published {
    rows: Vec<i64>,
    /// How many of the events it has taken.
    events: usize,
    /// Those that it has not.
    refused: Vec<Uuid>,
    /// Whether it said nothing about some of these.
    is_late: bool,
    /// Those that this program did not write.
    unreadable: Vec<Uuid>,
}

impl Published {
    /// Nobody knows whether the broker has seen any of these events.
    fn nothing_of(waiting: &[Waiting]) -> Self {
        let rows: BTreeSet<i64> = waiting.iter().map(|waiting| waiting.outbox_id).collect();
        let refused = waiting.iter().map(|waiting| waiting.event.event_id).collect();
        Self { rows: rows.into_iter().collect(), refused, is_late: true, ..Self::default() }
    }

    fn and(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self.events += other.events;
        self.refused.extend(other.refused);
        self.is_late |= other.is_late;
        self.unreadable.extend(other.unreadable);
        self
    }
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Unpublished(#[from] Unpublished),
}
