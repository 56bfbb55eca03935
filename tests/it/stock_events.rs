//! `StockDepleted` and `StockReplenished`: by turns, counted without a gap, and in this order on the wire, whoever
//! causes them and whichever replica publishes them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::harness::{assert_in_order, file};
use crate::support::{Harness, Message, Received, Setup};

/// Demands an event of this version, with so much available; nothing is available where it has run out.
fn assert_tells(event: &Received, product: Uuid, version: u64, available: u64) {
    let kind = if available == 0 { "StockDepleted" } else { "StockReplenished" };
    assert_eq!((event.kind(), event.text("productId")), (kind, product.to_string().as_str()));
    assert_eq!(event.json["version"], version, "{event:?}");
    let told = event.json.get("available").map_or(0, |available| available.as_u64().unwrap());
    assert_eq!(told, available, "{event:?}");
}

/// Awaits the next event of a product, and demands who caused it.
async fn expect(harness: &mut Harness, product: Uuid, version: u64, available: u64, cause: Option<&Message>) {
    let event = harness.next_stock_event(product).await;
    assert_tells(&event, product, version, available);
    assert_eq!(event.causation_id().as_deref(), cause.map(Message::id), "{event:?}");
    assert_eq!(event.correlation_id(), cause.and_then(Message::correlates_by), "{event:?}");
}

/// Demands that nothing is told that was not awaited.
async fn expect_nothing_else(harness: &mut Harness) {
    harness.until_all_is_published().await;
    let rest = harness.client.stock.rest().await;
    assert!(rest.is_empty(), "{rest:#?}");
}

async fn stock(harness: &Harness, arguments: &[&str]) {
    let ended = harness.site().inventory(&[&["stock"], arguments].concat()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test]
async fn commands_tell_when_stock_runs_out_and_comes_back() {
    let mut harness = Harness::start().await;
    let product = harness.product(3).await;
    expect(&mut harness, product, 1, 3, None).await;

    let some = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    let all = Message::reserve(Uuid::new_v4(), &[(product, 2)]).with_correlation("order 4711");
    let some_id = harness.outcome_of(&some).await.reservation();
    let all_id = harness.outcome_of(&all).await.reservation();
    expect(&mut harness, product, 2, 0, Some(&all)).await;
    harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.shortfalls();

    let back = Message::release(&all_id).of(&[(product, 1)]);
    harness.client.send(&back).await;
    expect(&mut harness, product, 3, 1, Some(&back)).await;
    // More of it is nothing new; that reserved units leave changes nothing of what is available.
    harness.release(&some_id).await;
    harness.ask(Message::consume(&all_id)).await;
    harness.assert_level(product, 2, 0).await;
    expect_nothing_else(&mut harness).await;
    harness.finish().await;
}

#[tokio::test]
async fn what_one_command_gives_back_and_takes_again_does_not_count() {
    let mut harness = Harness::start().await;
    let [a, b] = harness.products([4, 4]).await;
    let (cart, chosen) = (Uuid::new_v4(), Uuid::new_v4().to_string());
    expect(&mut harness, a, 1, 4, None).await;
    expect(&mut harness, b, 1, 4, None).await;
    let first = Message::reserve(cart, &[(a, 4), (b, 1)]);
    harness.outcome_of(&first).await.reservation();
    expect(&mut harness, a, 2, 0, Some(&first)).await;

    // Another reservation in its place, and then the same one amended: all of the first product, every time.
    let second = Message::reserve(cart, &[(a, 4), (b, 2)]).with("reservationId", chosen.as_str());
    harness.outcome_of(&second).await.reservation();
    let amended = Message::reserve(cart, &[(b, 4), (a, 4)]).with("reservationId", chosen.as_str());
    harness.outcome_of(&amended).await.reservation();
    expect(&mut harness, b, 2, 0, Some(&amended)).await;
    // The same again, too much, and a later end: nothing moves.
    harness.reserve(cart, &[(a, 4), (b, 4)]).await.reservation();
    harness.reserve(cart, &[(a, 5), (b, 4)]).await.shortfalls();
    harness.ask(Message::extend(&chosen, 86_400)).await;
    expect_nothing_else(&mut harness).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_lapse_that_is_swept_tells_that_stock_is_back() {
    let mut harness = Harness::start().await;
    let product = harness.product(2).await;
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 2)]).with("holdSeconds", 1);
    let id = harness.outcome_of(&reserve).await.reservation();
    expect(&mut harness, product, 1, 2, None).await;
    expect(&mut harness, product, 2, 0, Some(&reserve)).await;
    harness.lapse_of(&id).await;
    expect(&mut harness, product, 3, 2, None).await;
    // Taken again late, to the last unit.
    let late = Message::consume(&id);
    harness.client.send(&late).await;
    expect(&mut harness, product, 4, 0, Some(&late)).await;
    expect_nothing_else(&mut harness).await;
    harness.finish().await;
}

