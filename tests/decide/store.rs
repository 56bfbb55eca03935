//! A database in memory, as strict as the one in `migrations`: a transaction loads what
//! `batch::transaction` loads, and writes what the changes say, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use inventory_service::domain::{
    Amendment, Books, CartId, Changes, Command, Decision, EndReason, Hold, Known, Outcome, ProductId, Repeat,
    Request, Reservation, ReservationId, State, StockLevel, decide,
};

use super::names::{name, second};
use super::step::{Told, lines, option};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Store {
    stock: BTreeMap<ProductId, StockLevel>,
    reservations: BTreeMap<ReservationId, Reservation>,
    amendments: Vec<Amendment>,
    outcomes: BTreeMap<Vec<u8>, Record>,
}

/// How a command was answered: `A7` answered the command at position 7.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    body_hash: [u8; 32],
    answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    position: usize,
    outcome: Outcome,
}

impl Store {
    pub fn with_stock(stock: impl IntoIterator<Item = (ProductId, u64)>) -> Self {
        let level = |on_hand| StockLevel { on_hand, reserved: 0 };
        let stock = stock.into_iter().map(|(product, on_hand)| (product, level(on_hand))).collect();
        Self { stock, ..Self::default() }
    }

    /// One transaction.
    pub fn transact(&mut self, requests: &[Request], now: DateTime<Utc>) -> Vec<Told> {
        let before = self.clone();
        let mut books = self.load(requests);
        let decisions = decide(&mut books, requests, now);
        self.write(books.into_changes());
        let told = self.keep(requests, &decisions);
        self.check_balance();
        self.check_history(&before);
        told
    }

    /// The stock of the cart's live hold leaves the house.
    pub fn consume(&mut self, cart: CartId, now: DateTime<Utc>) {
        let live = self
            .reservations
            .values_mut()
            .find(|r| is_live(r) && r.hold.as_ref().is_some_and(|h| h.cart == cart));
        let Some(Reservation { hold: Some(hold), state, .. }) = live else { return };
        *state = State::Consumed { at: now };
        for item in hold.items.iter() {
            if let Some(level) = self.stock.get_mut(&item.product) {
                level.on_hand -= item.quantity;
                level.reserved -= item.quantity;
            }
        }
        self.check_balance();
    }

