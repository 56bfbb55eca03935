//! Senders as they should be: each sends a message again until the broker has confirmed it, and so more than once where
//! the confirm is lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lapin::{Channel, Confirmation, Connection};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::Message;
use crate::support::author::Author;
use crate::support::client::{publish, try_connect};
use crate::support::dice::Dice;
use crate::support::history::History;
use crate::support::names::Names;
use crate::support::process::{inventory_with, run};

/// Longest wait for a broker before a sender connects anew.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Pause before a sender tries again.
const PAUSE: Duration = Duration::from_millis(100);

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

/// A way to the broker, made again whenever it is lost.
pub struct Sender {
    url: String,
    names: Names,
    open: Option<(Connection, Channel)>,
}

impl Sender {
    pub fn new(url: &str, names: &Names) -> Self {
        Self { url: url.to_owned(), names: names.clone(), open: None }
    }

    /// Sends messages; returns once all of them are confirmed.
    pub async fn send(&mut self, messages: &[Message]) {
        let mut left: Vec<&Message> = messages.iter().collect();
        while !left.is_empty() {
            let tried = timeout(TIMEOUT, self.try_send(&left)).await;
            let confirmed = tried.ok().flatten().unwrap_or_default();
            let mut confirmed = confirmed.into_iter();
            left.retain(|_| !confirmed.next().unwrap_or_default());
            if !left.is_empty() {
                self.close().await;
                sleep(PAUSE).await;
            }
        }
    }

    /// A connection that is only dropped stays.
    async fn close(&mut self) {
        if let Some((connection, _)) = self.open.take() {
            // Where it fails the connection is gone, which is what is wanted.
            let _ = timeout(PAUSE, connection.close(200, "lost".into())).await;
        }
    }

    /// Says of each whether it was confirmed; nothing where nobody knows.
    async fn try_send(&mut self, messages: &[&Message]) -> Option<Vec<bool>> {
        if self.open.is_none() {
            self.open = try_connect(&self.url).await.ok();
        }
        let (_, channel) = self.open.as_ref()?;
        let mut confirms = Vec::with_capacity(messages.len());
        for message in messages {
            confirms.push(publish(channel, &self.names, message).await.ok()?);
        }
        let mut confirmed = Vec::with_capacity(confirms.len());
        for confirm in confirms {
            confirmed.push(matches!(confirm.await, Ok(Confirmation::Ack(None))));
        }
        Some(confirmed)
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
