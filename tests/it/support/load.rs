//! Light load while something breaks, and what must have come of it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::names::Names;
use super::sender::Sender;
use super::site::Site;
use super::{Message, Received, within};

/// Pause between two carts.
const PACE: Duration = Duration::from_millis(10);

/// A sender of carts, each for one unit of a product, that repeats each until the broker has confirmed it.
#[derive(Debug)]
pub struct Load {
    carts: Vec<Message>,
    confirmed: watch::Receiver<usize>,
    sender: JoinHandle<()>,
}

impl Load {
    /// Begins to send so many carts.
    pub fn start(site: &Site, product: Uuid, carts: usize) -> Self {
        let carts = carts_for(product, carts);
        let (count, confirmed) = watch::channel(0);
        let (url, names) = (site.servers.amqp_url.clone(), site.names.clone());
        let sender = tokio::spawn(send_all(url, names, carts.clone(), count));
        Self { carts, confirmed, sender }
    }

    /// Waits until so many are confirmed.
    pub async fn confirmed(&mut self, count: usize) {
        let confirmed = self.confirmed.wait_for(|confirmed| *confirmed >= count);
        within(&format!("{count} confirmed carts"), confirmed).await.unwrap();
    }

    /// How many are confirmed by now.
    pub fn so_far(&self) -> usize {
        *self.confirmed.borrow()
    }

    /// Waits for its end; gives the carts.
    pub async fn end(mut self) -> Vec<Message> {
        self.confirmed(self.carts.len()).await;
        self.sender.await.unwrap();
        self.carts
    }
}

/// So many carts, each for one unit.
pub fn carts_for(product: Uuid, carts: usize) -> Vec<Message> {
    (0..carts).map(|_| Message::reserve(Uuid::new_v4(), &[(product, 1)])).collect()
}

async fn send_all(url: String, names: Names, carts: Vec<Message>, count: watch::Sender<usize>) {
    let mut sender = Sender::new(&url, &names);
    for cart in &carts {
        sender.send(std::slice::from_ref(cart)).await;
        count.send_modify(|count| *count += 1);
        tokio::time::sleep(PACE).await;
    }
}

/// Demands that each cart holds what it asked for, and was told so: perhaps more than once, but always with the same
/// words.
pub fn assert_one_outcome_each(events: &[Received], carts: &[Message]) {
    let mut outcomes: HashMap<String, &Received> = HashMap::new();
    for event in events {
        event.reservation();
        let first = outcomes.entry(event.causation_id().unwrap()).or_insert(event);
        assert_eq!((event.id(), &event.body), (first.id(), &first.body));
    }
    let unanswered = carts.iter().filter(|cart| !outcomes.contains_key(cart.id())).count();
    assert_eq!((unanswered, outcomes.len()), (0, carts.len()));
}
