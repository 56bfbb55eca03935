//! Holds whose time is over.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::books::Cause;
use super::{
    Books, EndReason, Event, Happening, Hold, Item, Items, MovementKind, Released, Reservation,
    ReservationId, Shortfall, State,
};

/// Gives back the stock of all holds that have lapsed by `now`. Tells what happened, in this order.
pub fn lapse<R>(books: &mut Books<R>, now: DateTime<Utc>) -> Vec<Event> {
    let due: Vec<ReservationId> = books.due(now).map(|reservation| reservation.id).collect();
    let mut events = Vec::new();
    for id in due {
        let mut happened = Vec::new();
        lapse_if_due(books, id, now, &mut happened);
        events.extend(happened.into_iter().map(|happening| happening.event));
        events.extend(books.end_step(now));
    }
    events
}

/// Gives back the stock of a hold whose time is over, as a part of the present step: whoever came upon it may
/// take that stock at once.
pub(super) fn lapse_if_due<R>(
    books: &mut Books<R>,
    id: ReservationId,
    at: DateTime<Utc>,
    happened: &mut Vec<Happening>,
) {
    let Some(Reservation { hold: Some(hold), state: State::Held, .. }) = books.reservation(id) else {
        return;
    };
    if hold.expires_at.is_none_or(|end| end > at) {
        return;
    }
    let hold = hold.clone();
    let items = hold.lines.open();
    let reason = Some(EndReason::Lapsed);
    let cause = Cause { at, message_id: None };
    books.move_stock(id, MovementKind::Released(reason), items.clone(), cause);
    let Hold { order, cart, .. } = hold;
    let released = Released { reservation: id, order, cart, items, reason, released_at: at };
    books.put(Reservation { id, hold: Some(hold), state: State::Released { at, reason } });
    happened.push(Happening { event: Event::Released(released), by_command: false });
}

/// Every product that falls short, once `own` is counted as free and lapsed holds have given back what would
/// help: a hold that has lapsed never costs a customer anything.
pub(super) fn shortfalls<R>(
    books: &mut Books<R>,
    items: &Items,
    own: Option<&Items>,
    at: DateTime<Utc>,
    happened: &mut Vec<Happening>,
) -> Vec<Shortfall> {
    let own: HashMap<_, _> =
        own.into_iter().flat_map(Items::iter).map(|item| (item.product, item.quantity)).collect();
    let short_now = |books: &Books<R>| -> Vec<Shortfall> {
        let shortfall = |item: &Item| {
            let available = books.available(item.product) + own.get(&item.product).copied().unwrap_or(0);
            let Item { product, quantity: requested } = *item;
            (available < requested).then_some(Shortfall { product, requested, available })
        };
        items.iter().filter_map(shortfall).collect()
    };
    let mut short = short_now(books);
    if short.is_empty() {
        return short;
    }
    // Once through is enough: what falls short only becomes less.
    let due: Vec<ReservationId> = books.due(at).map(|reservation| reservation.id).collect();
    for id in due {
        if books.reservation(id).is_some_and(|reservation| helps(reservation, &short)) {
            lapse_if_due(books, id, at, happened);
            short = short_now(books);
        }
    }
    short
}

fn helps(reservation: &Reservation, short: &[Shortfall]) -> bool {
    let mut lines = reservation.hold.iter().flat_map(|hold| hold.lines.iter());
    lines.any(|line| line.open > 0 && short.iter().any(|shortfall| shortfall.product == line.product))
}
