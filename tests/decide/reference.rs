//! The life of a reservation once more, as `docs/reservations.md` tells it: no batches, no index, nothing kept
//! up to date. Whatever is due lapses before a command is looked at, and what is available is counted anew.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use inventory_service::domain::{
    CartId, Consumed, Done, EndReason, Event, Happening, Item, Items, Movement, MovementKind, Outcome,
    ProductId, Receipt, Refusal, Released, ReservationId, Reserved, Shortfall, Status, Unavailable,
    UnavailableReason,
};

use super::entry::{Entry, Pile};
use super::names::{name, numbered};
use super::quoted::exact;
use super::step::{Action, Ask, Step, option};
use super::told::{Told, end_name};

/// All that the rules talk about.
#[derive(Debug, Default)]
pub struct Reference {
    on_hand: BTreeMap<ProductId, u64>,
    reservations: Vec<Entry>,
    released_early: BTreeMap<ReservationId, End>,
    answered: BTreeMap<String, (String, usize, Outcome)>,
    /// Every hold whose time was over.
    pub lapses: Vec<Released>,
    /// Every fact that a command made.
    pub movements: Vec<Movement>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Live,
    Released(Option<EndReason>, DateTime<Utc>),
    Lapsed,
    Consumed(DateTime<Utc>),
}

/// The command that is looked at.
struct Cause {
    position: usize,
    now: DateTime<Utc>,
    message_id: Option<Vec<u8>>,
}

impl Reference {
    pub fn with_stock(stock: impl IntoIterator<Item = (ProductId, u64)>) -> Self {
        Self { on_hand: stock.into_iter().collect(), ..Self::default() }
    }

    pub fn deliver(&mut self, product: ProductId, units: u64) {
        *self.on_hand.entry(product).or_default() += units;
    }

    /// Everything that is due lapses.
    pub fn pass(&mut self, now: DateTime<Utc>) {
        for entry in &mut self.reservations {
            if let Some(until) = entry.until.filter(|until| entry.end == End::Live && *until <= now) {
                entry.end = End::Lapsed;
                let items = entry.open.items();
                self.lapses.push(entry.released(items, Some(EndReason::Lapsed), until));
            }
        }
    }

    /// The same `message_id` with the same body is the same command.
    pub fn step(&mut self, position: usize, step: &Step, now: DateTime<Utc>) -> Told {
        let body = step.body();
        let answered = step.message_id.as_ref().and_then(|id| self.answered.get(id));
        if let Some((first_body, first_position, outcome)) = answered {
            let is_same = *first_body == body;
            return if is_same {
                Told::Again(*first_position, outcome.clone())
            } else {
                Told::MessageIdReused
            };
        }
        self.pass(now);
        let message_id = step.message_id.as_ref().map(|id| id.clone().into_bytes());
        let mut aside = Vec::new();
        let outcome = self.act(&step.action, &Cause { position, now, message_id }, &mut aside);
        if let Some(id) = &step.message_id {
            self.answered.insert(id.clone(), (body, position, outcome.clone()));
        }
        let aside = aside.into_iter().map(|event| Happening { event, by_command: true }).collect();
        Told::New(Done { outcome, at: now, aside })
    }

    fn act(&mut self, action: &Action, cause: &Cause, aside: &mut Vec<Event>) -> Outcome {
        match action {
            Action::Reserve(ask) => self.reserve(ask, cause, aside),
            Action::Release { reservation, part, reason } => {
                self.release(*reservation, part.as_deref(), reason.map(EndReason::from), cause)
            }
            Action::Consume { reservation, part } => self.consume(*reservation, part.as_deref(), cause),
            Action::Extend { reservation, hold_seconds } => {
                self.extend(*reservation, *hold_seconds, cause.now)
            }
        }
    }

