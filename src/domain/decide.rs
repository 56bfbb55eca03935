//! Decides commands on locked books.
//!
//! Law: deciding N commands in one batch equals deciding them one after another. It holds because a batch *is*
//! decided one after another, on books that are kept up to date in memory; the property tests check that
//! nothing is lost on the way to the store and back. One thing is left open: of several lapsed holds that would
//! help a reserve, those that the batch has locked anyway may give way before others that lapsed earlier.

use std::borrow::Borrow;
use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::books::Cause;
use super::lapse::lapse_if_due;
use super::{Books, Command, Happening, Outcome, Request, settle};

/// What came of one request of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<R> {
    /// Decided now.
    New(Done),
    /// The same command as before: answered as before.
    Repeated(Repeat<R>),
    /// The `message_id` belongs to a message with another body (contract section 3).
    MessageIdReused,
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Its outcome.
    pub outcome: Outcome,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// What happened besides, in this order; what the outcome itself tells comes after it.
    pub aside: Vec<Happening>,
}

/// Whose answer a repetition gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repeat<R> {
    /// That of an earlier batch.
    Recorded(R),
    /// That of the request at this position of the same batch.
    OfRequest(usize),
}

/// When the request at this position of a batch is decided: each a microsecond after the one before, the
/// precision of the database. So the facts of a product have the order in which they happened, and a batch
/// takes longer than that to commit.
#[must_use]
pub fn time_of(position: usize, now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::microseconds(i64::try_from(position).unwrap_or_default())
}

/// Decides the requests in their order, beginning at `now`.
pub fn decide<R: Clone>(
    books: &mut Books<R>,
    requests: &[impl Borrow<Request>],
    now: DateTime<Utc>,
) -> Vec<Decision<R>> {
    let mut decided_here: HashMap<&[u8], (usize, &[u8; 32])> = HashMap::new();
    let mut decisions = Vec::with_capacity(requests.len());
    for (position, request) in requests.iter().map(Borrow::borrow).enumerate() {
        let decision = match repetition(books, &decided_here, request) {
            Some(repetition) => repetition,
            None => Decision::New(decide_one(books, request, time_of(position, now))),
        };
        if let (Decision::New(_), Some(key)) = (&decision, &request.key) {
            decided_here.insert(&key.message_id, (position, &key.body_hash));
        }
        decisions.push(decision);
    }
    decisions
}

fn repetition<R: Clone>(
    books: &Books<R>,
    decided_here: &HashMap<&[u8], (usize, &[u8; 32])>,
    request: &Request,
) -> Option<Decision<R>> {
    let key = request.key.as_ref()?;
    let (body_hash, repeat) = if let Some((position, body_hash)) = decided_here.get(&*key.message_id) {
        (*body_hash, Repeat::OfRequest(*position))
    } else {
        let known = books.known(&key.message_id)?;
        (&known.body_hash, Repeat::Recorded(known.answer.clone()))
    };
    Some(if *body_hash == key.body_hash { Decision::Repeated(repeat) } else { Decision::MessageIdReused })
}

fn decide_one<R>(books: &mut Books<R>, request: &Request, at: DateTime<Utc>) -> Done {
    let message_id = request.key.as_ref().map(|key| key.message_id.as_slice());
    let cause = Cause { at, message_id };
    let mut aside = Vec::new();
    let outcome = match &request.command {
        Command::Reserve(reserve) => {
            let named = reserve.reservation;
            let standing = books.live_hold(reserve.cart).map(|reservation| reservation.id);
            for id in standing.into_iter().chain(named) {
                lapse_if_due(books, id, at, &mut aside);
            }
            super::reserve::decide(books, reserve, request.fresh_reservation, cause, &mut aside)
        }
        Command::Release(release) => {
            lapse_if_due(books, release.reservation, at, &mut aside);
            settle::release(books, release, cause)
        }
        Command::Consume(consume) => {
            lapse_if_due(books, consume.reservation, at, &mut aside);
            settle::consume(books, consume, cause, &mut aside)
        }
        Command::Extend(extend) => {
            lapse_if_due(books, extend.reservation, at, &mut aside);
            settle::extend(books, extend, at)
        }
    };
    aside.extend(books.end_step(at).into_iter().map(|event| Happening { event, by_command: true }));
    Done { outcome, at, aside }
}
