//! One transaction for a batch: the outcomes, the stock and the promise of the events, or nothing at all.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use tokio::sync::mpsc;
use tracing::warn;
use uuid::Uuid;

use super::answered::{Answered, answer};
use super::intake::Accepted;
use super::promised::{Event, Promised};
use super::searched::Searched;
use crate::domain::{
    Books, Changes, Command, Decision, Done, Item, Items, Known, Outcome, Request, Reservation, decide,
    lapse, time_of,
};
use crate::fail_point;
use crate::metrics::{Metrics, Step};
use crate::storage::batch::{self, Entries, Keys, Locked};
use crate::storage::outcome::Record;
use crate::storage::{Database, StorageError, Transaction, lapsing, outbox, reservation};

/// Lines of lapsed holds that are taken into a transaction together.
pub(super) const LAPSED_LINES: u32 = 4096;

/// Lapsed holds that are given back in one transaction.
pub(super) const LAPSED_AT_ONCE: u32 = 256;

/// Makes decisions true: opens the books, has them written, and hands the promised events on.
#[derive(Debug, Clone)]
pub struct Bookkeeper {
    /// The books.
    pub database: Database,
    /// Seconds for which events are ours to publish.
    pub lease_seconds: u32,
    /// Where the events of a commit go. Full, it makes the commands wait: memory stays bounded.
    pub relay: mpsc::Sender<Promised>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Where lapsed holds need not be looked for any more.
    pub searched: Searched,
}

/// Holds whose stock was given back.
pub(super) struct Lapsed {
    pub(super) holds: usize,
    /// To be handed on.
    pub(super) promised: Promised,
}

/// What came of trying to decide.
enum Tried {
    Decided(Decided),
    /// Nothing has happened: these lapsed holds may give back what falls short.
    Missed(Vec<Uuid>),
}

/// What is to be made true by COMMIT.
struct Decided {
    answered: Vec<Answered>,
    promised: Promised,
    /// The products that fall short for somebody.
    short: Vec<Uuid>,
    now: DateTime<Utc>,
}

impl Bookkeeper {
    /// Decides and commits. After an error nothing has happened, or, where the answer to COMMIT was lost, all of
    /// it has: a repetition finds the outcomes then.
    pub(super) async fn decide(&self, batch: &[&Accepted]) -> Result<Vec<Answered>, StorageError> {
        let batch: Vec<Cow<'_, Accepted>> = batch.iter().map(|accepted| accepted.for_a_try()).collect();
        let batch: Vec<&Accepted> = batch.iter().map(Cow::as_ref).collect();
        let mut lapsed = Vec::new();
        loop {
            let tried = self.database.in_time(self.try_decide(&batch, &lapsed)).await;
            // Another server may be the database by now, and may know less.
            if tried.as_ref().is_err_and(StorageError::is_away) {
                self.searched.forget();
            }
            match tried? {
                Tried::Decided(decided) => {
                    self.hand_on(decided.promised).await;
                    return Ok(decided.answered);
                }
                // Reservations are locked before stock, so the whole batch begins anew with them.
                Tried::Missed(more) if lapsed.len() < LAPSED_AT_ONCE as usize => lapsed.extend(more),
                Tried::Missed(more) => {
                    self.lapse(&more).await?;
                }
            }
        }
    }

    async fn try_decide(&self, accepted: &[&Accepted], lapsed: &[Uuid]) -> Result<Tried, StorageError> {
        let mut watch = StopWatch { metrics: &self.metrics, since: Instant::now() };
        let mut transaction = self.database.begin().await?;
        match self.decide_in(transaction.connection()?, accepted, lapsed, &mut watch).await {
            Ok(Tried::Decided(decided)) => {
                fail_point::reach("before-commit");
                transaction.commit().await?;
                fail_point::reach("after-commit");
                watch.lap(Step::Commit);
                self.searched.note(&decided.short, decided.now);
                self.metrics.batch(accepted.len());
                Ok(Tried::Decided(decided))
            }
            Err(error) if !error.is_lost_race() => Err(error),
            // To be tried again at once, while rivals are at work: not with a connection that has to be made first.
            tried => {
                transaction.rollback().await?;
                tried
            }
        }
    }

