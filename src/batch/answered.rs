//! From decisions to answers: new ones are written once, repetitions get the bytes that exist.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::contract::{Answer, Code, EventType, MessageType, Problem, answer_problem, encode_outcome};
use crate::domain::{Decision, IdempotencyKey, Outcome, Repeat, Request};
use crate::storage::StorageError;
use crate::storage::outcome::Record;

/// How a release is kept that was done.
const RELEASED: &str = "ReservationReleased";

/// How a command was answered.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) answer: Arc<Answer>,
    /// The type of the event, [`RELEASED`], or the code of the refusal.
    pub(super) outcome: &'static str,
    /// Where the command was refused.
    pub(super) refusal: Option<Problem>,
    /// Whether it was decided now.
    pub(super) is_new: bool,
}

/// Answers the requests of a batch, in their order.
pub(super) fn answer(
    requests: &[Request],
    decisions: Vec<Decision<Record>>,
    now: DateTime<Utc>,
) -> Result<Vec<Answered>, StorageError> {
    let mut answered: Vec<Answered> = Vec::with_capacity(requests.len());
    for (request, decision) in requests.iter().zip(decisions) {
        let next = match decision {
            Decision::New(outcome) => new(request, &outcome, now),
            Decision::MessageIdReused => message_id_reused(request, now),
            Decision::Repeated(Repeat::Recorded(record)) => repeated(record)?,
            Decision::Repeated(Repeat::OfRequest(position)) => {
                Answered { is_new: false, ..answered[position].clone() }
            }
        };
        answered.push(next);
    }
    Ok(answered)
}

fn new(request: &Request, outcome: &Outcome, now: DateTime<Utc>) -> Answered {
    let answer = Arc::new(encode_outcome(request.answer_id, outcome, now));
    let (name, refusal) = match outcome {
        Outcome::Reserved(_) => (EventType::InventoryReserved.name(), None),
        Outcome::Unavailable(_) => (EventType::InventoryUnavailable.name(), None),
        Outcome::Released(_) => (RELEASED, None),
        Outcome::Refused(refusal) => {
            let problem = Problem::from(*refusal);
            (problem.code.name(), Some(problem))
        }
    };
    Answered { answer, outcome: name, refusal, is_new: true }
}

fn message_id_reused(request: &Request, now: DateTime<Utc>) -> Answered {
    let problem = Problem::new(
        Code::MessageIdReused,
        "This message_id was used for a message with another body; give each command a message_id of its own, and \
         repeat a command with the very same bytes.",
    );
    let answer = Arc::new(answer_problem(request.answer_id, &problem, now));
    // Not kept: the message_id is that of another command.
    Answered { answer, outcome: problem.code.name(), refusal: Some(problem), is_new: false }
}

fn repeated(record: Record) -> Result<Answered, StorageError> {
    let Record { outcome, answer_id, subject, body, decided_at, .. } = record;
    let (answer, outcome, refusal) = if let Ok(event) = outcome.parse::<EventType>() {
        (Answer::event(answer_id, event, subject, decided_at, body), event.name(), None)
    } else if outcome == RELEASED {
        let released = MessageType::ReleaseInventory;
        (Answer::reply(answer_id, released, subject, decided_at, body), RELEASED, None)
    } else {
        let code = Code::from_name(&outcome)
            .ok_or_else(|| StorageError::Broken(format!("outcome {outcome} is not known")))?;
        let problem = Problem::from_json(code, &body);
        (Answer::problem(answer_id, subject, decided_at, body), code.name(), Some(problem))
    };
    Ok(Answered { answer: Arc::new(answer), outcome, refusal, is_new: false })
}

impl Answered {
    /// How it is kept.
    pub(super) fn to_record(&self, key: &IdempotencyKey, decided_at: DateTime<Utc>) -> Record {
        Record {
            message_id: key.message_id.clone(),
            body_hash: key.body_hash,
            outcome: self.outcome.to_owned(),
            answer_id: self.answer.id,
            subject: self.answer.subject.clone(),
            body: self.answer.body.clone(),
            decided_at,
        }
    }
}
