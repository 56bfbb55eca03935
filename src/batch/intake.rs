//! From messages to requests, before any lock is taken.

use std::borrow::Cow;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::contract::{Causation, Limits, Message, MessageType, Problem, ReplyToPolicy, decode_command};
use crate::domain::{Command, Consume, IdempotencyKey, Release, Request, ReservationId, Reserve};

/// A message that was understood.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    pub(super) request: Request,
    pub(super) reply_to: Option<String>,
    pub(super) causation: Arc<Causation>,
}

impl Accepted {
    /// As it is to be decided now. Where nothing tells a repetition, what was tried before may be done, and its event
    /// may be on its way: what is done now is another fact, with identifiers of its own.
    pub(super) fn for_a_try(&self) -> Cow<'_, Self> {
        let Self { request: Request { command, key: None, .. }, reply_to, causation } = self else {
            return Cow::Borrowed(self);
        };
        let request = request(command.clone(), None);
        Cow::Owned(Self { request, reply_to: reply_to.clone(), causation: Arc::clone(causation) })
    }
}

/// A message that was not.
#[derive(Debug, Clone)]
pub(super) struct Rejected {
    pub(super) problem: Problem,
    pub(super) reply_to: Option<String>,
    pub(super) causation: Arc<Causation>,
}

/// Reads a message, and gives it the identifiers that deciding may need.
pub(super) fn take_in(
    message: &Message,
    limits: &Limits,
    policy: &ReplyToPolicy,
    default_hold_seconds: Option<u32>,
) -> Result<Accepted, Box<Rejected>> {
    let causation = Arc::new(Causation::of(message));
    let rejected =
        |problem, reply_to| Box::new(Rejected { problem, reply_to, causation: Arc::clone(&causation) });
    let reply_to = match policy.check(message) {
        Ok(queue) => queue.map(ToOwned::to_owned),
        Err(problem) => return Err(rejected(problem, None)),
    };
    match decode_command(message, limits) {
        Ok(mut command) => {
            if let Command::Reserve(reserve) = &mut command {
                reserve.hold_seconds = reserve.hold_seconds.or(default_hold_seconds);
            }
            let key = key_of(message, &command);
            Ok(Accepted { request: request(command, key), reply_to, causation })
        }
        Err(problem) => Err(rejected(problem, reply_to)),
    }
}

fn request(command: Command, key: Option<IdempotencyKey>) -> Request {
    Request { command, key, fresh_reservation: ReservationId(Uuid::now_v7()), answer_id: Uuid::now_v7() }
}

fn key_of(message: &Message, command: &Command) -> Option<IdempotencyKey> {
    let message_id = message.message_id.as_ref()?.as_bytes().to_vec();
    let mut hash = Sha256::new();
    hash.update(message_type(command).name());
    hash.update([0]);
    hash.update(&message.body);
    Some(IdempotencyKey { message_id, body_hash: hash.finalize().into() })
}

/// The type of the message that a command came in.
pub(super) fn message_type(command: &Command) -> MessageType {
    match command {
        Command::Reserve(_) => MessageType::ReserveInventory,
        Command::Release(_) => MessageType::ReleaseInventory,
        Command::Consume(_) => MessageType::ConsumeInventory,
        Command::Extend(_) => MessageType::ExtendHold,
    }
}

/// How much of a transaction a command takes: its lines.
pub(super) fn weight(command: &Command) -> usize {
    match command {
        Command::Reserve(Reserve { items, .. }) => items.iter().len(),
        Command::Release(Release { items, .. }) | Command::Consume(Consume { items, .. }) => {
            items.as_ref().map_or(1, |items| items.iter().len())
        }
        Command::Extend(_) => 1,
    }
}
