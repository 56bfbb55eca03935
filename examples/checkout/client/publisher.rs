//! Publishing so that "sent" means that the broker has it in a queue: publisher confirms, and `mandatory`.

use std::{collections::HashMap, sync::Arc, time::Duration};

use lapin::{
    BasicProperties, Channel, Confirmation, PublisherConfirm, options::BasicPublishOptions,
    types::ShortString,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::connection::SessionError;

const MAX_BATCH: usize = 256;

/// A connection that the broker has blocked (memory or disk alarm) confirms nothing, and says no word either.
const CONFIRM_WITHIN: Duration = Duration::from_secs(10);

/// A message ready to be sent, as often as need be: every attempt is the very same.
pub struct Message {
    pub exchange: ShortString,
    pub routing_key: &'static str,
    pub id: String,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
}

pub struct Publication {
    pub message: Arc<Message>,
    pub verdict: oneshot::Sender<Verdict>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// In a queue, and safe there.
    Confirmed,
    /// The queue did not take it, for instance because it is full: try again later.
    Rejected,
    /// Returned because no queue is bound for it: trying again will not help.
    Unroutable(String),
}

/// Publishes what arrives until nobody can ask for more.
///
/// Only this task publishes on the channel, one batch at a time. The batch is whatever has gathered while the
/// one before was under way, so a lone message goes at once and many share the wait for their confirms.
pub async fn publish_all(
    channel: &Channel,
    publications: &mut mpsc::Receiver<Publication>,
) -> Result<(), SessionError> {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    while publications.recv_many(&mut batch, MAX_BATCH).await > 0 {
        // Left over from before a reconnection, and sent again since.
        batch.retain(|publication| !publication.verdict.is_closed());
        let verdicts = timeout(CONFIRM_WITHIN, publish_batch(channel, &batch))
            .await
            .map_err(|_| SessionError::NotConfirmed(CONFIRM_WITHIN))??;
        for (publication, verdict) in batch.drain(..).zip(verdicts) {
            // Nobody there any more: the asker gave up in this very moment.
            let _ = publication.verdict.send(verdict);
        }
    }
    Ok(())
}

async fn publish_batch(channel: &Channel, batch: &[Publication]) -> Result<Vec<Verdict>, lapin::Error> {
    let mut confirms = Vec::with_capacity(batch.len());
    for publication in batch {
        confirms.push(publish(channel, &publication.message).await?);
    }
    let (mut returned, mut verdicts) = (HashMap::new(), Vec::with_capacity(batch.len()));
    for confirm in confirms {
        let confirmation = confirm.await?;
        let accepted = matches!(confirmation, Confirmation::Ack(_));
        verdicts.push(if accepted { Verdict::Confirmed } else { Verdict::Rejected });
        if let Some(message) = confirmation.take_message() {
            let id = message.properties.message_id().clone();
            returned.insert(id, message.reply_text.to_string());
        }
    }
    // A returned message can come with another one's confirm, so returns are matched by message id over the
    // whole batch.
    for (publication, verdict) in batch.iter().zip(&mut verdicts) {
        if let Some(reason) = returned.remove(publication.message.properties.message_id()) {
            *verdict = Verdict::Unroutable(reason);
        }
    }
    Ok(verdicts)
}

async fn publish(channel: &Channel, message: &Message) -> Result<PublisherConfirm, lapin::Error> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    channel
        .basic_publish(
            message.exchange.clone(),
            message.routing_key.into(),
            options,
            &message.body,
            message.properties.clone(),
        )
        .await
}
