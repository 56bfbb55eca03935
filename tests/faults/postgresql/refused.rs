//! PostgreSQL refuses what one command of a batch would write.

use uuid::Uuid;

use crate::support::{Message, Setup};

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
    assert!(harness.services()[0].log().contains("batch failed: trying its halves"));
    harness.assert_level(refused, 100, 0).await;
    harness.assert_level(good, 980, 20).await;
    harness.finish().await;
}
