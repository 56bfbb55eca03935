//! PostgreSQL refuses what one command of a batch would write, or what any would.

use uuid::Uuid;

use super::setup;
use crate::support::{Message, Setup, eventually};

/// Refuses every change of a product's stock.
fn refuse(product: Uuid) -> String {
    format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused''; END';
         CREATE TRIGGER refuse BEFORE UPDATE ON stock FOR EACH ROW
         WHEN (NEW.product_id = '{product}') EXECUTE FUNCTION refuse()"
    )
}

/// It is found by halves, and comes again until RabbitMQ gives it up: the last resort for a command that nobody foresaw.
#[tokio::test]
async fn a_command_that_is_refused_harms_no_neighbour_and_ends_as_a_dead_letter() {
    let mut harness = Setup::new().with("INVENTORY__AMQP__DELIVERY_LIMIT", "1").start().await;
    let [refused, good] = harness.products([100, 1000]).await;
    harness.site().database.execute(&refuse(refused)).await;
    let bad = Message::reserve(Uuid::new_v4(), &[(refused, 1)]);
    let neighbours: Vec<Message> = (0..20).map(|_| Message::reserve(Uuid::new_v4(), &[(good, 1)])).collect();
    let service = &harness.services()[0];
    service.pause();
    harness.client.send_all(&neighbours[..10]).await;
    harness.client.send(&bad).await;
    harness.client.send_all(&neighbours[10..]).await;
    harness.services()[0].resume();
    for cart in &neighbours {
        harness.next_outcome_of(cart).await.reservation();
    }
    let letter = harness.client.get(&harness.site().names.dead_letter, "the command that is refused").await;
    assert_eq!((letter.id(), letter.header("x-error-code")), (bad.id(), None));
    harness.services()[0].logged("batch failed: trying its halves").await;
    harness.assert_level(refused, 100, 0).await;
    harness.assert_level(good, 980, 20).await;
    harness.finish().await;
}

/// Whoever takes a table or a right away by mistake must not find the commands of that minute among the dead letters.
#[tokio::test]
async fn what_any_command_would_be_refused_is_waited_for() {
    let mut harness = setup().start().await;
    let product = harness.product(100).await;
    harness.site().database.execute("ALTER TABLE command_outcome RENAME TO mislaid").await;
    let carts: Vec<Message> = (0..10).map(|_| Message::reserve(Uuid::new_v4(), &[(product, 1)])).collect();
    harness.client.send_all(&carts).await;
    let service = &harness.services()[0];
    eventually("/readyz says what is wrong", async || {
        let (status, missing) = service.readyz().await;
        status == 503 && missing.contains("command_outcome")
    })
    .await;
    harness.site().database.execute("ALTER TABLE mislaid RENAME TO command_outcome").await;
    for cart in &carts {
        harness.next_outcome_of(cart).await.reservation();
    }
    harness.assert_level(product, 90, 10).await;
    harness.finish().await;
}
