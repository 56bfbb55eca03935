//! The service as it should be run: with no right that it does not use, over TLS, with certificates of its own.

mod certificates;
mod logins;
mod refusals;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use serde_json::Value;
use uuid::Uuid;

use self::logins::Logins;
use crate::orphans::leave_behind;
use crate::support::client::{connect, publish};
use crate::support::deployment::Deployment;
use crate::support::names::Names;
use crate::support::servers::PrivateServers;
use crate::support::site::Site;
use crate::support::{Harness, Message, Received, eventually, within};

#[tokio::test]
async fn the_service_needs_no_right_more_than_it_is_given() {
    let servers = PrivateServers::new("security");
    servers.start_with_tls().await;
    let mut site = Site::create(servers.for_administrators(), Names::of_the_contract()).await;
    let logins = Logins::provide(&servers, &site).await;
    use_them(&mut site, &servers, &logins);
    refusals::by_postgresql(&logins).await;
    refusals::by_rabbitmq(&logins).await;
    certificates::are_demanded_by_postgresql(&servers, &logins, &site).await;
    certificates::are_demanded_by_rabbitmq(&site).await;

    leave_what_is_past_its_retention(&site).await;
    let mut harness = Harness::of(Deployment::start(site, 1).await).await;
    what_is_past_its_retention_leaves(&harness).await;
    commands_and_queries(&mut harness).await;
    lapse_and_stock_events(&mut harness).await;
    dead_letters_and_orphans(&mut harness).await;
    other_teams(&mut harness, &logins).await;
    operators(&mut harness).await;
    let log = harness.log();
    assert!(!log.contains("permission denied") && !log.contains("ACCESS"), "{log}");
    assert!(logins.passwords().all(|password| !log.contains(password)), "a password is in the log");
    harness.finish().await;
}

/// Lets service and operators log in as those whom they were given.
fn use_them(site: &mut Site, servers: &PrivateServers, logins: &Logins<'_>) {
    let own = |name: &str, value: String| (name.to_owned(), value);
    site.settings.push(own("DATABASE_URL", logins.database_url("inventory_operator")));
    site.service_settings = vec![
        own("DATABASE_URL", logins.database_url("inventory_app")),
        own("INVENTORY__DATABASE__MIGRATE", "false".to_owned()),
        own("AMQP_URL", logins.amqps_url("inventory-consumer")),
        own("INVENTORY__AMQP__PUBLISH_URL", logins.amqps_url("inventory-publisher")),
        own("INVENTORY__AMQP__DECLARE", "false".to_owned()),
        own("INVENTORY__AMQP__CA_FILE", servers.certificate("ca.pem")),
        own("INVENTORY__AMQP__CERT_FILE", servers.certificate("client.pem")),
        own("INVENTORY__AMQP__KEY_FILE", servers.certificate("client.key")),
    ];
}

/// Five units that were consumed four years ago, and the outcome of a command of last month.
async fn leave_what_is_past_its_retention(site: &Site) {
    let [product, reservation] = [Uuid::now_v7(), Uuid::now_v7()];
    let sql = format!(
        "INSERT INTO stock (product_id, on_hand) VALUES ('{product}', 0);
         INSERT INTO stock_change (product_id, kind, quantity_delta, on_hand_after, changed_at)
         VALUES ('{product}', 'COUNTED', 5, 5, now() - interval '1500 days');
         INSERT INTO reservation (reservation_id, cart_id, state, product_ids, quantities, reserved_at, ended_at)
         VALUES ('{reservation}', '{reservation}', 'CONSUMED', '{{{product}}}', '{{5}}', now() - interval '1460 days',
                 now() - interval '1460 days');
         INSERT INTO reservation_movement (reservation_id, kind, product_ids, quantities, moved_at)
         VALUES ('{reservation}', 'CONSUMED', '{{{product}}}', '{{5}}', now() - interval '1460 days');
         INSERT INTO command_outcome (message_id, body_hash, outcome, answer_id, subject, body, decided_at)
         VALUES ('old', sha256('1'), 'RESERVATION_NOT_FOUND', gen_random_uuid(), '{reservation}', '{{}}',
                 now() - interval '30 days')"
    );
    site.database.execute(&sql).await;
}

async fn what_is_past_its_retention_leaves(harness: &Harness) {
    let left = "SELECT (SELECT count(*) FROM reservation WHERE ended_at < now() - interval '1095 days')
                     + (SELECT count(*) FROM command_outcome WHERE decided_at < now() - interval '7 days')";
    let database = &harness.site().database;
    eventually("that everything past its time has left", async || database.number(left).await == 0).await;
    assert_eq!(database.number("SELECT sum(consumed)::bigint FROM stock_brought_forward").await, 5);
}

