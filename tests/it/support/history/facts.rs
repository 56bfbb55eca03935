//! Holds a history against the books.

use std::collections::{BTreeMap, HashMap};

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::History;
use super::replay::{Count, Replay};
use super::told::{Fact, Hash, Told};
use crate::support::author::Lines;
use crate::support::database::TestDatabase;

/// As the service writes times.
const TIME: &str = r#"'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"#;

/// A step that moved stock out of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    reservation: Uuid,
    kind: &'static str,
    at: String,
    items: Lines,
}

/// A row of them.
type Movement = (Uuid, String, String, Vec<Uuid>, Vec<i64>);

/// How a command was answered, by the books.
struct Recorded {
    answer_id: Uuid,
    event_id: Option<Uuid>,
    hash: Hash,
}

impl History {
    /// Everything that cannot be, once all is decided and published, and heard.
    pub async fn violations(&mut self, database: &TestDatabase) -> Vec<String> {
        let mut connection = database.connect().await;
        let replay = Replay::of(self, counts(&mut connection).await);
        self.check_answers(&answers(&mut connection).await);
        self.check_steps(&steps(&mut connection).await);
        self.check_reservations(&mut connection).await;
        self.check_stock(&replay, &mut connection).await;
        connection.close().await.unwrap();
        let never =
            self.observed.difference(&replay.seen).map(|seen| format!("never so, and told: {seen:?}"));
        let unburied = self.nonsense.iter().filter(|(key, _)| !self.buried.contains(key));
        let unburied = unburied.map(|((id, _), code)| format!("not among the dead letters: {id} {code}"));
        let found: Vec<String> = replay.violations.into_iter().chain(never).chain(unburied).collect();
        for what in found {
            self.violation(what);
        }
        self.violations.clone()
    }

    /// One outcome a command: in the books, in the events, in the replies, and all the same.
    fn check_answers(&mut self, answers: &HashMap<String, Recorded>) {
        let mut found = Vec::new();
        for (command, sent) in &self.sent {
            let Some(recorded) = answers.get(command) else {
                found.push(format!("no outcome of {} {command}", sent.kind));
                continue;
            };
            if sent.kind == "ReserveInventory" {
                let event = self.outcomes.get(command).and_then(|id| self.events.get(id));
                let is_same = event.is_some_and(|e| e.id == recorded.answer_id && e.hash == recorded.hash);
                if !is_same {
                    found.push(format!("{command} came to {}, and was told {event:?}", recorded.answer_id));
                }
            } else if let Some(event) = recorded.event_id
                && !self.events.contains_key(&event)
            {
                found.push(format!("{command} came to {event}, which nobody was told"));
            }
            let reply = self.replies.get(command);
            if let Some(reply) = reply.filter(|r| (r.id, r.hash) != (recorded.answer_id, recorded.hash)) {
                found.push(format!("{command} came to {}, and was answered {reply:?}", recorded.answer_id));
            }
        }
        found.extend(
            answers.keys().filter(|id| !self.sent.contains_key(*id)).map(|id| format!("nobody sent {id}")),
        );
        for what in found {
            self.violation(what);
        }
    }

    /// An event for every step, and a step for every event.
    fn check_steps(&mut self, steps: &[Step]) {
        let mut balance: BTreeMap<Step, i32> = BTreeMap::new();
        for step in steps {
            *balance.entry(step.clone()).or_default() += 1;
        }
        for step in self.events.values().filter_map(step_of) {
            *balance.entry(step).or_default() -= 1;
        }
        for (step, more) in balance.into_iter().filter(|(_, more)| *more != 0) {
            let what = if more > 0 { "a step that nobody was told of" } else { "told, and never done" };
            self.violation(format!("{what}: {step:?}"));
        }
    }

