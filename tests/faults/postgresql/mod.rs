//! PostgreSQL in trouble: killed, restarted, away, gone without a word, read-only, full, out of connections, slow, and
//! with rows that somebody else has locked.

mod away;
mod locked;
mod refused;
mod refusing;
mod restarted;
mod slow;
mod terminated;

use crate::support::service::Service;
use crate::support::{Setup, eventually};

/// A delivery more than one too many makes a dead letter, which no test overlooks.
const ONE_DELIVERY: (&str, &str) = ("INVENTORY__AMQP__DELIVERY_LIMIT", "1");

/// Transactions that were tried again because the database was away.
const TRIED_AGAIN: &str = r#"inventory_transactions_retried_total{reason="database_away"}"#;

/// Commands that wait for a lock, or because they take too long.
const WAITING: &str = "inventory_commands_waiting";

pub async fn until_waiting(service: &Service, commands: usize) {
    let awaited = format!("{commands} commands wait");
    eventually(&awaited, async || service.metric(WAITING).await == commands as u64).await;
}

/// A service that must not have anything delivered twice.
fn setup() -> Setup {
    Setup::new().with(ONE_DELIVERY.0, ONE_DELIVERY.1)
}