    /// As `batch::transaction` does it: the named reservations and the live holds of the named carts, the
    /// stock of the products that are asked for or held by one of these.
    fn load(&self, requests: &[Request]) -> Books<Answer> {
        let (mut ids, mut carts, mut products) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for request in requests {
            match &request.command {
                Command::Reserve(reserve) => {
                    ids.extend(reserve.reservation);
                    carts.insert(reserve.cart);
                    products.extend(reserve.items.iter().map(|item| item.product));
                }
                Command::Release(release) => {
                    ids.insert(release.reservation);
                }
            }
        }
        let is_of_cart = |hold: &Hold| carts.contains(&hold.cart);
        let is_asked =
            |r: &&Reservation| ids.contains(&r.id) || is_live(r) && r.hold.as_ref().is_some_and(is_of_cart);
        let reservations: Vec<Reservation> = self.reservations.values().filter(is_asked).cloned().collect();
        let held = reservations.iter().filter(|r| is_live(r)).filter_map(|r| r.hold.as_ref());
        products.extend(held.flat_map(|hold| hold.items.iter().map(|item| item.product)));
        let stock =
            self.stock.iter().filter(|(product, _)| products.contains(product)).map(|(p, l)| (*p, *l));
        Books::open(stock, reservations, self.look_up(requests))
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

    /// In the order of `batch::transaction`, each row held against the constraints at once.
    fn write(&mut self, changes: Changes) {
        for (product, changed) in changes.stock {
            let level = self.stock.get_mut(&product).unwrap_or_else(|| panic!("UPDATE of no row of stock"));
            level.reserved = changed.reserved;
        }
        for reservation in changes.updated {
            assert!(self.reservations.contains_key(&reservation.id), "UPDATE of no row of reservation");
            self.put(reservation);
        }
        for reservation in changes.inserted {
            assert!(!self.reservations.contains_key(&reservation.id), "reservation_pkey");
            self.put(reservation);
        }
        self.amendments.extend(changes.amendments);
    }

    fn put(&mut self, reservation: Reservation) {
        let early_release = matches!(reservation.state, State::Released { .. });
        assert!(reservation.hold.is_some() || early_release, "reservation_complete_or_early_release");
        self.reservations.insert(reservation.id, reservation);
        let live: Vec<CartId> = self.live_holds().map(|hold| hold.cart).collect();
        let carts: BTreeSet<&CartId> = live.iter().collect();
        assert_eq!(live.len(), carts.len(), "reservation_live_hold_of_cart");
    }

    /// Keeps the new outcomes under their keys, and says what each command was told.
    fn keep(&mut self, requests: &[Request], decisions: &[Decision<Answer>]) -> Vec<Told> {
        assert_eq!(requests.len(), decisions.len());
        let mut told = Vec::new();
        for (request, decision) in requests.iter().zip(decisions) {
            if let (Decision::New(outcome), Some(key)) = (decision, &request.key) {
                let answer = Answer { position: position(request), outcome: outcome.clone() };
                let record = Record { body_hash: key.body_hash, answer };
                let former = self.outcomes.insert(key.message_id.clone(), record);
                assert_eq!(former, None, "command_outcome_pkey");
            }
            told.push(told_by(decision, requests, decisions));
        }
        told
    }

    fn live_holds(&self) -> impl Iterator<Item = &Hold> {
        self.reservations.values().filter(|r| is_live(r)).filter_map(|r| r.hold.as_ref())
    }

    /// What `inventory verify` checks: never below zero, and reserved is what the live holds have taken.
    fn check_balance(&self) {
        let mut held: BTreeMap<ProductId, u64> = BTreeMap::new();
        for item in self.live_holds().flat_map(|hold| hold.items.iter()) {
            *held.entry(item.product).or_default() += item.quantity;
        }
        for (product, level) in &self.stock {
            let held = held.remove(product).unwrap_or(0);
            assert!(level.reserved <= level.on_hand, "{} is oversold: {level:?}", name(product.0));
            assert_eq!(level.reserved, held, "reserved of {}", name(product.0));
        }
        assert!(held.is_empty(), "held, but not known: {held:?}");
    }

    /// Facts are only added to, final states are final, and a hold never ends earlier than was promised.
    fn check_history(&self, before: &Self) {
        assert!(self.amendments.starts_with(&before.amendments), "an amendment was changed");
        for (product, level) in &before.stock {
            assert_eq!(self.stock[product].on_hand, level.on_hand, "on hand of {}", name(product.0));
        }
        for (id, former) in &before.reservations {
            let now = &self.reservations[id];
            match (&former.hold, &now.hold) {
                (Some(old), Some(new)) if is_live(former) => {
                    assert_eq!(old.cart, new.cart, "the cart of {}", name(id.0));
                    assert!(!is_earlier(new.expires_at, old.expires_at), "the end of {}", name(id.0));
                    self.check_amended(*id, old, new, before.amendments.len());
                }
                _ => assert_eq!(former, now, "final states are final"),
            }
        }
    }

    /// What a hold consisted of before stays known where it was changed under its id.
    fn check_amended(&self, id: ReservationId, old: &Hold, new: &Hold, known: usize) {
        let first = self.amendments[known..].iter().find(|amendment| amendment.reservation == id);
        match first {
            None => assert!(old.items.same_as(&new.items), "the items of {} changed untold", name(id.0)),
            Some(first) => {
                assert_eq!(first.former_items, old.items, "the former items of {}", name(id.0));
                assert_eq!(first.former_reserved_at, old.reserved_at, "the former items of {}", name(id.0));
                assert!(first.amended_at >= old.reserved_at, "the amendment of {}", name(id.0));
            }
        }
    }

    /// The books as the stories quote them: `P1 2/5` are 2 reserved of 5 on hand.
    pub fn lines(&self) -> Vec<String> {
        let stock = self
            .stock
            .iter()
            .map(|(id, level)| format!("{} {}/{}", name(id.0), level.reserved, level.on_hand));
        let reservations = self.reservations.values().map(|r| match (&r.hold, r.state) {
            (Some(hold), State::Held) => held_line(r.id, hold),
            (_, state) => format!("{} {}", name(r.id.0), end_of(state)),
        });
        stock.chain(reservations).collect()
    }
}

fn held_line(id: ReservationId, hold: &Hold) -> String {
    let items = lines(hold.items.iter());
    let until = option(" until=", hold.expires_at.map(second));
    let order = option(" order=", hold.order.map(|id| name(id.0)));
    format!("{} HELD {}{items}{until}{order}", name(id.0), name(hold.cart.0))
}

fn end_of(state: State) -> &'static str {
    match state {
        State::Held => "HELD",
        State::Consumed { .. } => "CONSUMED",
        State::Released { reason: None, .. } => "RELEASED",
        State::Released { reason: Some(EndReason::CheckoutFailed), .. } => "RELEASED CHECKOUT_FAILED",
        State::Released { reason: Some(EndReason::OrderCancelled), .. } => "RELEASED ORDER_CANCELLED",
        State::Released { reason: Some(EndReason::Expired), .. } => "RELEASED EXPIRED",
        State::Released { reason: Some(EndReason::Superseded), .. } => "RELEASED SUPERSEDED",
    }
}

fn is_live(reservation: &Reservation) -> bool {
    reservation.state == State::Held
}

/// No end is the latest.
fn is_earlier(end: Option<DateTime<Utc>>, than: Option<DateTime<Utc>>) -> bool {
    match (end, than) {
        (Some(end), Some(than)) => end < than,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

fn position(request: &Request) -> usize {
    usize::try_from(request.answer_id.as_u64_pair().1).unwrap_or(usize::MAX)
}

fn told_by(decision: &Decision<Answer>, requests: &[Request], decisions: &[Decision<Answer>]) -> Told {
    match decision {
        Decision::New(outcome) => Told::New(outcome.clone()),
        Decision::Repeated(Repeat::Recorded(answer)) => Told::Again(answer.position, answer.outcome.clone()),
        Decision::Repeated(Repeat::OfRequest(index)) => match &decisions[*index] {
            Decision::New(outcome) => Told::Again(position(&requests[*index]), outcome.clone()),
            other => panic!("a repetition of {other:?}, which is no answer of its own"),
        },
        Decision::MessageIdReused => Told::MessageIdReused,
    }
}
