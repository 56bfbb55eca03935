//! Publishes from one task on one channel, and does not call it done before the broker does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection, PublisherConfirm};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::connection::{close, lost};
use super::properties::of_answer;
use super::{Link, properties};
use crate::batch::Reply;
use crate::contract::{Answer, Causation};

/// Publications of so many jobs go out together, to await their confirms at once.
const JOBS_AT_ONCE: usize = 64;

/// Jobs that wait in line; beyond that their senders wait, or reply no more.
const JOBS_WAITING_MAX: usize = 1024;

/// Something to publish.
#[derive(Debug, Clone)]
pub struct Publication {
    pub(super) exchange: String,
    pub(super) routing_key: String,
    /// Whether it must reach a queue.
    pub(super) is_mandatory: bool,
    pub(super) properties: BasicProperties,
    pub(super) payload: Payload,
}

#[derive(Debug, Clone)]
pub(super) enum Payload {
    Answer(Arc<Answer>),
    Bytes(Vec<u8>),
}

impl Payload {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Answer(answer) => &answer.body,
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Publication {
    /// An event, for whoever subscribed to it. Nothing for an answer that is no event.
    #[must_use]
    pub fn event(exchange: &str, answer: &Arc<Answer>, causation: &Causation) -> Option<Self> {
        Some(Self {
            exchange: exchange.to_owned(),
            routing_key: answer.event?.routing_key().to_owned(),
            is_mandatory: false,
            properties: of_answer(answer, causation),
            payload: Payload::Answer(Arc::clone(answer)),
        })
    }

    /// A reply, through the default exchange.
    #[must_use]
    pub fn reply(reply: Reply) -> Self {
        Self {
            exchange: String::new(),
            properties: of_answer(&reply.answer, &reply.causation),
            routing_key: reply.to,
            is_mandatory: false,
            payload: Payload::Answer(reply.answer),
        }
    }
}

/// The publisher has stopped before the broker confirmed.
#[derive(Debug, thiserror::Error)]
#[error("the publisher has stopped")]
pub struct Stopped;

struct Job {
    publications: Vec<Publication>,
    done: oneshot::Sender<()>,
}

/// The way to a publishing task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
}

/// The publishing task.
pub struct PublisherTask {
    link: Link,
    jobs: mpsc::Receiver<Job>,
    with_confirms: bool,
    /// Jobs that the broker has not confirmed yet: they go out again on the next connection.
    in_hand: Vec<Job>,
}

#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("{0}")]
    Amqp(#[from] lapin::Error),
    #[error("the broker refused a message (nack)")]
    Nacked,
    #[error("no queue for a message that must reach one: {0}")]
    Unroutable(ShortString),
    #[error("the broker did not confirm within {0:?}; it may be blocking publishers (memory or disk alarm)")]
    TimedOut(Duration),
}

impl Publisher {
    /// For events and dead letters: every message is sent again until the broker has confirmed it.
    #[must_use]
    pub fn confirmed(link: Link) -> (Self, PublisherTask) {
        Self::new(link, true)
    }

    /// For replies, which are best effort (contract 4.6).
    #[must_use]
    pub fn unconfirmed(link: Link) -> (Self, PublisherTask) {
        Self::new(link, false)
    }

    fn new(link: Link, with_confirms: bool) -> (Self, PublisherTask) {
        let (sender, jobs) = mpsc::channel(JOBS_WAITING_MAX);
        (Self { jobs: sender }, PublisherTask { link, jobs, with_confirms, in_hand: Vec::new() })
    }

    /// Publishes, and waits until the broker has confirmed all of it.
    pub async fn publish(&self, publications: Vec<Publication>) -> Result<(), Stopped> {
        let (done, confirmed) = oneshot::channel();
        self.jobs.send(Job { publications, done }).await.map_err(|_| Stopped)?;
        confirmed.await.map_err(|_| Stopped)
    }

    /// Publishes if there is room in the line; says whether there was.
    #[must_use]
    pub fn try_publish(&self, publications: Vec<Publication>) -> bool {
        self.jobs.try_send(Job { publications, done: oneshot::channel().0 }).is_ok()
    }
}

impl PublisherTask {
    /// Publishes until all [`Publisher`]s are gone and their jobs are done. Once `stop` is given a connection
    /// that is lost stays lost: what is promised is in the outbox, and what is not acknowledged comes again.
    pub async fn run(mut self, stop: CancellationToken) {
        while let Some(connection) = self.link.connect(&stop).await {
            let result = tokio::select! {
                biased;
                result = self.session(&connection) => result,
                gone = lost(&connection) => Err(gone.into()),
            };
            self.link.down(connection).await;
            match result {
                Ok(()) => break,
                Err(error) => warn!(connection = self.link.name(), %error, "publishing failed"),
            }
            if !self.with_confirms {
                self.in_hand.clear();
            }
        }
    }

    async fn session(&mut self, connection: &Connection) -> Result<(), SessionError> {
        let channel = connection.create_channel().await?;
        if self.with_confirms {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
        }
        self.link.up();
        loop {
            if self.in_hand.is_empty() && self.jobs.recv_many(&mut self.in_hand, JOBS_AT_ONCE).await == 0 {
                return Ok(close(&channel).await?);
            }
            let limit = self.link.settings().timeout();
            let publications = self.in_hand.iter().flat_map(|job| &job.publications);
            let publishing = publish_all(&channel, publications);
            timeout(limit, publishing).await.map_err(|_| SessionError::TimedOut(limit))??;
            for job in self.in_hand.drain(..) {
                // Whoever does not wait for it does not want to know.
                let _ = job.done.send(());
            }
        }
    }
}

/// Publishes, then awaits every confirm: `wait_for_confirms` would not tell a nack from an ack.
async fn publish_all(
    channel: &Channel,
    publications: impl Iterator<Item = &Publication>,
) -> Result<(), SessionError> {
    let confirms = try_join_all(publications.map(|publication| publish(channel, publication))).await?;
    for confirmation in try_join_all(confirms).await? {
        match confirmation {
            // A return may come with the confirm of another message; only dead letters are mandatory, so it
            // is one of them, and all that is in hand goes out again.
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                return Err(SessionError::Unroutable(returned.delivery.routing_key));
            }
            Confirmation::Nack(None) => return Err(SessionError::Nacked),
            Confirmation::Ack(None) | Confirmation::NotRequested => {}
        }
    }
    Ok(())
}

async fn publish(channel: &Channel, publication: &Publication) -> Result<PublisherConfirm, lapin::Error> {
    channel
        .basic_publish(
            properties::short(&publication.exchange).unwrap_or_default(),
            properties::short(&publication.routing_key).unwrap_or_default(),
            BasicPublishOptions { mandatory: publication.is_mandatory, immediate: false },
            publication.payload.bytes(),
            publication.properties.clone(),
        )
        .await
}
