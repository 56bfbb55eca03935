//! Settles the deliveries of one channel: acknowledges, gives back, and sends to the dead letters. Neither of the latter
//! holds up the next batch.

use std::sync::Arc;
use std::time::Duration;

use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use lapin::{Acker, Connection};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::connection::on;
use super::dead_letter::dead_letter;
use super::{Publication, Publisher, Unpublished};
use crate::batch::{Disposition, Settlement};
use crate::contract::{Message, Problem};
use crate::fail_point;
use crate::metrics::Metrics;

/// Pause before a message goes back to the queue that could not be handled.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Pause before dead letters are published again that were refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(3);

/// Longest wait, where the service goes on, for what is settled later.
const FINISHING_MAX: Duration = Duration::from_secs(1);

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
    /// Deliveries that are settled later; each tells whether they were.
    open: JoinSet<bool>,
    /// Whether any delivery was left unsettled: it comes again when the channel closes.
    has_left_open: bool,
}

/// The deliveries of a batch by what becomes of them.
#[derive(Default)]
struct Sorted {
    done: Vec<Acker>,
    replies: Vec<Publication>,
    /// Dead letters, and the deliveries that they were made of.
    letters: Vec<(Publication, Acker)>,
    waiting: Vec<(Delivery, Message)>,
}

impl<'a> Settler<'a> {
    pub(super) fn new(outlets: &'a Outlets, connection: &'a Connection, stop: &'a CancellationToken) -> Self {
        Self { outlets, connection, stop, open: JoinSet::new(), has_left_open: false }
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
        if !sorted.letters.is_empty() {
            self.open.spawn(bury(sorted.letters, self.outlets.dead_letters.clone(), self.stop.clone()));
        }
        fail_point::reach("before-acknowledge");
        self.acknowledge(sorted.done, !sorted.waiting.is_empty()).await?;
        Ok(sorted.waiting)
    }

    /// Waits for what is settled later. Where the service goes on, that comes again with the next channel, and is hardly
    /// waited for.
    pub(super) async fn finish(mut self) -> Result<(), lapin::Error> {
        let finished = on(self.connection, async {
            while self.open.join_next().await.is_some() {}
            Ok(())
        });
        tokio::select! {
            finished = finished => finished,
            () = tokio::time::sleep(FINISHING_MAX), if !self.stop.is_cancelled() => Ok(()),
        }
    }

    /// Answers, or sends to the dead letters, what RabbitMQ has forgotten already.
    pub(super) fn answer(&self, delivery: &Delivery, message: &Message, settlement: Settlement) {
        self.reply(settlement.reply.and_then(Publication::reply).into_iter().collect());
        if let Disposition::DeadLetter(problem) = settlement.disposition {
            let letter = self.letter(delivery, message, &problem);
            tokio::spawn(bury_for_good(letter, self.outlets.dead_letters.clone(), self.stop.clone()));
        }
    }

    fn bury(&self, delivery: Delivery, message: &Message, problem: &Problem, sorted: &mut Sorted) {
        let letter = self.letter(&delivery, message, problem);
        sorted.letters.push((letter, delivery.acker));
    }

    fn letter(&self, delivery: &Delivery, message: &Message, problem: &Problem) -> Publication {
        self.outlets.metrics.dead_letter(problem.code.name());
        dead_letter(&self.outlets.dead_letter_exchange, message, &delivery.properties, problem)
    }

    fn give_back(&mut self, acker: Acker) {
        if self.stop.is_cancelled() {
            self.has_left_open = true;
        } else {
            self.open.spawn(give_back(acker));
        }
    }

    /// Replies are best effort (contract 4.6): nobody waits for a broker that is slow to take them.
    fn reply(&self, replies: Vec<Publication>) {
        let count = replies.len();
        if count > 0 && !self.outlets.replies.try_publish(replies) {
            self.outlets.metrics.replies_dropped(count);
        }
    }

    /// Acknowledges with one frame where that can cover nothing that is still open: it settles all tags below.
    async fn acknowledge(&mut self, done: Vec<Acker>, has_waiting: bool) -> Result<(), lapin::Error> {
        while let Some(settled) = self.open.try_join_next() {
            self.has_left_open |= !settled.unwrap_or_default();
        }
        if self.open.is_empty() && !self.has_left_open && !has_waiting {
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

/// Publishes dead letters until the broker has taken them, or the service stops, and acknowledges what they were made of;
/// says whether it has all. Until then these messages stay where they are.
async fn bury(letters: Vec<(Publication, Acker)>, to: Publisher, stop: CancellationToken) -> bool {
    let (mut letters, mut ackers): (Vec<_>, Vec<_>) = letters.into_iter().unzip();
    loop {
        let refused = match to.publish(letters.clone()).await {
            Ok(refused) => refused.positions,
            Err(error @ Unpublished::NotAllowed(_)) => {
                warn!(%error, messages = letters.len(), "a message cannot be sent to the dead-letter queue");
                // RabbitMQ sends it to the dead letters itself once it has been delivered too often, whatever its size.
                return match &ackers[..] {
                    [acker] => give_back(acker.clone()).await,
                    _ => bury_each(letters.into_iter().zip(ackers), to, stop).await,
                };
            }
            Err(error) => {
                warn!(%error, "messages for the dead-letter queue stay where they are");
                return false;
            }
        };
        for position in (0..ackers.len()).filter(|position| !refused.contains(position)) {
            if let Err(error) = ackers[position].ack(BasicAckOptions::default()).await {
                debug!(%error, "a dead letter could not be acknowledged: its message comes again");
                return false;
            }
        }
        if refused.is_empty() {
            return true;
        }
        warn!(messages = refused.len(), "the dead-letter queue refuses messages: they stay where they are");
        letters = refused.iter().map(|position| letters[*position].clone()).collect();
        ackers = refused.iter().map(|position| ackers[*position].clone()).collect();
        if stop.run_until_cancelled(tokio::time::sleep(REFUSED_PAUSE)).await.is_none() {
            return false;
        }
    }
}

/// Publishes a dead letter of what is in no queue any more, until the broker has taken it.
async fn bury_for_good(letter: Publication, to: Publisher, stop: CancellationToken) {
    loop {
        match to.publish(vec![letter.clone()]).await {
            Ok(refused) if refused.positions.is_empty() => return,
            Ok(_) if stop.is_cancelled() => break,
            Ok(_) => _ = stop.run_until_cancelled(tokio::time::sleep(REFUSED_PAUSE)).await,
            Err(_) => break,
        }
    }
    warn!("a dead letter is lost: it could not be published");
}

/// Publishes dead letters of which one is not allowed, one after the other.
async fn bury_each(
    letters: impl Iterator<Item = (Publication, Acker)>,
    to: Publisher,
    stop: CancellationToken,
) -> bool {
    let mut are_settled = true;
    for letter in letters {
        are_settled &= Box::pin(bury(vec![letter], to.clone(), stop.clone())).await;
    }
    are_settled
}

/// Puts a message back after a pause; a dead channel has done so already.
async fn give_back(acker: Acker) -> bool {
    tokio::time::sleep(RETRY_PAUSE).await;
    // From RabbitMQ 4.3 on a nack counts no more against the delivery limit, and a reject does.
    let given_back = acker.reject(BasicRejectOptions { requeue: true }).await;
    if let Err(error) = &given_back {
        debug!(%error, "a message could not be given back: its channel has done so");
    }
    given_back.is_ok()
}