    fn reserve(&mut self, ask: &Ask, cause: &Cause, aside: &mut Vec<Event>) -> Outcome {
        if let Some(outcome) = ask.reservation.and_then(|id| self.history_of_chosen_id(id, ask, cause.now)) {
            return outcome;
        }
        let items = Pile::of(&ask.lines);
        let standing = self.reservations.iter().position(|r| r.end == End::Live && r.cart == ask.cart);
        if let Some(index) = standing.filter(|index| self.reservations[*index].open.is_same(&items)) {
            let entry = &mut self.reservations[index];
            (entry.order, entry.until) = (ask.order.or(entry.order), later_end(entry, ask, cause.now));
            return reserved(entry);
        }
        let shortfalls = self.shortfalls(&items, Some(ask.cart));
        if !shortfalls.is_empty() {
            return unavailable(ask, shortfalls, UnavailableReason::InsufficientStock, cause.now);
        }
        let id = ask.reservation.unwrap_or(ReservationId(numbered('N', cause.position)));
        match standing {
            Some(index) if self.reservations[index].id == id => self.amend(index, ask, items, cause),
            _ => self.make(id, standing, ask, items, cause, aside),
        }
    }

    fn history_of_chosen_id(&self, id: ReservationId, ask: &Ask, now: DateTime<Utc>) -> Option<Outcome> {
        let released_before = || Some(unavailable(ask, Vec::new(), UnavailableReason::ReleasedBefore, now));
        if self.released_early.contains_key(&id) {
            return released_before();
        }
        let known = self.reservations.iter().find(|r| r.id == id)?;
        if known.cart != ask.cart {
            return Some(Outcome::Refused(Refusal::ReservationIdReused(id)));
        }
        if known.end == End::Live { None } else { released_before() }
    }

    /// Sets the hold to other items under its own id.
    fn amend(&mut self, index: usize, ask: &Ask, items: Pile, cause: &Cause) -> Outcome {
        let Cause { now, message_id, .. } = cause;
        let former = self.reservations[index].clone();
        if let Some(taken) = former.taken_untold {
            self.note(former.id, MovementKind::Reserved, taken.items(), former.since, former.by.clone());
        }
        let given_back = MovementKind::Released(Some(EndReason::Superseded));
        self.note(former.id, given_back, former.open.items(), *now, message_id.clone());
        self.note(former.id, MovementKind::Reserved, items.items(), *now, message_id.clone());
        let entry = &mut self.reservations[index];
        (entry.order, entry.until) = (ask.order.or(entry.order), later_end(entry, ask, *now));
        (entry.open, entry.since, entry.taken_untold) = (items, *now, None);
        reserved(entry)
    }

    /// Makes a reservation; what its cart holds has to go.
    fn make(
        &mut self,
        id: ReservationId,
        standing: Option<usize>,
        ask: &Ask,
        items: Pile,
        cause: &Cause,
        aside: &mut Vec<Event>,
    ) -> Outcome {
        let asked = ask.hold_seconds.map(|seconds| cause.now + seconds_of(seconds));
        let mut until = asked;
        if let Some(index) = standing {
            until = later_end(&self.reservations[index], ask, cause.now);
            let released = self.give_back(index, None, Some(EndReason::Superseded), cause);
            aside.push(Event::Released(released));
        }
        let (cart, order, since, by) = (ask.cart, ask.order, cause.now, cause.message_id.clone());
        let taken_untold = Some(items.clone());
        let (released, consumed) = (Pile::default(), Pile::default());
        let end = End::Live;
        let entry =
            Entry { id, cart, order, since, until, by, taken_untold, open: items, released, consumed, end };
        let outcome = reserved(&entry);
        self.reservations.push(entry);
        outcome
    }

