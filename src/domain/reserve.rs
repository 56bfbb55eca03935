//! Reserve: all or nothing, one live hold a cart (contract 4.1 and 4.3).

use chrono::{DateTime, TimeDelta, Utc};

use super::books::Cause;
use super::lapse::shortfalls;
use super::{
    Books, EndReason, Event, Happening, Hold, Lines, Movement, MovementKind, Outcome, Refusal, Released,
    Reservation, ReservationId, Reserve, Reserved, Shortfall, State, Unavailable, UnavailableReason,
};

pub(super) fn decide<R>(
    books: &mut Books<R>,
    reserve: &Reserve,
    fresh: ReservationId,
    cause: Cause<'_>,
    aside: &mut Vec<Happening>,
) -> Outcome {
    if let Some(outcome) = chosen_id_is_spent(books, reserve, cause.at) {
        return outcome;
    }
    let standing = books.live_hold(reserve.cart).cloned();
    match standing.and_then(|r| r.hold.map(|hold| (r.id, hold))) {
        Some((id, hold)) if hold.lines.open().same_as(&reserve.items) => {
            confirm(books, reserve, id, &hold, cause.at)
        }
        standing => take_all_or_nothing(books, reserve, standing, fresh, cause, aside),
    }
}

/// What a reserve comes to whose sender chose an id that has a history (contract 4.3 and 4.4).
fn chosen_id_is_spent<R>(books: &Books<R>, reserve: &Reserve, at: DateTime<Utc>) -> Option<Outcome> {
    let known = books.reservation(reserve.reservation?)?;
    match (&known.hold, known.state) {
        (Some(hold), _) if hold.cart != reserve.cart => {
            Some(Outcome::Refused(Refusal::ReservationIdReused(known.id)))
        }
        (_, State::Held) => None,
        _ => Some(unavailable(reserve, Vec::new(), UnavailableReason::ReleasedBefore, at)),
    }
}

/// The same items again: the reservation that stands is the answer.
fn confirm<R>(
    books: &mut Books<R>,
    reserve: &Reserve,
    id: ReservationId,
    hold: &Hold,
    at: DateTime<Utc>,
) -> Outcome {
    let confirmed = Hold {
        order: reserve.order.or(hold.order),
        expires_at: later_end(Some(hold), reserve, at),
        ..hold.clone()
    };
    if confirmed != *hold {
        books.put(Reservation { id, hold: Some(confirmed.clone()), state: State::Held });
    }
    reserved(id, &confirmed)
}

fn take_all_or_nothing<R>(
    books: &mut Books<R>,
    reserve: &Reserve,
    standing: Option<(ReservationId, Hold)>,
    fresh: ReservationId,
    cause: Cause<'_>,
    aside: &mut Vec<Happening>,
) -> Outcome {
    let at = cause.at;
    let own = standing.as_ref().map(|(_, hold)| hold.lines.open());
    let shortfalls = shortfalls(books, &reserve.items, own.as_ref(), at, aside);
    if !shortfalls.is_empty() {
        return unavailable(reserve, shortfalls, UnavailableReason::InsufficientStock, at);
    }
    let id = reserve.reservation.unwrap_or(fresh);
    let former = standing.as_ref().map(|(_, hold)| hold);
    let hold = Hold {
        cart: reserve.cart,
        order: reserve.order,
        lines: Lines::open_with(&reserve.items),
        reserved_at: at,
        expires_at: later_end(former, reserve, at),
        reserved_by: cause.message_id.map(<[u8]>::to_vec),
        is_amended: false,
    };
    let hold = match standing {
        Some((former_id, former)) if former_id == id => {
            let lines = amend(books, id, &former, reserve, cause);
            let order = reserve.order.or(former.order);
            Hold { order, lines, is_amended: true, reserved_by: former.reserved_by, ..hold }
        }
        Some((former_id, former)) => {
            supersede(books, former_id, former, cause, aside);
            books.take(&reserve.items);
            hold
        }
        None => {
            books.take(&reserve.items);
            hold
        }
    };
    let outcome = reserved(id, &hold);
    books.put(Reservation { id, hold: Some(hold), state: State::Held });
    outcome
}

/// Ends the hold that another takes the place of.
fn supersede<R>(
    books: &mut Books<R>,
    id: ReservationId,
    mut hold: Hold,
    cause: Cause<'_>,
    aside: &mut Vec<Happening>,
) {
    let reason = Some(EndReason::Superseded);
    let items = hold.lines.open();
    books.move_stock(id, MovementKind::Released(reason), items.clone(), cause);
    // What is open is always there to be released.
    let _ = hold.lines.release(&items);
    let Hold { order, cart, .. } = hold;
    let released = Released { reservation: id, order, cart, items, reason, released_at: cause.at };
    aside.push(Happening { event: Event::Released(released), by_command: true });
    let state = State::Released { at: cause.at, reason };
    books.put(Reservation { id, hold: Some(hold), state });
}

/// Changes the hold under its own id: it is not ended, because the sender chose that id to release what it
/// holds now. What was taken and given back on the way is noted as facts. Gives its lines.
fn amend<R>(
    books: &mut Books<R>,
    id: ReservationId,
    former: &Hold,
    reserve: &Reserve,
    cause: Cause<'_>,
) -> Lines {
    if !former.is_amended {
        books.note(Movement {
            reservation: id,
            kind: MovementKind::Reserved,
            items: former.lines.total(),
            at: former.reserved_at,
            caused_by: former.reserved_by.clone(),
        });
    }
    let given_back = MovementKind::Released(Some(EndReason::Superseded));
    books.move_stock(id, given_back, former.lines.open(), cause);
    books.move_stock(id, MovementKind::Reserved, reserve.items.clone(), cause);
    let mut lines = former.lines.clone();
    lines.reopen_with(&reserve.items);
    lines
}

/// A repeated reserve can move the end of a hold later, never earlier (contract 4.3). No end is the latest.
fn later_end(own_hold: Option<&Hold>, reserve: &Reserve, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let asked = reserve.hold_seconds.map(|seconds| at + TimeDelta::seconds(seconds.into()));
    match own_hold {
        None => asked,
        Some(hold) => hold.expires_at.map(|end| asked.map_or(end, |asked| asked.max(end))),
    }
}

fn reserved(reservation: ReservationId, hold: &Hold) -> Outcome {
    Outcome::Reserved(Reserved {
        reservation,
        order: hold.order,
        cart: hold.cart,
        items: hold.lines.open(),
        reserved_at: hold.reserved_at,
        expires_at: hold.expires_at,
    })
}

fn unavailable(
    reserve: &Reserve,
    shortfalls: Vec<Shortfall>,
    reason: UnavailableReason,
    checked_at: DateTime<Utc>,
) -> Outcome {
    Outcome::Unavailable(Unavailable {
        order: reserve.order,
        cart: reserve.cart,
        shortfalls,
        reason,
        checked_at,
    })
}
