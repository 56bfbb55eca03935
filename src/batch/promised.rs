//! Events that a commit promised.

use std::sync::Arc;

use uuid::Uuid;

use crate::contract::{Answer, Causation, EventType, encode_event};
use crate::domain;
use crate::storage::{StorageError, outbox};

/// The events of a commit, on their way to the broker. Those that are published in the order of their product
/// are not among them: their rows in the outbox are relayed by one replica at a time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Promised {
    /// Their row in the outbox (or rows), to be deleted once all are confirmed.
    pub keys: Vec<i64>,
    /// What to publish.
    pub events: Vec<Event>,
    /// Whether there are others, to be published in order.
    pub has_ordered: bool,
}

impl Promised {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && !self.has_ordered
    }
}

/// An event with what it takes over from the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event.
    pub answer: Arc<Answer>,
    /// What it takes over.
    pub causation: Arc<Causation>,
}

impl Event {
    /// Writes what happened, with an identity of its own.
    pub(super) fn of(happened: &domain::Event, causation: Arc<Causation>) -> Self {
        Self { answer: Arc::new(encode_event(Uuid::now_v7(), happened)), causation }
    }

    /// Whether it is published in the order of its product.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        self.answer.event.is_some_and(EventType::is_ordered)
    }
}

impl<'a> From<&'a Event> for outbox::Promise<'a> {
    fn from(event: &'a Event) -> Self {
        let Event { answer, causation } = event;
        let bytes = |id: &'a Option<String>| id.as_ref().map(String::as_bytes);
        Self {
            event_id: answer.id,
            event_type: answer.message_type,
            subject: &answer.subject,
            body: &answer.body,
            occurred_at: answer.occurred_at,
            correlation_id: bytes(&causation.correlation_id),
            causation_id: bytes(&causation.causation_id),
            traceparent: bytes(&causation.traceparent),
            tracestate: bytes(&causation.tracestate),
        }
    }
}

impl TryFrom<outbox::Event> for Event {
    type Error = StorageError;

    fn try_from(row: outbox::Event) -> Result<Self, StorageError> {
        let event_type: EventType = row.event_type.parse().map_err(|error| {
            StorageError::Broken(format!("event {} in the outbox: {error}", row.event_id))
        })?;
        // It came from a string, so it is one.
        let text = |id: Vec<u8>| String::from_utf8_lossy(&id).into_owned();
        let answer = Answer::event(row.event_id, event_type, row.subject, row.occurred_at, row.body);
        let causation = Causation {
            correlation_id: row.correlation_id.map(text),
            causation_id: row.causation_id.map(text),
            traceparent: row.traceparent.map(text),
            tracestate: row.tracestate.map(text),
        };
        Ok(Self { answer: Arc::new(answer), causation: Arc::new(causation) })
    }
}