    fn release(
        &mut self,
        id: ReservationId,
        part: Option<&[Item]>,
        reason: Option<EndReason>,
        cause: &Cause,
    ) -> Outcome {
        let Some(index) = self.reservations.iter().position(|r| r.id == id) else {
            self.released_early.entry(id).or_insert(End::Released(reason, cause.now));
            return Outcome::Refused(Refusal::ReleasedEarly(id));
        };
        let entry = &self.reservations[index];
        let part = part.map(Pile::of);
        match entry.end {
            End::Consumed(_) => Outcome::Refused(Refusal::ReservationConsumed(id)),
            End::Live if part.as_ref().is_some_and(|part| !entry.open.covers(part)) => {
                Outcome::Refused(Refusal::ExceedsHeld(id, entry.open.items()))
            }
            End::Live => {
                let released = self.give_back(index, part, reason, cause);
                Outcome::Released(self.reservations[index].receipt(), Some(released))
            }
            // Nothing is held any more.
            _ if part.is_some() => Outcome::Refused(Refusal::ExceedsHeld(id, Items::default())),
            _ => Outcome::Released(entry.receipt(), None),
        }
    }

    /// A part of what is held goes back, or all of it.
    fn give_back(
        &mut self,
        index: usize,
        part: Option<Pile>,
        reason: Option<EndReason>,
        cause: &Cause,
    ) -> Released {
        let entry = &mut self.reservations[index];
        let part = part.unwrap_or_else(|| entry.open.clone());
        entry.open.take_out(&part);
        entry.released.add(&part);
        if entry.open.is_empty() {
            entry.end = End::Released(reason, cause.now);
        }
        let released = entry.released(part.items(), reason, cause.now);
        let id = entry.id;
        self.note(id, MovementKind::Released(reason), part.items(), cause.now, cause.message_id.clone());
        released
    }

    fn consume(&mut self, id: ReservationId, part: Option<&[Item]>, cause: &Cause) -> Outcome {
        let Some(index) = self.reservations.iter().position(|r| r.id == id) else {
            return Outcome::Refused(Refusal::ReservationNotFound(id));
        };
        let entry = &self.reservations[index];
        let wanted = part.map_or_else(|| entry.open.clone(), Pile::of);
        match entry.end {
            End::Released(..) => return Outcome::Refused(Refusal::ReservationReleased(id)),
            End::Consumed(_) if part.is_none() => return Outcome::Consumed(entry.receipt(), None),
            _ if !entry.open.covers(&wanted) => {
                return Outcome::Refused(Refusal::ExceedsHeld(id, entry.open.items()));
            }
            End::Live | End::Consumed(_) => {}
            End::Lapsed => {
                let shortfalls = self.shortfalls(&wanted, None);
                if !shortfalls.is_empty() {
                    return Outcome::Refused(Refusal::HoldLapsed(id, shortfalls));
                }
            }
        }
        self.let_go(index, &wanted, cause)
    }

    /// These units leave the house.
    fn let_go(&mut self, index: usize, part: &Pile, cause: &Cause) -> Outcome {
        let entry = &mut self.reservations[index];
        let taken_again = entry.end == End::Lapsed;
        entry.open.take_out(part);
        entry.consumed.add(part);
        if entry.open.is_empty() {
            entry.end = End::Consumed(cause.now);
        }
        for Item { product, quantity } in part.items().iter() {
            self.on_hand.entry(*product).and_modify(|units| *units -= quantity);
        }
        let (reservation, order, cart) = (entry.id, entry.order, entry.cart);
        let receipt = Receipt { taken_again, ..entry.receipt() };
        let (items, consumed_at) = (part.items(), cause.now);
        let kind = if taken_again { MovementKind::ConsumedLate } else { MovementKind::Consumed };
        self.note(reservation, kind, items.clone(), cause.now, cause.message_id.clone());
        let event = Consumed { reservation, order, cart, items, taken_again, consumed_at };
        Outcome::Consumed(receipt, Some(event))
    }

