//! A statement takes too long.

use uuid::Uuid;

use super::{setup, until_waiting};
use crate::fail_points::assert_told_the_same;
use crate::support::Message;

/// Makes every change of a product's stock slow.
fn slow_down(product: Uuid) -> String {
    format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(3); RETURN NEW; END';
         CREATE TRIGGER slow BEFORE UPDATE ON stock FOR EACH ROW
         WHEN (NEW.product_id = '{product}') EXECUTE FUNCTION slow()"
    )
}

#[tokio::test]
async fn what_takes_too_long_waits_and_its_neighbours_go_on() {
    let mut harness = setup().with("INVENTORY__DATABASE__STATEMENT_TIMEOUT_MS", "300").start().await;
    let [slow, swift] = harness.products([100, 1000]).await;
    harness.site().database.execute(&slow_down(slow)).await;
    let carts = |count: usize, product| -> Vec<Message> {
        (0..count).map(|_| Message::reserve(Uuid::new_v4(), &[(product, 1)])).collect()
    };
    let (waiting, neighbours) = (carts(3, slow), carts(20, swift));
    harness.client.send_all(&waiting[..1]).await;
    harness.client.send_all(&neighbours).await;
    harness.client.send_all(&waiting[1..]).await;
    let mut told = Vec::new();
    for cart in &neighbours {
        told.push(harness.next_outcome_of(cart).await);
    }
    until_waiting(&harness.services()[0], waiting.len()).await;
    harness.site().database.execute("DROP TRIGGER slow ON stock").await;
    for cart in &waiting {
        told.push(harness.next_outcome_of(cart).await);
    }
    for outcome in &told {
        outcome.reservation();
    }
    harness.assert_level(slow, 97, 3).await;
    harness.assert_level(swift, 980, 20).await;
    // To delete what is published may take too long as well.
    told.extend(harness.finish_after_an_outage().await);
    assert_told_the_same(&told);
}
