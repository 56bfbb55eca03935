//! Publishes from one task on one channel, and does not call it done before the broker does.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::types::ShortString;
use lapin::{Channel, Connection, ErrorKind, PublisherConfirm};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::confirms::{Confirmed, Operations, Patience, confirmed};
use super::connection::close;
use super::{Link, Publication};
use crate::fail_point;

/// Jobs that may be in hand at once.
const JOBS_IN_HAND_MAX: usize = 64;

/// Jobs that wait in line; beyond that their senders wait, or reply no more.
const JOBS_WAITING_MAX: usize = 1024;

/// Longest wait for the reason why a channel is closed.
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// Why nobody knows whether the broker has a message.
#[derive(Debug, thiserror::Error)]
pub enum Unpublished {
    /// The publisher has stopped before the broker confirmed.
    #[error("the publisher has stopped")]
    Stopped,
    /// One of them, or the only one, makes RabbitMQ close the channel or the connection: it is larger than RabbitMQ allows.
    #[error("RabbitMQ does not allow it: {0}")]
    NotAllowed(lapin::Error),
}

struct Job {
    publications: Vec<Publication>,
    done: oneshot::Sender<Result<Refused, Unpublished>>,
    is_awaited: bool,
}

impl Job {
    /// Whether who waited for it does so no more: what it was to do is done again.
    fn is_abandoned(&self) -> bool {
        self.is_awaited && self.done.is_closed()
    }
}

/// What the broker did not take: a queue that it was for is full, or cannot be written to. Other queues may have it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refused {
    /// Where it was among the publications.
    pub positions: Vec<usize>,
    /// Whether the broker did not say so, but nothing at all for too long.
    pub is_late: bool,
}

impl Refused {
    /// Nothing is taken of so many publications; the broker has said nothing.
    pub(super) fn all(count: usize) -> Self {
        Self { positions: (0..count).collect(), is_late: true }
    }
}

/// The way to a publishing task. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
}

/// What is published on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Events,
    DeadLetters,
    Replies,
}

impl Kind {
    fn with_confirms(self) -> bool {
        self != Self::Replies
    }

    /// Jobs that may wait for their confirms at once. A return may come with the confirm of another message: while something
    /// is on its way that must reach a queue, nothing else is.
    fn jobs_at_once(self) -> usize {
        if self == Self::DeadLetters { 1 } else { JOBS_IN_HAND_MAX }
    }

    /// Whether the connection is made only when there is something to publish.
    fn is_rare(self) -> bool {
        self == Self::DeadLetters
    }
}

/// The publishing task.
pub struct PublisherTask {
    kind: Kind,
    link: Link,
    jobs: mpsc::Receiver<Job>,
    in_hand: InHand,
}

#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("{0}")]
    Amqp(#[from] lapin::Error),
    #[error("no queue for a message that must reach one: {0}")]
    Unroutable(ShortString),
    #[error(
        "RabbitMQ did not confirm in time: it says nothing, or cannot write to a queue (see `rabbitmq-queues`)"
    )]
    TimedOut,
}

impl SessionError {
    /// What RabbitMQ has against a message, and would have on every connection.
    fn of_a_message(self) -> Option<lapin::Error> {
        let Self::Amqp(error) = self else { return None };
        let ErrorKind::ProtocolError(of_the_protocol) = error.kind() else { return None };
        let is_of_a_message = matches!(
            of_the_protocol.kind(),
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED | AMQPSoftError::CONTENTTOOLARGE)
                | AMQPErrorKind::Hard(AMQPHardError::FRAMEERROR | AMQPHardError::SYNTAXERROR)
        );
        is_of_a_message.then_some(error)
    }

    /// Whether nobody knows what RabbitMQ has against anything.
    fn says_nothing(&self) -> bool {
        matches!(self, Self::Amqp(error) if says_nothing(error))
    }
}

impl Publisher {
    /// For events: every one is sent again until the broker has taken it, or refused it.
    #[must_use]
    pub fn of_events(link: Link) -> (Self, PublisherTask) {
        Self::new(Kind::Events, link)
    }