#[tokio::test]
async fn what_a_command_finds_lapsed_and_takes_again_does_not_count() {
    let setup = Setup::new().with("INVENTORY__EXPIRY__SWEEP_INTERVAL_MS", "60000");
    let mut harness = setup.start().await;
    let product = harness.product(5).await;
    let old = Message::reserve(Uuid::new_v4(), &[(product, 5)]).with("holdSeconds", 3600);
    let id = harness.outcome_of(&old).await.reservation();
    expect(&mut harness, product, 1, 5, None).await;
    expect(&mut harness, product, 2, 0, Some(&old)).await;

    let lapse_all = "UPDATE reservation SET expires_at = clock_timestamp() WHERE state = 'HELD'";
    harness.site().database.execute(lapse_all).await;
    let all = Message::reserve(Uuid::new_v4(), &[(product, 5)]);
    let second = harness.outcome_of(&all).await.reservation();
    harness.lapse_of(&id).await;
    expect_nothing_else(&mut harness).await;
    // What is left over is back with that command.
    harness.site().database.execute(lapse_all).await;
    let some = Message::reserve(Uuid::new_v4(), &[(product, 3)]);
    harness.outcome_of(&some).await.reservation();
    harness.lapse_of(&second).await;
    expect(&mut harness, product, 3, 2, Some(&some)).await;
    expect_nothing_else(&mut harness).await;
    harness.finish().await;
}

#[tokio::test]
async fn people_who_count_are_told_of_as_well() {
    let mut harness = Harness::start().await;
    let product = Uuid::new_v4();
    let id = product.to_string();
    // To become known with nothing there is no news.
    stock(&harness, &["set", &id, "0"]).await;
    stock(&harness, &["set", &id, "5"]).await;
    expect(&mut harness, product, 1, 5, None).await;
    stock(&harness, &["set", &id, "9"]).await;
    stock(&harness, &["adjust", &id, "-9"]).await;
    expect(&mut harness, product, 2, 0, None).await;
    stock(&harness, &["adjust", &id, "1"]).await;
    expect(&mut harness, product, 3, 1, None).await;
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    harness.outcome_of(&reserve).await.reservation();
    expect(&mut harness, product, 4, 0, Some(&reserve)).await;
    // What counts is what is available.
    stock(&harness, &["set", &id, "7"]).await;
    expect(&mut harness, product, 5, 6, None).await;
    stock(&harness, &["set", &id, "1"]).await;
    expect(&mut harness, product, 6, 0, None).await;
    expect_nothing_else(&mut harness).await;
    harness.finish().await;
}

#[tokio::test]
async fn an_import_tells_of_each_product_that_it_changes() {
    let mut harness = Harness::start().await;
    let [filled, emptied, same, new, absent] = [(); 5].map(|()| Uuid::new_v4());
    harness.site().count(&[(filled, 0), (emptied, 4), (same, 4)]).await;
    expect(&mut harness, emptied, 1, 4, None).await;
    expect(&mut harness, same, 1, 4, None).await;

    harness.site().count(&[(filled, 8), (emptied, 0), (same, 5), (new, 2), (absent, 0)]).await;
    expect(&mut harness, filled, 1, 8, None).await;
    expect(&mut harness, emptied, 2, 0, None).await;
    expect(&mut harness, new, 1, 2, None).await;
    // Of two lines for a product the later stands; one that is refused tells nothing.
    harness.site().count(&[(emptied, 3), (emptied, 0), (filled, 0), (filled, 1)]).await;
    let path = file("refused.csv", &format!("product_id,quantity\n{emptied},3\n{filled},-1\n"));
    let refused = harness.site().inventory(&["stock", "import", path.to_str().unwrap()]).await;
    std::fs::remove_file(path).unwrap();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    expect_nothing_else(&mut harness).await;
    harness.finish().await;
}

