//! Whether the books balance: what `inventory verify` holds against the facts, and more.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use inventory_service::domain::{Hold, Line, Movement, MovementKind, ProductId, Reservation, StockLevel};

use super::names::{at, name};
use super::store::{Store, is_live};

impl Store {
    /// After every transaction: nothing is oversold, reserved is what the live holds have open, and the
    /// version tells whether something is available.
    pub fn check_balance(&self) {
        let mut held: BTreeMap<ProductId, u64> = BTreeMap::new();
        for hold in self.reservations().filter(is_live).filter_map(|reservation| reservation.hold) {
            assert!(!hold.lines.is_spent(), "a hold of nothing: {hold:?}");
            for line in hold.lines.iter() {
                *held.entry(line.product).or_default() += line.open;
            }
        }
        for (product, level) in &self.stock {
            let held = held.remove(product).unwrap_or(0);
            assert!(level.reserved <= level.on_hand, "{} is oversold: {level:?}", name(product.0));
            assert_eq!(level.reserved, held, "reserved of {}", name(product.0));
            assert_eq!(level.version % 2 == 1, level.available() > 0, "{}: {level:?}", name(product.0));
        }
        assert!(held.is_empty(), "held, but not known: {held:?}");
    }

    /// After a history: every figure follows from the facts.
    pub fn check_facts(&self) {
        for reservation in self.reservations() {
            if let Some(hold) = &reservation.hold {
                self.check_reservation(&reservation, hold);
            }
        }
        for (product, level) in &self.stock {
            self.check_stock_events(*product, level);
            self.check_ledger(*product, level);
        }
    }

    /// What was taken is held, given back, or gone.
    fn check_reservation(&self, reservation: &Reservation, hold: &Hold) {
        let of_it: Vec<&Movement> =
            self.movements.iter().filter(|m| m.reservation == reservation.id).collect();
        let is_first_told = of_it.iter().any(|m| m.kind == MovementKind::Reserved);
        assert_eq!(hold.is_amended, is_first_told, "{} is amended", name(reservation.id.0));
        for line in hold.lines.iter() {
            self.check_line(reservation, line, &of_it);
        }
        for product in of_it.iter().flat_map(|movement| movement.items.iter()).map(|item| item.product) {
            if hold.lines.iter().all(|line| line.product != product) {
                let gone = Line { product, open: 0, released: 0, consumed: 0 };
                self.check_line(reservation, &gone, &of_it);
            }
        }
    }

    fn check_line(&self, reservation: &Reservation, line: &Line, movements: &[&Movement]) {
        let moved = |is_kind: fn(MovementKind) -> bool| -> u64 {
            let of_kind = movements.iter().filter(|movement| is_kind(movement.kind));
            of_kind.map(|movement| movement.items.quantity_of(line.product)).sum()
        };
        let reserved = moved(|kind| kind == MovementKind::Reserved);
        let released = moved(|kind| matches!(kind, MovementKind::Released(_)));
        let consumed = moved(|kind| kind == MovementKind::Consumed);
        let consumed_late = moved(|kind| kind == MovementKind::ConsumedLate);
        let is_amended = reservation.hold.as_ref().is_some_and(|hold| hold.is_amended);
        let taken = if is_amended { reserved } else { line.quantity() };
        let held = if is_live(reservation) { line.open } else { 0 };
        let of = format!("{} of {}", name(line.product.0), name(reservation.id.0));
        assert_eq!(taken, held + released + consumed, "{of}: taken = held + released + consumed");
        assert_eq!(line.consumed, consumed + consumed_late, "{of}: consumed");
        let may_be_open = is_live(reservation) || reservation.state.is_lapsed();
        assert!(may_be_open || line.open == 0, "{of}: open, though it has ended");
        assert!(self.stock.contains_key(&line.product), "{of}: of no known product");
    }

    /// Replenished and depleted take turns, and are counted without a gap.
    fn check_stock_events(&self, product: ProductId, level: &StockLevel) {
        let events = self.availabilities.iter().filter(|event| event.product == product);
        let (mut version, mut last) = (0, at(-1));
        for event in events {
            assert_eq!(event.version, version + 1, "the versions of {}", name(product.0));
            assert_eq!(event.version % 2 == 1, event.available > 0, "{}: {event:?}", name(product.0));
            assert!(event.at >= last, "the times of {}", name(product.0));
            (version, last) = (event.version, event.at);
        }
        assert_eq!(version, level.version, "the last version of {}", name(product.0));
    }

    /// The view `stock_ledger`: never below zero on the way, and in the end what the level says.
    fn check_ledger(&self, product: ProductId, level: &StockLevel) {
        let mut entries = self.ledger(product);
        entries.sort_by_key(|entry| (entry.at, entry.step));
        let (mut on_hand, mut reserved) = (0, 0);
        for entry in &entries {
            on_hand += entry.on_hand;
            reserved += entry.reserved;
            let is_sound = reserved >= 0 && reserved <= on_hand;
            assert!(is_sound, "{reserved} of {on_hand} of {} after {entry:?}", name(product.0));
        }
        assert_eq!(units(level.on_hand), on_hand, "on hand of {} by the ledger", name(product.0));
        assert_eq!(units(level.reserved), reserved, "reserved of {} by the ledger", name(product.0));
    }

    /// In the order in which the facts were written, of each kind.
    fn ledger(&self, product: ProductId) -> Vec<Entry> {
        let deliveries = self.deliveries.iter().filter(|delivery| delivery.product == product);
        let deliveries =
            deliveries.map(|d| Entry { at: d.at, step: 0, on_hand: units(d.units), reserved: 0 });
        let movements = self.movements.iter().map(|movement| Entry::of_movement(movement, product));
        let untold: Vec<Hold> =
            self.reservations().filter_map(|r| r.hold).filter(|hold| !hold.is_amended).collect();
        let first = untold.iter().map(|hold| Entry {
            at: hold.reserved_at,
            step: 3,
            on_hand: 0,
            reserved: units(hold.lines.total().quantity_of(product)),
        });
        deliveries.chain(first).chain(movements).collect()
    }
}

/// What a fact did to one product.
#[derive(Debug)]
struct Entry {
    at: DateTime<Utc>,
    step: u8,
    on_hand: i64,
    reserved: i64,
}

impl Entry {
    fn of_movement(movement: &Movement, product: ProductId) -> Self {
        let moved = units(movement.items.quantity_of(product));
        let (step, on_hand, reserved) = match movement.kind {
            MovementKind::Reserved => (3, 0, moved),
            MovementKind::Released(_) => (2, 0, -moved),
            MovementKind::Consumed => (2, -moved, -moved),
            MovementKind::ConsumedLate => (2, -moved, 0),
        };
        Self { at: movement.at, step, on_hand, reserved }
    }
}

fn units(of: u64) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}
