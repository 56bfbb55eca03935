//! Settles the deliveries of one channel: acknowledges, gives back, and sends to the dead letters. Neither of the latter
//! holds up the next batch.

use std::sync::Arc;
use std::time::Duration;

use lapin::Connection;
use lapin::message::Delivery;
use lapin::types::DeliveryTag;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::connection::on;
use super::dead_letter::dead_letter;
use super::in_hand::{Handle, InHand};
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
    /// What is left in it comes again when the channel closes.
    in_hand: Arc<InHand>,
    /// What is settled later.
    later: JoinSet<()>,
}

/// The deliveries of a batch by what becomes of them.
#[derive(Default)]
struct Sorted {
    done: Vec<Handle>,
    replies: Vec<Publication>,
    /// Dead letters, and the deliveries that they were made of.
    letters: Vec<(Publication, Handle)>,
    waiting: Vec<(Delivery, Message)>,
    returned: Vec<Handle>,
}

impl Sorted {
    /// The tags of what is not done.
    fn open(&self) -> impl Iterator<Item = DeliveryTag> {
        let letters = self.letters.iter().map(|(_, handle)| handle);
        let waiting = self.waiting.iter().map(|(delivery, _)| delivery.delivery_tag);
        letters.chain(&self.returned).map(Handle::tag).chain(waiting)
    }
}

impl<'a> Settler<'a> {
    pub(super) fn new(outlets: &'a Outlets, connection: &'a Connection, stop: &'a CancellationToken) -> Self {
        Self { outlets, connection, stop, in_hand: Arc::default(), later: JoinSet::new() }
    }

    /// Settles a batch; gives what is to be handled again.
    pub(super) async fn settle(
        &mut self,
        batch: impl Iterator<Item = ((Delivery, Message), Settlement)>,
    ) -> Result<Vec<(Delivery, Message)>, lapin::Error> {
        while self.later.try_join_next().is_some() {}
        let mut sorted = Sorted::default();
        for ((delivery, message), settlement) in batch {
            sorted.replies.extend(settlement.reply.and_then(Publication::reply));
            match settlement.disposition {
                Disposition::Acknowledge => sorted.done.push(delivery.into()),
                Disposition::DeadLetter(problem) => self.bury(delivery, &message, &problem, &mut sorted),
                Disposition::Wait => sorted.waiting.push((delivery, message)),
                Disposition::Retry => sorted.returned.push(delivery.into()),
            }
        }
        on(self.connection, async {
            // Whoever acknowledges a dead letter meanwhile may wait for a connection that is gone.
            self.in_hand.keep(sorted.open()).await;
            Ok(())
        })
        .await?;
        sorted.returned.into_iter().for_each(|handle| self.give_back(handle));
        self.reply(sorted.replies);
        if !sorted.letters.is_empty() {
            self.later.spawn(self.burial().bury(sorted.letters));
        }
        fail_point::reach("before-acknowledge");
        on(self.connection, self.in_hand.acknowledge(&sorted.done)).await?;
        Ok(sorted.waiting)
    }

