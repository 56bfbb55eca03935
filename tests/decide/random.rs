//! Random histories over so few products, carts and identifiers that they meet all the time.

use inventory_service::domain::{CartId, Item, OrderId, ProductId, ReleaseReason, ReservationId};
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::history::{History, Moment};
use super::names::{number, numbered};
use super::step::{Action, Ask, Step};

/// Histories of a few commands.
pub fn histories() -> impl Strategy<Value = History> {
    histories_of(1..=8)
}

/// Histories of some 250 commands.
pub fn long_histories() -> impl Strategy<Value = History> {
    histories_of(1..=90)
}

fn histories_of(moments: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = History> {
    (stock(), vec(moment(), moments)).prop_map(|(stock, drafts)| {
        let mut earlier = Vec::new();
        let moments = drafts.into_iter().map(|draft| draft.resolve(&mut earlier)).collect();
        History { stock, moments }
    })
}

/// Products 1 to 3 are known or not; product 4 never is.
fn stock() -> impl Strategy<Value = Vec<(ProductId, u64)>> {
    let of_three = [weighted(0.9, 0..14_u64), weighted(0.9, 0..14_u64), weighted(0.8, 0..14_u64)];
    of_three.prop_map(|on_hand| {
        let known = on_hand.into_iter().enumerate().filter_map(|(index, units)| Some((index + 1, units?)));
        known.map(|(number, units)| (ProductId(numbered('P', number)), units)).collect()
    })
}

#[derive(Debug, Clone)]
struct DraftMoment {
    wait: i64,
    delivery: Option<(ProductId, u64)>,
    sweep: Option<usize>,
    drafts: Vec<Draft>,
}

/// A command before it is known what came before it.
#[derive(Debug, Clone)]
enum Draft {
    New(Step),
    /// Names the reservation that one of the last reserves may have made.
    OfEarlier(usize, Step),
    /// Asks for what an earlier command asked for, in another order and by another message.
    SameItems(Index, Ask, Option<usize>),
    /// The very same message once more.
    Again(Index),
}

impl DraftMoment {
    fn resolve(self, earlier: &mut Vec<Step>) -> Moment {
        let first = earlier.len();
        for draft in self.drafts {
            let step = draft.resolve(earlier);
            earlier.extend(step);
        }
        let Self { wait, delivery, sweep, .. } = self;
        Moment { wait, delivery, sweep, steps: earlier[first..].to_vec() }
    }
}

impl Draft {
    fn resolve(self, earlier: &[Step]) -> Option<Step> {
        match self {
            Self::New(step) => Some(of_its_time(step, earlier.len())),
            Self::OfEarlier(back, step) => {
                let step = of_its_time(step, earlier.len());
                let reserves =
                    earlier.iter().enumerate().rev().filter_map(|(index, step)| match &step.action {
                        Action::Reserve(ask) => Some((index + 1, ask)),
                        _ => None,
                    });
                Some(match reserves.take(back).last() {
                    Some((position, ask)) => naming(step, ask, position),
                    None => step,
                })
            }
            Self::SameItems(index, ask, message) => {
                let step =
                    Step { action: Action::Reserve(same_items(earlier, index, ask)), message_id: None };
                Some(Step { message_id: message.map(message_id), ..of_its_time(step, earlier.len()) })
            }
            Self::Again(_) if earlier.is_empty() => None,
            Self::Again(index) => Some(index.get(earlier).clone()),
        }
    }
}

fn message_id(number: usize) -> String {
    format!("M{number}")
}

/// Chosen identifiers are used up after a while: later commands choose others.
fn of_its_time(mut step: Step, position: usize) -> Step {
    let later = |id: ReservationId| ReservationId(numbered('R', number(id.0) + position / 16));
    match &mut step.action {
        Action::Reserve(ask) => ask.reservation = ask.reservation.map(later),
        Action::Release { reservation, .. }
        | Action::Consume { reservation, .. }
        | Action::Extend { reservation, .. } => *reservation = later(*reservation),
    }
    let later = |id: String| id.strip_prefix('M').and_then(|number| number.parse::<usize>().ok());
    step.message_id = step.message_id.and_then(later).map(|number| message_id(number + position * 4));
    step
}

fn same_items(earlier: &[Step], index: Index, mut ask: Ask) -> Ask {
    let asks = earlier.iter().rev().take(20).filter_map(|step| match &step.action {
        Action::Reserve(ask) => Some(ask),
        _ => None,
    });
    let asks: Vec<&Ask> = asks.collect();
    if !asks.is_empty() {
        let same = index.get(&asks);
        ask.cart = same.cart;
        ask.lines = same.lines.iter().rev().copied().collect();
    }
    ask
}

fn naming(mut step: Step, earlier: &Ask, position: usize) -> Step {
    let named = earlier.reservation.unwrap_or(ReservationId(numbered('N', position)));
    match &mut step.action {
        Action::Reserve(ask) => (ask.reservation, ask.cart) = (Some(named), earlier.cart),
        Action::Release { reservation, .. }
        | Action::Consume { reservation, .. }
        | Action::Extend { reservation, .. } => *reservation = named,
    }
    step
}

fn moment() -> impl Strategy<Value = DraftMoment> {
    let wait = prop_oneof![4 => Just(0_i64), 4 => Just(10), 1 => Just(20), 1 => Just(30)];
    let delivery = weighted(0.5, (1..=3_usize, 0..=6_u64));
    let sweep = weighted(0.2, prop_oneof![Just(1_usize), Just(2), Just(usize::MAX)]);
    (wait, delivery, sweep, vec(draft(), 0..=10)).prop_map(|(wait, delivery, sweep, drafts)| {
        let delivery = delivery.map(|(number, units)| (ProductId(numbered('P', number)), units));
        DraftMoment { wait, delivery, sweep, drafts }
    })
}

fn draft() -> impl Strategy<Value = Draft> {
    let step = |action: BoxedStrategy<Action>| {
        (action, weighted(0.5, 1..=8_usize))
            .prop_map(|(action, message)| Step { action, message_id: message.map(message_id) })
    };
    let settling = prop_oneof![4 => release(), 5 => consume(), 3 => extend()].boxed();
    let reserving = ask().prop_map(Action::Reserve).boxed();
    prop_oneof![
        8 => step(reserving.clone()).prop_map(Draft::New),
        2 => (1..=8_usize, step(reserving)).prop_map(|(back, step)| Draft::OfEarlier(back, step)),
        2 => (any::<Index>(), ask(), weighted(0.5, 1..=8_usize))
            .prop_map(|(index, ask, message)| Draft::SameItems(index, ask, message)),
        1 => step(settling.clone()).prop_map(Draft::New),
        9 => (1..=8_usize, step(settling)).prop_map(|(back, step)| Draft::OfEarlier(back, step)),
        2 => any::<Index>().prop_map(Draft::Again),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let cart = (1..=4_usize).prop_map(|number| CartId(numbered('C', number)));
    let order = of((1..=2_usize).prop_map(|number| OrderId(numbered('O', number))));
    let hold_seconds = weighted(0.85, select(&[10_u32, 10, 20, 40][..]));
    (cart, weighted(0.3, chosen()), order, hold_seconds, vec(line(3), 1..=4)).prop_map(
        |(cart, reservation, order, hold_seconds, lines)| Ask {
            cart,
            reservation,
            order,
            hold_seconds,
            lines,
        },
    )
}

fn release() -> BoxedStrategy<Action> {
    let reasons = &[ReleaseReason::CheckoutFailed, ReleaseReason::OrderCancelled, ReleaseReason::Expired];
    (chosen(), part(), of(select(&reasons[..])))
        .prop_map(|(reservation, part, reason)| Action::Release { reservation, part, reason })
        .boxed()
}

fn consume() -> BoxedStrategy<Action> {
    (chosen(), part()).prop_map(|(reservation, part)| Action::Consume { reservation, part }).boxed()
}

fn extend() -> BoxedStrategy<Action> {
    (chosen(), select(&[10_u32, 20, 40][..]))
        .prop_map(|(reservation, hold_seconds)| Action::Extend { reservation, hold_seconds })
        .boxed()
}

fn chosen() -> impl Strategy<Value = ReservationId> {
    (1..=4_usize).prop_map(|number| ReservationId(numbered('R', number)))
}

fn part() -> impl Strategy<Value = Option<Vec<Item>>> {
    weighted(0.5, vec(line(2), 1..=2))
}

/// Most lines ask for a product that is probably known.
fn line(most: u64) -> impl Strategy<Value = Item> {
    let product = prop_oneof![20 => 1..=3_usize, 1 => Just(4)];
    (product, 1..=most)
        .prop_map(|(number, quantity)| Item { product: ProductId(numbered('P', number)), quantity })
}
