//! A reservation as the reference keeps it.

use chrono::{DateTime, Utc};
use inventory_service::domain::{CartId, Item, Items, OrderId, ProductId, ReservationId};

use super::names::name;
use super::quoted::{exact, part_text};
use super::reference::End;
use super::step::{lines, option};
use super::told::end_name;

#[derive(Debug, Clone)]
pub struct Entry {
    pub id: ReservationId,
    pub cart: CartId,
    pub order: Option<OrderId>,
    pub since: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
    /// The `message_id` of the command that made it.
    pub by: Option<Vec<u8>>,
    /// What was taken first, until a fact tells it.
    pub taken_untold: Option<Pile>,
    /// What is held, or, where it has lapsed, could be taken again.
    pub open: Pile,
    pub released: Pile,
    pub consumed: Pile,
    pub end: End,
}

impl Entry {
    pub fn line(&self) -> String {
        let Self { since, until, open, released, consumed, .. } = self;
        let (id, cart, open) = (name(self.id.0), name(self.cart.0), lines(&open.0));
        let until = option(" until=", until.map(exact));
        let order = option(" order=", self.order.map(|id| name(id.0)));
        let parts = [part_text("released", released.0.clone()), part_text("consumed", consumed.0.clone())];
        let parts = format!(" since={}{}", exact(*since), parts.concat());
        let (state, ended) = match self.end {
            End::Live => return format!("{id} HELD {cart}{open}{until}{order} |{parts}"),
            End::Released(reason, at) => {
                (format!("RELEASED{}", option(" ", reason.map(end_name))), format!(" ended={}", exact(at)))
            }
            End::Lapsed => ("RELEASED LAPSED".to_owned(), format!(" open{open}")),
            End::Consumed(at) => ("CONSUMED".to_owned(), format!(" ended={}", exact(at))),
        };
        format!("{id} {state} | {cart}{order}{until}{ended}{parts}")
    }
}

/// Units of products: each product once, in the order in which it is first named.
#[derive(Debug, Clone, Default)]
pub struct Pile(Vec<Item>);

impl Pile {
    pub fn of(lines: &[Item]) -> Self {
        let mut pile = Self::default();
        pile.add(&Self(lines.to_vec()));
        pile
    }

    pub fn items(&self) -> Items {
        Items::add_up(self.0.iter().copied())
    }

    pub fn units_of(&self, product: ProductId) -> u64 {
        self.0.iter().filter(|item| item.product == product).map(|item| item.quantity).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|item| self.units_of(item.product) >= item.quantity)
    }

    /// The order makes no difference.
    pub fn is_same(&self, other: &Self) -> bool {
        self.covers(other) && other.covers(self)
    }

    pub fn add(&mut self, other: &Self) {
        for line in &other.0 {
            match self.0.iter_mut().find(|item| item.product == line.product) {
                Some(item) => item.quantity += line.quantity,
                None => self.0.push(*line),
            }
        }
    }

    pub fn take_out(&mut self, other: &Self) {
        for item in &mut self.0 {
            item.quantity -= other.units_of(item.product);
        }
        self.0.retain(|item| item.quantity > 0);
    }
}
