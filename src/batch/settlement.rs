//! What is to be done with a delivery.

use std::sync::Arc;

use tracing::warn;
use uuid::Uuid;

use crate::clock;
use crate::contract::{Answer, Causation, Problem, answer_problem};
use crate::metrics::Metrics;

/// How a delivery ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It is done.
    Acknowledge,
    /// It could not be understood; acknowledge it once it is among the dead letters.
    DeadLetter(Problem),
    /// Somebody else has locked what it needs, or a command before it waits: it stays here, unacknowledged, and is handled
    /// again together with what comes next. RabbitMQ does not count that.
    Wait,
    /// It could not be done now. RabbitMQ counts the deliveries, and has the last word.
    Retry,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// How it ends.
    pub disposition: Disposition,
    /// What its sender is told, where it asked.
    pub reply: Option<Reply>,
}

impl Settlement {
    /// Try again later; nobody is told anything.
    #[must_use]
    pub fn retry() -> Self {
        Self { disposition: Disposition::Retry, reply: None }
    }

    /// Handle it again with what comes next; nobody is told anything.
    #[must_use]
    pub fn wait() -> Self {
        Self { disposition: Disposition::Wait, reply: None }
    }

    /// Whether it is to be handled again here.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.disposition == Disposition::Wait
    }

    /// A message that could not be understood: logged, counted as one of this kind, answered, and put among the
    /// dead letters.
    pub fn problem(
        kind: &'static str,
        problem: Problem,
        reply_to: Option<String>,
        causation: Arc<Causation>,
        metrics: &Metrics,
    ) -> Self {
        warn!(
            kind,
            code = problem.code.name(),
            detail = problem.detail,
            message_id = causation.causation_id,
            correlation_id = causation.correlation_id,
            "message could not be understood"
        );
        metrics.message(kind, problem.code.name());
        let answer = Arc::new(answer_problem(Uuid::now_v7(), &problem, clock::wall()));
        let reply = reply_to.map(|to| Reply { to, answer, causation });
        Self { disposition: Disposition::DeadLetter(problem), reply }
    }
}

/// An answer to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The queue.
    pub to: String,
    /// The answer; the event itself for a reserve.
    pub answer: Arc<Answer>,
    /// What it takes over from the message.
    pub causation: Arc<Causation>,
}