    fn extend(&mut self, id: ReservationId, hold_seconds: u32, now: DateTime<Utc>) -> Outcome {
        let Some(entry) = self.reservations.iter_mut().find(|r| r.id == id) else {
            return Outcome::Refused(Refusal::ReservationNotFound(id));
        };
        match entry.end {
            End::Live => {
                entry.until = entry.until.map(|until| until.max(now + seconds_of(hold_seconds)));
                Outcome::Extended(Receipt { expires_at: entry.until, ..entry.receipt() })
            }
            End::Lapsed => Outcome::Refused(Refusal::HoldLapsed(id, Vec::new())),
            End::Released(..) => Outcome::Refused(Refusal::ReservationReleased(id)),
            End::Consumed(_) => Outcome::Refused(Refusal::ReservationConsumed(id)),
        }
    }

    /// Every product that falls short once what this cart holds is counted as free.
    fn shortfalls(&self, wanted: &Pile, cart: Option<CartId>) -> Vec<Shortfall> {
        let short = |Item { product, quantity: requested }: &Item| {
            let available = self.free_for(cart, *product);
            (*requested > available).then_some(Shortfall {
                product: *product,
                requested: *requested,
                available,
            })
        };
        wanted.items().iter().filter_map(short).collect()
    }

    fn free_for(&self, cart: Option<CartId>, product: ProductId) -> u64 {
        let others = self.live().filter(|entry| cart != Some(entry.cart));
        let held_by_others: u64 = others.map(|entry| entry.open.units_of(product)).sum();
        self.on_hand.get(&product).map_or(0, |on_hand| on_hand - held_by_others)
    }

    fn live(&self) -> impl Iterator<Item = &Entry> {
        self.reservations.iter().filter(|entry| entry.end == End::Live)
    }

    fn note(
        &mut self,
        reservation: ReservationId,
        kind: MovementKind,
        items: Items,
        at: DateTime<Utc>,
        caused_by: Option<Vec<u8>>,
    ) {
        self.movements.push(Movement { reservation, kind, items, at, caused_by });
    }

    /// The books, in the words of the store's.
    pub fn lines(&self) -> BTreeSet<String> {
        let stock = self.on_hand.iter().map(|(product, on_hand)| {
            let reserved: u64 = self.live().map(|entry| entry.open.units_of(*product)).sum();
            format!("{} {reserved}/{on_hand}", name(product.0))
        });
        let early = self.released_early.iter().map(|(id, end)| {
            let End::Released(reason, at) = end else { panic!("{} has not ended", name(id.0)) };
            let reason = option(" ", reason.map(end_name));
            format!("{} RELEASED{reason} | ended={}", name(id.0), exact(*at))
        });
        stock.chain(self.reservations.iter().map(Entry::line)).chain(early).collect()
    }
}

fn seconds_of(seconds: u32) -> TimeDelta {
    TimeDelta::seconds(i64::from(seconds))
}

/// Later, never earlier; a hold without an end has the latest there is.
fn later_end(standing: &Entry, ask: &Ask, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let until = standing.until?;
    Some(ask.hold_seconds.map_or(until, |seconds| until.max(now + seconds_of(seconds))))
}

fn reserved(entry: &Entry) -> Outcome {
    Outcome::Reserved(Reserved {
        reservation: entry.id,
        order: entry.order,
        cart: entry.cart,
        items: entry.open.items(),
        reserved_at: entry.since,
        expires_at: entry.until,
    })
}

fn unavailable(
    ask: &Ask,
    shortfalls: Vec<Shortfall>,
    reason: UnavailableReason,
    checked_at: DateTime<Utc>,
) -> Outcome {
    Outcome::Unavailable(Unavailable { order: ask.order, cart: ask.cart, shortfalls, reason, checked_at })
}

impl Entry {
    fn receipt(&self) -> Receipt {
        let status = match self.end {
            End::Live => Status::Held,
            End::Released(..) | End::Lapsed => Status::Released,
            End::Consumed(_) => Status::Consumed,
        };
        Receipt { reservation: self.id, status, taken_again: false, expires_at: None }
    }

    fn released(&self, items: Items, reason: Option<EndReason>, released_at: DateTime<Utc>) -> Released {
        let Self { id: reservation, order, cart, .. } = *self;
        Released { reservation, order, cart, items, reason, released_at }
    }
}
