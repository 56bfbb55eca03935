//! One transaction for a batch: the outcomes, the stock and the promise of the events, or nothing at all.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::answered::{Answered, answer};
use super::intake::Accepted;
use super::promised::{Event, Promised};
use crate::domain::{Books, Changes, Command, Items, Known, Request, Reservation, State, decide};
use crate::metrics::{Metrics, Step};
use crate::storage::outcome::Record;
use crate::storage::{Database, StorageError, Transaction, outbox, outcome, reservation, stock};

/// What a committed batch leaves to do.
#[derive(Debug)]
pub(super) struct Committed {
    /// In the order of the requests.
    pub(super) answered: Vec<Answered>,
    /// Events to publish.
    pub(super) promised: Promised,
}

/// Decides and commits. After an error nothing has happened, or, where the answer to COMMIT was lost, all of
/// it has: a repetition finds the outcomes then.
pub(super) async fn run(
    database: &Database,
    batch: &[&Accepted],
    lease_seconds: u32,
    metrics: &Metrics,
) -> Result<Committed, StorageError> {
    let deadline = database.transaction_timeout();
    let work = decide_and_commit(database, batch, lease_seconds, metrics);
    tokio::time::timeout(deadline, work).await.unwrap_or(Err(StorageError::Deadline(deadline)))
}

async fn decide_and_commit(
    database: &Database,
    batch: &[&Accepted],
    lease_seconds: u32,
    metrics: &Metrics,
) -> Result<Committed, StorageError> {
    let mut watch = StopWatch { metrics, since: Instant::now() };
    let requests: Vec<Request> = batch.iter().map(|accepted| accepted.request.clone()).collect();
    let mut transaction = database.begin().await?;
    let mut books = load(&mut transaction, &requests).await?;
    let now = transaction.now().await?;
    watch.lap(Step::Load);
    let decisions = decide(&mut books, &requests, now);
    let answered = answer(&requests, decisions, now)?;
    watch.lap(Step::Decide);
    let promised = promise(batch, &answered);
    persist_changes(&mut transaction, &books.into_changes()).await?;
    persist_outcomes(&mut transaction, &requests, &answered, now).await?;
    let keys = persist_events(&mut transaction, &promised, lease_seconds).await?;
    watch.lap(Step::Persist);
    transaction.commit().await?;
    watch.lap(Step::Commit);
    metrics.batch(batch.len());
    Ok(Committed { answered, promised: Promised { keys, events: promised } })
}

/// Locks reservations, then stock, each in the order of its keys; and looks up what is known only then.
async fn load(transaction: &mut Transaction, requests: &[Request]) -> Result<Books<Record>, StorageError> {
    let connection = transaction.connection()?;
    let (ids, carts) = reservations_and_carts(requests);
    let reservations = reservation::lock(connection, &ids, &carts).await?;
    let products = products(requests, &reservations);
    let levels = stock::lock(connection, &products).await?;
    let message_ids: Vec<&[u8]> =
        requests.iter().filter_map(|r| r.key.as_ref()).map(|key| key.message_id.as_slice()).collect();
    let records = outcome::look_up(connection, &message_ids).await?;
    let known = records
        .into_iter()
        .map(|record| (record.message_id.clone(), Known { body_hash: record.body_hash, answer: record }));
    Ok(Books::open(levels, reservations, known))
}

fn reservations_and_carts(requests: &[Request]) -> (Vec<Uuid>, Vec<Uuid>) {
    let mut ids = BTreeSet::new();
    let mut carts = BTreeSet::new();
    for request in requests {
        match &request.command {
            Command::Reserve(reserve) => {
                carts.insert(reserve.cart.0);
                ids.extend(reserve.reservation.map(|id| id.0));
            }
            Command::Release(release) => {
                ids.insert(release.reservation.0);
            }
        }
    }
    (ids.into_iter().collect(), carts.into_iter().collect())
}

/// What the commands ask for, and what live holds may give back.
fn products(requests: &[Request], reservations: &[Reservation]) -> Vec<Uuid> {
    let asked = requests.iter().filter_map(|request| match &request.command {
        Command::Reserve(reserve) => Some(&reserve.items),
        Command::Release(_) => None,
    });
    let live = reservations.iter().filter(|reservation| reservation.state == State::Held);
    let held = live.filter_map(|reservation| reservation.hold.as_ref()).map(|hold| &hold.items);
    let products: BTreeSet<Uuid> =
        asked.chain(held).flat_map(Items::iter).map(|item| item.product.0).collect();
    products.into_iter().collect()
}

async fn persist_changes(transaction: &mut Transaction, changes: &Changes) -> Result<(), StorageError> {
    let connection = transaction.connection()?;
    stock::update_reserved(connection, &changes.stock).await?;
    // Ended holds first: a cart's next hold must find the place free.
    reservation::update(connection, &changes.updated).await?;
    reservation::insert(connection, &changes.inserted).await?;
    reservation::insert_amendments(connection, &changes.amendments).await
}

async fn persist_outcomes(
    transaction: &mut Transaction,
    requests: &[Request],
    answered: &[Answered],
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    let records: Vec<Record> = requests
        .iter()
        .zip(answered)
        .filter(|(_, answered)| answered.is_new)
        .filter_map(|(request, answered)| Some(answered.to_record(request.key.as_ref()?, now)))
        .collect();
    outcome::insert(transaction.connection()?, &records).await
}

/// The events of a batch, those that are told once more included: the broker may have lost the first one.
fn promise(batch: &[&Accepted], answered: &[Answered]) -> Vec<Event> {
    let events = batch.iter().zip(answered).filter(|(_, answered)| answered.answer.event.is_some());
    events
        .map(|(accepted, answered)| Event {
            answer: Arc::clone(&answered.answer),
            causation: Arc::clone(&accepted.causation),
        })
        .collect()
}

async fn persist_events(
    transaction: &mut Transaction,
    events: &[Event],
    lease_seconds: u32,
) -> Result<Vec<i64>, StorageError> {
    let rows: Vec<outbox::Row> = events.iter().map(outbox::Row::from).collect();
    outbox::insert(transaction.connection()?, &rows, lease_seconds).await
}

struct StopWatch<'a> {
    metrics: &'a Metrics,
    since: Instant,
}

impl StopWatch<'_> {
    fn lap(&mut self, step: Step) {
        self.metrics.step(step, self.since.elapsed());
        self.since = Instant::now();
    }
}