async fn commands_and_queries(harness: &mut Harness) {
    let product = harness.product(10).await;
    let held = harness.reserve(Uuid::new_v4(), &[(product, 4)]).await.reservation();
    harness.reserve(Uuid::new_v4(), &[(product, 100)]).await.shortfalls();
    let kind_of = |reply: Received| reply.kind().to_owned();
    assert_eq!(kind_of(harness.ask(Message::extend(&held, 600)).await), "ExtendHold");
    let part = Message::release(&held).of(&[(product, 1)]);
    assert_eq!(kind_of(harness.ask(part).await), "ReleaseInventory");
    assert_eq!(kind_of(harness.ask(Message::consume(&held)).await), "ConsumeInventory");
    assert_eq!(harness.reservation(&held).await.parts_of(product), (4, 0, 1, 3));
    assert_eq!(kind_of(harness.ask(Message::stock_levels(&[product])).await), "GetStockLevels");
    harness.assert_level(product, 7, 0).await;
}

async fn lapse_and_stock_events(harness: &mut Harness) {
    let product = harness.product(1).await;
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with("holdSeconds", 1);
    let reservation = harness.outcome_of(&reserve).await.reservation();
    harness.lapse_of(&reservation).await;
    for kind in ["StockReplenished", "StockDepleted", "StockReplenished"] {
        assert_eq!(harness.next_stock_event(product).await.kind(), kind);
    }
}

/// What the service publishes that is no answer, and what it finds in the outbox.
async fn dead_letters_and_orphans(harness: &mut Harness) {
    let bad = Message::release("").with_body("{").with_reply_to(&harness.client.replies.queue);
    harness.client.send(&bad).await;
    harness.assert_refused(&bad, "INVALID_MESSAGE", 400).await;

    let orphan = leave_behind(harness, "clock_timestamp() - interval '1 second'").await;
    harness.client.events.next_caused_by(&orphan.to_string(), "the orphaned event").await;
}

/// A sender that may only send is answered by direct reply-to; a subscriber that may only subscribe is told.
async fn other_teams(harness: &mut Harness, logins: &Logins<'_>) {
    let (_billing, subscribing) = connect(&logins.amqp_url("billing")).await;
    let (queue, nothing) = ("billing.reserved", FieldTable::default());
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    subscribing.queue_declare(queue.into(), options, nothing.clone()).await.unwrap();
    let (exchange, key) = ("inventory.events".into(), "inventory.reserved".into());
    subscribing
        .queue_bind(queue.into(), exchange, key, QueueBindOptions::default(), nothing.clone())
        .await
        .unwrap();
    let without_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut events =
        subscribing.basic_consume(queue.into(), "".into(), without_ack, nothing.clone()).await.unwrap();

    let product = harness.product(1).await;
    let (_checkout, sending) = connect(&logins.amqp_url("checkout")).await;
    let direct = "amq.rabbitmq.reply-to";
    let mut replies = sending.basic_consume(direct.into(), "".into(), without_ack, nothing).await.unwrap();
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with_reply_to(direct);
    publish(&sending, &harness.site().names, &reserve).await.unwrap().await.unwrap();
    let reply = Received::from(within("the reply", replies.next()).await.unwrap().unwrap());
    let event = Received::from(within("the event", events.next()).await.unwrap().unwrap());
    assert_eq!((reply.id(), reply.kind()), (event.id(), "InventoryReserved"));
    harness.next_outcome_of(&reserve).await.reservation();
}

/// What people do at the command line, mends included.
async fn operators(harness: &mut Harness) {
    let product = harness.product(9).await;
    let id = product.to_string();
    let forgotten = harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
    let broken = harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
    let site = harness.site();
    site.told(&["stock", "adjust", &id, "-1"]).await;
    assert_eq!(site.ledger(product).await.len(), 4);
    site.told(&["reservation", "list", "--product", &id]).await;
    for tampering in [
        format!("UPDATE stock SET on_hand = on_hand + 1 WHERE product_id = '{product}'"),
        "INSERT INTO stock (product_id, on_hand, version) VALUES (gen_random_uuid(), 5, 1)".to_owned(),
        format!("DELETE FROM command_outcome WHERE subject = '{forgotten}'"),
        format!("UPDATE command_outcome SET body_hash = 'short' WHERE subject = '{broken}'"),
    ] {
        assert_eq!(site.database.execute(&tampering).await, 1, "{tampering}");
    }
    let of_nobody_else = site.database.hold(SWEEPING).await;
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with("holdSeconds", 1);
    let overdue = harness.outcome_of(&reserve).await.reservation();
    let site = harness.site();
    let is_overdue = |finding: &Value| finding["check"] == "hold.overdue";
    eventually("the hold is overdue", async || site.findings().await.iter().any(is_overdue)).await;
    site.told(&["repair", "--apply", "--reason", "a try"]).await;
    assert_eq!(site.findings().await, [] as [Value; 0]);
    drop(of_nobody_else);
    harness.lapse_of(&overdue).await;
}

/// As a replica that sweeps lapsed holds: no other does.
const SWEEPING: &str = "SELECT pg_advisory_xact_lock(x'15170c4d'::int)";
