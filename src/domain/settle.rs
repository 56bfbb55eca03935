//! Release, consume and extend: what becomes of a hold. `docs/reservations.md` has the table of states.

use chrono::{DateTime, TimeDelta, Utc};

use super::books::Cause;
use super::lapse::shortfalls;
use super::{
    Books, Consume, Consumed, EndReason, Extend, Happening, Hold, Items, MovementKind, Outcome, Receipt,
    Refusal, Release, Released, Reservation, ReservationId, State, Status,
};

pub(super) fn release<R>(books: &mut Books<R>, release: &Release, cause: Cause<'_>) -> Outcome {
    let id = release.reservation;
    let reason = release.reason.map(EndReason::from);
    match books.reservation(id).cloned() {
        None => {
            books.put(Reservation { id, hold: None, state: State::Released { at: cause.at, reason } });
            Outcome::Refused(Refusal::ReleasedEarly(id))
        }
        Some(Reservation { hold: None, .. }) => Outcome::Refused(Refusal::ReleasedEarly(id)),
        Some(Reservation { hold: Some(hold), state: State::Held, .. }) => {
            let items = release.items.clone().unwrap_or_else(|| hold.lines.open());
            release_held(books, id, hold, items, reason, cause)
        }
        Some(Reservation { state: State::Consumed { .. }, .. }) => {
            Outcome::Refused(Refusal::ReservationConsumed(id))
        }
        Some(_) if release.items.is_some() => Outcome::Refused(Refusal::ExceedsHeld(id, Items::default())),
        Some(_) => Outcome::Released(receipt(id, Status::Released), None),
    }
}

fn release_held<R>(
    books: &mut Books<R>,
    id: ReservationId,
    mut hold: Hold,
    items: Items,
    reason: Option<EndReason>,
    cause: Cause<'_>,
) -> Outcome {
    if hold.lines.release(&items).is_err() {
        return Outcome::Refused(Refusal::ExceedsHeld(id, hold.lines.open()));
    }
    books.move_stock(id, MovementKind::Released(reason), items.clone(), cause);
    let (state, status) = if hold.lines.is_spent() {
        (State::Released { at: cause.at, reason }, Status::Released)
    } else {
        (State::Held, Status::Held)
    };
    let Hold { order, cart, .. } = hold;
    let released = Released { reservation: id, order, cart, items, reason, released_at: cause.at };
    books.put(Reservation { id, hold: Some(hold), state });
    Outcome::Released(receipt(id, status), Some(released))
}

pub(super) fn consume<R>(
    books: &mut Books<R>,
    consume: &Consume,
    cause: Cause<'_>,
    aside: &mut Vec<Happening>,
) -> Outcome {
    let id = consume.reservation;
    let Some(Reservation { hold: Some(hold), state, .. }) = books.reservation(id).cloned() else {
        return Outcome::Refused(Refusal::ReservationNotFound(id));
    };
    let asked = consume.items.clone();
    match state {
        State::Held => consume_open(books, id, hold, asked, MovementKind::Consumed, state, cause),
        State::Released { .. } if state.is_lapsed() => {
            let wanted = asked.clone().unwrap_or_else(|| hold.lines.open());
            if hold.lines.clone().consume(&wanted).is_ok() {
                let short = shortfalls(books, &wanted, None, cause.at, aside);
                if !short.is_empty() {
                    return Outcome::Refused(Refusal::HoldLapsed(id, short));
                }
            }
            consume_open(books, id, hold, asked, MovementKind::ConsumedLate, state, cause)
        }
        State::Released { .. } => Outcome::Refused(Refusal::ReservationReleased(id)),
        State::Consumed { .. } if asked.is_some() => {
            Outcome::Refused(Refusal::ExceedsHeld(id, Items::default()))
        }
        State::Consumed { .. } => Outcome::Consumed(receipt(id, Status::Consumed), None),
    }
}

fn consume_open<R>(
    books: &mut Books<R>,
    id: ReservationId,
    mut hold: Hold,
    asked: Option<Items>,
    kind: MovementKind,
    state: State,
    cause: Cause<'_>,
) -> Outcome {
    let items = asked.unwrap_or_else(|| hold.lines.open());
    if hold.lines.consume(&items).is_err() {
        return Outcome::Refused(Refusal::ExceedsHeld(id, hold.lines.open()));
    }
    books.move_stock(id, kind, items.clone(), cause);
    let taken_again = kind == MovementKind::ConsumedLate;
    let (state, status) = match state {
        _ if hold.lines.is_spent() => (State::Consumed { at: cause.at }, Status::Consumed),
        State::Held => (state, Status::Held),
        _ => (state, Status::Released),
    };
    let Hold { order, cart, .. } = hold;
    let consumed = Consumed { reservation: id, order, cart, items, taken_again, consumed_at: cause.at };
    books.put(Reservation { id, hold: Some(hold), state });
    Outcome::Consumed(Receipt { taken_again, ..receipt(id, status) }, Some(consumed))
}

pub(super) fn extend<R>(books: &mut Books<R>, extend: &Extend, at: DateTime<Utc>) -> Outcome {
    let id = extend.reservation;
    let Some(Reservation { hold: Some(hold), state, .. }) = books.reservation(id).cloned() else {
        return Outcome::Refused(Refusal::ReservationNotFound(id));
    };
    match state {
        State::Held => {
            let asked = at + TimeDelta::seconds(extend.hold_seconds.into());
            // No end is the latest.
            let expires_at = hold.expires_at.map(|end| end.max(asked));
            if expires_at != hold.expires_at {
                books.put(Reservation { id, hold: Some(Hold { expires_at, ..hold }), state });
            }
            Outcome::Extended(Receipt { expires_at, ..receipt(id, Status::Held) })
        }
        State::Released { .. } if state.is_lapsed() => Outcome::Refused(Refusal::HoldLapsed(id, Vec::new())),
        State::Released { .. } => Outcome::Refused(Refusal::ReservationReleased(id)),
        State::Consumed { .. } => Outcome::Refused(Refusal::ReservationConsumed(id)),
    }
}

fn receipt(reservation: ReservationId, status: Status) -> Receipt {
    Receipt { reservation, status, taken_again: false, expires_at: None }
}
