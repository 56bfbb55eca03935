//! Rules 4.1 to 4.4 once more, as the contract tells them: no batches, no index, nothing kept up to date.
//! What is available is counted anew for every line.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use inventory_service::domain::{
    CartId, Item, Items, OrderId, Outcome, ProductId, Refusal, ReleaseReason, ReservationId, Reserved,
    Shortfall, Unavailable, UnavailableReason,
};

use super::names::{name, numbered, second};
use super::step::{Action, Ask, Step, Told, lines, option, reason_name};

/// All that the rules talk about.
#[derive(Debug, Default)]
pub struct Reference {
    on_hand: BTreeMap<ProductId, u64>,
    reservations: Vec<Entry>,
    released_before_reserved: BTreeMap<ReservationId, Option<ReleaseReason>>,
    answered: BTreeMap<String, (String, usize, Outcome)>,
}

#[derive(Debug, Clone)]
struct Entry {
    id: ReservationId,
    cart: CartId,
    order: Option<OrderId>,
    items: Vec<Item>,
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Live,
    Replaced,
    Released(Option<ReleaseReason>),
    Consumed,
}

impl Reference {
    pub fn with_stock(stock: impl IntoIterator<Item = (ProductId, u64)>) -> Self {
        Self { on_hand: stock.into_iter().collect(), ..Self::default() }
    }

    /// The same `message_id` with the same body is the same command; nothing for a step that is no command.
    pub fn step(&mut self, position: usize, step: &Step, now: DateTime<Utc>) -> Option<Told> {
        let body = step.body();
        let answered = step.message_id.as_ref().and_then(|id| self.answered.get(id));
        if let Some((first_body, first_position, outcome)) = answered {
            let is_same = *first_body == body;
            return Some(if is_same {
                Told::Again(*first_position, outcome.clone())
            } else {
                Told::MessageIdReused
            });
        }
        let outcome = match &step.action {
            Action::Reserve(ask) => self.reserve(position, ask, now),
            Action::Release { reservation, reason } => self.release(*reservation, *reason),
            Action::Consume(cart) => {
                self.consume(*cart);
                return None;
            }
        };
        if let Some(id) = &step.message_id {
            self.answered.insert(id.clone(), (body, position, outcome.clone()));
        }
        Some(Told::New(outcome))
    }

    fn reserve(&mut self, position: usize, ask: &Ask, now: DateTime<Utc>) -> Outcome {
        if let Some(outcome) = ask.reservation.and_then(|id| self.history_of_chosen_id(id, ask, now)) {
            return outcome;
        }
        let items = total(&ask.lines);
        let standing = self.reservations.iter().position(|r| r.end == End::Live && r.cart == ask.cart);
        let former = standing.map(|index| self.reservations[index].clone());
        let until = end_of_hold(former.as_ref(), ask.hold_seconds, now);
        let order = ask.order.or(former.as_ref().and_then(|former| former.order));
        if let (Some(index), Some(former)) = (standing, &former)
            && sorted(&former.items) == sorted(&items)
        {
            self.reservations[index] = Entry { order, until, ..former.clone() };
            return reserved(&self.reservations[index]);
        }
        let shortfalls = self.shortfalls(ask.cart, &items);
        if !shortfalls.is_empty() {
            return unavailable(ask, shortfalls, UnavailableReason::InsufficientStock, now);
        }
        let id = ask.reservation.unwrap_or(ReservationId(numbered('N', position)));
        let entry = Entry { id, cart: ask.cart, order, items, since: now, until, end: End::Live };
        if let Some(index) = standing {
            self.reservations[index].end = End::Replaced;
        }
        // Under its own id a reservation is changed, not replaced.
        self.reservations.retain(|r| r.id != id);
        let outcome = reserved(&entry);
        self.reservations.push(entry);
        outcome
    }

    fn history_of_chosen_id(&self, id: ReservationId, ask: &Ask, now: DateTime<Utc>) -> Option<Outcome> {
        let released_before = || Some(unavailable(ask, Vec::new(), UnavailableReason::ReleasedBefore, now));
        if self.released_before_reserved.contains_key(&id) {
            return released_before();
        }
        let known = self.reservations.iter().find(|r| r.id == id)?;
        if known.cart != ask.cart {
            return Some(Outcome::Refused(Refusal::ReservationIdReused(id)));
        }
        match known.end {
            End::Live => None,
            End::Replaced | End::Released(_) => released_before(),
            End::Consumed => Some(Outcome::Refused(Refusal::ReservationConsumed(id))),
        }
    }

