//! Goes through a history in the order of its decisions, with nothing but what was heard, and finds what cannot be.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::told::{Fact, Shortfall, Told};
use super::{History, Sent};
use crate::support::author::Lines;

/// Units of a product.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stock {
    pub on_hand: i64,
    pub reserved: i64,
}

impl Stock {
    fn available(self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// Somebody counted, or goods came in.
#[derive(Debug, Clone)]
pub struct Count {
    pub at: String,
    pub product: Uuid,
    pub delta: i64,
}

/// What a reservation has left.
#[derive(Debug, Default)]
struct Hold {
    cart: Uuid,
    /// What it holds; after a lapse what it held, which may be taken again.
    units: BTreeMap<Uuid, i64>,
    is_live: bool,
    has_lapsed: bool,
}

/// The history so far.
#[derive(Debug, Default)]
pub struct Replay {
    pub stock: HashMap<Uuid, Stock>,
    holds: HashMap<Uuid, Hold>,
    /// The live hold of each cart.
    of_cart: HashMap<Uuid, Uuid>,
    /// Every product, available and reserved there has ever been.
    pub seen: HashSet<(Uuid, u64, u64)>,
    pub violations: Vec<String>,
}

impl Replay {
    /// Goes through all that a history has heard, and what was counted.
    pub fn of(history: &History, mut counts: Vec<Count>) -> Self {
        let mut replay = Self::default();
        let mut events: Vec<&Told> = history.events.values().collect();
        events.sort_by_key(|told| told.position());
        counts.sort_by(|a, b| b.at.cmp(&a.at));
        for told in events {
            while let Some(count) = counts.pop_if(|count| count.at <= told.at) {
                replay.change(count.product, count.delta, 0, &count.at);
            }
            replay.step(told, told.causation.as_ref().and_then(|command| history.sent.get(command)));
        }
        for count in counts.into_iter().rev() {
            replay.change(count.product, count.delta, 0, &count.at);
        }
        replay
    }

    fn step(&mut self, told: &Told, command: Option<&Sent>) {
        match &told.fact {
            Fact::Reserved { reservation, cart, items } => self.reserve(told, *reservation, *cart, items),
            Fact::Unavailable { cart, short, is_too_late: false } => {
                self.justify(told, *cart, short, command);
            }
            Fact::Unavailable { .. } => self.justify_too_late(told, command),
            Fact::Released { reservation, items, .. } => self.release(told, *reservation, items),
            Fact::Consumed { reservation, items, is_taken_again } => {
                self.consume(told, *reservation, items, *is_taken_again);
            }
            // What a count tells has the time of the count within a moment only.
            Fact::Availability { .. } if told.causation.is_none() => {}
            Fact::Availability { product, is_any, .. } => {
                let available = self.stock.entry(*product).or_default().available();
                self.demand(*is_any == (available > 0), told, format_args!("{available} are available"));
            }
        }
    }

    fn demand(&mut self, is_so: bool, told: &Told, why: std::fmt::Arguments<'_>) {
        if !is_so {
            self.violations.push(format!("{why}: {told:?}"));
        }
    }

    /// Moves stock, which must not go below zero.
    fn change(&mut self, product: Uuid, on_hand: i64, reserved: i64, at: &str) {
        let stock = self.stock.entry(product).or_default();
        stock.on_hand += on_hand;
        stock.reserved += reserved;
        match (u64::try_from(stock.available()), u64::try_from(stock.reserved)) {
            (Ok(available), Ok(reserved)) => _ = self.seen.insert((product, available, reserved)),
            _ => self.violations.push(format!("below zero at {at}: {product} {stock:?}")),
        }
    }

    fn reserve(&mut self, told: &Told, id: Uuid, cart: Uuid, items: &Lines) {
        let former = self.of_cart.insert(cart, id);
        self.demand(
            former.is_none_or(|former| former == id),
            told,
            format_args!("a second hold of the cart"),
        );
        let hold = self.holds.entry(id).or_insert(Hold { cart, is_live: true, ..Hold::default() });
        let is_its_own = hold.is_live && hold.cart == cart;
        let next: BTreeMap<Uuid, i64> =
            items.iter().map(|(product, units)| (*product, signed(*units))).collect();
        let former = std::mem::replace(&mut hold.units, next.clone());
        self.demand(is_its_own, told, format_args!("the reservation has ended, or is another cart's"));
        let mut change = next;
        for (product, units) in former {
            *change.entry(product).or_default() -= units;
        }
        // What is given back comes first, as the step has it.
        for (product, units) in change.iter().filter(|(_, units)| **units != 0) {
            self.change(*product, 0, *units, &told.at);
        }
    }

    /// Takes units off what a reservation has left; says whether it had them.
    fn take_off(&mut self, told: &Told, id: Uuid, items: &Lines, is_lapsed: bool) {
        let is_lapse = told.is_lapse();
        let Some(hold) = self.holds.get_mut(&id) else {
            return self.demand(false, told, format_args!("nobody has reserved that"));
        };
        let is_fit = if is_lapsed { hold.has_lapsed } else { hold.is_live };
        let mut has_all = true;
        for (product, units) in items {
            let left = hold.units.entry(*product).or_default();
            has_all &= *left >= signed(*units);
            // What lapses may be taken again.
            *left -= if is_lapse { 0 } else { signed(*units) };
        }
        if hold.is_live && (is_lapse || hold.units.values().all(|units| *units <= 0)) {
            hold.is_live = false;
            hold.has_lapsed = is_lapse;
            self.of_cart.remove(&hold.cart);
        }
        self.demand(is_fit && has_all, told, format_args!("more than there was of the reservation"));
    }

    fn release(&mut self, told: &Told, id: Uuid, items: &Lines) {
        self.take_off(told, id, items, false);
        for (product, units) in items {
            self.change(*product, 0, -signed(*units), &told.at);
        }
    }

    fn consume(&mut self, told: &Told, id: Uuid, items: &Lines, is_taken_again: bool) {
        self.take_off(told, id, items, is_taken_again);
        for (product, units) in items {
            let held = if is_taken_again { 0 } else { signed(*units) };
            self.change(*product, -signed(*units), -held, &told.at);
        }
    }

    /// Whoever is told that something falls short must have asked for more than there was, and for no other such thing.
    fn justify(&mut self, told: &Told, cart: Uuid, short: &[Shortfall], command: Option<&Sent>) {
        let Some(command) = command else { return };
        let own = self.of_cart.get(&cart).and_then(|id| self.holds.get(id));
        let mut expected = Vec::new();
        for (product, requested) in &command.items {
            let free = self.stock.get(product).copied().unwrap_or_default().available();
            let held = own.and_then(|hold| hold.units.get(product)).copied().unwrap_or_default();
            if let Ok(available) = u64::try_from(free + held)
                && available < *requested
            {
                expected.push(Shortfall { product: *product, requested: *requested, available });
            }
        }
        let mut short = short.to_vec();
        short.sort_by_key(|shortfall| shortfall.product);
        self.demand(short == expected && !short.is_empty(), told, format_args!("{expected:?} fell short"));
    }

    /// A reserve that is too late names a reservation that has ended, or that somebody released before it was made.
    fn justify_too_late(&mut self, told: &Told, command: Option<&Sent>) {
        let named = command.and_then(|command| command.reservation);
        let hold = named.and_then(|id| self.holds.get(&id));
        let is_live = hold.is_some_and(|hold| hold.is_live);
        self.demand(named.is_some() && !is_live, told, format_args!("the reservation has not ended"));
    }
}

fn signed(units: u64) -> i64 {
    i64::try_from(units).expect("a quantity that the service takes")
}
