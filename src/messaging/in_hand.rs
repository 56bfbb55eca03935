//! The deliveries of one channel that are settled later than what came after them.
//!
//! What is done is acknowledged with as few frames as may be, not for the sake of speed alone: of many single ones a quorum
//! queue keeps some waiting in the channel, and forgets those when the channel is closed, so that what was done comes
//! again: <https://github.com/rabbitmq/rabbitmq-server/issues/10327>.

use std::collections::BTreeSet;

use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use lapin::types::DeliveryTag;
use lapin::{Acker, Error};
use tokio::sync::Mutex;

/// A delivery, as far as it takes to settle it.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    tag: DeliveryTag,
    acker: Acker,
}

impl Handle {
    pub(super) fn tag(&self) -> DeliveryTag {
        self.tag
    }
}

impl From<Delivery> for Handle {
    fn from(delivery: Delivery) -> Self {
        Self { tag: delivery.delivery_tag, acker: delivery.acker }
    }
}

/// The tags of what a batch has left open. Locked while frames are written: one that covers all below it must not overtake the
/// one of a delivery below it.
#[derive(Debug, Default)]
pub(super) struct InHand(Mutex<BTreeSet<DeliveryTag>>);

impl InHand {
    /// Keeps what a batch leaves open, before anything of that or a later batch is acknowledged; some may have been kept
    /// before.
    pub(super) async fn keep(&self, tags: impl Iterator<Item = DeliveryTag>) {
        self.0.lock().await.extend(tags);
    }

    /// Acknowledges what is done, which is in the order of the tags: with one frame as far as nothing below is open.
    pub(super) async fn acknowledge(&self, done: &[Handle]) -> Result<(), Error> {
        let mut open = self.0.lock().await;
        for handle in done {
            open.remove(&handle.tag);
        }
        let lowest = open.first().copied().unwrap_or(DeliveryTag::MAX);
        let (covered, single) = done.split_at(done.partition_point(|handle| handle.tag < lowest));
        if let Some(last) = covered.last() {
            last.acker.ack(BasicAckOptions { multiple: true }).await?;
        }
        for handle in single {
            handle.acker.ack(BasicAckOptions::default()).await?;
        }
        Ok(())
    }

    /// Puts a delivery back into the queue; counted, so that RabbitMQ has the last word.
    pub(super) async fn give_back(&self, handle: &Handle) -> Result<(), Error> {
        // From RabbitMQ 4.3 on a nack counts no more against the delivery limit, and a reject does.
        handle.acker.reject(BasicRejectOptions { requeue: true }).await?;
        self.0.lock().await.remove(&handle.tag);
        Ok(())
    }
}
