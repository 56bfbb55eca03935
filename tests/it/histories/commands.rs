//! Commands as they come in a shop where everything goes wrong at once.

use uuid::Uuid;

use super::dice::Dice;
use crate::support::Message;

/// Carts that come again and again.
const CARTS: usize = 200;

/// Reservations that are mostly meant: some of them have lapsed by now, some are not even made.
const RECENT: usize = 200;

/// Makes up commands.
#[derive(Debug)]
pub struct Author<'a> {
    dice: Dice,
    products: &'a [Uuid],
    carts: Vec<Uuid>,
    /// Reservations that carts have named so far, and a few that nobody has.
    named: Vec<Named>,
    replies: String,
}

#[derive(Debug, Clone)]
struct Named {
    cart: Uuid,
    id: String,
    lines: Vec<(Uuid, u64)>,
}

impl<'a> Author<'a> {
    /// About these products; answers go to that queue.
    pub fn new(mut dice: Dice, products: &'a [Uuid], replies: &str) -> Self {
        let carts: Vec<Uuid> = (0..CARTS).map(|_| dice.uuid()).collect();
        let nobodys = |cart: &Uuid| Named { cart: *cart, id: dice.uuid().to_string(), lines: Vec::new() };
        let named = carts.iter().take(3).map(nobodys).collect();
        Self { dice, products, carts, named, replies: replies.to_owned() }
    }

    /// So many commands. Some are the very same as an earlier one.
    pub fn write(mut self, count: usize) -> Vec<Message> {
        let mut history: Vec<Message> = Vec::with_capacity(count);
        while history.len() < count {
            let next = match self.dice.below(100) {
                _ if history.is_empty() => self.reserve(),
                0..8 => self.dice.pick(&history).clone(),
                8..52 => self.reserve(),
                52..65 => self.release(),
                65..92 => self.consume(),
                _ => self.extend(),
            };
            history.push(next);
        }
        history
    }

    fn finished(&mut self, message: Message) -> Message {
        let id = self.dice.uuid().to_string();
        message.with_id(&id).with_reply_to(&self.replies)
    }

    fn reserve(&mut self) -> Message {
        let cart = *self.dice.pick(&self.carts);
        let lines = self.lines();
        let mut message = Message::reserve(cart, &lines);
        match self.dice.below(10) {
            0..6 => {
                let id = self.dice.uuid().to_string();
                message = message.with("reservationId", id.as_str());
                self.named.push(Named { cart, id, lines });
            }
            // Another cart's would be a fault.
            6..8 => {
                let own: Vec<&String> =
                    self.named.iter().filter(|named| named.cart == cart).map(|named| &named.id).collect();
                if !own.is_empty() {
                    message = message.with("reservationId", self.dice.pick(&own).as_str());
                }
            }
            _ => {}
        }
        if self.dice.percent(50) {
            message = message.with("holdSeconds", *self.dice.pick(&[1, 1, 600]));
        }
        if self.dice.percent(30) {
            message = message.with("orderId", self.dice.uuid().to_string());
        }
        self.finished(message)
    }

    fn release(&mut self) -> Message {
        let named = self.somebodys();
        let mut message = Message::release(&named.id);
        if self.dice.percent(40) {
            message = message.of(&self.part_of(&named));
        }
        if self.dice.percent(50) {
            message = message.with("reason", *self.dice.pick(&["CHECKOUT_FAILED", "EXPIRED"]));
        }
        self.finished(message)
    }

    fn consume(&mut self) -> Message {
        let named = self.somebodys();
        let message = Message::consume(&named.id);
        let message = if self.dice.percent(50) { message.of(&self.part_of(&named)) } else { message };
        self.finished(message)
    }

    fn extend(&mut self) -> Message {
        let seconds = *self.dice.pick(&[1, 600]);
        let message = Message::extend(&self.somebodys().id, seconds);
        self.finished(message)
    }

    /// Mostly one that was named of late.
    fn somebodys(&mut self) -> Named {
        let recent = self.named.len().saturating_sub(if self.dice.percent(80) { RECENT } else { usize::MAX });
        self.dice.pick(&self.named[recent..]).clone()
    }

    /// Mostly one that there may be.
    fn part_of(&mut self, named: &Named) -> Vec<(Uuid, u64)> {
        if named.lines.is_empty() || self.dice.percent(10) {
            return self.lines();
        }
        let (product, quantity) = *self.dice.pick(&named.lines);
        vec![(product, 1 + self.dice.below(quantity))]
    }

    fn lines(&mut self) -> Vec<(Uuid, u64)> {
        (0..=self.dice.below(2)).map(|_| (*self.dice.pick(self.products), 1 + self.dice.below(3))).collect()
    }
}