    async fn decide_in(
        &self,
        connection: &mut PgConnection,
        accepted: &[&Accepted],
        lapsed: &[Uuid],
        watch: &mut StopWatch<'_>,
    ) -> Result<Tried, StorageError> {
        let requests: Vec<&Request> = accepted.iter().map(|accepted| &accepted.request).collect();
        let Opened { mut books, known, now } = open(connection, &requests, lapsed).await?;
        watch.lap(Step::Load);
        let decisions = decide(&mut books, &requests, now);
        let short = short(&decisions);
        // Nothing is written for these that would meet what another replica has just written: a cart that has got a hold
        // meanwhile must not be told that it falls short of what it holds. It is found when all is tried again.
        if !short.is_empty() || requests.iter().zip(&decisions).any(is_told_of_another) {
            let (ids, carts) = reservations_and_carts(&requests, &[]);
            reservation::not_outrun(connection, &ids, &carts, &known).await?;
        }
        if !short.is_empty() {
            let missed = self.missed(connection, &short, &known, time_of(accepted.len(), now)).await?;
            if !missed.is_empty() {
                return Ok(Tried::Missed(missed));
            }
        }
        let answered = answer(accepted, decisions, now)?;
        let events = accepted.iter().zip(&answered).flat_map(|(of, answered)| answered.events(&of.causation));
        let events: Vec<Event> = events.collect();
        watch.lap(Step::Decide);
        fail_point::reach("inside-transaction");
        let records = records(&requests, &answered);
        let changes = books.into_changes();
        let promised = self.persist(connection, &changes, &records, events, now).await?;
        watch.lap(Step::Persist);
        Ok(Tried::Decided(Decided { answered, promised, short, now }))
    }

    /// Lapsed holds, not known yet, of products that fall short.
    async fn missed(
        &self,
        connection: &mut PgConnection,
        short: &[Uuid],
        known: &[Uuid],
        until: DateTime<Utc>,
    ) -> Result<Vec<Uuid>, StorageError> {
        let searched = self.searched.of(short);
        lapsing::due_of_products(connection, short, known, searched, until, LAPSED_AT_ONCE, LAPSED_LINES)
            .await
    }

    /// Gives back the stock of those of these holds whose time is over; says how many that were.
    pub async fn lapse(&self, ids: &[Uuid]) -> Result<usize, StorageError> {
        let lapsing = async {
            let mut transaction = self.database.begin().await?;
            let Opened { books, now, .. } = open(transaction.connection()?, &[], ids).await?;
            self.lapse_in(transaction, books, now).await
        };
        let Lapsed { holds, promised } = self.database.in_time(lapsing).await?;
        self.hand_on(promised).await;
        Ok(holds)
    }

    /// Gives back the stock of what is due in these books.
    pub(super) async fn lapse_in(
        &self,
        mut transaction: Transaction,
        mut books: Books<Record>,
        now: DateTime<Utc>,
    ) -> Result<Lapsed, StorageError> {
        let events: Vec<Event> =
            lapse(&mut books, now).iter().map(|event| Event::of(event, Arc::default())).collect();
        let changes = books.into_changes();
        let holds = changes.updated.len();
        let promised = self.persist(transaction.connection()?, &changes, &[], events, now).await?;
        transaction.commit().await?;
        self.metrics.lapsed(holds);
        Ok(Lapsed { holds, promised })
    }

    async fn persist(
        &self,
        connection: &mut PgConnection,
        changes: &Changes,
        outcomes: &[Record],
        events: Vec<Event>,
        at: DateTime<Utc>,
    ) -> Result<Promised, StorageError> {
        let (ordered, ours): (Vec<Event>, Vec<Event>) = events.into_iter().partition(Event::is_ordered);
        let entries = Entries {
            changes,
            outcomes,
            events: &promises(&ours),
            ordered: &promises(&ordered),
            lease_seconds: self.lease_seconds,
            at,
        };
        let keys = batch::write(connection, entries).await?;
        Ok(Promised { keys, events: ours, has_ordered: !ordered.is_empty() })
    }

    /// Offers events to the relay. Where it has its hands full they stay in the outbox, and are found there.
    pub(super) fn offer(&self, promised: Promised) {
        if !promised.is_empty() {
            // Stock is given back however long RabbitMQ takes nothing.
            let _ = self.relay.try_send(promised);
        }
    }