/// Each product's events, in the order of their arrival.
fn by_product(events: &[Received]) -> BTreeMap<&str, Vec<&Received>> {
    let mut by_product: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in events {
        by_product.entry(event.text("productId")).or_default().push(event);
    }
    by_product
}

/// Commands that make the stock of these products run out and come back, all of them at once.
fn ups_and_downs(products: &[Uuid], rounds: usize) -> Vec<Message> {
    let mut commands = Vec::new();
    for round in 0..rounds {
        for (place, product) in products.iter().enumerate() {
            let id = Uuid::new_v4().to_string();
            // Some carts hold two products, so that transactions meet.
            let other = products[(place + round) % products.len()];
            let lines = if other == *product { vec![(other, 1)] } else { vec![(*product, 1), (other, 1)] };
            let reserve = Message::reserve(Uuid::new_v4(), &lines).with("reservationId", id.as_str());
            commands.extend([reserve, Message::release(&id)]);
        }
    }
    commands
}

#[tokio::test]
async fn two_replicas_under_load_publish_them_in_order() {
    let small_batches = Setup::new().replicas(2).with("INVENTORY__BATCH__COMMANDS", "8");
    let small_batches = small_batches.with("INVENTORY__AMQP__COMMANDS_PREFETCH", "16");
    let mut harness = small_batches.patient().start().await;
    let products = harness.products([1; 40]).await;
    let commands = ups_and_downs(&products, 12);
    let counting = async {
        for product in &products[..4] {
            stock(&harness, &["adjust", &product.to_string(), "1"]).await;
            // Refused while both are reserved.
            let down = harness.site().inventory(&["stock", "adjust", &product.to_string(), "-1"]).await;
            assert!(matches!(down.code, Some(0 | 1)), "{down:?}");
        }
    };
    tokio::join!(harness.client.send_all(&commands), counting);
    for reserve in commands.iter().step_by(2) {
        harness.next_outcome_of(reserve).await;
    }
    harness.until_all_are_decided(commands.len()).await;

    let events = harness.client.stock.rest().await;
    assert_in_order(&events);
    let by_product = by_product(&events);
    assert_eq!(by_product.len(), products.len());
    for (product, events) in by_product {
        assert_eq!(events[0].json["version"], 1, "{product}");
        let in_the_books = format!("SELECT version FROM stock WHERE product_id = '{product}'");
        let version = harness.site().database.number(&in_the_books).await;
        assert_eq!(events[events.len() - 1].json["version"], version, "{product}");
        assert_eq!(events.len(), usize::try_from(version).unwrap(), "each once: nobody has died");
    }
    assert!(events.len() > products.len() * 4, "{} events are no load", events.len());
    harness.assert_quiet_log();
    harness.finish().await;
}

#[tokio::test]
async fn when_a_replica_dies_another_goes_on_in_order() {
    let small_batches = Setup::new().replicas(2).with("INVENTORY__BATCH__COMMANDS", "8");
    let setup = small_batches.with("INVENTORY__OUTBOX__LEASE_SECONDS", "1");
    let mut harness = setup.with("INVENTORY__AMQP__COMMANDS_PREFETCH", "16").start().await;
    let products = harness.products([1; 10]).await;
    let commands = ups_and_downs(&products, 40);
    harness.client.send_all(&commands).await;
    harness.client.stock.next_that("stock that runs out", |event| event.json["version"] == 2).await;
    harness.services()[0].kill();
    harness.services().remove(0);
    for reserve in commands.iter().step_by(2) {
        harness.next_outcome_of(reserve).await;
    }
    harness.until_all_are_decided(commands.len()).await;
    // One of them was taken out above: what is left need not begin with the first.
    let versions: Vec<Value> = harness.client.stock.rest().await.iter().map(|e| e.json.clone()).collect();
    let last = |product: &Uuid| {
        let of_it = versions.iter().filter(|event| event["productId"] == json!(product));
        of_it.filter_map(|event| event["version"].as_i64()).max()
    };
    for product in &products {
        let in_the_books = format!("SELECT version FROM stock WHERE product_id = '{product}'");
        assert_eq!(last(product), Some(harness.site().database.number(&in_the_books).await), "{product}");
    }
    harness.finish_after_an_outage().await;
}
