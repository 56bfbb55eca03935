//! What is to be done with a delivery.

use std::sync::Arc;

use crate::contract::{Answer, Causation, Problem};

/// How a delivery ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It is done.
    Acknowledge,
    /// It could not be understood; acknowledge it once it is among the dead letters.
    DeadLetter(Problem),
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
