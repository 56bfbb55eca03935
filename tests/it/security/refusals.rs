//! What is not granted is refused.

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::logins::Logins;
use crate::support::client::connect;

/// What the service has no use for.
const OF_THE_SERVICE: &[&str] = &[
    "CREATE TABLE mine ()",
    "CREATE TEMPORARY TABLE mine ()",
    "CREATE SCHEMA mine",
    "DROP TABLE outbox",
    "TRUNCATE outbox",
    "ALTER TABLE stock DROP CONSTRAINT stock_reserved_not_negative",
    "CREATE INDEX mine ON stock (on_hand)",
    "SET ROLE inventory_owner",
    "UPDATE _sqlx_migrations SET success = false",
    "INSERT INTO stock (product_id, on_hand) VALUES (gen_random_uuid(), 1000)",
    "DELETE FROM stock",
    "SELECT FROM stock_change",
    "INSERT INTO stock_change (product_id, kind, quantity_delta, on_hand_after) VALUES (gen_random_uuid(), 'COUNTED', 1, 1)",
    "UPDATE reservation_movement SET quantities = quantities",
    "UPDATE command_outcome SET body = body",
    "DELETE FROM stock_brought_forward",
    "SELECT FROM repair",
];

/// What people at the command line have no use for: above all, to change a fact, or to make one disappear.
const OF_OPERATORS: &[&str] = &[
    "CREATE TABLE mine ()",
    "TRUNCATE stock_change",
    "SET ROLE inventory_owner",
    "UPDATE stock_change SET quantity_delta = 0",
    "DELETE FROM stock_change",
    "UPDATE repair SET repaired_by = 'nobody'",
    "DELETE FROM repair",
    "UPDATE reservation_movement SET quantities = quantities",
    "DELETE FROM reservation_movement",
    "DELETE FROM reservation",
    "INSERT INTO command_outcome SELECT * FROM command_outcome",
    "UPDATE command_outcome SET body = body",
    "UPDATE outbox SET bodies = bodies",
    "DELETE FROM outbox",
];

/// A user of the broker, what it tries, and whether it may.
const ON_THE_BROKER: &[(&str, &str, &str, bool)] = &[
    ("inventory-consumer", "look for", "inventory.dead-letter", true),
    ("inventory-consumer", "get from", "inventory.commands", true),
    ("inventory-consumer", "get from", "inventory.dead-letter", false),
    ("inventory-consumer", "get from", "inventory.unrouted", false),
    ("inventory-consumer", "publish to", "inventory.events", false),
    ("inventory-consumer", "publish to", "inventory.commands", false),
    ("inventory-consumer", "publish to", "", false),
    ("inventory-consumer", "declare", "mine", false),
    ("inventory-consumer", "delete", "inventory.commands", false),
    ("inventory-publisher", "look for", "inventory.commands", true),
    ("inventory-publisher", "publish to", "inventory.events", true),
    ("inventory-publisher", "publish to", "inventory.dead-letter", true),
    ("inventory-publisher", "publish to", "", true),
    ("inventory-publisher", "publish to", "inventory.commands", false),
    ("inventory-publisher", "publish to", "inventory.queries", false),
    ("inventory-publisher", "get from", "inventory.commands", false),
    ("inventory-publisher", "declare", "mine", false),
    ("checkout", "publish to", "inventory.queries", true),
    ("checkout", "publish to", "inventory.events", false),
    ("checkout", "publish to", "inventory.dead-letter", false),
    ("checkout", "publish to", "", false),
    ("checkout", "get from", "inventory.commands", false),
    ("checkout", "declare", "checkout.mine", false),
    ("billing", "declare", "billing.events", true),
    ("billing", "subscribe", "billing.events", true),
    ("billing", "get from", "billing.events", true),
    ("billing", "delete", "billing.events", true),
    ("billing", "declare", "inventory.mine", false),
    ("billing", "get from", "inventory.dead-letter", false),
    ("billing", "publish to", "inventory.commands", false),
    ("billing", "publish to", "inventory.queries", false),
    ("billing", "publish to", "inventory.events", false),
    ("billing", "publish to", "", false),
];

/// Demands that PostgreSQL refuses what is not granted, to the service and to operators.
pub async fn by_postgresql(logins: &Logins<'_>) {
    for (role, statements) in [("inventory_app", OF_THE_SERVICE), ("inventory_operator", OF_OPERATORS)] {
        let mut connection = PgConnection::connect(&logins.database_url(role)).await.unwrap();
        for statement in statements {
            let done = sqlx::raw_sql(AssertSqlSafe(*statement)).execute(&mut connection).await;
            let error = done.expect_err(statement);
            let code = error.as_database_error().and_then(DatabaseError::code);
            // insufficient_privilege, or not the owner
            assert_eq!(code.as_deref(), Some("42501"), "{role}: {statement}: {error}");
        }
        connection.close().await.unwrap();
    }
}

/// Demands that RabbitMQ refuses what is not granted, and allows what is.
pub async fn by_rabbitmq(logins: &Logins<'_>) {
    for (user, act, name, may) in ON_THE_BROKER {
        let (connection, channel) = connect(&logins.amqp_url(user)).await;
        let done = attempt(&channel, act, name).await;
        match &done {
            Ok(()) => assert!(may, "{user} may {act} {name:?}"),
            Err(error) => {
                assert!(!may && error.to_string().contains("ACCESS"), "{user} {act} {name:?}: {error}");
            }
        }
        connection.close(200, "done".into()).await.unwrap();
    }
}

async fn attempt(channel: &Channel, act: &str, name: &str) -> lapin::Result<()> {
    match act {
        "look for" => {
            let options = QueueDeclareOptions { passive: true, ..Default::default() };
            channel.queue_declare(name.into(), options, FieldTable::default()).await.map(|_| ())
        }
        "declare" => {
            let options = QueueDeclareOptions { durable: true, ..Default::default() };
            channel.queue_declare(name.into(), options, FieldTable::default()).await.map(|_| ())
        }
        "subscribe" => {
            let (exchange, key) = ("inventory.events".into(), "inventory.#".into());
            let options = QueueBindOptions::default();
            channel.queue_bind(name.into(), exchange, key, options, FieldTable::default()).await
        }
        "get from" => channel.basic_get(name.into(), BasicGetOptions::default()).await.map(|_| ()),
        "delete" => channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.map(|_| ()),
        _ => {
            let (options, nothing) = (BasicPublishOptions::default(), BasicProperties::default());
            // To nobody: what is published is not the matter here.
            channel
                .basic_publish(name.into(), "nobody".into(), options, &[], nothing)
                .await?
                .await
                .map(|_| ())
        }
    }
}