    /// For dead letters, which must also reach a queue. Whatever keeps them from it holds up nothing else.
    #[must_use]
    pub fn of_dead_letters(link: Link) -> (Self, PublisherTask) {
        Self::new(Kind::DeadLetters, link)
    }

    /// For replies, which are best effort (contract 4.6).
    #[must_use]
    pub fn of_replies(link: Link) -> (Self, PublisherTask) {
        Self::new(Kind::Replies, link)
    }

    fn new(kind: Kind, link: Link) -> (Self, PublisherTask) {
        let (sender, jobs) = mpsc::channel(JOBS_WAITING_MAX);
        let in_hand = InHand::new(kind.jobs_at_once());
        (Self { jobs: sender }, PublisherTask { kind, link, jobs, in_hand })
    }

    /// Publishes, and waits until the broker has taken or refused all of it.
    pub async fn publish(&self, publications: Vec<Publication>) -> Result<Refused, Unpublished> {
        let (done, confirmed) = oneshot::channel();
        self.jobs
            .send(Job { publications, done, is_awaited: true })
            .await
            .map_err(|_| Unpublished::Stopped)?;
        confirmed.await.unwrap_or(Err(Unpublished::Stopped))
    }

    /// Publishes if there is room in the line; says whether there was.
    #[must_use]
    pub fn try_publish(&self, publications: Vec<Publication>) -> bool {
        let done = oneshot::channel().0;
        self.jobs.try_send(Job { publications, done, is_awaited: false }).is_ok()
    }
}

impl PublisherTask {
    /// Publishes until all [`Publisher`]s are gone and their jobs are done. Once `stop` is given a connection
    /// that is lost stays lost: what is promised is in the outbox, and what is not acknowledged comes again.
    pub async fn run(mut self, stop: CancellationToken) {
        while self.has_work().await
            && let Some(connection) = self.link.connect(&stop).await
        {
            let gone = self.link.watch(&connection);
            let kept = self.link.keep_topology(&connection);
            let is_keeper = self.kind == Kind::Events;
            let result = tokio::select! {
                biased;
                result = self.session(&connection, &stop) => result,
                gone = gone => Err(gone.into()),
                never = kept, if is_keeper => match never {},
            };
            self.link.down(connection).await;
            let Err(error) = result else { break };
            warn!(connection = self.link.name(), %error, "publishing failed");
            if !self.kind.with_confirms() {
                self.link.metrics().replies_dropped(self.in_hand.drop_all());
            } else if error.says_nothing() {
                self.in_hand.doubt();
            } else if let Some(error) = error.of_a_message() {
                self.in_hand.find(error);
                self.link.hurry();
            }
            self.in_hand.none_is_published();
        }
    }

    /// Waits for something to publish, where that is rare; says whether there will be any.
    async fn has_work(&mut self) -> bool {
        while self.kind.is_rare() && self.in_hand.is_empty() {
            let Some(job) = self.jobs.recv().await else { return false };
            self.in_hand.take(job);
        }
        true
    }

    async fn session(
        &mut self,
        connection: &Connection,
        stop: &CancellationToken,
    ) -> Result<(), SessionError> {
        let patience = Patience::new(connection, self.link.settings().timeout(), stop);
        let channel = patience.with(self.open(connection)).await.ok_or(SessionError::TimedOut)??;
        self.link.up();
        let mut confirming = FuturesUnordered::new();
        loop {
            while let Some((number, publications)) = self.in_hand.next_to_publish(&patience) {
                let count = publications.len();
                match patience.with(publish_all(&channel, publications)).await {
                    Some(confirms) => {
                        let (confirms, patience) = (confirms?, &patience);
                        confirming.push(async move { (number, confirmed(confirms, patience).await) });
                    }
                    // Whoever it is of tries again later.
                    None if self.kind.with_confirms() => self.in_hand.done(number, Ok(Refused::all(count))),
                    None => {}
                }
            }
            tokio::select! {
                biased;
                Some((number, result)) = confirming.next() => {
                    let Confirmed { refused, unroutable } = result?;
                    fail_point::reach("after-confirm");
                    self.in_hand.done(number, Ok(refused));
                    if let Some(key) = unroutable {
                        // Its queue is looked for, or declared, with the next connection.
                        return Err(SessionError::Unroutable(key));
                    }
                }
                Some(job) = self.jobs.recv(), if self.in_hand.has_room() && !patience.is_over() => {
                    self.in_hand.take(job);
                }
                else => break,
            }
        }
        Ok(patience.with(close(&channel)).await.ok_or(SessionError::TimedOut)??)
    }

