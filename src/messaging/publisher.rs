//! Publishes from one task on one channel, and does not call it done before the broker does.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::try_maybe_done;
use futures_util::stream::FuturesOrdered;
use futures_util::{StreamExt, TryFuture};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection, PublisherConfirm};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::Link;
use super::connection::close;
use super::properties::{of_answer, short};
use crate::batch::{Event, Reply};
use crate::contract::{Answer, Causation};
use crate::fail_point;

/// Jobs that may wait for their confirms at once.
const JOBS_AT_ONCE: usize = 64;

/// Jobs that wait in line; beyond that their senders wait, or reply no more.
const JOBS_WAITING_MAX: usize = 1024;

/// Something to publish.
#[derive(Debug, Clone)]
pub struct Publication {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    /// An event or a reply, and what it takes over.
    Answer(Arc<Answer>, Arc<Causation>),
    /// A dead letter, which must reach a queue.
    Letter(Box<BasicProperties>, Vec<u8>),
}

impl Publication {
    /// An event, for whoever subscribed to it. Nothing for an answer that is no event.
    #[must_use]
    pub fn event(exchange: &str, event: &Event) -> Option<Self> {
        let Event { answer, causation } = event;
        Some(Self {
            exchange: short(exchange).unwrap_or_default(),
            routing_key: answer.event?.routing_key().into(),
            content: Content::Answer(Arc::clone(answer), Arc::clone(causation)),
        })
    }

    /// A reply, through the default exchange. Nothing where the queue has a name that no queue can have.
    #[must_use]
    pub fn reply(reply: Reply) -> Option<Self> {
        Some(Self {
            exchange: ShortString::default(),
            routing_key: short(&reply.to)?,
            content: Content::Answer(reply.answer, reply.causation),
        })
    }

    /// Made only when they are needed: they are larger than what they are made of, and thousands may wait.
    #[must_use]
    pub fn properties(&self) -> BasicProperties {
        match &self.content {
            Content::Answer(answer, causation) => of_answer(answer, causation),
            Content::Letter(properties, _) => BasicProperties::clone(properties),
        }
    }

    /// Whether it must reach a queue.
    fn is_mandatory(&self) -> bool {
        matches!(self.content, Content::Letter(..))
    }

    fn body(&self) -> &[u8] {
        match &self.content {
            Content::Answer(answer, _) => &answer.body,
            Content::Letter(_, body) => body,
        }
    }
}

/// The publisher has stopped before the broker confirmed.
#[derive(Debug, thiserror::Error)]
#[error("the publisher has stopped")]
pub struct Stopped;

struct Job {
    publications: Vec<Publication>,
    done: oneshot::Sender<Refused>,
}

/// The positions of what the broker did not take (nack, or return): a queue that it was for is full, or cannot be written to. Other
/// queues may have it.
pub type Refused = Vec<usize>;

impl Job {
    /// A return may come with the confirm of another message: while something is on its way that must reach a queue,
    /// nothing else is.
    fn goes_alone(&self) -> bool {
        self.publications.iter().any(Publication::is_mandatory)
    }
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
    in_hand: VecDeque<Job>,
}

#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("{0}")]
    Amqp(#[from] lapin::Error),
    #[error("no queue for a message that must reach one: {0}")]
    Unroutable(ShortString),
    #[error("the broker did not confirm within {0:?}")]
    TimedOut(Duration),
}