    async fn check_reservations(&mut self, connection: &mut PgConnection) {
        let sql = "SELECT reservation_id FROM reservation WHERE cart_id IS NOT NULL";
        let made: Vec<Uuid> = sqlx::query_scalar(sql).fetch_all(connection).await.unwrap();
        let told = self.reservations();
        let untold = made.iter().filter(|id| !told.contains(&id.to_string())).count();
        if (untold, made.len()) != (0, told.len()) {
            self.violation(format!("{} reservations, {} told, {untold} untold", made.len(), told.len()));
        }
    }

    /// The stock is what the history says, and so is the version of each product's availability.
    async fn check_stock(&mut self, replay: &Replay, connection: &mut PgConnection) {
        let sql = "SELECT product_id, on_hand, reserved, version FROM stock";
        let stock: Vec<(Uuid, i64, i64, i64)> = sqlx::query_as(sql).fetch_all(connection).await.unwrap();
        for (product, on_hand, reserved, version) in stock {
            let replayed = replay.stock.get(&product).copied().unwrap_or_default();
            if (replayed.on_hand, replayed.reserved) != (on_hand, reserved) {
                self.violation(format!("{product}: {on_hand} and {reserved}, the history says {replayed:?}"));
            }
            let told = self.versions.get(&product).copied().unwrap_or_default();
            if i64::try_from(told).ok() != Some(version) {
                self.violation(format!("{product}: version {version}, told {told}"));
            }
        }
    }
}

fn step_of(told: &Told) -> Option<Step> {
    let (reservation, kind, items) = match &told.fact {
        Fact::Released { reservation, items, .. } => (*reservation, "RELEASED", items),
        Fact::Consumed { reservation, items, is_taken_again: true } => (*reservation, "CONSUMED_LATE", items),
        Fact::Consumed { reservation, items, .. } => (*reservation, "CONSUMED", items),
        _ => return None,
    };
    Some(Step { reservation, kind, at: told.at.clone(), items: items.clone() })
}

async fn counts(connection: &mut PgConnection) -> Vec<Count> {
    let sql = format!(
        "SELECT to_char(changed_at AT TIME ZONE 'UTC', {TIME}), product_id, quantity_delta FROM stock_change"
    );
    let rows: Vec<(String, Uuid, i64)> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();
    rows.into_iter().map(|(at, product, delta)| Count { at, product, delta }).collect()
}

async fn answers(connection: &mut PgConnection) -> HashMap<String, Recorded> {
    let sql =
        "SELECT convert_from(message_id, 'UTF8'), answer_id, event_id, sha256(body) FROM command_outcome";
    let rows: Vec<(String, Uuid, Option<Uuid>, Vec<u8>)> =
        sqlx::query_as(sql).fetch_all(connection).await.unwrap();
    rows.into_iter()
        .map(|(command, answer_id, event_id, hash)| {
            (command, Recorded { answer_id, event_id, hash: hash.try_into().unwrap() })
        })
        .collect()
}

/// What an amended hold gives back it takes again in the same step, under the same id: nobody is told of that.
async fn steps(connection: &mut PgConnection) -> Vec<Step> {
    let sql = format!(
        "SELECT reservation_id, kind, to_char(moved_at AT TIME ZONE 'UTC', {TIME}), product_ids, quantities
         FROM reservation_movement AS fact
         WHERE kind <> 'RESERVED' AND NOT (reason IS NOT DISTINCT FROM 'SUPERSEDED' AND EXISTS (
             SELECT FROM reservation_movement AS taken WHERE taken.kind = 'RESERVED'
             AND taken.reservation_id = fact.reservation_id AND taken.moved_at = fact.moved_at))"
    );
    let rows: Vec<Movement> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await.unwrap();
    let step = |(reservation, kind, at, products, units): Movement| {
        let kind =
            ["RELEASED", "CONSUMED", "CONSUMED_LATE"].into_iter().find(|known| *known == kind).unwrap();
        let mut items: Lines =
            products.into_iter().zip(units.into_iter().map(|units| u64::try_from(units).unwrap())).collect();
        items.sort_unstable();
        Step { reservation, kind, at, items }
    };
    rows.into_iter().map(step).collect()
}
