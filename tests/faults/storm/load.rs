//! Load: senders who send what an author writes, and somebody to whom goods come in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::Message;
use crate::support::author::Author;
use crate::support::dice::Dice;
use crate::support::history::History;
use crate::support::process::{inventory_with, run};
use crate::support::sender::Sender;

/// Messages that go out together, at most.
const BURST: u64 = 8;

/// Units of a delivery of goods, and the time between two.
const UNITS_THAT_COME_IN: &str = "10";
const BETWEEN_DELIVERIES: Duration = Duration::from_millis(500);

/// What everybody writes into.
#[derive(Debug, Clone, Default)]
pub struct SharedHistory(Arc<Mutex<History>>);

impl SharedHistory {
    pub fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what an author writes, until it is told to stop: about one message in each `pace`.
pub async fn send(
    mut to: Sender,
    mut author: Author,
    history: SharedHistory,
    pace: Duration,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let count = 1 + author.dice.below(BURST);
        let burst: Vec<Message> = (0..count).map(|_| write(&mut author, &history)).collect();
        to.send(&burst).await;
        sleep(pace * u32::try_from(burst.len()).unwrap()).await;
    }
}

/// The next message, noted in the history.
fn write(author: &mut Author, history: &SharedHistory) -> Message {
    let chance = author.dice.below(100);
    let mut history = history.lock();
    if chance < 2 {
        let (message, code) = author.nonsense();
        history.sends_nonsense(&message, code);
        return message;
    }
    let message = if chance < 12 { author.ask() } else { author.next() };
    if chance == 99 && history.is_answered(message.id()) {
        let other = message.with("orderId", author.dice.uuid().to_string());
        history.sends_nonsense(&other, "MESSAGE_ID_REUSED");
        return other;
    }
    history.sends(&message);
    message
}

/// Goods come in, now of this product and now of that, whenever the database is there.
pub async fn take_delivery(
    settings: Vec<(String, String)>,
    products: Vec<Uuid>,
    mut dice: Dice,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        let product = dice.pick(&products).to_string();
        run(inventory_with(&settings, &["stock", "adjust", &product, UNITS_THAT_COME_IN])).await;
        sleep(BETWEEN_DELIVERIES).await;
    }
}