    /// Waits for what is settled later. Where the service goes on, that comes again with the next channel, and is hardly
    /// waited for.
    pub(super) async fn finish(mut self) -> Result<(), lapin::Error> {
        let finished = on(self.connection, async {
            while self.later.join_next().await.is_some() {}
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
            tokio::spawn(self.burial().bury_for_good(letter));
        }
    }

    fn bury(&self, delivery: Delivery, message: &Message, problem: &Problem, sorted: &mut Sorted) {
        let letter = self.letter(&delivery, message, problem);
        sorted.letters.push((letter, delivery.into()));
    }

    fn letter(&self, delivery: &Delivery, message: &Message, problem: &Problem) -> Publication {
        self.outlets.metrics.dead_letter(problem.code.name());
        dead_letter(&self.outlets.dead_letter_exchange, message, &delivery.properties, problem)
    }

    fn burial(&self) -> Burial {
        let (to, in_hand) = (self.outlets.dead_letters.clone(), Arc::clone(&self.in_hand));
        Burial { to, in_hand, stop: self.stop.clone() }
    }

    fn give_back(&mut self, handle: Handle) {
        if !self.stop.is_cancelled() {
            let in_hand = Arc::clone(&self.in_hand);
            self.later.spawn(async move { give_back(&in_hand, &handle).await });
        }
    }

    /// Replies are best effort (contract 4.6): nobody waits for a broker that is slow to take them.
    fn reply(&self, replies: Vec<Publication>) {
        let count = replies.len();
        if count > 0 && !self.outlets.replies.try_publish(replies) {
            self.outlets.metrics.replies_dropped(count);
        }
    }
}

/// Sends dead letters.
#[derive(Clone)]
struct Burial {
    to: Publisher,
    in_hand: Arc<InHand>,
    stop: CancellationToken,
}

impl Burial {
    /// Publishes dead letters until the broker has taken them, or the service stops, and acknowledges what they were made
    /// of. Until then these messages stay where they are.
    async fn bury(self, letters: Vec<(Publication, Handle)>) {
        let (mut letters, mut handles): (Vec<_>, Vec<_>) = letters.into_iter().unzip();
        loop {
            let refused = match self.to.publish(letters.clone()).await {
                Ok(refused) => refused.positions,
                Err(error @ Unpublished::NotAllowed(_)) => {
                    warn!(%error, messages = letters.len(), "a message cannot be sent to the dead-letter queue");
                    return match &handles[..] {
                        [handle] => give_back(&self.in_hand, handle).await,
                        _ => self.bury_each(letters.into_iter().zip(handles)).await,
                    };
                }
                Err(error) => {
                    warn!(%error, "messages for the dead-letter queue stay where they are");
                    return;
                }
            };
            let is_taken = |position: &usize| !refused.contains(position);
            let taken: Vec<Handle> =
                (0..handles.len()).filter(is_taken).map(|position| handles[position].clone()).collect();
            if let Err(error) = self.in_hand.acknowledge(&taken).await {
                debug!(%error, "dead letters could not be acknowledged: their messages come again");
                return;
            }
            if refused.is_empty() {
                return;
            }
            warn!(
                messages = refused.len(),
                "the dead-letter queue refuses messages: they stay where they are"
            );
            letters = refused.iter().map(|position| letters[*position].clone()).collect();
            handles = refused.iter().map(|position| handles[*position].clone()).collect();
            if self.stop.run_until_cancelled(tokio::time::sleep(REFUSED_PAUSE)).await.is_none() {
                return;
            }
        }
    }

    /// Publishes dead letters of which one is not allowed, one after the other.
    async fn bury_each(&self, letters: impl Iterator<Item = (Publication, Handle)>) {
        for letter in letters {
            Box::pin(self.clone().bury(vec![letter])).await;
        }
    }

    /// Publishes a dead letter of what is in no queue any more, until the broker has taken it.
    async fn bury_for_good(self, letter: Publication) {
        loop {
            match self.to.publish(vec![letter.clone()]).await {
                Ok(refused) if refused.positions.is_empty() => return,
                Ok(_) if self.stop.is_cancelled() => break,
                Ok(_) => _ = self.stop.run_until_cancelled(tokio::time::sleep(REFUSED_PAUSE)).await,
                Err(_) => break,
            }
        }
        warn!("a dead letter is lost: it could not be published");
    }
}

/// Puts a message back after a pause, so that RabbitMQ sends it to the dead letters itself once it has been delivered too
/// often; a dead channel has put it back already.
async fn give_back(in_hand: &InHand, handle: &Handle) {
    tokio::time::sleep(RETRY_PAUSE).await;
    if let Err(error) = in_hand.give_back(handle).await {
        debug!(%error, "a message could not be given back: its channel has done so");
    }
}
