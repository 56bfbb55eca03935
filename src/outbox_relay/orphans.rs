//! What is left in the outbox: how much it is, and the events that nobody saw to in time.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Published, Relay, RelayError};
use crate::storage::outbox;

/// Pause before what was refused is published again, where some of it was taken: whoever refuses has room by and by.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);

impl Relay {
    /// Looks for orphans now and then, until `stop`.
    pub async fn sweep(self, stop: CancellationToken) {
        let mut interval = self.interval();
        let (mut after, mut lease_seconds) = (i64::MIN, 0);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            while !stop.is_cancelled() {
                match self.adopt_orphans(&mut after, lease_seconds).await {
                    Ok(Published { events: 0, refused, .. }) => {
                        // Whoever has room is told all of it again each time.
                        let longer = (2 * lease_seconds).clamp(1, self.settings.lease_seconds);
                        lease_seconds = if refused.is_empty() { 0 } else { longer };
                        break;
                    }
                    Ok(Published { events, refused, .. }) => {
                        info!(events, "published events that had been left in the outbox");
                        lease_seconds = 0;
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
    /// again and again must not hold up what comes after it, and is left alone for so many seconds.
    async fn adopt_orphans(&self, after: &mut i64, refused_seconds: u32) -> Result<Published, RelayError> {
        let (lease_seconds, last) = (self.settings.lease_seconds, *after);
        let claiming = async |connection: &mut PgConnection| {
            outbox::claim_orphans(connection, lease_seconds, last).await
        };
        let published = self.publish_waiting(self.database.using(claiming).await?).await?;
        *after = published.rows.iter().max().copied().unwrap_or(i64::MIN);
        self.database
            .using(async |connection| self.settle(connection, &published, refused_seconds).await)
            .await?;
        Ok(published)
    }
}
