//! The events of fresh commits, published from memory.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::in_order::{InOrder, ORDERED_PAUSE};
use super::{PAUSE, Published, Relay};
use crate::batch::{Event, Promised};
use crate::fail_point;
use crate::storage::StorageError;

/// Events that go out together: then no more commits are taken along. Enough to make confirms cheap, and few enough to
/// keep the client's copies of them small.
const EVENTS_AT_ONCE: usize = 1024;

/// Publications that may wait for their confirms at once.
const PUBLISHING_MAX: usize = 4;

/// Rounds at the end in which events are published in order.
const LAST_ROUNDS_MAX: usize = 20;

/// Pause between two deletions of what is published: many small ones would cost as much as the commands themselves.
const FORGET_PAUSE: Duration = Duration::from_millis(100);

/// Publications whose rows wait to be deleted.
const PUBLISHED_WAITING_MAX: usize = 256;

impl Relay {
    /// Relays what commits promise, until nobody is left to promise anything.
    pub async fn relay(self, promised: mpsc::Receiver<Promised>, stop: CancellationToken) {
        let (published, confirmed) = mpsc::channel(PUBLISHED_WAITING_MAX);
        let publishing = self.publish_promised(promised, published);
        let ((), is_there) = tokio::join!(publishing, self.forget_published(confirmed, &stop));
        if !is_there {
            return;
        }
        // The last of this replica: nobody else may be there to see to it. Others may go on to promise more.
        let mut late = 0;
        for _ in 0..LAST_ROUNDS_MAX {
            match self.publish_in_order(&mut late).await {
                Ok(InOrder::More) => {}
                // It may be this replica's own, at its last look, which saw nothing of the last commits.
                Ok(InOrder::Another) if late == 0 && self.can_publish() => {
                    tokio::time::sleep(ORDERED_PAUSE).await;
                }
                Ok(_) | Err(_) => break,
            }
        }
    }

    /// Publishes what commits promise, those together that have come meanwhile; the next while the broker has still to
    /// confirm the last.
    async fn publish_promised(
        &self,
        mut promised: mpsc::Receiver<Promised>,
        published: mpsc::Sender<Published>,
    ) {
        let mut publishing = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                // The other side ends only after this one, or where nothing can be deleted any more.
                Some(done) = publishing.next() => {
                    let _ = published.send(done).await;
                }
                Some(first) = promised.recv(), if publishing.len() < PUBLISHING_MAX => {
                    let Promised { keys, events, has_ordered } = gather(first, &mut promised);
                    if has_ordered {
                        self.in_order.notify_one();
                    }
                    publishing.push(self.publish_rows(keys, events));
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

    /// Deletes what is published, now and then and while the next is being published. Says at the end whether PostgreSQL is
    /// there.
    async fn forget_published(
        &self,
        mut published: mpsc::Receiver<Published>,
        stop: &CancellationToken,
    ) -> bool {
        let mut all = Vec::new();
        while published.recv_many(&mut all, PUBLISHED_WAITING_MAX).await > 0 {
            let done = all.drain(..).fold(Published::default(), Published::and);
            if done.rows.is_empty() {
                continue;
            }
            fail_point::reach("before-outbox-delete");
            if !self.forget(&done, stop).await {
                return false;
            }
            stop.run_until_cancelled(tokio::time::sleep(FORGET_PAUSE)).await;
        }
        true
    }

    /// The same, until it is done. What cannot be deleted in the end is published once more by somebody. `false` where the
    /// service stops while PostgreSQL is away: every further word to it would wait for a deadline of its own.
    async fn forget(&self, published: &Published, stop: &CancellationToken) -> bool {
        while let Err(error) =
            self.database.using(async |connection| self.settle(connection, published, 0).await).await
        {
            warn!(%error, rows = published.rows.len(), "published events cannot be deleted from the outbox yet");
            // Somebody has locked a row of them, and must not hold up all others.
            if matches!(error, StorageError::TooSlow(_)) {
                break;
            }
            if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return !error.is_away() || self.database.ping().await.is_ok();
            }
        }
        true
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
