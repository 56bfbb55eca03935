//! What is left in the outbox: how much it is, and the events that nobody saw to in time.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Published, Relay, RelayError};
use crate::storage::outbox;

/// Pause before what was refused is published again, where some of it was taken: whoever refuses has room by and by.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);

/// Longest time, in seconds, for which what was refused again and again is left alone.
const REFUSED_SECONDS_MAX: u32 = 8;

/// One way through the outbox, up to the row that was the newest at its beginning: it must come to an end while others are
/// written and refused, or what lies before would never be looked at again.
#[derive(Clone, Copy)]
struct Round {
    from: i64,
    last: Option<i64>,
}

impl Default for Round {
    fn default() -> Self {
        Self { from: i64::MIN, last: None }
    }
}

impl Round {
    /// What is left of a round after these rows.
    fn after(rows: &[i64], last: i64) -> Self {
        match rows.iter().max() {
            Some(seen) if *seen < last => Self { from: seen + 1, last: Some(last) },
            _ => Self::default(),
        }
    }
}

impl Relay {
    /// Looks for orphans now and then, until `stop`.
    pub async fn sweep(self, stop: CancellationToken) {
        let mut interval = self.interval();
        let (mut round, mut lease_seconds) = (Round::default(), 0);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            while !stop.is_cancelled() && self.can_publish() {
                match self.adopt_orphans(&mut round, lease_seconds).await {
                    Ok(Published { events: 0, refused, .. }) => {
                        // Whoever has room is told all of it again each time.
                        let longer = (2 * lease_seconds).clamp(1, REFUSED_SECONDS_MAX);
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

    /// Publishes what nobody saw to in time; says what came of it. In rounds: what is refused again and again must not hold
    /// up what comes after it, and is left alone for so many seconds.
    async fn adopt_orphans(&self, round: &mut Round, refused_seconds: u32) -> Result<Published, RelayError> {
        let Round { from, last } = *round;
        let (orphans, last) = self
            .database
            .using(async |connection| {
                let last = match last {
                    Some(last) => last,
                    None => outbox::newest(connection).await?.unwrap_or(i64::MIN),
                };
                Ok((outbox::claim_orphans(connection, self.settings.lease_seconds, from..=last).await?, last))
            })
            .await?;
        let published = self.publish_waiting(orphans).await?;
        *round = Round::after(&published.rows, last);
        self.database
            .using(async |connection| self.settle(connection, &published, refused_seconds).await)
            .await?;
        Ok(published)
    }
}
