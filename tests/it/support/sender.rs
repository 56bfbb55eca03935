//! Senders as they should be: each sends a message again until the broker has confirmed it, and so more than once where
//! the confirm is lost.

use std::time::Duration;

use lapin::{Channel, Confirmation, Connection};
use tokio::time::{sleep, timeout};

use super::Message;
use super::client::{publish, try_connect};
use super::names::Names;

/// Longest wait for a broker before a sender connects anew.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Pause before a sender tries again.
const PAUSE: Duration = Duration::from_millis(100);

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
