//! Carries batches through bad weather: waits for a database that is away, and tries lost races again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, info_span, warn};

use super::answered::Answered;
use super::intake::{Accepted, Rejected, message_type, take_in};
use super::obstacles::KnownObstacles;
use super::turn::Turn;
use super::{Bookkeeper, Disposition, Pressure, Reply, Resting, Settlement, Standstill};
use crate::config::BatchSettings;
use crate::contract::{Causation, Limits, Message, ReplyToPolicy};
use crate::metrics::{Metrics, Step};
use crate::storage::StorageError;

/// Handles batches of commands.
#[derive(Debug, Clone)]
pub struct Handler {
    /// Makes decisions true.
    pub bookkeeper: Bookkeeper,
    /// What senders may ask for.
    pub limits: Limits,
    /// Where answers may go.
    pub reply_to: ReplyToPolicy,
    /// How large a transaction may be.
    pub batch: BatchSettings,
    /// Seconds after which a hold lapses whose reserve does not say; `None`: it does not.
    pub default_hold_seconds: Option<u32>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Ends the waiting for a database that is away.
    pub stop: CancellationToken,
    /// What somebody else had locked, when last looked at.
    pub obstacles: KnownObstacles,
    /// What took too long, when last tried.
    pub resting: Resting,
    /// Why commands cannot be handled now.
    pub standstill: Standstill,
    /// Whether queries need the room.
    pub pressure: Pressure,
}

impl Handler {
    /// Handles messages; their settlements are in the same order.
    pub async fn handle(&self, messages: &[Message]) -> Vec<Settlement> {
        let started = Instant::now();
        let intake: Vec<_> = messages.iter().map(|message| self.take_in(message)).collect();
        self.metrics.step(Step::Decode, started.elapsed());
        let accepted: Vec<&Accepted> = intake.iter().filter_map(|taken| taken.as_ref().ok()).collect();
        let settled = Turn::new(self, &accepted).run().await;
        // Where none was done nobody knows yet whether PostgreSQL is there. At the end, those who wait have waited for that.
        let is_let_go = self.stop.is_cancelled() && !settled.is_empty();
        if settled.len() < messages.len()
            && settled.iter().all(Settlement::waits)
            && (is_let_go || !self.wait_for_database().await)
        {
            return vec![Settlement::wait(); messages.len()];
        }
        self.metrics.waiting(settled.iter().filter(|settlement| settlement.waits()).count());
        let mut settled = settled.into_iter();
        intake
            .iter()
            .map(|taken| match taken {
                Ok(_) => settled.next().unwrap_or_else(Settlement::retry),
                Err(rejected) => self.reject(rejected),
            })
            .collect()
    }

    fn take_in(&self, message: &Message) -> Result<Accepted, Box<Rejected>> {
        take_in(message, &self.limits, &self.reply_to, self.default_hold_seconds)
    }

    /// While PostgreSQL is away nothing is acknowledged or dead-lettered (contract section 5), not even what needs nothing of
    /// it. Says whether it is there.
    async fn wait_for_database(&self) -> bool {
        let mut pauses = pauses();
        let is_there = loop {
            match self.bookkeeper.database.ping().await {
                Ok(()) => break true,
                Err(error) => {
                    if !self.pause(&error, &mut pauses).await {
                        break false;
                    }
                }
            }
        };
        self.standstill.end();
        is_there
    }

    /// Waits for a moment for a database that cannot be used; says whether the service goes on.
    async fn pause(&self, error: &StorageError, pauses: &mut impl Iterator<Item = Duration>) -> bool {
        warn!(%error, "waiting for the database");
        self.standstill.begin(error);
        self.metrics.retried("database_away");
        let pause = pauses.next().unwrap_or(PAUSE_MAX);
        self.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some()
    }

    /// Tries until it is committed, fails for a reason of its own, or the service stops.
    pub(super) async fn persevere(&self, part: &[&Accepted]) -> Result<Vec<Answered>, StorageError> {
        let result = self.try_again_and_again(part).await;
        self.standstill.end();
        result
    }

