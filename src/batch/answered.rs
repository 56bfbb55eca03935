//! From decisions to answers: new ones are written once, repetitions get the bytes that exist.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Event;
use super::intake::Accepted;
use crate::contract::{
    Answer, Causation, Code, EventType, MessageType, Problem, answer_problem, encode_event, encode_outcome,
};
use crate::domain::{self, Decision, Done, Happening, IdempotencyKey, Outcome, Repeat, Request};
use crate::storage::StorageError;
use crate::storage::outcome::{Record, RecordedEvent};

/// How a command was answered.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) answer: Arc<Answer>,
    /// The event that tells of it, where the answer is not that event.
    event: Option<Arc<Answer>>,
    /// What else happened, when it was decided.
    aside: Vec<Event>,
    /// The type of the event, of the command that was done, or the code of the refusal.
    pub(super) outcome: &'static str,
    /// Where the command was refused.
    pub(super) refusal: Option<Problem>,
    /// Whether it was decided now.
    pub(super) is_new: bool,
}

/// Answers a batch, in its order.
pub(super) fn answer(
    batch: &[&Accepted],
    decisions: Vec<Decision<Record>>,
    now: DateTime<Utc>,
) -> Result<Vec<Answered>, StorageError> {
    let mut answered: Vec<Answered> = Vec::with_capacity(batch.len());
    for (accepted, decision) in batch.iter().zip(decisions) {
        let next = match decision {
            Decision::New(done) => new(accepted, done),
            Decision::MessageIdReused => message_id_reused(&accepted.request, now),
            Decision::Repeated(Repeat::Recorded(record)) => repeated(record)?,
            Decision::Repeated(Repeat::OfRequest(position)) => {
                Answered { is_new: false, aside: Vec::new(), ..answered[position].clone() }
            }
        };
        answered.push(next);
    }
    Ok(answered)
}

fn new(accepted: &Accepted, done: Done) -> Answered {
    let Done { outcome, at, aside } = done;
    let answer = Arc::new(encode_outcome(accepted.request.answer_id, &outcome, at));
    let aside = aside.into_iter().map(|happening| tell(happening, &accepted.causation)).collect();
    let (outcome, event, refusal) = match outcome {
        Outcome::Reserved(_) => (EventType::InventoryReserved.name(), None, None),
        Outcome::Unavailable(_) => (EventType::InventoryUnavailable.name(), None, None),
        Outcome::Released(_, released) => {
            (MessageType::ReleaseInventory.name(), released.map(domain::Event::Released), None)
        }
        Outcome::Consumed(_, consumed) => {
            (MessageType::ConsumeInventory.name(), consumed.map(domain::Event::Consumed), None)
        }
        Outcome::Extended(_) => (MessageType::ExtendHold.name(), None, None),
        Outcome::Refused(refusal) => {
            let problem = Problem::from(&refusal);
            (problem.code.name(), None, Some(problem))
        }
    };
    let event = event.map(|event| Arc::new(encode_event(Uuid::now_v7(), &event)));
    Answered { answer, event, aside, outcome, refusal, is_new: true }
}

/// What time has done takes over nothing from the command that came upon it.
fn tell(happening: Happening, causation: &Arc<Causation>) -> Event {
    let Happening { event, by_command } = happening;
    let causation = if by_command { Arc::clone(causation) } else { Arc::default() };
    Event::of(&event, causation)
}

fn message_id_reused(request: &Request, now: DateTime<Utc>) -> Answered {
    let problem = Problem::new(
        Code::MessageIdReused,
        "This message_id was used for a message with another body; give each command a message_id of its own, and \
         repeat a command with the very same bytes.",
    );
    let answer = Arc::new(answer_problem(request.answer_id, &problem, now));
    let (outcome, aside) = (problem.code.name(), Vec::new());
    // Not kept: the message_id is that of another command.
    Answered { answer, event: None, aside, outcome, refusal: Some(problem), is_new: false }
}

fn repeated(record: Record) -> Result<Answered, StorageError> {
    let Record { outcome, answer_id, subject, body, decided_at, event, .. } = record;
    let event = repeated_event(event, &subject, decided_at)?.map(Arc::new);
    let (answer, outcome, refusal) = if let Ok(event) = outcome.parse::<EventType>() {
        (Answer::event(answer_id, event, subject, decided_at, body), event.name(), None)
    } else if let Some(command) = done_by(&outcome) {
        (Answer::reply(answer_id, command, subject, decided_at, body), command.name(), None)
    } else {
        let code = Code::from_name(&outcome)
            .ok_or_else(|| StorageError::Broken(format!("outcome {outcome} is not known")))?;
        let problem = Problem::from_json(code, &body);
        (Answer::problem(answer_id, subject, decided_at, body), code.name(), Some(problem))
    };
    let (answer, aside) = (Arc::new(answer), Vec::new());
    Ok(Answered { answer, event, aside, outcome, refusal, is_new: false })
}

/// The command that was done, by the name under which its outcome is kept; releases had another one once.
fn done_by(outcome: &str) -> Option<MessageType> {
    if outcome == "ReservationReleased" {
        return Some(MessageType::ReleaseInventory);
    }
    MessageType::from_name(outcome)
}

fn repeated_event(
    event: RecordedEvent,
    subject: &str,
    decided_at: DateTime<Utc>,
) -> Result<Option<Answer>, StorageError> {
    let RecordedEvent { event_id: Some(id), event_type: Some(name), event_body: Some(body) } = event else {
        return Ok(None);
    };
    let event_type =
        name.parse().map_err(|error| StorageError::Broken(format!("outcome of {subject}: {error}")))?;
    Ok(Some(Answer::event(id, event_type, subject.to_owned(), decided_at, body)))
}

impl Answered {
    /// The events to publish: what happened besides, and the event of the outcome. That of a repetition is told
    /// once more: the broker may have lost the first one.
    pub(super) fn events(&self, causation: &Arc<Causation>) -> impl Iterator<Item = Event> {
        let own = self.event.as_ref().or(self.answer.event.map(|_| &self.answer));
        let own = own.map(|answer| Event { answer: Arc::clone(answer), causation: Arc::clone(causation) });
        self.aside.iter().cloned().chain(own)
    }

    /// How it is kept.
    pub(super) fn to_record(&self, key: &IdempotencyKey) -> Record {
        let event = self.event.as_ref().map(|event| RecordedEvent {
            event_id: Some(event.id),
            event_type: Some(event.message_type.to_owned()),
            event_body: Some(event.body.clone()),
        });
        Record {
            message_id: key.message_id.clone(),
            body_hash: key.body_hash,
            outcome: self.outcome.to_owned(),
            answer_id: self.answer.id,
            subject: self.answer.subject.clone(),
            body: self.answer.body.clone(),
            decided_at: self.answer.occurred_at,
            event: event.unwrap_or_default(),
        }
    }
}
