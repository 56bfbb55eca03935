//! Random histories over so few products, carts and identifiers that they meet all the time.

use std::fmt;

use inventory_service::domain::{CartId, Item, OrderId, ProductId, ReleaseReason, ReservationId};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::names::{at, name, numbered};
use super::step::{Action, Ask, Step, Told};
use super::store::Store;

/// Seconds between the steps of the past; the present happens at once.
const PACE: i64 = 10;

/// Stock, what happened in transactions of their own, and what may be one batch.
#[derive(Clone)]
pub struct History {
    pub stock: Vec<(ProductId, u64)>,
    pub past: Vec<Step>,
    pub present: Vec<Step>,
}

impl History {
    /// All steps, each with its position (from 1) and the second in which it happens.
    pub fn steps(&self) -> impl Iterator<Item = (usize, i64, &Step)> {
        let numbered = self.past.iter().chain(&self.present).enumerate();
        numbered.map(|(index, step)| {
            let second = PACE * i64::try_from(index.min(self.past.len())).unwrap_or(i64::MAX);
            (index + 1, second, step)
        })
    }

    /// Lets it happen, the present in transactions of these sizes (the last one stands for all further ones).
    pub fn run(&self, sizes: &[usize]) -> (Vec<Told>, Store) {
        let mut store = Store::with_stock(self.stock.iter().copied());
        let mut told = Vec::new();
        let mut requests = Vec::new();
        for (position, second, step) in self.steps() {
            match &step.action {
                Action::Consume(cart) => store.consume(*cart, at(second)),
                _ if position <= self.past.len() => {
                    told.extend(store.transact(step.request(position).as_slice(), at(second)));
                }
                _ => requests.extend(step.request(position)),
            }
        }
        let now = at(PACE * i64::try_from(self.past.len()).unwrap_or(i64::MAX));
        let mut rest = requests.as_slice();
        let mut sizes = sizes.iter().chain(sizes.last().into_iter().cycle());
        while !rest.is_empty() {
            let size = sizes.next().map_or(1, |size| *size).min(rest.len());
            let (batch, later) = rest.split_at(size);
            told.extend(store.transact(batch, now));
            rest = later;
        }
        (told, store)
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for (product, on_hand) in &self.stock {
            writeln!(f, "    stock {} {on_hand}", name(product.0))?;
        }
        for (position, second, step) in self.steps() {
            writeln!(f, "    @{second} {step}{}", if position > self.past.len() { " (batch)" } else { "" })?;
        }
        Ok(())
    }
}

/// A history whose present is made of commands only.
pub fn histories() -> impl Strategy<Value = History> {
    (stock(), vec(any_step(), 0..12), vec(command(), 1..16)).prop_map(|(stock, past, present)| {
        let past = resolve(Vec::new(), past);
        let boundary = past.len();
        let mut past = resolve(past, present);
        let present = past.split_off(boundary);
        History { stock, past, present }
    })
}

/// Products 1 to 3 are known or not; product 4 never is.
fn stock() -> impl Strategy<Value = Vec<(ProductId, u64)>> {
    let of_three = [weighted(0.9, 0..10_u64), weighted(0.9, 0..10_u64), weighted(0.8, 0..10_u64)];
    of_three.prop_map(|on_hand| {
        let known = on_hand.into_iter().enumerate().filter_map(|(index, units)| Some((index + 1, units?)));
        known.map(|(number, units)| (ProductId(numbered('P', number)), units)).collect()
    })
}

/// A step before it is known what came before it.
#[derive(Debug, Clone)]
enum Draft {
    Step(Step),
    /// Names the reservation that an earlier command may have made.
    OfMade(Index, Step),
    /// Asks for what an earlier command asked for, in another order and by another message.
    SameItems(Index, Ask, Option<String>),
    /// The very same message once more.
    Again(Index),
}

/// Goes on with a history.
fn resolve(mut steps: Vec<Step>, drafts: Vec<Draft>) -> Vec<Step> {
    for draft in drafts {
        let step = match draft {
            Draft::Step(step) => Some(step),
            Draft::OfMade(_, step) if steps.is_empty() => Some(step),
            Draft::OfMade(index, step) => Some(naming(step, index.index(steps.len()) + 1)),
            Draft::SameItems(index, ask, message_id) => Some(same_items(&steps, index, ask, message_id)),
            Draft::Again(index) => earlier_command(&steps, index),
        };
        steps.extend(step);
    }
    steps
}