    async fn try_again_and_again(&self, part: &[&Accepted]) -> Result<Vec<Answered>, StorageError> {
        let mut pauses = pauses();
        let (mut races, mut deadlines) = (0, 0);
        loop {
            let span = info_span!("batch", commands = part.len());
            let result = self.bookkeeper.decide(part).instrument(span).await;
            match result {
                Err(error) if error.is_lost_race() && races < RACES_MAX => {
                    races += 1;
                    self.metrics.retried("lost_race");
                }
                // As slow again and again: perhaps it is too much for one transaction.
                Err(error @ StorageError::Deadline(_))
                    if deadlines >= DEADLINES_MAX && self.bookkeeper.database.ping().await.is_ok() =>
                {
                    return Err(error);
                }
                Err(error) if error.is_away() || error.is_everybodys() => {
                    deadlines += u32::from(matches!(error, StorageError::Deadline(_)));
                    if !self.pause(&error, &mut pauses).await {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    pub(super) fn committed(&self, part: &[&Accepted], answered: Vec<Answered>) -> Vec<Settlement> {
        self.report(part, &answered);
        part.iter().zip(answered).map(|(accepted, answered)| settlement(accepted, answered)).collect()
    }

    /// One line a batch.
    fn report(&self, part: &[&Accepted], answered: &[Answered]) {
        let mut outcomes: BTreeMap<_, u64> = BTreeMap::new();
        for (accepted, answered) in part.iter().zip(answered) {
            let kind = message_type(&accepted.request.command).name();
            *outcomes.entry((kind, answered.is_new, answered.outcome)).or_default() += 1;
        }
        let mut told: BTreeMap<_, u64> = BTreeMap::new();
        for ((kind, is_new, outcome), messages) in outcomes {
            let repeated = if is_new { "" } else { "Repeated" };
            self.metrics.messages(kind, format!("{repeated}{outcome}"), messages);
            *told.entry(outcome).or_default() += messages;
        }
        if let Some(first) = part.first() {
            info!(
                commands = part.len(),
                outcomes = ?told,
                message_id = first.causation.causation_id,
                correlation_id = first.causation.correlation_id,
                "batch committed"
            );
        }
    }

    fn reject(&self, rejected: &Rejected) -> Settlement {
        let Rejected { problem, reply_to, causation } = rejected.clone();
        Settlement::problem("Command", problem, reply_to, causation, &self.metrics)
    }

    /// A command that cannot be done alone either.
    pub(super) fn give_back(&self, accepted: &Accepted, error: &StorageError) -> Settlement {
        let Causation { causation_id, correlation_id, .. } = &*accepted.causation;
        warn!(
            %error,
            message_id = causation_id,
            correlation_id,
            "command failed: giving it back to the queue"
        );
        self.metrics.retried("command_failed");
        Settlement::retry()
    }
}

/// Races that a batch may lose in a row; then it is tried in halves, which have fewer rivals.
const RACES_MAX: u32 = 20;

/// Deadlines that a batch may miss; then it is tried in halves.
const DEADLINES_MAX: u32 = 2;

/// Longest pause between two looks at a database that is away; chance makes it up to twice as long.
const PAUSE_MAX: Duration = Duration::from_secs(1);

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(PAUSE_MAX)
        .with_jitter()
        .without_max_times()
        .build()
}

fn settlement(accepted: &Accepted, answered: Answered) -> Settlement {
    let disposition = match answered.refusal {
        Some(problem) if problem.code.is_dead_letter() => Disposition::DeadLetter(problem),
        _ => Disposition::Acknowledge,
    };
    let reply = accepted.reply_to.clone().map(|to| Reply {
        to,
        answer: answered.answer,
        causation: Arc::clone(&accepted.causation),
    });
    Settlement { disposition, reply }
}
