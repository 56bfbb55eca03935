//! What a command asks for: products with their total quantities.

use std::collections::HashMap;

use super::ProductId;

/// So many units of one product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Which product.
    pub product: ProductId,
    /// Units, at least 1.
    pub quantity: u64,
}

/// Each product once, in the order in which the sender first named it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Items(Vec<Item>);

impl Items {
    /// Adds up the lines of the same product (contract 4.1).
    #[must_use]
    pub fn add_up(lines: impl IntoIterator<Item = Item>) -> Self {
        let mut items: Vec<Item> = Vec::new();
        let mut position = HashMap::new();
        for line in lines {
            let at = *position.entry(line.product).or_insert(items.len());
            match items.get_mut(at) {
                Some(item) => item.quantity = item.quantity.saturating_add(line.quantity),
                None => items.push(line),
            }
        }
        Self(items)
    }

    /// The items in the sender's order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Item> {
        self.0.iter()
    }

    /// Whether both ask for the same products in the same quantities, in whatever order.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        let sorted = |items: &Self| {
            let mut pairs: Vec<_> = items.iter().map(|i| (i.product, i.quantity)).collect();
            pairs.sort_unstable();
            pairs
        };
        self.0.len() == other.0.len() && sorted(self) == sorted(other)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Units of one product; 0 where it is not among them.
    #[must_use]
    pub fn quantity_of(&self, product: ProductId) -> u64 {
        self.iter().find(|i| i.product == product).map_or(0, |i| i.quantity)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn item(product: u128, quantity: u64) -> Item {
        Item { product: ProductId(Uuid::from_u128(product)), quantity }
    }

    #[test]
    fn lines_of_the_same_product_are_added_up_in_the_senders_order() {
        let items = Items::add_up([item(2, 1), item(1, 5), item(2, 3)]);
        assert_eq!(items.0, [item(2, 4), item(1, 5)]);
    }

    #[test]
    fn order_does_not_make_items_different() {
        let items = Items::add_up([item(1, 1), item(2, 2)]);
        assert!(items.same_as(&Items::add_up([item(2, 2), item(1, 1)])));
        assert!(!items.same_as(&Items::add_up([item(2, 2), item(1, 2)])));
        assert!(!items.same_as(&Items::add_up([item(2, 2)])));
    }
}
