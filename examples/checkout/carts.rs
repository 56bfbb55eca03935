//! The carts whose stock is held, and what a cancellation can give back of them.

use std::collections::{BTreeMap, HashMap};

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

/// What a cancellation comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct GiveBack {
    /// The carts it changes, each with the items that remain in it; none: the whole reservation goes.
    pub changes: Vec<(HeldCart, Quantities)>,
    /// What no cart holds: the goods were bought earlier, or never.
    pub unmatched: Quantities,
}

/// Every cart held, by customer, in the order in which they were reserved.
#[derive(Debug, Default)]
pub struct HeldCarts(HashMap<Option<String>, Vec<HeldCart>>);

impl HeldCarts {
    /// A cart holds this from now on, whatever it held before.
    fn hold(&mut self, cart: HeldCart) {
        let carts = self.0.entry(cart.customer.clone()).or_default();
        match carts.iter_mut().find(|held| held.cart_id == cart.cart_id) {
            Some(held) => *held = cart,
            None => carts.push(cart),
        }
    }

    fn remove(&mut self, cart: &HeldCart) {
        if let Some(carts) = self.0.get_mut(&cart.customer) {
            carts.retain(|held| held.cart_id != cart.cart_id);
        }
    }

    /// Keeps up with what an effect did to a cart.
    pub fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Reserved(cart) | Effect::Replaced { to: cart, .. } => self.hold(cart),
            Effect::Released(cart) => self.remove(&cart),
            Effect::Unavailable { .. } | Effect::GivenUp | Effect::Refused(_) | Effect::Contradiction(_) => {}
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &HeldCart> {
        self.0.values().flatten()
    }

    /// All that is held, by product.
    pub fn total(&self) -> Quantities {
        add_up(self.iter().flat_map(|cart| cart.items.clone()))
    }

    /// A cancellation names no invoice, so it is taken from what its customer holds: from the latest cart
    /// that has some of it first, and from earlier ones as long as something remains. Without a customer
    /// nothing can be matched.
    pub fn plan_give_back(&self, customer: Option<&str>, cancelled: Quantities) -> GiveBack {
        let mut plan = GiveBack { changes: Vec::new(), unmatched: cancelled };
        let Some(customer) = customer else {
            return plan;
        };
        let carts = self.0.get(&Some(customer.to_owned()));
        for cart in carts.into_iter().flatten().rev() {
            let remaining = take_from(&cart.items, &mut plan.unmatched);
            if remaining != cart.items {
                plan.changes.push((cart.clone(), remaining));
            }
        }
        plan
    }
}

/// Takes from a cart what is cancelled, and returns what remains in it.
fn take_from(items: &Quantities, cancelled: &mut Quantities) -> Quantities {
    let mut remaining = items.clone();
    for (product, wanted) in cancelled.iter_mut() {
        if let Some(held) = remaining.get_mut(product) {
            let taken = (*held).min(*wanted);
            *held -= taken;
            *wanted -= taken;
        }
    }
    remaining.retain(|_, units| *units > 0);
    cancelled.retain(|_, units| *units > 0);
    remaining
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

    fn held(carts: &[HeldCart]) -> HeldCarts {
        let mut held = HeldCarts::default();
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
        assert_eq!(plan.changes, [(late, quantities(&[(7, 3), (8, 1)]))]);
        assert!(plan.unmatched.is_empty());
    }

    #[test]
    fn more_than_the_latest_cart_has_is_taken_from_earlier_ones() {
        let (early, late) = (cart(1, "a", &[(7, 5)]), cart(2, "a", &[(7, 5)]));
        let plan =
            held(&[early.clone(), late.clone()]).plan_give_back(Some("a"), quantities(&[(7, 12), (8, 1)]));
        assert_eq!(plan.changes, [(late, quantities(&[])), (early, quantities(&[]))]);
        assert_eq!(plan.unmatched, quantities(&[(7, 2), (8, 1)]));
    }

    #[test]
    fn other_customers_carts_and_nameless_ones_are_left_alone() {
        let carts = held(&[cart(1, "b", &[(7, 5)])]);
        for customer in [Some("a"), None] {
            let plan = carts.plan_give_back(customer, quantities(&[(7, 1)]));
            assert!(plan.changes.is_empty());
            assert_eq!(plan.unmatched, quantities(&[(7, 1)]));
        }
    }

    #[test]
    fn a_cart_that_is_held_again_replaces_what_it_held() {
        let mut carts = held(&[cart(1, "a", &[(7, 5)]), cart(2, "b", &[(7, 1)])]);
        carts.hold(cart(1, "a", &[(7, 2), (8, 1)]));
        assert_eq!(carts.total(), quantities(&[(7, 3), (8, 1)]));
        carts.remove(&cart(1, "a", &[]));
        assert_eq!(carts.total(), quantities(&[(7, 1)]));
    }
}
