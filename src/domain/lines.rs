//! What a reservation consists of, product by product.

use std::collections::HashMap;

use super::{Item, Items, ProductId};

/// Units of one product in a reservation, by what has become of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Which product.
    pub product: ProductId,
    /// Units that nothing has become of yet: held, or, where the hold has lapsed, given back by that.
    pub open: u64,
    /// Units that senders released.
    pub released: u64,
    /// Units that have left the house.
    pub consumed: u64,
}

impl Line {
    /// Units of the reservation.
    #[must_use]
    pub fn quantity(&self) -> u64 {
        self.open + self.released + self.consumed
    }
}

/// The lines of a reservation: each product once, in the order in which the sender named it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines(Vec<Line>);

/// More was to be taken out of a reservation than is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exceeded;

impl Lines {
    /// Lines of which everything is open.
    #[must_use]
    pub fn open_with(items: &Items) -> Self {
        items.iter().map(|item| Line::open_with(*item)).collect()
    }

    /// The lines.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Line> {
        self.0.iter()
    }

    /// What is open.
    #[must_use]
    pub fn open(&self) -> Items {
        self.items(|line| line.open)
    }

    /// All that the reservation took, whatever has become of it.
    #[must_use]
    pub fn total(&self) -> Items {
        self.items(Line::quantity)
    }

    /// Whether nothing is open.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.0.iter().all(|line| line.open == 0)
    }

    /// Notes that senders released these.
    pub(super) fn release(&mut self, items: &Items) -> Result<(), Exceeded> {
        self.take_out(items, |line, units| line.released += units)
    }

    /// Notes that these have left the house.
    pub(super) fn consume(&mut self, items: &Items) -> Result<(), Exceeded> {
        self.take_out(items, |line, units| line.consumed += units)
    }

    /// What is open is from now on these items; what was released and consumed stays.
    pub(super) fn reopen_with(&mut self, items: &Items) {
        let mut former: HashMap<_, _> = self.0.drain(..).map(|line| (line.product, line)).collect();
        for item in items.iter() {
            let parts = former.remove(&item.product).unwrap_or(Line::open_with(*item));
            self.0.push(Line { open: item.quantity, ..parts });
        }
        let mut spent: Vec<Line> = former.into_values().filter(|l| l.released + l.consumed > 0).collect();
        spent.sort_unstable_by_key(|line| line.product);
        self.0.extend(spent.into_iter().map(|line| Line { open: 0, ..line }));
    }

    fn take_out(&mut self, items: &Items, note: impl Fn(&mut Line, u64)) -> Result<(), Exceeded> {
        let mut position: HashMap<ProductId, usize> = HashMap::new();
        position.extend(self.0.iter().enumerate().map(|(index, line)| (line.product, index)));
        let mut lines = self.0.clone();
        for Item { product, quantity } in items.iter() {
            let line = position.get(product).and_then(|index| lines.get_mut(*index)).ok_or(Exceeded)?;
            line.open = line.open.checked_sub(*quantity).ok_or(Exceeded)?;
            note(line, *quantity);
        }
        self.0 = lines;
        Ok(())
    }

    fn items(&self, units: impl Fn(&Line) -> u64) -> Items {
        let items = self.0.iter().map(|line| Item { product: line.product, quantity: units(line) });
        Items::add_up(items.filter(|item| item.quantity > 0))
    }
}

impl Line {
    fn open_with(Item { product, quantity }: Item) -> Self {
        Self { product, open: quantity, released: 0, consumed: 0 }
    }
}

impl FromIterator<Line> for Lines {
    fn from_iter<T: IntoIterator<Item = Line>>(lines: T) -> Self {
        Self(lines.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn items(pairs: &[(u128, u64)]) -> Items {
        let item = |(product, quantity): &(u128, u64)| Item {
            product: ProductId(Uuid::from_u128(*product)),
            quantity: *quantity,
        };
        Items::add_up(pairs.iter().map(item))
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let mut lines = Lines::open_with(&items(&[(1, 5), (2, 1)]));
        assert_eq!(lines.release(&items(&[(1, 2)])), Ok(()));
        assert_eq!(lines.consume(&items(&[(1, 3)])), Ok(()));
        assert_eq!(lines.open(), items(&[(2, 1)]));
        assert_eq!(lines.total(), items(&[(1, 5), (2, 1)]));
        assert!(!lines.is_spent());
    }

    #[test]
    fn what_is_not_open_cannot_be_taken_out_and_nothing_is() {
        let mut lines = Lines::open_with(&items(&[(1, 5), (2, 1)]));
        assert_eq!(lines.consume(&items(&[(1, 1), (2, 2)])), Err(Exceeded));
        assert_eq!(lines.consume(&items(&[(1, 1), (3, 1)])), Err(Exceeded));
        assert_eq!(lines, Lines::open_with(&items(&[(1, 5), (2, 1)])));
    }

    #[test]
    fn other_items_leave_what_was_consumed() {
        let mut lines = Lines::open_with(&items(&[(1, 5), (2, 1)]));
        assert_eq!(lines.consume(&items(&[(1, 2)])), Ok(()));
        lines.reopen_with(&items(&[(3, 4)]));
        assert_eq!(lines.open(), items(&[(3, 4)]));
        assert_eq!(lines.total(), items(&[(3, 4), (1, 2)]));
    }
}
