//! Decides commands on locked books.
//!
//! Law: deciding N commands in one batch equals deciding them one after another. It holds because a batch *is*
//! decided one after another, on books that are kept up to date in memory; the property tests check that
//! nothing is lost on the way to the store and back.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::{
    Amendment, Books, Command, EndReason, Hold, Item, Outcome, Refusal, Release, Request, Reservation,
    ReservationId, Reserve, Reserved, Shortfall, State, Unavailable, UnavailableReason,
};

/// What came of one request of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<R> {
    /// Decided now.
    New(Outcome),
    /// The same command as before: answered as before.
    Repeated(Repeat<R>),
    /// The `message_id` belongs to a message with another body (contract section 3).
    MessageIdReused,
}

/// Whose answer a repetition gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repeat<R> {
    /// That of an earlier batch.
    Recorded(R),
    /// That of the request at this position of the same batch.
    OfRequest(usize),
}

/// Decides the requests in their order; `now` is the time of every outcome.
pub fn decide<R: Clone>(books: &mut Books<R>, requests: &[Request], now: DateTime<Utc>) -> Vec<Decision<R>> {
    let mut decided_here: HashMap<&[u8], (usize, &[u8; 32])> = HashMap::new();
    let mut decisions = Vec::with_capacity(requests.len());
    for (position, request) in requests.iter().enumerate() {
        let decision = match repetition(books, &decided_here, request) {
            Some(repetition) => repetition,
            None => Decision::New(decide_one(books, request, now)),
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

fn decide_one<R>(books: &mut Books<R>, request: &Request, now: DateTime<Utc>) -> Outcome {
    match &request.command {
        Command::Reserve(reserve) => decide_reserve(books, reserve, request.fresh_reservation, now),
        Command::Release(release) => decide_release(books, release, now),
    }
}

fn decide_reserve<R>(
    books: &mut Books<R>,
    reserve: &Reserve,
    fresh: ReservationId,
    now: DateTime<Utc>,
) -> Outcome {
    if let Some(outcome) = chosen_id_is_spent(books, reserve, now) {
        return outcome;
    }
    let standing = books.live_hold(reserve.cart).cloned();
    match standing.and_then(|r| r.hold.map(|hold| (r.id, hold))) {
        Some((id, hold)) if hold.items.same_as(&reserve.items) => confirm(books, reserve, id, &hold, now),
        standing => take_all_or_nothing(books, reserve, standing, fresh, now),
    }
}

/// What a reserve comes to whose sender chose an id that has a history (contract 4.3 and 4.4).
fn chosen_id_is_spent<R>(books: &Books<R>, reserve: &Reserve, now: DateTime<Utc>) -> Option<Outcome> {
    let known = books.reservation(reserve.reservation?)?;
    match (&known.hold, known.state) {
        (Some(hold), _) if hold.cart != reserve.cart => {
            Some(Outcome::Refused(Refusal::ReservationIdReused(known.id)))
        }
        (_, State::Held) => None,
        (_, State::Released { .. }) => {
            Some(unavailable(reserve, Vec::new(), UnavailableReason::ReleasedBefore, now))
        }
        (_, State::Consumed { .. }) => Some(Outcome::Refused(Refusal::ReservationConsumed(known.id))),
    }
}

/// The same items again: the reservation that stands is the answer.
fn confirm<R>(
    books: &mut Books<R>,
    reserve: &Reserve,
    id: ReservationId,
    hold: &Hold,
    now: DateTime<Utc>,
) -> Outcome {
    let confirmed = Hold {
        order: reserve.order.or(hold.order),
        expires_at: later_end(Some(hold), reserve, now),
        ..hold.clone()
    };
    if confirmed != *hold {
        books.put(Reservation { id, hold: Some(confirmed.clone()), state: State::Held });
    }
    reserved(id, confirmed)
}

fn take_all_or_nothing<R>(
    books: &mut Books<R>,
    reserve: &Reserve,
    standing: Option<(ReservationId, Hold)>,
    fresh: ReservationId,
    now: DateTime<Utc>,
) -> Outcome {
    let own_hold = standing.as_ref().map(|(_, hold)| hold);
    let shortfalls = shortfalls(books, reserve, own_hold);
    if !shortfalls.is_empty() {
        return unavailable(reserve, shortfalls, UnavailableReason::InsufficientStock, now);
    }
    let hold = Hold {
        cart: reserve.cart,
        order: reserve.order.or(own_hold.and_then(|hold| hold.order)),
        items: reserve.items.clone(),
        reserved_at: now,
        expires_at: later_end(own_hold, reserve, now),
    };
    let id = reserve.reservation.unwrap_or(fresh);
    if let Some((former_id, former)) = standing {
        supersede(books, former_id, former, id, now);
    }
    books.take(&hold.items);
    books.put(Reservation { id, hold: Some(hold.clone()), state: State::Held });
    reserved(id, hold)
}

/// Frees the hold that another takes the place of. Under the same id it is amended, not ended: the sender
/// chose that id to release what it holds now.
fn supersede<R>(
    books: &mut Books<R>,
    former_id: ReservationId,
    former: Hold,
    successor: ReservationId,
    now: DateTime<Utc>,
) {
    books.give_back(&former.items);
    if former_id == successor {
        books.note_amendment(Amendment {
            reservation: former_id,
            former_items: former.items,
            former_reserved_at: former.reserved_at,
            amended_at: now,
        });
    } else {
        let state = State::Released { at: now, reason: Some(EndReason::Superseded) };
        books.put(Reservation { id: former_id, hold: Some(former), state });
    }
}

/// Every product that falls short, once what the cart holds already is counted as free.
fn shortfalls<R>(books: &Books<R>, reserve: &Reserve, own_hold: Option<&Hold>) -> Vec<Shortfall> {
    let own: HashMap<_, _> = own_hold
        .into_iter()
        .flat_map(|hold| hold.items.iter().map(|item| (item.product, item.quantity)))
        .collect();
    let shortfall = |item: &Item| {
        let available = books.available(item.product) + own.get(&item.product).copied().unwrap_or(0);
        (available < item.quantity).then_some(Shortfall {
            product: item.product,
            requested: item.quantity,
            available,
        })
    };
    reserve.items.iter().filter_map(shortfall).collect()
}

/// A repeated reserve can move the end of a hold later, never earlier (contract 4.3). No end is the latest.
fn later_end(own_hold: Option<&Hold>, reserve: &Reserve, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let asked = reserve.hold_seconds.map(|seconds| now + TimeDelta::seconds(seconds.into()));
    match own_hold {
        None => asked,
        Some(hold) => hold.expires_at.map(|end| asked.map_or(end, |asked| asked.max(end))),
    }
}

fn decide_release<R>(books: &mut Books<R>, release: &Release, now: DateTime<Utc>) -> Outcome {
    let id = release.reservation;
    let state = State::Released { at: now, reason: release.reason.map(EndReason::from) };
    match books.reservation(id).cloned() {
        None => {
            books.put(Reservation { id, hold: None, state });
            Outcome::Refused(Refusal::ReservationNotFound(id))
        }
        Some(Reservation { hold: None, .. }) => Outcome::Refused(Refusal::ReservationNotFound(id)),
        Some(Reservation { hold: Some(hold), state: State::Held, .. }) => {
            books.give_back(&hold.items);
            books.put(Reservation { id, hold: Some(hold), state });
            Outcome::Released(id)
        }
        Some(Reservation { state: State::Consumed { .. }, .. }) => {
            Outcome::Refused(Refusal::ReservationConsumed(id))
        }
        Some(_) => Outcome::Released(id),
    }
}

fn reserved(reservation: ReservationId, hold: Hold) -> Outcome {
    Outcome::Reserved(Reserved {
        reservation,
        order: hold.order,
        cart: hold.cart,
        items: hold.items,
        reserved_at: hold.reserved_at,
        expires_at: hold.expires_at,
    })
}

fn unavailable(
    reserve: &Reserve,
    shortfalls: Vec<Shortfall>,
    reason: UnavailableReason,
    now: DateTime<Utc>,
) -> Outcome {
    Outcome::Unavailable(Unavailable {
        order: reserve.order,
        cart: reserve.cart,
        shortfalls,
        reason,
        checked_at: now,
    })
}
