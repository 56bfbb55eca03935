//! Names on the broker: of one test alone, or those of the contract.

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Connection, ConnectionProperties};
use uuid::Uuid;

use super::cleanup;

/// Exchanges and queues of a service.
#[derive(Debug, Clone)]
pub struct Names {
    pub commands: String,
    pub queries: String,
    pub events: String,
    pub unrouted: String,
    pub dead_letter: String,
}

impl Names {
    /// Names that nobody else uses.
    pub fn unique() -> Self {
        let suffix = Uuid::new_v4();
        Self::with(|name| format!("{name}-{suffix}"))
    }

    /// The names of the contract, which are the defaults.
    pub fn of_the_contract() -> Self {
        Self::with(ToOwned::to_owned)
    }

    fn with(name: impl Fn(&str) -> String) -> Self {
        Self {
            commands: name("inventory.commands"),
            queries: name("inventory.queries"),
            events: name("inventory.events"),
            unrouted: name("inventory.unrouted"),
            dead_letter: name("inventory.dead-letter"),
        }
    }

    /// The settings that make a service use them.
    pub fn settings(&self) -> Vec<(String, String)> {
        let setting = |name: &str, value: &String| (format!("INVENTORY__AMQP__{name}"), value.clone());
        vec![
            setting("COMMANDS", &self.commands),
            setting("QUERIES", &self.queries),
            setting("EVENTS", &self.events),
            setting("UNROUTED", &self.unrouted),
            setting("DEAD_LETTER", &self.dead_letter),
        ]
    }

    fn exchanges(&self) -> [&String; 5] {
        [&self.commands, &self.queries, &self.events, &self.unrouted, &self.dead_letter]
    }

    /// Queues are named like the exchange that they are bound to.
    pub fn queues(&self) -> [&String; 4] {
        [&self.commands, &self.queries, &self.unrouted, &self.dead_letter]
    }
}

/// Deletes the exchanges and queues when it is dropped.
#[derive(Debug)]
pub struct DeletedOnDrop {
    pub amqp_url: String,
    pub names: Names,
}

impl Drop for DeletedOnDrop {
    fn drop(&mut self) {
        let (url, names) = (self.amqp_url.clone(), self.names.clone());
        cleanup(async move {
            let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            for queue in names.queues() {
                channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
            }
            for exchange in names.exchanges() {
                channel.exchange_delete(exchange.as_str().into(), ExchangeDeleteOptions::default()).await?;
            }
            connection.close(200, "done".into()).await?;
            Ok(())
        });
    }
}