impl Publisher {
    /// For events and dead letters: every message is sent again until the broker has taken it, or refused it.
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
        (Self { jobs: sender }, PublisherTask { link, jobs, with_confirms, in_hand: VecDeque::new() })
    }

    /// Publishes, and waits until the broker has taken or refused all of it.
    pub async fn publish(&self, publications: Vec<Publication>) -> Result<Refused, Stopped> {
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
            let gone = self.link.watch(&connection);
            let result = tokio::select! {
                biased;
                result = self.session(&connection) => result,
                gone = gone => Err(gone.into()),
            };
            self.link.down(connection).await;
            match result {
                Ok(()) => break,
                Err(error) => warn!(connection = self.link.name(), %error, "publishing failed"),
            }
            if !self.with_confirms {
                let lost = self.in_hand.drain(..).map(|job| job.publications.len()).sum();
                self.link.metrics().replies_dropped(lost);
            }
        }
    }

    async fn session(&mut self, connection: &Connection) -> Result<(), SessionError> {
        let channel = connection.create_channel().await?;
        if self.with_confirms {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
        }
        self.link.up();
        let limit = self.link.settings().timeout();
        // One for each of the first jobs in hand: the others are not published yet.
        let mut confirming = FuturesOrdered::new();
        loop {
            while let Some(job) = self.next_to_publish(confirming.len()) {
                let confirms = publish_all(&channel, &job.publications);
                let confirms = patiently(connection, limit, confirms).await??;
                confirming.push_back(patiently(connection, limit, confirmed(confirms)));
            }
            tokio::select! {
                biased;
                Some(result) = confirming.next() => {
                    let Confirmed { refused, unroutable } = result??;
                    fail_point::reach("after-confirm");
                    // Whoever does not wait for it does not want to know.
                    let _ = self.in_hand.pop_front().map(|job| job.done.send(refused));
                    if let Some(key) = unroutable {
                        // Its queue is looked for, or declared, with the next connection.
                        return Err(SessionError::Unroutable(key));
                    }
                }
                Some(job) = self.jobs.recv(), if self.in_hand.len() < JOBS_AT_ONCE => self.in_hand.push_back(job),
                else => return Ok(close(&channel).await?),
            }
        }
    }

    /// The first job that is not published yet, if it may go out beside the `published` ones.
    fn next_to_publish(&self, published: usize) -> Option<&Job> {
        let job = self.in_hand.get(published)?;
        let before = published.checked_sub(1).and_then(|last| self.in_hand.get(last));
        let is_free = before.is_none_or(|before| !before.goes_alone() && !job.goes_alone());
        is_free.then_some(job)
    }
}

/// Awaits what RabbitMQ owes: as long as it says itself that it takes nothing, and no longer than the limit otherwise.
/// Whoever connected anew meanwhile would be blocked again, and leave a connection behind each time.
async fn patiently<T>(
    connection: &Connection,
    limit: Duration,
    owed: impl Future<Output = T>,
) -> Result<T, SessionError> {
    let mut owed = pin!(owed);
    loop {
        let was_blocked = connection.status().blocked();
        match timeout(limit, &mut owed).await {
            Ok(done) => return Ok(done),
            Err(_) if was_blocked || connection.status().blocked() => {}
            Err(_) => return Err(SessionError::TimedOut(limit)),
        }
    }
}

/// Publishes; gives the confirms to be awaited.
async fn publish_all(
    channel: &Channel,
    publications: &[Publication],
) -> Result<Vec<PublisherConfirm>, SessionError> {
    let confirms = all_in_order(publications.iter().map(|publication| publish(channel, publication))).await?;
    fail_point::reach("after-publish");
    Ok(confirms)
}

/// What came of a job.
struct Confirmed {
    refused: Refused,
    /// The key of one that must have reached a queue and has not.
    unroutable: Option<ShortString>,
}

/// Awaits every confirm: `wait_for_confirms` would not tell a nack from an ack.
async fn confirmed(confirms: Vec<PublisherConfirm>) -> Result<Confirmed, SessionError> {
    let (count, mut refused, mut unroutable) = (confirms.len(), Refused::new(), None);
    for (position, confirmation) in all_in_order(confirms.into_iter()).await?.into_iter().enumerate() {
        match confirmation {
            Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
                unroutable = Some(returned.delivery.routing_key);
                refused.push(position);
            }
            Confirmation::Nack(None) => refused.push(position),
            Confirmation::Ack(None) | Confirmation::NotRequested => {}
        }
    }
    // A return may come with the confirm of another message of the same job.
    if unroutable.is_some() {
        refused = (0..count).collect();
    }
    Ok(Confirmed { refused, unroutable })
}

async fn publish(channel: &Channel, publication: &Publication) -> Result<PublisherConfirm, lapin::Error> {
    channel
        .basic_publish(
            publication.exchange.clone(),
            publication.routing_key.clone(),
            BasicPublishOptions { mandatory: publication.is_mandatory(), immediate: false },
            publication.body(),
            publication.properties(),
        )
        .await
}

/// Begins all operations in their order, then awaits them. They are done in about that order as well, so the last is
/// awaited first: the task is woken once, and not by each of them.
async fn all_in_order<F>(operations: impl Iterator<Item = F>) -> Result<Vec<F::Ok>, F::Error>
where
    F: TryFuture,
{
    let mut operations: Vec<_> = operations.map(|operation| Box::pin(try_maybe_done(operation))).collect();
    for operation in &mut operations {
        begin(operation.as_mut())?;
    }
    for operation in operations.iter_mut().rev() {
        operation.await?;
    }
    Ok(operations.iter_mut().filter_map(|operation| operation.as_mut().take_output()).collect())
}

/// Begins an operation, and has nobody woken by it yet.
fn begin<E>(operation: Pin<&mut impl Future<Output = Result<(), E>>>) -> Result<(), E> {
    match operation.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(begun) => begun,
        Poll::Pending => Ok(()),
    }
}
