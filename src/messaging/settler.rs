//! Settles the deliveries of one channel: acknowledges, gives back, and sends to the dead letters.

use std::sync::Arc;
use std::time::Duration;

use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use lapin::{Acker, Connection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::connection::on;
use super::dead_letter::dead_letter;
use super::{Publication, Publisher};
use crate::batch::{Disposition, Settlement};
use crate::contract::{Message, Problem};
use crate::fail_point;
use crate::metrics::Metrics;

/// Pause before a message goes back to the queue that could not be handled.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Where what is not acknowledged goes, and the answers.
#[derive(Debug, Clone)]
pub struct Outlets {
    /// Where dead letters go.
    pub dead_letters: Publisher,
    /// The exchange of dead letters, and the key of their queue.
    pub dead_letter_exchange: String,
    /// Where replies go.
    pub replies: Publisher,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Settles the deliveries of one channel.
pub(super) struct Settler<'a> {
    outlets: &'a Outlets,
    connection: &'a Connection,
    stop: &'a CancellationToken,
    /// Deliveries that go back to the queue after a pause.
    given_back: JoinSet<()>,
    /// Whether any delivery was left unsettled: it comes again when the channel closes.
    has_left_open: bool,
}

/// The deliveries of a batch by what becomes of them.
#[derive(Default)]
struct Sorted {
    done: Vec<Acker>,
    replies: Vec<Publication>,
    letters: Vec<Publication>,
    /// The deliveries that `letters` were made of.
    buried: Vec<Acker>,
    waiting: Vec<(Delivery, Message)>,
}

impl<'a> Settler<'a> {
    pub(super) fn new(outlets: &'a Outlets, connection: &'a Connection, stop: &'a CancellationToken) -> Self {
        Self { outlets, connection, stop, given_back: JoinSet::new(), has_left_open: false }
    }

    /// Settles a batch; gives what is to be handled again.
    pub(super) async fn settle(
        &mut self,
        batch: impl Iterator<Item = ((Delivery, Message), Settlement)>,
    ) -> Result<Vec<(Delivery, Message)>, lapin::Error> {
        let mut sorted = Sorted::default();
        for ((delivery, message), settlement) in batch {
            sorted.replies.extend(settlement.reply.and_then(Publication::reply));
            match settlement.disposition {
                Disposition::Acknowledge => sorted.done.push(delivery.acker),
                Disposition::DeadLetter(problem) => self.bury(delivery, &message, &problem, &mut sorted),
                Disposition::Wait => sorted.waiting.push((delivery, message)),
                Disposition::Retry => self.give_back(delivery.acker),
            }
        }
        self.reply(sorted.replies);
        let is_whole = sorted.letters.is_empty() && sorted.waiting.is_empty();
        if self.publish(sorted.letters).await {
            sorted.done.extend(sorted.buried);
        }
        fail_point::reach("before-acknowledge");
        self.acknowledge(sorted.done, is_whole).await?;
        Ok(sorted.waiting)
    }

    fn bury(&self, delivery: Delivery, message: &Message, problem: &Problem, sorted: &mut Sorted) {
        self.outlets.metrics.dead_letter(problem.code.name());
        let exchange = &self.outlets.dead_letter_exchange;
        sorted.letters.push(dead_letter(exchange, message, &delivery.properties, problem));
        sorted.buried.push(delivery.acker);
    }

    fn give_back(&mut self, acker: Acker) {
        if self.stop.is_cancelled() {
            self.has_left_open = true;
        } else {
            self.given_back.spawn(give_back(acker));
        }
    }

    /// Replies are best effort (contract 4.6): nobody waits for a broker that is slow to take them.
    fn reply(&self, replies: Vec<Publication>) {
        let count = replies.len();
        if count > 0 && !self.outlets.replies.try_publish(replies) {
            self.outlets.metrics.replies_dropped(count);
        }
    }

    /// Publishes dead letters; says whether they are safe.
    async fn publish(&mut self, letters: Vec<Publication>) -> bool {
        if letters.is_empty() {
            return true;
        }
        let published = self.outlets.dead_letters.publish(letters).await;
        if let Err(error) = &published {
            warn!(%error, "messages for the dead-letter queue stay where they are");
            self.has_left_open = true;
        }
        published.is_ok()
    }

    /// Acknowledges with one frame where that can cover nothing that is still open: it settles all tags below.
    async fn acknowledge(&mut self, done: Vec<Acker>, is_whole: bool) -> Result<(), lapin::Error> {
        while self.given_back.try_join_next().is_some() {}
        let all_below_are_settled = self.given_back.is_empty() && !self.has_left_open;
        if all_below_are_settled && is_whole {
            if let Some(last) = done.last() {
                on(self.connection, last.ack(BasicAckOptions { multiple: true })).await?;
            }
            return Ok(());
        }
        on(self.connection, async {
            for acker in done {
                acker.ack(BasicAckOptions::default()).await?;
            }
            Ok(())
        })
        .await
    }
}

/// Puts a message back after a pause; a dead channel has done so already.
async fn give_back(acker: Acker) {
    tokio::time::sleep(RETRY_PAUSE).await;
    if let Err(error) = acker.nack(BasicNackOptions { multiple: false, requeue: true }).await {
        debug!(%error, "a message could not be given back: its channel has done so");
    }
}
