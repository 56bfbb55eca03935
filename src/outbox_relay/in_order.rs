//! The events that are published in the order in which they happened, by one replica at a time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{PAUSE, Published, Relay, RelayError};
use crate::storage::outbox;

/// Pause between looks for events that another process wrote and that are published in order.
const ORDERED_INTERVAL: Duration = Duration::from_millis(250);

/// Pause while another replica publishes in order.
pub(super) const ORDERED_PAUSE: Duration = Duration::from_millis(50);

/// So often in a row RabbitMQ may say nothing in time before the order is given up: a queue that cannot be written to would hold
/// up all others.
const LATE_MAX: u32 = 3;

/// What came of a look for events that are published in order.
pub(super) enum InOrder {
    /// Some were published; there may be more.
    More,
    Nothing,
    /// Another replica is at it, or has to be.
    Another,
}

impl Relay {
    /// Publishes, in the order in which they happened, the events that have one: woken by a commit of this
    /// replica, or now and then for those of others. One replica at a time does it.
    pub async fn relay_in_order(self, stop: CancellationToken) {
        let mut late = 0;
        loop {
            let pause = match self.publish_in_order(&mut late).await {
                Ok(InOrder::More) if !stop.is_cancelled() => continue,
                Ok(InOrder::More | InOrder::Nothing) => ORDERED_INTERVAL,
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

    /// `late`: how often in a row RabbitMQ said nothing in time.
    pub(super) async fn publish_in_order(&self, late: &mut u32) -> Result<InOrder, RelayError> {
        if !self.can_publish() {
            return Ok(InOrder::Another);
        }
        let mut transaction = self.database.begin().await?;
        let next = outbox::next_in_order(transaction.connection()?);
        let next = match self.database.in_time(next).await? {
            Some(next) if !next.is_empty() => next,
            nothing => {
                self.database.in_time(transaction.rollback()).await?;
                return Ok(if nothing.is_some() { InOrder::Nothing } else { InOrder::Another });
            }
        };
        let nothing = Published::nothing_of(&next);
        let publishing = tokio::time::timeout(self.database.idle_max(), self.publish_waiting(next));
        let published = match publishing.await {
            Ok(published) => published?,
            Err(_) if self.can_publish() => nothing,
            // The connection is gone, and the queues may be well.
            Err(_) => {
                self.database.in_time(transaction.rollback()).await?;
                return Ok(InOrder::Another);
            }
        };
        *late = if published.is_late { *late + 1 } else { 0 };
        if published.is_late && *late < LATE_MAX {
            warn!(
                "RabbitMQ does not confirm in time: events that are published in order are published again"
            );
            self.database.in_time(transaction.rollback()).await?;
            return Ok(InOrder::Another);
        }
        // However long the broker took.
        let settling = async {
            self.settle(transaction.connection()?, &published, 0).await?;
            transaction.commit().await
        };
        self.database.in_time(settling).await?;
        Ok(InOrder::More)
    }
}
