//! A database in memory, as strict as the one in `migrations`: a transaction loads what
//! `batch::bookkeeper` loads, and writes what the changes say, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use inventory_service::domain::{
    Availability, Books, CartId, Changes, Command, Decision, Event, Item, Known, Movement, Outcome,
    ProductId, Repeat, Request, Reservation, ReservationId, State, StockLevel, decide, lapse, time_of,
};

use super::names::{at, name, number};
use super::row::{Row, check_successor};
use super::told::Told;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Store {
    pub stock: BTreeMap<ProductId, StockLevel>,
    pub deliveries: Vec<Delivery>,
    pub movements: Vec<Movement>,
    /// The events of stock, in the order of the outbox.
    pub availabilities: Vec<Availability>,
    /// Whether a batch loads every lapsed hold, not only those of what falls short.
    loads_all_lapsed: bool,
    reservations: BTreeMap<ReservationId, Row>,
    outcomes: BTreeMap<Vec<u8>, Record>,
}

/// So many units came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    pub product: ProductId,
    pub units: u64,
    pub at: DateTime<Utc>,
}

/// How a command was answered: `A7` answered the command at position 7.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    body_hash: [u8; 32],
    answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    position: usize,
    outcome: Outcome,
}

impl Store {
    pub fn with_stock(stock: impl IntoIterator<Item = (ProductId, u64)>) -> Self {
        let mut store = Self::default();
        for (product, units) in stock {
            store.deliver(product, units, at(-1));
        }
        store
    }

    pub fn loading_all_lapsed(self) -> Self {
        Self { loads_all_lapsed: true, ..self }
    }

    /// Units come in, as `inventory stock adjust` books them.
    pub fn deliver(&mut self, product: ProductId, units: u64, at: DateTime<Utc>) {
        self.deliveries.push(Delivery { product, units, at });
        let level = self.stock.entry(product).or_default();
        level.on_hand += units;
        let available = level.available();
        if (level.version % 2 == 1) != (available > 0) {
            level.version += 1;
            self.availabilities.push(Availability { product, available, version: level.version, at });
        }
    }

    /// One transaction; begun anew with the lapsed holds that may give back what falls short.
    pub fn transact(&mut self, requests: &[Request], now: DateTime<Utc>) -> Vec<Told> {
        let until = time_of(requests.len(), now);
        let all = self.reservations().filter(|r| self.loads_all_lapsed && is_due(r, until));
        let mut lapsed: BTreeSet<ReservationId> = all.map(|reservation| reservation.id).collect();
        let (books, decisions) = loop {
            let locked = self.locked(requests, &lapsed);
            let missed_by = Missing { locked: &locked, until };
            let mut books = self.open(requests, &locked);
            let decisions = decide(&mut books, requests, now);
            let missed = self.missed(&decisions, &missed_by);
            if missed.is_empty() {
                break (books, decisions);
            }
            lapsed.extend(missed);
        };
        self.write(books.into_changes());
        let told = self.keep(requests, &decisions);
        self.publish(&told);
        self.check_balance();
        told
    }

    /// Gives back the first holds that have lapsed, up to `limit`, in a transaction of its own.
    pub fn sweep(&mut self, limit: usize, now: DateTime<Utc>) -> Told {
        let end = |reservation: &Reservation| reservation.hold.as_ref().and_then(|hold| hold.expires_at);
        let mut due: Vec<Reservation> = self.reservations().filter(|r| is_due(r, now)).collect();
        due.sort_unstable_by_key(|reservation| (end(reservation), reservation.id));
        due.truncate(limit);
        let mut books = self.open(&[], &due);
        let told = Told::Swept(lapse(&mut books, now));
        self.write(books.into_changes());
        self.publish(std::slice::from_ref(&told));
        self.check_balance();
        told
    }

    pub fn reservations(&self) -> impl Iterator<Item = Reservation> {
        self.reservations.iter().map(|(id, row)| row.reservation(*id))
    }

    /// The named reservations, and the live holds of the named carts.
    fn locked(&self, requests: &[Request], lapsed: &BTreeSet<ReservationId>) -> Vec<Reservation> {
        let (mut ids, mut carts) = (lapsed.clone(), BTreeSet::new());
        for request in requests {
            match &request.command {
                Command::Reserve(reserve) => {
                    ids.extend(reserve.reservation);
                    carts.insert(reserve.cart);
                }
                Command::Release(release) => _ = ids.insert(release.reservation),
                Command::Consume(consume) => _ = ids.insert(consume.reservation),
                Command::Extend(extend) => _ = ids.insert(extend.reservation),
            }
        }
        let is_locked = |(id, row): &(&ReservationId, &Row)| {
            ids.contains(id) || row.live_cart().is_some_and(|cart| carts.contains(&cart))
        };
        self.reservations.iter().filter(is_locked).map(|(id, row)| row.reservation(*id)).collect()
    }

    /// With the stock of what is asked for, and of what these reservations may give back or take again.
    fn open(&self, requests: &[Request], locked: &[Reservation]) -> Books<Answer> {
        let asked = requests.iter().filter_map(|request| match &request.command {
            Command::Reserve(reserve) => Some(reserve.items.iter()),
            _ => None,
        });
        let mut products: BTreeSet<ProductId> = asked.flatten().map(|item| item.product).collect();
        let open = locked.iter().filter(|r| is_live(r) || r.state.is_lapsed());
        let open = open.filter_map(|r| r.hold.as_ref()).map(|hold| hold.lines.open());
        products.extend(open.flat_map(|items| items.iter().map(|item| item.product).collect::<Vec<_>>()));
        let stock = products.iter().filter_map(|product| Some((*product, *self.stock.get(product)?)));
        Books::open(stock, locked.iter().cloned(), self.look_up(requests))
    }

