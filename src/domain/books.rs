//! The part of the books that a batch touches, and what deciding changed in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};

use super::{
    Availability, CartId, Event, Item, Items, Movement, MovementKind, ProductId, Reservation, ReservationId,
    State, StockLevel,
};

/// What was locked and looked up for a batch, kept up to date while its commands are decided one by one.
///
/// `R` is what the store knows of an earlier outcome; deciding only hands it through.
#[derive(Debug, Clone)]
pub struct Books<R> {
    stock: BTreeMap<ProductId, StockLevel>,
    reservations: HashMap<ReservationId, Reservation>,
    live_holds: HashMap<CartId, ReservationId>,
    /// Holds with an end, in the order in which they lapse.
    lapsing: BTreeSet<(DateTime<Utc>, ReservationId)>,
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
    movements: Vec<Movement>,
    /// What was available of the products that the present step has changed, before it did.
    available_before: BTreeMap<ProductId, u64>,
}

/// What has to be written for the decisions of a batch, in the order of its keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Products whose level changed.
    pub stock: Vec<(ProductId, StockLevel)>,
    /// Reservations that the store does not have yet.
    pub inserted: Vec<Reservation>,
    /// Reservations as they are now.
    pub updated: Vec<Reservation>,
    /// Facts, in the order in which they happened.
    pub movements: Vec<Movement>,
}

/// When something is done, and by which command; by none where time itself does it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cause<'a> {
    pub(super) at: DateTime<Utc>,
    pub(super) message_id: Option<&'a [u8]>,
}

impl<R> Books<R> {
    /// Opens the books on what the store has of the products, carts, reservations and keys of a batch.
    pub fn open(
        stock: impl IntoIterator<Item = (ProductId, StockLevel)>,
        reservations: impl IntoIterator<Item = Reservation>,
        known: impl IntoIterator<Item = (Vec<u8>, Known<R>)>,
    ) -> Self {
        let mut books = Self {
            stock: stock.into_iter().collect(),
            reservations: HashMap::new(),
            live_holds: HashMap::new(),
            lapsing: BTreeSet::new(),
            known: known.into_iter().collect(),
            touched: Touched::default(),
        };
        for reservation in reservations {
            books.enter(reservation);
        }
        books
    }

    /// What has to be written.
    #[must_use]
    pub fn into_changes(self) -> Changes {
        let Self { stock, mut reservations, touched, .. } = self;
        let mut changes = Changes { movements: touched.movements, ..Changes::default() };
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

    /// The holds that have lapsed by now, those first that lapsed first.
    pub(super) fn due(&self, now: DateTime<Utc>) -> impl Iterator<Item = &Reservation> {
        let due = self.lapsing.iter().take_while(move |(end, _)| *end <= now);
        due.filter_map(|(_, id)| self.reservations.get(id))
    }

    /// Units that can still be taken; a product that the service does not know has none (contract 4.1).
    pub(super) fn available(&self, product: ProductId) -> u64 {
        self.stock.get(&product).map_or(0, |level| level.available())
    }

    /// Moves stock: the levels, and the fact. What a reservation takes first is told by the reservation.
    pub(super) fn move_stock(
        &mut self,
        of: ReservationId,
        kind: MovementKind,
        items: Items,
        cause: Cause<'_>,
    ) {
        match kind {
            MovementKind::Reserved => self.take(&items),
            MovementKind::Released(_) => self.change_levels(&items, |level, units| {
                level.reserved = level.reserved.saturating_sub(units);
            }),
            MovementKind::Consumed => self.change_levels(&items, |level, units| {
                level.reserved = level.reserved.saturating_sub(units);
                level.on_hand = level.on_hand.saturating_sub(units);
            }),
            MovementKind::ConsumedLate => self.change_levels(&items, |level, units| {
                level.on_hand = level.on_hand.saturating_sub(units);
            }),
        }
        let caused_by = cause.message_id.map(<[u8]>::to_vec);
        self.note(Movement { reservation: of, kind, items, at: cause.at, caused_by });
    }

    /// Takes stock.
    pub(super) fn take(&mut self, items: &Items) {
        self.change_levels(items, |level, units| level.reserved += units);
    }

    /// Notes a fact.
    pub(super) fn note(&mut self, movement: Movement) {
        self.touched.movements.push(movement);
    }

    fn change_levels(&mut self, items: &Items, change: impl Fn(&mut StockLevel, u64)) {
        for Item { product, quantity } in items.iter() {
            if let Some(level) = self.stock.get_mut(product) {
                self.touched.available_before.entry(*product).or_insert(level.available());
                change(level, *quantity);
                self.touched.stock.insert(*product);
            }
        }
    }

    /// Ends a step: tells of which products available has reached 0 with it, or left it.
    pub(super) fn end_step(&mut self, at: DateTime<Utc>) -> Vec<Event> {
        let mut events = Vec::new();
        for (product, before) in std::mem::take(&mut self.touched.available_before) {
            let Some(level) = self.stock.get_mut(&product) else { continue };
            let available = level.available();
            if (before == 0) != (available == 0) {
                level.version += 1;
                let version = level.version;
                events.push(Event::Availability(Availability { product, available, version, at }));
            }
        }
        events
    }

    /// Writes a reservation, new or changed.
    pub(super) fn put(&mut self, reservation: Reservation) {
        let id = reservation.id;
        let is_new = self.enter(reservation);
        self.touched.reservations.entry(id).or_insert(is_new);
    }

    /// Keeps a reservation and the indexes; says whether it is new here.
    fn enter(&mut self, reservation: Reservation) -> bool {
        let id = reservation.id;
        let former = self.reservations.get(&id).and_then(|former| former.hold.as_ref());
        if let Some(end) = former.and_then(|hold| hold.expires_at) {
            self.lapsing.remove(&(end, id));
        }
        if let Some(hold) = &reservation.hold {
            if reservation.state == State::Held {
                self.live_holds.insert(hold.cart, id);
                self.lapsing.extend(hold.expires_at.map(|end| (end, id)));
            } else if self.live_holds.get(&hold.cart) == Some(&id) {
                self.live_holds.remove(&hold.cart);
            }
        }
        self.reservations.insert(id, reservation).is_none()
    }
}
