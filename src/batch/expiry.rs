//! Gives back the stock of holds whose time is over.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::Bookkeeper;
use super::bookkeeper::{LAPSED_AT_ONCE, Lapsed, Opened, open, products};
use crate::config::{BatchSettings, ExpirySettings};
use crate::domain::Books;
use crate::storage::lapsing::{self, Due, Range};
use crate::storage::{StorageError, reservation, stock};

/// Sweeps lapsed holds. Any replica may, and one at a time does; what a command needs it does not wait for.
#[derive(Debug)]
pub struct Expiry {
    /// Makes it true.
    pub bookkeeper: Bookkeeper,
    /// How often.
    pub settings: ExpirySettings,
    /// How large a transaction may be.
    pub batch: BatchSettings,
}

/// After having waited in vain for what somebody else has locked, sweeps wait for nothing for so long: who waits for one
/// product has others locked already, which commands want.
const WAITED_PAUSE: Duration = Duration::from_secs(10);

/// How far a sweep has come.
#[derive(Default)]
struct Round {
    /// What lapses later is for the next one, which looks again at what was locked.
    ahead: Range,
    /// How late that was when it was found.
    locked_late_seconds: f64,
}

/// A step of a sweep.
struct Step {
    lapsed: Lapsed,
    /// Seconds since the first of these holds lapsed.
    late_seconds: f64,
    /// The last of them, behind which the next step begins.
    last: Due,
}

impl Expiry {
    /// Looks for lapsed holds now and then, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(Duration::from_millis(self.settings.sweep_interval_ms));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut swept_at = Instant::now();
        let mut waited_at = None;
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            match self.sweep(&mut waited_at, &stop).await {
                Ok(0) => {}
                Ok(lapsed) => info!(lapsed, "holds have lapsed"),
                Err(error) => {
                    warn!(%error, "lapsed holds cannot be given back yet");
                    // Some may have been due since then.
                    self.bookkeeper.metrics.expiry_lag(swept_at.elapsed().as_secs_f64());
                    continue;
                }
            }
            swept_at = Instant::now();
        }
    }

    /// Step by step, each a transaction as large as a batch, so that commands come in between.
    async fn sweep(
        &self,
        waited_at: &mut Option<Instant>,
        stop: &CancellationToken,
    ) -> Result<usize, StorageError> {
        let mut lapsed = 0;
        let mut round = Round::default();
        let mut goes_around = waited_at.is_some_and(|at| at.elapsed() < WAITED_PAUSE);
        while !stop.is_cancelled() {
            let database = &self.bookkeeper.database;
            let done = if goes_around {
                database.in_time(self.step_around(&mut round)).await
            } else {
                database.in_time(self.step(&mut round)).await
            };
            let done = match done {
                // Somebody else has had something locked for long: the others go on without it.
                Err(StorageError::TooSlow(_)) if !goes_around => {
                    (goes_around, *waited_at) = (true, Some(Instant::now()));
                    continue;
                }
                done => done?,
            };
            let late_seconds = done.as_ref().map_or(0.0, |done| done.late_seconds);
            self.bookkeeper.metrics.expiry_lag(late_seconds.max(round.locked_late_seconds));
            let Some(done) = done else { break };
            lapsed += done.lapsed.holds;
            self.bookkeeper.offer(done.lapsed.promised);
            round.ahead.after = Some(done.last);
        }
        Ok(lapsed)
    }

    /// Nothing where nothing is due any more.
    async fn step(&self, round: &mut Round) -> Result<Option<Step>, StorageError> {
        let mut transaction = self.bookkeeper.database.begin().await?;
        let due = self.due(transaction.connection()?, round).await?;
        let (Some(first), Some(&last)) = (due.first(), due.last()) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let Opened { books, now, .. } = open(transaction.connection()?, &[], &ids(&due)).await?;
        let lapsed = self.bookkeeper.lapse_in(transaction, books, now).await?;
        Ok(Some(Step { lapsed, late_seconds: first.late_seconds(), last }))
    }

    /// The same with what nobody else has locked; notes which products somebody has.
    async fn step_around(&self, round: &mut Round) -> Result<Option<Step>, StorageError> {
        let mut transaction = self.bookkeeper.database.begin().await?;
        let due = self.due(transaction.connection()?, round).await?;
        let (Some(first), Some(&last)) = (due.first(), due.last()) else {
            transaction.rollback().await?;
            return Ok(None);
        };
        let mut holds = reservation::lock_free(transaction.connection()?, &ids(&due)).await?;
        let locked = stock::busy(transaction.connection()?, &products(&[], &holds)).await?;
        holds.retain(|hold| !products(&[], std::slice::from_ref(hold)).iter().any(|id| locked.contains(id)));
        let levels = stock::lock(transaction.connection()?, &products(&[], &holds)).await?;
        if holds.len() < due.len() {
            round.locked_late_seconds = first.late_seconds().max(round.locked_late_seconds);
        }
        let now = transaction.now().await?;
        let books = Books::open(levels, holds, []);
        let lapsed = self.bookkeeper.lapse_in(transaction, books, now).await?;
        round.ahead.busy.extend(locked);
        Ok(Some(Step { lapsed, late_seconds: first.late_seconds(), last }))
    }

    /// What is due next; nothing where nothing is, or another replica sweeps.
    async fn due(
        &self,
        connection: &mut sqlx::PgConnection,
        round: &mut Round,
    ) -> Result<Vec<Due>, StorageError> {
        if !lapsing::may_sweep(connection).await? {
            return Ok(Vec::new());
        }
        let lines = u32::try_from(self.batch.lines).unwrap_or(u32::MAX);
        let due = lapsing::due(connection, &round.ahead, LAPSED_AT_ONCE, lines).await?;
        if let Some(first) = due.first() {
            round.ahead.until.get_or_insert(first.found_at);
        }
        Ok(due)
    }
}

fn ids(due: &[Due]) -> Vec<Uuid> {
    due.iter().map(|hold| hold.reservation_id).collect()
}
