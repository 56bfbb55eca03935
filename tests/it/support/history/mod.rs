//! Everything that was sent and heard, and whether it can be true.
//!
//! What is heard is looked at as it comes: an event told again must be the very same, a command has one outcome.
//! At the end [`History::violations`] goes through all of it in the order of the decisions, which is an order that
//! explains every answer or there is none, and holds it against the books.

mod facts;
mod replay;
pub mod told;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use uuid::Uuid;

use self::told::{Fact, Hash, Told, hash, id, items};
use super::author::Lines;
use super::conformance::{assert_is_event, assert_is_reply};
use super::message::Queue;
use super::{Message, Received};

/// Violations that are kept; more say no more.
const VIOLATIONS_MAX: usize = 100;

/// A command as it was sent.
#[derive(Debug, Clone)]
struct Sent {
    kind: String,
    /// What a reserve asks for.
    cart: Option<Uuid>,
    reservation: Option<Uuid>,
    items: Lines,
}

/// An answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    id: Uuid,
    hash: Hash,
}

/// All that was sent and heard.
#[derive(Debug, Default)]
pub struct History {
    /// Good commands by their `message_id`.
    sent: HashMap<String, Sent>,
    /// What nobody can understand, by `message_id` and body, with the code it must be refused with.
    nonsense: HashMap<(String, Hash), &'static str>,
    nonsense_ids: HashSet<String>,
    questions: HashSet<String>,
    events: HashMap<Uuid, Told>,
    /// The events that reserves came to.
    outcomes: HashMap<String, Uuid>,
    replies: HashMap<String, Answer>,
    /// Product, available and reserved, as queries told.
    observed: HashSet<(Uuid, u64, u64)>,
    /// The latest version of each product's availability, and those told by now.
    versions: HashMap<Uuid, u64>,
    buried: HashSet<(String, Hash)>,
    violations: Vec<String>,
    pub tally: Tally,
}

/// How much there was of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Commands by type, each once.
    pub commands: BTreeMap<String, usize>,
    pub questions: usize,
    pub nonsense: usize,
    /// Publications, those of copies and of second attempts too.
    pub publications: usize,
    /// What commands came to: the type of the event or the reply, or the code of the refusal.
    pub outcomes: BTreeMap<String, usize>,
    /// Events heard, each as often as it was.
    pub events: usize,
    /// Of those the ones that had been heard before.
    pub events_again: usize,
    pub replies: usize,
}

impl History {
    /// A command is about to be sent, perhaps not for the first time.
    pub fn sends(&mut self, message: &Message) {
        self.tally.publications += 1;
        if message.queue == Queue::Queries {
            self.tally.questions += usize::from(self.questions.insert(message.id().to_owned()));
            return;
        }
        if self.sent.contains_key(message.id()) {
            return;
        }
        let kind = message.kind.clone().expect("a command has a type");
        *self.tally.commands.entry(kind.clone()).or_default() += 1;
        let body: serde_json::Value = serde_json::from_slice(&message.body).expect("a good command");
        let optional = |field: &str| body.get(field).map(id);
        let (cart, reservation) = (optional("cartId"), optional("reservationId"));
        let sent = Sent { kind, cart, reservation, items: items(&body["items"]) };
        self.sent.insert(message.id().to_owned(), sent);
    }

    /// Something is about to be sent that must be refused with this code, and nothing else come of it.
    pub fn sends_nonsense(&mut self, message: &Message, code: &'static str) {
        self.tally.publications += 1;
        let key = (message.id().to_owned(), hash(&message.body));
        self.tally.nonsense += usize::from(self.nonsense.insert(key, code).is_none());
        self.nonsense_ids.insert(message.id().to_owned());
    }

    /// The good commands that were sent.
    pub fn commands(&self) -> usize {
        self.sent.len()
    }

    /// A command whose outcome is known: whoever uses its `message_id` for something else is refused.
    pub fn is_answered(&self, message_id: &str) -> bool {
        self.outcomes.contains_key(message_id)
    }

    /// Every reservation that somebody was told of.
    pub fn reservations(&self) -> HashSet<String> {
        let reserved = self.events.values().filter_map(|told| match told.fact {
            Fact::Reserved { reservation, .. } => Some(reservation.to_string()),
            _ => None,
        });
        reserved.collect()
    }

    /// What was found so far.
    pub fn found(&self) -> &[String] {
        &self.violations
    }

    /// Somebody else has found something that cannot be.
    pub fn note(&mut self, what: String) {
        self.violation(what);
    }