    /// Hands events to the relay, which takes as long as RabbitMQ does: never within a deadline of the database, after which
    /// all that is committed would be done again.
    pub(super) async fn hand_on(&self, promised: Promised) {
        if promised.is_empty() {
            return;
        }
        if self.relay.send(promised).await.is_err() {
            warn!("the relay is gone: the events stay in the outbox");
        }
    }
}

/// The books, open for a batch.
pub(super) struct Opened {
    pub(super) books: Books<Record>,
    /// The reservations in them.
    known: Vec<Uuid>,
    /// The time by the clock of the database, under the locks.
    pub(super) now: DateTime<Utc>,
}

/// Opens the books on what these requests and lapsed holds are about.
pub(super) async fn open(
    connection: &mut PgConnection,
    requests: &[&Request],
    lapsed: &[Uuid],
) -> Result<Opened, StorageError> {
    let (reservations, carts) = reservations_and_carts(requests, lapsed);
    let keys = requests.iter().filter_map(|request| request.key.as_ref());
    let message_ids = keys.map(|key| key.message_id.as_slice()).collect();
    let keys = Keys { reservations, carts, products: products(requests, &[]), message_ids };
    let Locked { levels, reservations, outcomes, at } = batch::lock(connection, &keys).await?;
    let known = reservations.iter().map(|reservation| reservation.id.0).collect();
    let outcomes = outcomes
        .into_iter()
        .map(|record| (record.message_id.clone(), Known { body_hash: record.body_hash, answer: record }));
    Ok(Opened { books: Books::open(levels, reservations, outcomes), known, now: at })
}

pub(super) fn reservations_and_carts(requests: &[&Request], lapsed: &[Uuid]) -> (Vec<Uuid>, Vec<Uuid>) {
    let mut ids: BTreeSet<Uuid> = lapsed.iter().copied().collect();
    let mut carts = BTreeSet::new();
    for request in requests {
        match &request.command {
            Command::Reserve(reserve) => {
                carts.insert(reserve.cart.0);
                ids.extend(reserve.reservation.map(|id| id.0));
            }
            Command::Release(release) => _ = ids.insert(release.reservation.0),
            Command::Consume(consume) => _ = ids.insert(consume.reservation.0),
            Command::Extend(extend) => _ = ids.insert(extend.reservation.0),
        }
    }
    (ids.into_iter().collect(), carts.into_iter().collect())
}

/// What the commands ask for, what live holds may give back, and what lapsed ones may take again.
pub(super) fn products(requests: &[&Request], reservations: &[Reservation]) -> Vec<Uuid> {
    let asked = requests.iter().filter_map(|request| match &request.command {
        Command::Reserve(reserve) => Some(&reserve.items),
        _ => None,
    });
    let asked = asked.flat_map(Items::iter).map(|Item { product, .. }| product.0);
    let held = reservations.iter().flat_map(Reservation::open_products).map(|product| product.0);
    let products: BTreeSet<Uuid> = asked.chain(held).collect();
    products.into_iter().collect()
}

/// The products that fall short for somebody.
fn short(decisions: &[Decision<Record>]) -> Vec<Uuid> {
    let new = decisions.iter().filter_map(|decision| match decision {
        Decision::New(done) => Some(done.outcome.shortfalls()),
        _ => None,
    });
    let short: BTreeSet<Uuid> = new.flatten().map(|shortfall| shortfall.product.0).collect();
    short.into_iter().collect()
}

/// Whether a reserve that names a reservation is answered with another one, which is right only as long as there is none of
/// that name.
fn is_told_of_another((request, decision): (&&Request, &Decision<Record>)) -> bool {
    match (&request.command, decision) {
        (Command::Reserve(reserve), Decision::New(Done { outcome: Outcome::Reserved(reserved), .. })) => {
            reserve.reservation.is_some_and(|named| named != reserved.reservation)
        }
        _ => false,
    }
}

fn promises(events: &[Event]) -> Vec<outbox::Promise<'_>> {
    events.iter().map(Into::into).collect()
}

/// What is to be kept of how a batch was answered.
fn records(requests: &[&Request], answered: &[Answered]) -> Vec<Record> {
    requests
        .iter()
        .zip(answered)
        .filter(|(_, answered)| answered.is_new)
        .filter_map(|(request, answered)| Some(answered.to_record(request.key.as_ref()?)))
        .collect()
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