    /// Every product that falls short once what this cart holds is counted as free.
    fn shortfalls(&self, cart: CartId, items: &[Item]) -> Vec<Shortfall> {
        let short = |item: &Item| {
            let available = self.free_for(cart, item.product);
            let Item { product, quantity: requested } = *item;
            (requested > available).then_some(Shortfall { product, requested, available })
        };
        items.iter().filter_map(short).collect()
    }

    fn free_for(&self, cart: CartId, product: ProductId) -> u64 {
        let held_by_others = self.live().filter(|r| r.cart != cart).map(|r| r.units_of(product)).sum::<u64>();
        self.on_hand.get(&product).map_or(0, |on_hand| on_hand - held_by_others)
    }

    fn live(&self) -> impl Iterator<Item = &Entry> {
        self.reservations.iter().filter(|r| r.end == End::Live)
    }

    fn release(&mut self, id: ReservationId, reason: Option<ReleaseReason>) -> Outcome {
        let Some(entry) = self.reservations.iter_mut().find(|r| r.id == id) else {
            self.released_before_reserved.entry(id).or_insert(reason);
            return Outcome::Refused(Refusal::ReservationNotFound(id));
        };
        match entry.end {
            End::Consumed => return Outcome::Refused(Refusal::ReservationConsumed(id)),
            End::Live => entry.end = End::Released(reason),
            End::Replaced | End::Released(_) => {}
        }
        Outcome::Released(id)
    }

    fn consume(&mut self, cart: CartId) {
        let Some(entry) = self.reservations.iter_mut().find(|r| r.end == End::Live && r.cart == cart) else {
            return;
        };
        entry.end = End::Consumed;
        for item in &entry.items {
            self.on_hand.entry(item.product).and_modify(|units| *units -= item.quantity);
        }
    }

    /// The books, in the words and the order of the store's.
    pub fn lines(&self) -> BTreeSet<String> {
        let stock = self.on_hand.iter().map(|(product, on_hand)| {
            let reserved: u64 = self.live().map(|r| r.units_of(*product)).sum();
            format!("{} {reserved}/{on_hand}", name(product.0))
        });
        let early = self.released_before_reserved.iter().map(|(id, reason)| released_line(*id, *reason));
        stock.chain(self.reservations.iter().map(Entry::line)).chain(early).collect()
    }
}

impl Entry {
    fn units_of(&self, product: ProductId) -> u64 {
        self.items.iter().filter(|item| item.product == product).map(|item| item.quantity).sum()
    }

    fn line(&self) -> String {
        let id = name(self.id.0);
        match self.end {
            End::Consumed => format!("{id} CONSUMED"),
            End::Replaced => format!("{id} RELEASED SUPERSEDED"),
            End::Released(reason) => released_line(self.id, reason),
            End::Live => {
                let items = lines(&self.items);
                let until = option(" until=", self.until.map(second));
                let order = option(" order=", self.order.map(|id| name(id.0)));
                format!("{id} HELD {}{items}{until}{order}", name(self.cart.0))
            }
        }
    }
}

fn released_line(id: ReservationId, reason: Option<ReleaseReason>) -> String {
    format!("{} RELEASED{}", name(id.0), option(" ", reason.map(reason_name)))
}

/// Lines for the same product are added up, in the order in which it is first named.
fn total(asked: &[Item]) -> Vec<Item> {
    let mut totals: Vec<Item> = Vec::new();
    for line in asked {
        if totals.iter().all(|total| total.product != line.product) {
            let same = asked.iter().filter(|other| other.product == line.product);
            totals.push(Item { product: line.product, quantity: same.map(|other| other.quantity).sum() });
        }
    }
    totals
}

fn sorted(items: &[Item]) -> BTreeMap<ProductId, u64> {
    items.iter().map(|item| (item.product, item.quantity)).collect()
}

/// Later, never earlier; a hold without an end has the latest there is.
fn end_of_hold(former: Option<&Entry>, seconds: Option<u32>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let asked = seconds.map(|seconds| now + TimeDelta::seconds(i64::from(seconds)));
    let Some(former) = former else { return asked };
    let until = former.until?;
    Some(until.max(asked.unwrap_or(until)))
}

fn reserved(entry: &Entry) -> Outcome {
    Outcome::Reserved(Reserved {
        reservation: entry.id,
        order: entry.order,
        cart: entry.cart,
        items: Items::add_up(entry.items.iter().copied()),
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