    fn violation(&mut self, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            eprintln!("VIOLATION: {what}");
            self.violations.push(what);
        }
    }

    /// Looks a message over; says whether it is as the contract has it.
    fn looks_well(&mut self, message: &Received, look_over: fn(&Received)) -> bool {
        let looked_over = catch_unwind(AssertUnwindSafe(|| look_over(message)));
        if looked_over.is_err() {
            self.violation(format!("not as the contract has it: {message:?}"));
        }
        looked_over.is_ok()
    }

    /// An event has come, perhaps not for the first time.
    pub fn hears_event(&mut self, event: &Received) {
        if !self.looks_well(event, assert_is_event) {
            return;
        }
        self.tally.events += 1;
        let told = Told::of(event);
        if let Some(first) = self.events.get(&told.id) {
            let is_same = (first.hash, &first.causation, &first.at) == (told.hash, &told.causation, &told.at);
            self.tally.events_again += 1;
            if !is_same {
                self.violation(format!("told again with other words: {event:?} at {}", told.at));
            }
            return;
        }
        self.is_in_order(&told);
        self.is_outcome(event, &told);
        self.events.insert(told.id, told);
    }

    /// What an availability is told for the first time must be the next version.
    fn is_in_order(&mut self, told: &Told) {
        let Fact::Availability { product, version, is_any } = told.fact else { return };
        let last = self.versions.insert(product, version).unwrap_or_default();
        if version != last + 1 || is_any == version.is_multiple_of(2) {
            self.violation(format!("after version {last} of {product}: {told:?}"));
        }
    }

    /// A reserve comes to one thing.
    fn is_outcome(&mut self, event: &Received, told: &Told) {
        if let Some(command) = &told.causation
            && !self.sent.contains_key(command)
        {
            self.violation(format!("caused by nothing that was sent: {event:?}"));
        }
        if !matches!(told.fact, Fact::Reserved { .. } | Fact::Unavailable { .. }) {
            return;
        }
        *self.tally.outcomes.entry(event.kind().to_owned()).or_default() += 1;
        let command = told.causation.clone().unwrap_or_default();
        if let Some(other) = self.outcomes.insert(command, told.id) {
            self.violation(format!("a second outcome, after {other}: {event:?}"));
        }
    }

    /// A reply has come, to a command or a question.
    pub fn hears_reply(&mut self, reply: &Received) {
        if !self.looks_well(reply, assert_is_reply) {
            return;
        }
        self.tally.replies += 1;
        let cause = reply.causation_id().unwrap_or_default();
        // A refusal of what nobody can understand is made up anew each time.
        let is_of_nonsense = self.nonsense_ids.contains(&cause)
            && (!self.sent.contains_key(&cause) || reply.json["code"] == "MESSAGE_ID_REUSED");
        if self.questions.contains(&cause) {
            self.observes(reply);
        } else if self.sent.contains_key(&cause) && !is_of_nonsense {
            self.is_one_answer(cause, reply);
        } else if !is_of_nonsense {
            self.violation(format!("a reply to nothing that was sent: {reply:?}"));
        }
    }

    fn is_one_answer(&mut self, command: String, reply: &Received) {
        let answer = Answer { id: Uuid::try_parse(reply.id()).unwrap_or_default(), hash: hash(&reply.body) };
        match self.replies.get(&command) {
            None => {
                let kind = if reply.kind() == "Error" { reply.text("code") } else { reply.kind() };
                let again = if reply.json["takenAgain"] == true { " taken again" } else { "" };
                if !kind.starts_with("Inventory") {
                    *self.tally.outcomes.entry(format!("{kind}{again}")).or_default() += 1;
                }
                self.replies.insert(command, answer);
            }
            Some(first) if *first == answer => {}
            Some(first) => self.violation(format!("answered {first:?} before: {reply:?}")),
        }
    }

    /// What a query tells must have been so at some time.
    fn observes(&mut self, reply: &Received) {
        let levels = match reply.kind() {
            "GetStockLevel" => std::slice::from_ref(&reply.json),
            "GetStockLevels" => reply.json["stockLevels"].as_array().map_or(&[][..], Vec::as_slice),
            _ => return,
        };
        for level in levels {
            let units = |field: &str| level[field].as_u64();
            let (Some(available), Some(reserved)) = (units("available"), units("reserved")) else {
                continue;
            };
            self.observed.insert((id(&level["productId"]), available, reserved));
        }
    }

    /// A dead letter has come.
    pub fn hears_dead_letter(&mut self, letter: &Received) {
        let key = (letter.id().to_owned(), hash(&letter.body));
        let code = letter.header("x-error-code");
        match self.nonsense.get(&key) {
            Some(expected) if code.as_deref() == Some(expected) => _ = self.buried.insert(key),
            expected => {
                let expected = expected.copied().unwrap_or("nothing");
                self.violation(format!("among the dead letters instead of {expected}: {letter:?}"));
            }
        }
    }
}
