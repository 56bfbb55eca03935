//! What carts ask for.

use std::collections::VecDeque;
use std::sync::Arc;

use uuid::Uuid;

use super::OUTSTANDING;
use super::command::{Command, Kind, lines, reserve, settle};
use super::invoices::Invoice;
use super::random::Random;

/// Makes commands.
pub trait Source {
    /// The command of this number; numbers rise by one.
    fn next(&mut self, number: u64) -> Command;

    /// Lines of the commands by their number, over and over.
    fn lines(&self) -> Arc<[u32]>;
}

/// Carts of so many different products each, one unit of each.
#[derive(Debug)]
pub struct Carts {
    products: Vec<String>,
    lines: usize,
    random: Random,
}

impl Carts {
    /// Over these products, `lines` of them a cart.
    #[must_use]
    pub fn over(products: &[Uuid], lines_of_cart: usize) -> Self {
        let products = products.iter().map(|product| lines(&[(*product, 1)])).collect();
        Self { products, lines: lines_of_cart, random: Random::new() }
    }

    fn cart(&mut self, reservation: Option<Uuid>) -> Command {
        let all = self.products.len();
        // One after the other, anywhere: different ones, without having to look.
        let (first, step) = (self.random.below(all), 1 + self.random.below(all / 2));
        let picked = (0..self.lines).map(|line| self.products[(first + line * step) % all].as_str());
        reserve(self.random.uuid(), self.random.uuid(), reservation, picked)
    }
}

impl Source for Carts {
    fn next(&mut self, _number: u64) -> Command {
        self.cart(None)
    }

    fn lines(&self) -> Arc<[u32]> {
        Arc::from([u32::try_from(self.lines).unwrap_or(u32::MAX)])
    }
}

/// The invoices of a real shop, over and over, each time as new carts.
#[derive(Debug)]
pub struct Invoices {
    items: Vec<String>,
    lines: Arc<[u32]>,
    random: Random,
}

impl Invoices {
    /// These invoices.
    #[must_use]
    pub fn of(invoices: &[Invoice]) -> Self {
        let count = |invoice: &Invoice| u32::try_from(invoice.items.len()).unwrap_or(u32::MAX);
        Self {
            items: invoices.iter().map(|invoice| lines(&invoice.items)).collect(),
            lines: invoices.iter().map(count).collect(),
            random: Random::new(),
        }
    }
}

impl Source for Invoices {
    fn next(&mut self, number: u64) -> Command {
        let index = usize::try_from(number).unwrap_or_default() % self.items.len();
        let (cart, customer) = (self.random.uuid(), self.random.uuid());
        reserve(cart, customer, None, [self.items[index].as_str()])
    }

    fn lines(&self) -> Arc<[u32]> {
        Arc::clone(&self.lines)
    }
}

/// Of 20 commands 14 reserve, 3 release and 3 consume what was reserved before.
#[derive(Debug)]
pub struct Mixed {
    carts: Carts,
    held: VecDeque<Uuid>,
}

impl Mixed {
    /// With carts such as these.
    #[must_use]
    pub fn of(carts: Carts) -> Self {
        Self { carts, held: VecDeque::new() }
    }

    /// A reservation that has certainly been made: as many came after it as can be outstanding, twice.
    fn settled(&mut self) -> Option<Uuid> {
        let certain = usize::try_from(2 * OUTSTANDING).unwrap_or(usize::MAX);
        if self.held.len() > certain { self.held.pop_front() } else { None }
    }
}

impl Source for Mixed {
    fn next(&mut self, number: u64) -> Command {
        let ending = match number % 20 {
            3 | 10 | 17 => Some(Kind::Release),
            6 | 13 | 19 => Some(Kind::Consume),
            _ => None,
        };
        if let Some((kind, reservation)) = ending.and_then(|kind| Some((kind, self.settled()?))) {
            return settle(kind, reservation);
        }
        let reservation = Uuid::now_v7();
        self.held.push_back(reservation);
        self.carts.cart(Some(reservation))
    }

    fn lines(&self) -> Arc<[u32]> {
        self.carts.lines()
    }
}