    fn look_up(&self, requests: &[Request]) -> Vec<(Vec<u8>, Known<Answer>)> {
        let keys: BTreeSet<&Vec<u8>> =
            requests.iter().filter_map(|request| request.key.as_ref()).map(|key| &key.message_id).collect();
        let record = |key: &Vec<u8>| {
            let Record { body_hash, answer } = self.outcomes.get(key)?.clone();
            Some((key.clone(), Known { body_hash, answer }))
        };
        keys.into_iter().filter_map(record).collect()
    }

    /// Lapsed holds, not locked yet, of products that fall short for somebody.
    fn missed(&self, decisions: &[Decision<Answer>], missing: &Missing<'_>) -> Vec<ReservationId> {
        let short = decisions.iter().filter_map(|decision| match decision {
            Decision::New(done) => Some(done.outcome.shortfalls()),
            _ => None,
        });
        let short: BTreeSet<ProductId> = short.flatten().map(|shortfall| shortfall.product).collect();
        if short.is_empty() {
            return Vec::new();
        }
        let has_short = |r: &Reservation| {
            r.hold.iter().flat_map(|hold| hold.lines.iter()).any(|line| short.contains(&line.product))
        };
        let is_locked = |r: &Reservation| missing.locked.iter().any(|locked| locked.id == r.id);
        let missed =
            self.reservations().filter(|r| is_due(r, missing.until) && has_short(r) && !is_locked(r));
        missed.map(|reservation| reservation.id).collect()
    }

    /// In the order of `batch::bookkeeper`, each row held against the constraints at once.
    fn write(&mut self, changes: Changes) {
        for (product, changed) in changes.stock {
            let level = self.stock.get_mut(&product).unwrap_or_else(|| panic!("UPDATE of no row of stock"));
            assert!(changed.reserved <= changed.on_hand, "stock_available_not_negative");
            *level = changed;
        }
        for reservation in changes.updated {
            let former = self.reservations.get(&reservation.id).map(|row| row.reservation(reservation.id));
            let former = former.unwrap_or_else(|| panic!("UPDATE of no row of reservation"));
            check_successor(&former, &reservation);
            self.put(&reservation);
        }
        for reservation in changes.inserted {
            assert!(!self.reservations.contains_key(&reservation.id), "reservation_pkey");
            self.put(&reservation);
        }
        for movement in changes.movements {
            let is_positive = |item: &Item| item.quantity > 0;
            assert!(movement.items.iter().all(is_positive), "reservation_movement_quantities_positive");
            assert!(!movement.items.is_empty(), "a movement of nothing");
            self.movements.push(movement);
        }
    }

    fn put(&mut self, reservation: &Reservation) {
        let row = Row::of(reservation);
        assert_eq!(row.reservation(reservation.id), *reservation, "what is read is what was written");
        self.reservations.insert(reservation.id, row);
        let live: Vec<CartId> = self.reservations.values().filter_map(Row::live_cart).collect();
        let carts: BTreeSet<&CartId> = live.iter().collect();
        assert_eq!(live.len(), carts.len(), "reservation_live_hold_of_cart: {}", name(reservation.id.0));
    }

    /// Keeps the new outcomes under their keys, and says what each command was told.
    fn keep(&mut self, requests: &[Request], decisions: &[Decision<Answer>]) -> Vec<Told> {
        assert_eq!(requests.len(), decisions.len());
        let mut told = Vec::new();
        for (request, decision) in requests.iter().zip(decisions) {
            if let (Decision::New(done), Some(key)) = (decision, &request.key) {
                let answer = Answer { position: position(request), outcome: done.outcome.clone() };
                let record = Record { body_hash: key.body_hash, answer };
                let former = self.outcomes.insert(key.message_id.clone(), record);
                assert_eq!(former, None, "command_outcome_pkey");
            }
            told.push(told_by(decision, requests, decisions));
        }
        told
    }

    fn publish(&mut self, told: &[Told]) {
        let events = told.iter().flat_map(Told::aside).map(|happening| happening.event);
        self.availabilities.extend(events.filter_map(|event| match event {
            Event::Availability(availability) => Some(availability),
            _ => None,
        }));
    }
}

/// What could help, and is not locked.
struct Missing<'a> {
    locked: &'a [Reservation],
    until: DateTime<Utc>,
}

pub fn is_live(reservation: &Reservation) -> bool {
    reservation.state == State::Held
}

fn is_due(reservation: &Reservation, now: DateTime<Utc>) -> bool {
    let end = reservation.hold.as_ref().and_then(|hold| hold.expires_at);
    is_live(reservation) && end.is_some_and(|end| end <= now)
}

fn position(request: &Request) -> usize {
    number(request.answer_id)
}

fn told_by(decision: &Decision<Answer>, requests: &[Request], decisions: &[Decision<Answer>]) -> Told {
    match decision {
        Decision::New(done) => Told::New(done.clone()),
        Decision::Repeated(Repeat::Recorded(answer)) => Told::Again(answer.position, answer.outcome.clone()),
        Decision::Repeated(Repeat::OfRequest(index)) => match &decisions[*index] {
            Decision::New(done) => Told::Again(position(&requests[*index]), done.outcome.clone()),
            other => panic!("a repetition of {other:?}, which is no answer of its own"),
        },
        Decision::MessageIdReused => Told::MessageIdReused,
    }
}