fn earlier_command(steps: &[Step], index: Index) -> Option<Step> {
    let commands: Vec<&Step> =
        steps.iter().filter(|step| !matches!(step.action, Action::Consume(_))).collect();
    (!commands.is_empty()).then(|| (*index.get(&commands)).clone())
}

fn same_items(steps: &[Step], index: Index, mut ask: Ask, message_id: Option<String>) -> Step {
    let asks = steps.iter().filter_map(|step| match &step.action {
        Action::Reserve(ask) => Some(ask),
        _ => None,
    });
    let asks: Vec<&Ask> = asks.collect();
    if !asks.is_empty() {
        let earlier = index.get(&asks);
        ask.cart = earlier.cart;
        ask.lines = earlier.lines.iter().rev().copied().collect();
    }
    Step { action: Action::Reserve(ask), message_id }
}

fn naming(mut step: Step, position: usize) -> Step {
    let made = ReservationId(numbered('N', position));
    match &mut step.action {
        Action::Reserve(ask) => ask.reservation = Some(made),
        Action::Release { reservation, .. } => *reservation = made,
        Action::Consume(_) => {}
    }
    step
}

fn any_step() -> impl Strategy<Value = Draft> {
    let consume = cart().prop_map(|cart| Step { action: Action::Consume(cart), message_id: None });
    prop_oneof![12 => command(), 1 => consume.prop_map(Draft::Step)]
}

fn command() -> impl Strategy<Value = Draft> {
    prop_oneof![
        8 => reserve().prop_map(Draft::Step),
        3 => (any::<Index>(), ask(), message_id()).prop_map(|(index, ask, id)| Draft::SameItems(index, ask, id)),
        3 => release().prop_map(Draft::Step),
        3 => (any::<Index>(), release()).prop_map(|(index, step)| Draft::OfMade(index, step)),
        1 => (any::<Index>(), reserve()).prop_map(|(index, step)| Draft::OfMade(index, step)),
        3 => any::<Index>().prop_map(Draft::Again),
    ]
}

fn reserve() -> impl Strategy<Value = Step> {
    (ask(), message_id()).prop_map(|(ask, message_id)| Step { action: Action::Reserve(ask), message_id })
}

fn ask() -> impl Strategy<Value = Ask> {
    let reservation = weighted(0.4, (1..=4_usize).prop_map(|number| ReservationId(numbered('R', number))));
    let order = of((1..=2_usize).prop_map(|number| OrderId(numbered('O', number))));
    let hold_seconds = of(select(vec![20, 60, 200]));
    (cart(), reservation, order, hold_seconds, vec(line(), 1..=4)).prop_map(
        |(cart, reservation, order, hold_seconds, lines)| Ask {
            cart,
            reservation,
            order,
            hold_seconds,
            lines,
        },
    )
}

fn release() -> impl Strategy<Value = Step> {
    let reservation = (1..=4_usize).prop_map(|number| ReservationId(numbered('R', number)));
    let reasons = vec![ReleaseReason::CheckoutFailed, ReleaseReason::OrderCancelled, ReleaseReason::Expired];
    (reservation, of(select(reasons)), message_id()).prop_map(|(reservation, reason, message_id)| Step {
        action: Action::Release { reservation, reason },
        message_id,
    })
}

fn cart() -> impl Strategy<Value = CartId> {
    (1..=3_usize).prop_map(|number| CartId(numbered('C', number)))
}

/// Most lines ask for a product that is probably known.
fn line() -> impl Strategy<Value = Item> {
    let product = prop_oneof![15 => 1..=3_usize, 1 => Just(4)];
    (product, 1..=4_u64)
        .prop_map(|(number, quantity)| Item { product: ProductId(numbered('P', number)), quantity })
}

/// Two of the same are the same command only where the bodies are the same, too.
fn message_id() -> impl Strategy<Value = Option<String>> {
    weighted(0.5, (1..=8_u8).prop_map(|number| format!("M{number}")))
}
