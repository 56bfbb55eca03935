//! The part of the books that a batch touches, and what deciding changed in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Amendment, CartId, Item, Items, ProductId, Reservation, ReservationId, State, StockLevel};

/// What was locked and looked up for a batch, kept up to date while its commands are decided one by one.
///
/// `R` is what the store knows of an earlier outcome; deciding only hands it through.
#[derive(Debug, Clone)]
pub struct Books<R> {
    stock: BTreeMap<ProductId, StockLevel>,
    reservations: HashMap<ReservationId, Reservation>,
    live_holds: HashMap<CartId, ReservationId>,
    known: HashMap<Vec<u8>, Known<R>>,
    touched: Touched,
}

/// An outcome that an idempotency key already has.
#[derive(Debug, Clone)]
pub struct Known<R> {
    /// What the message was made of.
    pub body_hash: [u8; 32],
    /// How it was answered.
    pub answer: R,
}

#[derive(Debug, Clone, Default)]
struct Touched {
    stock: BTreeSet<ProductId>,
    /// True: the reservation is new to the store.
    reservations: BTreeMap<ReservationId, bool>,
    amendments: Vec<Amendment>,
}

/// What has to be written for the decisions of a batch, in the order of its keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Units reserved of each product whose level changed.
    pub stock: Vec<(ProductId, StockLevel)>,
    /// Reservations that the store does not have yet.
    pub inserted: Vec<Reservation>,
    /// Reservations as they are now.
    pub updated: Vec<Reservation>,
    /// Facts about holds whose items were changed in place.
    pub amendments: Vec<Amendment>,
}

impl<R> Books<R> {
    /// Opens the books on what the store has of the products, carts, reservations and keys of a batch.
    pub fn open(
        stock: impl IntoIterator<Item = (ProductId, StockLevel)>,
        reservations: impl IntoIterator<Item = Reservation>,
        known: impl IntoIterator<Item = (Vec<u8>, Known<R>)>,
    ) -> Self {
        let reservations: HashMap<_, _> = reservations.into_iter().map(|r| (r.id, r)).collect();
        let live_holds = reservations
            .values()
            .filter(|r| r.state == State::Held)
            .filter_map(|r| r.hold.as_ref().map(|hold| (hold.cart, r.id)))
            .collect();
        Self {
            stock: stock.into_iter().collect(),
            reservations,
            live_holds,
            known: known.into_iter().collect(),
            touched: Touched::default(),
        }
    }

    /// What has to be written.
    #[must_use]
    pub fn into_changes(self) -> Changes {
        let Self { stock, mut reservations, touched, .. } = self;
        let mut changes = Changes { amendments: touched.amendments, ..Changes::default() };
        for product in touched.stock {
            changes.stock.extend(stock.get(&product).map(|level| (product, *level)));
        }
        for (id, is_new) in touched.reservations {
            let side = if is_new { &mut changes.inserted } else { &mut changes.updated };
            side.extend(reservations.remove(&id));
        }
        changes
    }

    pub(super) fn known(&self, message_id: &[u8]) -> Option<&Known<R>> {
        self.known.get(message_id)
    }

    pub(super) fn reservation(&self, id: ReservationId) -> Option<&Reservation> {
        self.reservations.get(&id)
    }

    pub(super) fn live_hold(&self, cart: CartId) -> Option<&Reservation> {
        self.live_holds.get(&cart).and_then(|id| self.reservations.get(id))
    }

    /// Units that can still be taken; a product that the service does not know has none (contract 4.1).
    pub(super) fn available(&self, product: ProductId) -> u64 {
        self.stock.get(&product).map_or(0, |level| level.available())
    }

    pub(super) fn take(&mut self, items: &Items) {
        self.change_reserved(items, |level, item| level.reserved += item.quantity);
    }

    pub(super) fn give_back(&mut self, items: &Items) {
        self.change_reserved(items, |level, item| {
            level.reserved = level.reserved.saturating_sub(item.quantity);
        });
    }

    fn change_reserved(&mut self, items: &Items, change: impl Fn(&mut StockLevel, &Item)) {
        for item in items.iter() {
            if let Some(level) = self.stock.get_mut(&item.product) {
                change(level, item);
                self.touched.stock.insert(item.product);
            }
        }
    }

    /// Writes a reservation, new or changed, and keeps the index of live holds.
    pub(super) fn put(&mut self, reservation: Reservation) {
        let id = reservation.id;
        if let Some(hold) = &reservation.hold {
            if reservation.state == State::Held {
                self.live_holds.insert(hold.cart, id);
            } else if self.live_holds.get(&hold.cart) == Some(&id) {
                self.live_holds.remove(&hold.cart);
            }
        }
        let is_new = self.reservations.insert(id, reservation).is_none();
        self.touched.reservations.entry(id).or_insert(is_new);
    }

    pub(super) fn note_amendment(&mut self, amendment: Amendment) {
        self.touched.amendments.push(amendment);
    }
}
