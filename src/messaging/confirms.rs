//! The broker's word for what was published, and how long it is waited for.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::TryFuture;
use futures_util::future::{TryMaybeDone, try_maybe_done};
use lapin::types::ShortString;
use lapin::{Confirmation, Connection, PublisherConfirm};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connection::GLANCE;
use super::publisher::Refused;

/// How long what RabbitMQ owes on a connection is waited for: as long as it says itself that it takes nothing, and no longer
/// than the limit otherwise. Whoever connected anew meanwhile would be blocked again, and leave a connection behind each time.
///
/// It ends for all at once: RabbitMQ stops reading from a connection where a queue does not take what is for it. Once the
/// service stops it ends as soon as RabbitMQ takes nothing, which may last: all that counts is kept elsewhere as well.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    connection: &'a Connection,
    limit: Duration,
    stop: &'a CancellationToken,
    is_over: CancellationToken,
}

impl<'a> Patience<'a> {
    pub(super) fn new(connection: &'a Connection, limit: Duration, stop: &'a CancellationToken) -> Self {
        Self { connection, limit, stop, is_over: CancellationToken::new() }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.is_cancelled()
    }

    /// Awaits what is owed; nothing where it does not come in time.
    pub(super) async fn with<T>(&self, owed: impl Future<Output = T>) -> Option<T> {
        let mut owed = pin!(self.is_over.run_until_cancelled(owed));
        loop {
            let was_blocked = self.is_blocked();
            tokio::select! {
                biased;
                done = &mut owed => return done,
                () = sleep(self.limit) => if !was_blocked && !self.is_blocked() { break },
                () = self.stopped_while_blocked() => break,
            }
        }
        self.is_over.cancel();
        None
    }

    async fn stopped_while_blocked(&self) {
        self.stop.cancelled().await;
        while !self.is_blocked() {
            sleep(GLANCE).await;
        }
    }

    fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }
}

/// What came of publications.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    pub(super) refused: Refused,
    /// The key of one that must have reached a queue and has not.
    pub(super) unroutable: Option<ShortString>,
}

/// Awaits every confirm: `wait_for_confirms` would not tell a nack from an ack. What is not confirmed in time counts as
/// refused.
pub(super) async fn confirmed(
    confirms: Vec<PublisherConfirm>,
    patience: &Patience<'_>,
) -> Result<Confirmed, lapin::Error> {
    let mut confirms = Operations::new(confirms.into_iter());
    confirms.poll()?;
    match patience.with(confirms.done()).await {
        Some(done) => done?,
        // Only the last was looked at until now.
        None => confirms.poll()?,
    }
    let mut of_all = Confirmed::default();
    for (position, confirmation) in confirms.outputs().enumerate() {
        match confirmation {
            Some(Confirmation::Ack(None) | Confirmation::NotRequested) => continue,
            Some(Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned))) => {
                of_all.unroutable = Some(returned.delivery.routing_key);
            }
            Some(Confirmation::Nack(None)) => {}
            None => of_all.refused.is_late = true,
        }
        of_all.refused.positions.push(position);
    }
    // A return may come with the confirm of another message of the same job.
    if of_all.unroutable.is_some() {
        of_all.refused.positions = (0..confirms.count()).collect();
    }
    Ok(of_all)
}

/// Operations that begin in their order. They are done in about that order as well, so the last is awaited first: the task is
/// woken once, and not by each of them.
pub(super) struct Operations<F: TryFuture>(Vec<Pin<Box<TryMaybeDone<F>>>>);

impl<F: TryFuture> Operations<F> {
    pub(super) fn new(operations: impl Iterator<Item = F>) -> Self {
        Self(operations.map(|operation| Box::pin(try_maybe_done(operation))).collect())
    }

    /// Lets each begin, or go on, as far as it can, and has nobody woken by it yet.
    pub(super) fn poll(&mut self) -> Result<(), F::Error> {
        let mut nobody = Context::from_waker(Waker::noop());
        for operation in &mut self.0 {
            if let Poll::Ready(Err(error)) = operation.as_mut().poll(&mut nobody) {
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) async fn done(&mut self) -> Result<(), F::Error> {
        for operation in self.0.iter_mut().rev() {
            operation.await?;
        }
        Ok(())
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    /// What came of each; nothing of those that are not done.
    pub(super) fn outputs(&mut self) -> impl Iterator<Item = Option<F::Ok>> {
        self.0.iter_mut().map(|operation| operation.as_mut().take_output())
    }
}
