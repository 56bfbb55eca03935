//! Commands as they come in a shop where everything goes wrong at once.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;
use uuid::Uuid;

use super::Message;
use super::dice::Dice;

/// Reservations that are mostly meant: some of them have lapsed by now, some are not even made.
const RECENT: usize = 200;

/// Commands of which one may be sent again.
const REPEATED: usize = 1000;

/// Lines of a cart: products and units.
pub type Lines = Vec<(Uuid, u64)>;

/// What there is to write about.
#[derive(Debug, Clone)]
pub struct Shop {
    /// Products that everybody wants, a few units at a time.
    pub products: Vec<Uuid>,
    /// What real customers bought: every other cart, where there is any.
    pub baskets: Vec<Lines>,
    /// Carts that come again and again.
    pub carts: usize,
}

/// Makes up commands.
#[derive(Debug)]
pub struct Author {
    pub dice: Dice,
    shop: Shop,
    carts: Vec<Uuid>,
    /// Reservations that carts have named so far, and a few that nobody has.
    named: Vec<Named>,
    /// The positions of those of a cart.
    named_by: HashMap<Uuid, Vec<usize>>,
    recent: VecDeque<Message>,
    replies: String,
}

#[derive(Debug, Clone)]
struct Named {
    id: String,
    lines: Lines,
}

impl Author {
    /// About this shop; answers go to that queue.
    pub fn new(mut dice: Dice, shop: Shop, replies: &str) -> Self {
        let carts: Vec<Uuid> = (0..shop.carts).map(|_| dice.uuid()).collect();
        let named = (0..3).map(|_| Named { id: dice.uuid().to_string(), lines: Vec::new() }).collect();
        let (named_by, recent) = (HashMap::new(), VecDeque::new());
        Self { dice, shop, carts, named, named_by, recent, replies: replies.to_owned() }
    }

    /// So many commands.
    pub fn write(mut self, count: usize) -> Vec<Message> {
        (0..count).map(|_| self.next()).collect()
    }

    /// The next command. Some are the very same as an earlier one.
    pub fn next(&mut self) -> Message {
        let next = match self.dice.below(100) {
            _ if self.recent.is_empty() => self.reserve(),
            0..8 => self.dice.pick(self.recent.make_contiguous()).clone(),
            8..52 => self.reserve(),
            52..65 => self.release(),
            65..92 => self.consume(),
            _ => self.extend(),
        };
        if self.recent.len() == REPEATED {
            self.recent.pop_front();
        }
        self.recent.push_back(next.clone());
        next
    }

    /// A question about what the commands are about.
    pub fn ask(&mut self) -> Message {
        let question = match self.dice.below(3) {
            0 => Message::stock_level(self.product()),
            1 => Message::stock_levels(&[self.product(), self.product()]),
            _ => Message::reservation_by("reservationId", &self.somebodys().id),
        };
        self.finished(question)
    }

    /// A message that nobody can understand, and the code that it must be refused with.
    pub fn nonsense(&mut self) -> (Message, &'static str) {
        let command = self.reserve();
        match self.dice.below(5) {
            0 => (command.with_body("{ \"cartId\": "), "INVALID_MESSAGE"),
            1 => (command.with("items", Value::Array(Vec::new())), "INVALID_MESSAGE"),
            2 => (command.with("cartId", "nobody"), "INVALID_MESSAGE"),
            3 => (command.with_kind("ReserveEverything"), "UNSUPPORTED_TYPE"),
            _ => (command.of(&[(self.product(), 0)]), "INVALID_MESSAGE"),
        }
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
                self.named_by.entry(cart).or_default().push(self.named.len());
                self.named.push(Named { id, lines });
            }
            // Another cart's would be a fault.
            6..8 => {
                if let Some(own) = self.named_by.get(&cart) {
                    message = message.with("reservationId", self.named[*self.dice.pick(own)].id.as_str());
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
    fn part_of(&mut self, named: &Named) -> Lines {
        if named.lines.is_empty() || self.dice.percent(10) {
            return self.lines();
        }
        let (product, quantity) = *self.dice.pick(&named.lines);
        vec![(product, 1 + self.dice.below(quantity))]
    }

    fn lines(&mut self) -> Lines {
        if !self.shop.baskets.is_empty() && self.dice.percent(50) {
            return self.dice.pick(&self.shop.baskets).clone();
        }
        (0..=self.dice.below(2)).map(|_| (self.product(), 1 + self.dice.below(3))).collect()
    }

    fn product(&mut self) -> Uuid {
        *self.dice.pick(&self.shop.products)
    }
}
