//! The carts whose stock is held, what a cancellation can give back of them, and what was shipped.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
};

use uuid::Uuid;

use crate::effects::Effect;

/// Units by product.
pub type Quantities = BTreeMap<Uuid, u64>;

/// Adds up (product, units) pairs.
pub fn add_up(lines: impl IntoIterator<Item = (Uuid, u64)>) -> Quantities {
    let mut sum = Quantities::new();
    for (product, units) in lines {
        *sum.entry(product).or_default() += units;
    }
    sum
}

pub fn units(quantities: &Quantities) -> u64 {
    quantities.values().sum()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldCart {
    pub invoice: String,
    pub customer: Option<String>,
    pub cart_id: Uuid,
    pub order_id: Uuid,
    pub reservation_id: Uuid,
    pub items: Quantities,
}

/// Some of what a cart holds, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub cart: HeldCart,
    pub items: Quantities,
}

impl Part {
    pub fn all(cart: HeldCart) -> Self {
        Self { items: cart.items.clone(), cart }
    }

    pub fn is_all(&self) -> bool {
        self.items == self.cart.items
    }

    /// The cart without this part.
    pub fn rest(&self) -> HeldCart {
        let mut rest = self.cart.clone();
        for (product, units) in &mut rest.items {
            *units -= self.items.get(product).copied().unwrap_or(0);
        }
        rest.items.retain(|_, units| *units > 0);
        rest
    }
}

/// What a cancellation comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct GiveBack {
    /// What goes back, each from a cart of its own.
    pub parts: Vec<Part>,
    /// What no cart holds: the goods were bought earlier, or never.
    pub unmatched: Quantities,
}

/// What became of the units that were reserved, by product.
#[derive(Debug, Default)]
pub struct Totals {
    pub held: Quantities,
    pub shipped: Quantities,
}

#[derive(Debug, Default)]
pub struct Carts {
    /// By customer, in the order in which they were reserved.
    held: HashMap<Option<String>, Vec<HeldCart>>,
    shipped: Quantities,
}

impl Carts {
    /// A cart holds this from now on, whatever it held before.
    fn hold(&mut self, cart: HeldCart) {
        let carts = self.held.entry(cart.customer.clone()).or_default();
        match carts.iter().position(|held| held.cart_id == cart.cart_id) {
            Some(position) if cart.items.is_empty() => drop(carts.remove(position)),
            Some(position) => carts[position] = cart,
            None => carts.push(cart),
        }
    }

    /// Keeps up with what an effect did to a cart.
    pub fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Reserved(cart) => self.hold(cart),
            Effect::Released(part) => self.hold(part.rest()),
            Effect::Shipped(part) => {
                self.hold(part.rest());
                self.shipped = add_up(mem::take(&mut self.shipped).into_iter().chain(part.items));
            }
            Effect::Unavailable { .. } | Effect::GivenUp | Effect::Refused(_) | Effect::Contradiction(_) => {}
        }
    }

    pub fn held(&self) -> impl Iterator<Item = &HeldCart> {
        self.held.values().flatten()
    }

    pub fn totals(self) -> Totals {
        let held = add_up(self.held().flat_map(|cart| cart.items.clone()));
        Totals { held, shipped: self.shipped }
    }

    /// A cancellation names no invoice, so it is taken from what its customer holds: from the latest cart
    /// that has some of it first, and from earlier ones as long as something remains. Without a customer
    /// nothing can be matched.
    pub fn plan_give_back(&self, customer: Option<&str>, cancelled: Quantities) -> GiveBack {
        let mut plan = GiveBack { parts: Vec::new(), unmatched: cancelled };
        let Some(customer) = customer else {
            return plan;
        };
        let carts = self.held.get(&Some(customer.to_owned()));
        for cart in carts.into_iter().flatten().rev() {
            let items = take_from(&cart.items, &mut plan.unmatched);
            if !items.is_empty() {
                plan.parts.push(Part { cart: cart.clone(), items });
            }
        }
        plan
    }
}

/// Takes as much of what is cancelled as a cart holds, and returns that.
fn take_from(items: &Quantities, cancelled: &mut Quantities) -> Quantities {
    let mut taken = Quantities::new();
    for (&product, wanted) in cancelled.iter_mut() {
        if let Some(&held) = items.get(&product) {
            let units = held.min(*wanted);
            *wanted -= units;
            taken.insert(product, units);
        }
    }
    cancelled.retain(|_, units| *units > 0);
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantities(lines: &[(u128, u64)]) -> Quantities {
        add_up(lines.iter().map(|&(product, units)| (Uuid::from_u128(product), units)))
    }

    fn cart(number: u128, customer: &str, items: &[(u128, u64)]) -> HeldCart {
        HeldCart {
            invoice: number.to_string(),
            customer: Some(customer.to_owned()),
            cart_id: Uuid::from_u128(number),
            order_id: Uuid::from_u128(number),
            reservation_id: Uuid::from_u128(number),
            items: quantities(items),
        }
    }

    fn part(cart: HeldCart, items: &[(u128, u64)]) -> Part {
        Part { cart, items: quantities(items) }
    }

    fn held(carts: &[HeldCart]) -> Carts {
        let mut held = Carts::default();
        for cart in carts {
            held.hold(cart.clone());
        }
        held
    }

    #[test]
    fn a_part_is_taken_from_the_latest_cart_that_has_it() {
        let (early, late) = (cart(1, "a", &[(7, 5)]), cart(2, "a", &[(7, 5), (8, 1)]));
        let last = cart(3, "a", &[(9, 1)]);
        let plan = held(&[early, late.clone(), last]).plan_give_back(Some("a"), quantities(&[(7, 2)]));
        assert_eq!(plan.parts, [part(late, &[(7, 2)])]);
        assert!(plan.unmatched.is_empty());
    }

    #[test]
    fn more_than_the_latest_cart_has_is_taken_from_earlier_ones() {
        let (early, late) = (cart(1, "a", &[(7, 5)]), cart(2, "a", &[(7, 5)]));
        let plan =
            held(&[early.clone(), late.clone()]).plan_give_back(Some("a"), quantities(&[(7, 12), (8, 1)]));
        assert_eq!(plan.parts, [Part::all(late), Part::all(early)]);
        assert_eq!(plan.unmatched, quantities(&[(7, 2), (8, 1)]));
    }

    #[test]
    fn other_customers_carts_and_nameless_ones_are_left_alone() {
        let carts = held(&[cart(1, "b", &[(7, 5)])]);
        for customer in [Some("a"), None] {
            let plan = carts.plan_give_back(customer, quantities(&[(7, 1)]));
            assert!(plan.parts.is_empty());
            assert_eq!(plan.unmatched, quantities(&[(7, 1)]));
        }
    }

    #[test]
    fn what_is_released_or_shipped_is_held_no_more() {
        let (some, whole) = (cart(1, "a", &[(7, 5), (8, 1)]), cart(2, "b", &[(7, 1)]));
        let mut carts = held(&[some.clone(), whole.clone()]);
        let released = part(some, &[(7, 2), (8, 1)]);
        let shipped = part(released.rest(), &[(7, 2)]);
        carts.apply(Effect::Released(released));
        carts.apply(Effect::Shipped(shipped));
        carts.apply(Effect::Shipped(Part::all(whole)));
        assert_eq!(carts.held().cloned().collect::<Vec<_>>(), [cart(1, "a", &[(7, 1)])]);
        let Totals { held, shipped } = carts.totals();
        assert_eq!((held, shipped), (quantities(&[(7, 1)]), quantities(&[(7, 3)])));
    }
}
