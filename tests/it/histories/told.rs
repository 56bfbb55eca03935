//! What others were told, and what must hold of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::Units;
use crate::support::harness::assert_in_order;
use crate::support::{Harness, Message, Received};

/// All events of a history, those that were told again once.
#[derive(Debug)]
pub struct Told {
    outcomes: Vec<Received>,
    movements: Vec<Received>,
    stock: Vec<Received>,
    /// Units that have left the house, by product.
    pub consumed: Units,
}

impl Told {
    /// All that has arrived.
    pub async fn hear(harness: &mut Harness) -> Self {
        let outcomes = once(harness.client.events.rest().await);
        let movements = once(harness.client.movements.rest().await);
        let stock = harness.client.stock.rest().await;
        assert_in_order(&stock);
        let consumed = movements.iter().filter(|event| event.kind() == "InventoryConsumed");
        let mut units = Units::new();
        for (product, quantity) in consumed.flat_map(Received::items) {
            *units.entry(product).or_default() += quantity;
        }
        Self { outcomes, movements, stock: once(stock), consumed: units }
    }

    /// Every reservation that somebody was told of.
    pub fn reservations(&self) -> HashSet<String> {
        let reserved = self.outcomes.iter().filter(|event| event.kind() == "InventoryReserved");
        reserved.map(Received::reservation).collect()
    }

    /// Demands that each command came to one thing, and each of its copies was told the same.
    pub fn assert_one_outcome_each(&self, commands: &[Message], replies: &[Received]) {
        let sent = times(commands.iter().map(|command| command.id().to_owned()));
        assert_eq!(times(replies.iter().map(|reply| reply.causation_id().unwrap())), sent);
        let answers: HashMap<_, _> =
            once(replies.to_vec()).into_iter().map(|reply| (reply.causation_id().unwrap(), reply)).collect();
        assert_eq!(answers.len(), sent.len(), "one answer to each");

        let reserves: HashSet<&str> = commands
            .iter()
            .filter(|command| command.kind.as_deref() == Some("ReserveInventory"))
            .map(Message::id)
            .collect();
        assert_eq!(self.outcomes.len(), reserves.len(), "one event of each reserve");
        for event in &self.outcomes {
            let reply = &answers[&event.causation_id().unwrap()];
            assert_eq!((event.id(), &event.body), (reply.id(), &reply.body));
        }
        let released_or_consumed = self.movements.iter().filter_map(Received::causation_id);
        for (command, events) in times(released_or_consumed) {
            assert_eq!(events, 1, "events of {command}: {:?}", answers[&command]);
        }
    }

    /// Demands an event for every step that moved stock out of a reservation, and a step for every event.
    pub async fn assert_every_fact_is_told(&self, harness: &Harness) {
        // What an amended hold gives back it takes again in the same step, under the same id: that is no release.
        let facts = "SELECT count(*) FROM reservation_movement AS fact
                     WHERE kind <> 'RESERVED' AND NOT (reason IS NOT DISTINCT FROM 'SUPERSEDED' AND EXISTS (
                         SELECT FROM reservation_movement AS taken WHERE taken.kind = 'RESERVED'
                         AND taken.reservation_id = fact.reservation_id AND taken.moved_at = fact.moved_at))";
        let facts = harness.site().database.number(facts).await;
        assert_eq!(i64::try_from(self.movements.len()).unwrap(), facts);
        let lapses = "SELECT count(*) FROM reservation_movement WHERE reason = 'LAPSED'";
        let told = self.movements.iter().filter(|event| event.causation_id().is_none()).count();
        assert_eq!(i64::try_from(told).unwrap(), harness.site().database.number(lapses).await);
    }

    /// Demands that a product's events count without a gap up to what the books say, and tell whether there is any.
    pub async fn assert_versions(&self, harness: &Harness, product: Uuid, available: u64) {
        let of_it = self.stock.iter().filter(|event| event.json["productId"] == product.to_string());
        let versions: Vec<i64> = of_it.map(|event| event.json["version"].as_i64().unwrap()).collect();
        let sql = format!("SELECT version FROM stock WHERE product_id = '{product}'");
        let last = harness.site().database.number(&sql).await;
        assert_eq!(versions, (1..=last).collect::<Vec<_>>(), "{product}");
        assert_eq!(last % 2 == 1, available > 0, "{available} of {product} at version {last}");
    }
}

/// What commands came to, and how often.
pub fn tally(replies: &[Received]) -> BTreeMap<String, usize> {
    times(replies.iter().map(|reply| match reply.kind() {
        "Error" => reply.text("code").to_owned(),
        kind if reply.json["takenAgain"] == true => format!("{kind} taken again"),
        kind => kind.to_owned(),
    }))
}

/// Each message once, in the order of the first; demands that one told again is the very same.
fn once(messages: Vec<Received>) -> Vec<Received> {
    let mut distinct: Vec<Received> = Vec::new();
    let mut position: HashMap<String, usize> = HashMap::new();
    for message in messages {
        if let Some(first) = position.get(message.id()) {
            assert_eq!(message.body, distinct[*first].body, "{message:?}");
        } else {
            position.insert(message.id().to_owned(), distinct.len());
            distinct.push(message);
        }
    }
    distinct
}

fn times(ids: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for id in ids {
        *times.entry(id).or_default() += 1;
    }
    times
}