    async fn open(&self, connection: &Connection) -> Result<Channel, lapin::Error> {
        let channel = connection.create_channel().await?;
        if self.kind.with_confirms() {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
        }
        Ok(channel)
    }
}

/// Jobs that the broker has not confirmed yet: they go out again on the next connection.
struct InHand {
    /// Numbered, those that are published first.
    jobs: VecDeque<(u64, Job)>,
    published: usize,
    published_max: usize,
    last_number: u64,
    /// One of the jobs up to this number is perhaps one that RabbitMQ does not allow: each of them goes alone.
    doubted: u64,
}

impl InHand {
    fn new(published_max: usize) -> Self {
        Self { jobs: VecDeque::new(), published: 0, published_max, last_number: 0, doubted: 0 }
    }

    fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    fn has_room(&self) -> bool {
        self.jobs.len() < JOBS_IN_HAND_MAX
    }

    fn take(&mut self, job: Job) {
        if job.is_abandoned() {
            return;
        }
        self.last_number += 1;
        self.jobs.push_back((self.last_number, job));
    }

    /// The first job that is not published yet, if it may go out beside those that are. It is one of them from now on.
    fn next_to_publish(&mut self, patience: &Patience<'_>) -> Option<(u64, &[Publication])> {
        let is_in_doubt = self.jobs.front().is_some_and(|(number, _)| *number <= self.doubted);
        let published_max = if is_in_doubt { 1 } else { self.published_max };
        if patience.is_over() || self.published >= published_max {
            return None;
        }
        let (number, job) = self.jobs.get(self.published)?;
        self.published += 1;
        Some((*number, &job.publications))
    }

    fn done(&mut self, number: u64, result: Result<Refused, Unpublished>) {
        let Some(position) = self.jobs.iter().position(|job| job.0 == number) else { return };
        if let Some((_, job)) = self.jobs.remove(position) {
            self.published -= 1;
            // Whoever does not wait for it does not want to know.
            let _ = job.done.send(result);
        }
    }

    /// Finds the job for which the connection was closed: the one that was published, or, of several, the one for which it is
    /// closed again.
    fn find(&mut self, error: lapin::Error) {
        match (self.published, self.jobs.front()) {
            (1, Some((number, _))) => self.done(*number, Err(Unpublished::NotAllowed(error))),
            _ => self.doubt(),
        }
    }

    /// Each goes alone for once, so that it shows which one it is.
    fn doubt(&mut self) {
        self.doubted = self.last_number;
    }

    fn none_is_published(&mut self) {
        self.published = 0;
        self.jobs.retain(|(_, job)| !job.is_abandoned());
    }

    /// Gives everything up; says how many publications that were.
    fn drop_all(&mut self) -> usize {
        self.jobs.drain(..).map(|(_, job)| job.publications.len()).sum()
    }
}

/// Publishes; gives the confirms to be awaited.
async fn publish_all(
    channel: &Channel,
    publications: &[Publication],
) -> Result<Vec<PublisherConfirm>, lapin::Error> {
    let mut published = Operations::new(publications.iter().map(|publication| publish(channel, publication)));
    let result = match published.poll() {
        Ok(()) => published.done().await,
        error => error,
    };
    let confirms = published.outputs().flatten().collect();
    match result {
        Err(error) if says_nothing(&error) => Err(reason(confirms).await.unwrap_or(error)),
        Err(error) => Err(error),
        Ok(()) => {
            fail_point::reach("after-publish");
            Ok(confirms)
        }
    }
}

/// Whether an error tells only that a channel is closed.
fn says_nothing(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_))
}

/// Why a channel is closed: those know who wait for a confirm.
async fn reason(confirms: Vec<PublisherConfirm>) -> Option<lapin::Error> {
    let told = timeout(CLOSING_MAX, async {
        for confirm in confirms {
            if let Err(error) = confirm.await {
                return Some(error);
            }
        }
        None
    });
    told.await.ok().flatten()
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
