//! Data that a fault has left behind: more than was ever meant to lie there, or half of a schema.

use std::collections::HashSet;

use uuid::Uuid;

use crate::kit::assert_small;
use crate::support::books::{assert_refused, migrated};
use crate::support::deployment::Deployment;
use crate::support::harness::PATIENT;
use crate::support::scale::size;
use crate::support::site::Site;
use crate::support::{Harness, Message, Setup, eventually};

/// Promises so many events, each in a commit of its own, the way that a replica does which then dies.
pub async fn leave_backlog(harness: &Harness, events: usize, claimed_until: &str) {
    let sql = format!(
        r#"INSERT INTO outbox (events, event_ids, event_types, subjects, bodies, occurred_at, correlation_ids,
                               causation_ids, claimed_until)
           SELECT 1, ARRAY[id], '{{InventoryUnavailable}}', ARRAY[id::text],
                  ARRAY[convert_to('{{"cartId":"' || id || '","unavailableItems":[],"reason":"RELEASED_BEFORE",'
                                   || '"checkedAt":"2026-01-01T00:00:00Z"}}', 'UTF8')],
                  ARRAY[clock_timestamp()], ARRAY['correlation'::bytea], ARRAY[id::text::bytea], {claimed_until}
           FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, {events})) AS made"#
    );
    assert_eq!(harness.site().database.execute(&sql).await, events as u64);
}

#[tokio::test]
async fn two_replicas_drain_a_backlog_and_new_commands_do_not_wait_for_it() {
    let mut harness = Setup::new().replicas(2).start().await;
    let product = harness.product(1_000_000).await;
    let mut reserved = harness.client.subscribed_to(&["inventory.reserved"]).await;
    let count = size(20_000, 1_000_000);
    leave_backlog(&harness, count, "clock_timestamp()").await;

    let (mut told, mut twice, mut new) = (HashSet::new(), 0, 0);
    while told.len() < count + new {
        if told.len() % 2000 == 0 && told.len() < count {
            let cart = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
            harness.client.send(&cart).await;
            reserved.next_caused_by(cart.id(), "the outcome of a new cart").await;
            new += 1;
            for service in harness.services() {
                assert_small(service);
            }
        }
        let event = harness.client.events.next("the rest of the backlog").await;
        if event.kind() == "InventoryUnavailable" {
            // The very event: its body was made from its id.
            assert_eq!(event.text("cartId"), event.id());
        }
        if !told.insert(event.id().to_owned()) {
            twice += 1;
        }
    }
    assert!(twice <= count / 100, "{twice} of {count} events came twice");
    let again = harness.finish_after_an_outage().await;
    assert!(again.len() <= count / 100, "{} of {count} events came twice", again.len());
    assert!(again.iter().all(|event| told.contains(event.id())));
}

/// Notes how many outcomes leave at once, and takes its time.
const NOTE_STEPS: &str = "
    CREATE TABLE left_at_once (outcomes bigint);
    CREATE FUNCTION note_step() RETURNS trigger LANGUAGE plpgsql AS '
        BEGIN INSERT INTO left_at_once SELECT count(*) FROM gone; PERFORM pg_sleep(0.05); RETURN NULL; END';
    CREATE TRIGGER note_step AFTER DELETE ON command_outcome REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION note_step()";

#[tokio::test]
async fn outcomes_that_expire_together_leave_in_small_steps_while_commands_go_on() {
    let site = PATIENT.into_iter().fold(migrated().await, |site, (name, value)| site.with(name, value));
    let count = size(20_000, 1_000_000);
    let expired = format!(
        "INSERT INTO command_outcome (message_id, body_hash, outcome, answer_id, subject, body, decided_at)
         SELECT convert_to('expired ' || number, 'UTF8'), sha256('1'), 'RESERVATION_NOT_FOUND', gen_random_uuid(),
                gen_random_uuid(), convert_to('{{\"code\":\"RESERVATION_NOT_FOUND\"}}', 'UTF8'),
                now() - interval '8 days'
         FROM generate_series(1, {count}) AS number"
    );
    assert_eq!(site.database.execute(&expired).await, count);
    site.database.execute(NOTE_STEPS).await;
    // They leave while commands go on, however long it takes until those come.
    let gate = site.database.hold("LOCK TABLE left_at_once IN EXCLUSIVE MODE").await;
    let mut harness = Harness::of(Deployment::start(site, 1).await).await;
    let product = harness.product(1_000_000).await;

    let left = "SELECT count(*) FROM command_outcome WHERE decided_at < now() - interval '7 days'";
    harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
    drop(gate);
    let mut new = 1;
    while harness.site().database.number(left).await > 0 {
        harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
        new += 1;
    }
    let database = &harness.site().database;
    assert_eq!(database.number("SELECT count(*) FROM command_outcome").await, new);
    assert_eq!(
        database.number("SELECT sum(outcomes)::bigint FROM left_at_once").await,
        i64::try_from(count).unwrap()
    );
    assert!(database.number("SELECT max(outcomes) FROM left_at_once").await <= 1000);
    harness.finish().await;
}

/// What there is in the schema.
async fn schema(site: &Site) -> i64 {
    let sql =
        "SELECT hashtextextended(string_agg(class.relname || coalesce(attribute.attname, ''), ',' ORDER BY
                                                  class.relname, attribute.attnum), 0)
               FROM pg_class AS class LEFT JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
               WHERE class.relnamespace = 'public'::regnamespace";
    site.database.number(sql).await
}

#[tokio::test]
async fn a_migration_that_fails_half_way_is_undone_and_works_once_nothing_is_in_its_way() {
    let site = Site::shared().await;
    // In the way of the second step of the third migration.
    site.database.execute("CREATE TABLE outbox_by_event_pkey ()").await;
    let words = ["migration 3 failed", "nothing of it is done", "outbox_by_event_pkey", "already exists"];
    assert_refused(&site.inventory(&["migrate"]).await, 3, &words);
    let before = schema(&site).await;
    assert_eq!(site.database.number("SELECT max(version) FROM _sqlx_migrations").await, 2);
    assert_refused(&site.inventory(&["migrate"]).await, 3, &words);
    let mut service = site.start_service().await;
    assert_eq!(service.exit().await.code(), Some(3), "{}", service.log());
    for word in words {
        assert!(service.log().contains(word), "{word:?} is not in {}", service.log());
    }
    assert_eq!(schema(&site).await, before, "nothing is left of the first steps");

    site.database.execute("DROP TABLE outbox_by_event_pkey").await;
    let mut service = site.start_service().await;
    service.ready().await;
    service.stop().await;
    eventually("balanced books", async || site.inventory(&["verify"]).await.code == Some(0)).await;
}
