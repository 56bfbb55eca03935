//! Somebody else has locked rows, and does not let go: who needs them waits, and nobody else does.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::Connection;
use uuid::Uuid;

use super::setup;
use crate::support::scale::size;
use crate::support::{Harness, Message, eventually};

/// Times that commands had to wait for a lock in vain before they were put aside.
const LEARNED: &str = r#"inventory_transactions_retried_total{reason="locked"}"#;

async fn start() -> Harness {
    setup().with("INVENTORY__DATABASE__LOCK_TIMEOUT_MS", "300").start().await
}

fn cart(product: Uuid) -> Message {
    Message::reserve(Uuid::new_v4(), &[(product, 1)])
}

fn carts(count: usize, product: Uuid) -> Vec<Message> {
    (0..count).map(|_| cart(product)).collect()
}

async fn until_waiting(harness: &mut Harness, commands: usize) {
    super::until_waiting(&harness.services()[0], commands).await;
}

async fn assert_all_reserved(harness: &mut Harness, carts: &[Message]) {
    for cart in carts {
        harness.next_outcome_of(cart).await.reservation();
    }
}

#[tokio::test]
async fn a_locked_product_holds_up_only_those_who_want_it() {
    let mut harness = start().await;
    let [locked, free] = harness.products([100_000, 100_000]).await;
    let lock = harness.site().database.lock_stock(locked).await;
    let mut waiting = carts(20, locked);
    let mut neighbours = carts(100, free);
    let mixed: Vec<Message> =
        neighbours[..50].iter().chain(&waiting).chain(&neighbours[50..]).cloned().collect();
    harness.client.send_all(&mixed).await;
    assert_all_reserved(&mut harness, &neighbours).await;
    until_waiting(&mut harness, waiting.len()).await;

    // It is known now: nobody waits for it any more to learn that, while more of them come.
    let learned = harness.services()[0].metric(LEARNED).await;
    let began = Instant::now();
    while neighbours.len() < 120 || began.elapsed() < size(Duration::ZERO, Duration::from_mins(1)) {
        // Fewer than a replica may have unacknowledged: all of those for the product would leave no room for others.
        if waiting.len() < 300 {
            let both = Message::reserve(Uuid::new_v4(), &[(free, 1), (locked, 1)]);
            harness.client.send(&both).await;
            waiting.push(both);
        }
        let neighbour = cart(free);
        harness.outcome_of(&neighbour).await.reservation();
        neighbours.push(neighbour);
        assert_eq!(harness.level(locked).await.reserved, 0);
    }
    assert_eq!(harness.services()[0].metric(LEARNED).await, learned);
    let decided = harness.site().database.number("SELECT count(*) FROM command_outcome").await;
    assert_eq!(decided, i64::try_from(neighbours.len()).unwrap());

    lock.close().await.unwrap();
    assert_all_reserved(&mut harness, &waiting).await;
    until_waiting(&mut harness, 0).await;
    let (both, wanted) = (waiting.len() as u64 - 20, waiting.len() as u64);
    harness.assert_level(locked, 100_000 - wanted, wanted).await;
    let taken = neighbours.len() as u64 + both;
    harness.assert_level(free, 100_000 - taken, taken).await;
    harness.finish().await;
}

/// As replicas do: the lock goes from one to the next, and who only looks never sees it free.
#[tokio::test]
async fn a_product_that_others_crowd_for_is_had_in_turn() {
    let mut harness = start().await;
    let [crowded] = harness.products([10]).await;
    let lock = harness.site().database.lock_stock(crowded).await;
    let waiting = cart(crowded);
    harness.client.send(&waiting).await;
    until_waiting(&mut harness, 1).await;

    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let mut connection = harness.site().database.connect().await;
        crowd.spawn(async move {
            loop {
                let turn = format!(
                    "BEGIN; SELECT 1 FROM stock WHERE product_id = '{crowded}' FOR UPDATE; SELECT pg_sleep(0.02); COMMIT"
                );
                sqlx::raw_sql(sqlx::AssertSqlSafe(turn)).execute(&mut connection).await.unwrap();
            }
        });
    }
    harness.site().database.until_somebody_waits_for_a_lock().await;
    lock.close().await.unwrap();
    harness.next_outcome_of(&waiting).await.reservation();
    crowd.shutdown().await;
    harness.finish().await;
}

#[tokio::test]
async fn what_waits_for_a_lock_is_not_overtaken_by_its_senders_next_words() {
    let mut harness = start().await;
    let [locked, free] = harness.products([10, 10]).await;
    let lock = harness.site().database.lock_stock(locked).await;
    let (cart_id, reservation) = (Uuid::new_v4(), Uuid::new_v4().to_string());
    let of_cart = |lines| Message::reserve(cart_id, &[lines]).with("reservationId", reservation.as_str());
    let words = [of_cart((locked, 1)), of_cart((free, 2)), Message::release(&reservation)];
    harness.client.send_all(&words).await;
    until_waiting(&mut harness, words.len()).await;
    harness.outcome_of(&cart(free)).await.reservation();
    harness.assert_level(free, 9, 1).await;

    lock.close().await.unwrap();
    assert_eq!(harness.next_outcome_of(&words[0]).await.items(), [(locked.to_string(), 1)]);
    assert_eq!(harness.next_outcome_of(&words[1]).await.items(), [(free.to_string(), 2)]);
    assert_eq!(harness.next_movement_of(&words[2]).await.items(), [(free.to_string(), 2)]);
    harness.assert_level(locked, 10, 0).await;
    harness.assert_level(free, 9, 1).await;
    harness.finish().await;
}

#[tokio::test]
async fn what_a_sender_said_before_does_not_wait_for_what_it_said_later() {
    let mut harness = start().await;
    let [locked, free] = harness.products([10, 10]).await;
    let lock = harness.site().database.lock_stock(locked).await;
    let cart_id = Uuid::new_v4();
    let words = [free, locked].map(|product| Message::reserve(cart_id, &[(product, 1)]));
    // So that both are of one batch.
    harness.services()[0].pause();
    harness.client.send_all(&words).await;
    harness.services()[0].resume();
    assert_eq!(harness.next_outcome_of(&words[0]).await.items(), [(free.to_string(), 1)]);
    until_waiting(&mut harness, 1).await;
    // The hold that stands is the cart's: to release it is to speak of the cart, and comes after.
    let hold = Message::reservation_by("cartId", &cart_id.to_string());
    let reservation = harness.ask(hold).await.text("reservationId").to_owned();
    let release = Message::release(&reservation).with_reply_to(&harness.client.replies.queue);
    harness.client.send(&release).await;
    until_waiting(&mut harness, 2).await;

    lock.close().await.unwrap();
    assert_eq!(harness.next_movement_of(&words[1]).await.text("reason"), "SUPERSEDED");
    harness.next_outcome_of(&words[1]).await.reservation();
    harness.next_reply_to(&release).await;
    harness.assert_level(locked, 9, 1).await;
    harness.assert_level(free, 10, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_locked_reservation_holds_up_only_what_is_about_it() {
    let mut harness = start().await;
    let product = harness.product(1000).await;
    let reserve = cart(product);
    let reservation = harness.outcome_of(&reserve).await.reservation();
    let sql = format!("SELECT 1 FROM reservation WHERE reservation_id = '{reservation}' FOR UPDATE");
    let lock = harness.site().database.hold(&sql).await;
    let replies = harness.client.replies.queue.clone();
    let about_it = [
        Message::extend(&reservation, 600).with_reply_to(&replies),
        Message::consume(&reservation).with_reply_to(&replies),
    ];
    let neighbours = carts(50, product);
    harness.client.send_all(&about_it).await;
    harness.client.send_all(&neighbours).await;
    assert_all_reserved(&mut harness, &neighbours).await;
    until_waiting(&mut harness, about_it.len()).await;
    assert_eq!(harness.reservation(&reservation).await.text("status"), "HELD");

    lock.close().await.unwrap();
    for command in &about_it {
        assert_eq!(harness.next_reply_to(command).await.kind(), command.kind.as_deref().unwrap());
    }
    harness.assert_level(product, 949, 50).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_locked_hold_that_has_lapsed_costs_no_customer_its_stock() {
    let mut harness = start().await;
    let [scarce, free] = harness.products([1, 100]).await;
    let lapses = cart(scarce).with("holdSeconds", 600);
    let reservation = harness.outcome_of(&lapses).await.reservation();
    let sql = format!(
        "UPDATE reservation SET expires_at = clock_timestamp() + interval '3 seconds'
         WHERE reservation_id = '{reservation}';
         COMMIT; BEGIN;
         SELECT 1 FROM reservation WHERE reservation_id = '{reservation}' FOR UPDATE;
         SELECT pg_sleep(greatest(0, extract(epoch FROM expires_at - clock_timestamp())))
         FROM reservation WHERE reservation_id = '{reservation}'"
    );
    let lock = harness.site().database.hold(&sql).await;
    let wants_it = cart(scarce);
    let neighbours = carts(20, free);
    harness.client.send(&wants_it).await;
    harness.client.send_all(&neighbours).await;
    assert_all_reserved(&mut harness, &neighbours).await;
    until_waiting(&mut harness, 1).await;
    lock.close().await.unwrap();
    harness.next_outcome_of(&wants_it).await.reservation();
    harness.finish().await;
}

/// Holds of several products lapse all the time; one locked product must not spread over all that were ever bought with it.
#[tokio::test]
async fn a_lapsed_hold_of_a_locked_product_holds_up_only_who_falls_short_of_the_others() {
    let mut harness = start().await;
    let [locked, plenty] = harness.products([10, 100]).await;
    let of_both = |plenty_units| Message::reserve(Uuid::new_v4(), &[(locked, 1), (plenty, plenty_units)]);
    let held = cart(plenty);
    let held = harness.outcome_of(&held).await.reservation();
    let lapses = harness.outcome_of(&of_both(40).with("holdSeconds", 600)).await.reservation();
    let lock = harness.site().database.lock_stock(locked).await;
    let wants_locked = cart(locked);
    harness.client.send(&wants_locked).await;
    until_waiting(&mut harness, 1).await;
    let over =
        format!("UPDATE reservation SET expires_at = clock_timestamp() WHERE reservation_id = '{lapses}'");
    assert_eq!(harness.site().database.execute(&over).await, 1);

    // 59 of the other are left without it.
    let learned = harness.services()[0].metric(LEARNED).await;
    let reserved = carts(19, plenty);
    let wants_lapsed = Message::reserve(Uuid::new_v4(), &[(plenty, 50)]);
    harness.client.send_all(&reserved).await;
    assert_all_reserved(&mut harness, &reserved).await;
    harness.client.send(&wants_lapsed).await;
    until_waiting(&mut harness, 2).await;
    let consume = Message::consume(&held);
    harness.client.send(&consume).await;
    assert_eq!(harness.next_movement_of(&consume).await.items(), [(plenty.to_string(), 1)]);
    harness.outcome_of(&cart(plenty)).await.reservation();
    assert_eq!(harness.services()[0].metric(LEARNED).await, learned, "nobody had to find out");

    lock.close().await.unwrap();
    harness.next_outcome_of(&wants_locked).await.reservation();
    harness.next_outcome_of(&wants_lapsed).await.reservation();
    harness.assert_level(plenty, 29, 70).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_hold_does_not_wait_for_what_has_left_it() {
    let mut harness = start().await;
    let [shipped, open] = harness.products([1, 1]).await;
    let hold = harness.reserve(Uuid::new_v4(), &[(shipped, 1), (open, 1)]).await.reservation();
    let part = Message::consume(&hold).with("items", json!([{ "productId": shipped, "quantity": 1 }]));
    harness.client.send(&part).await;
    assert_eq!(harness.next_movement_of(&part).await.items(), [(shipped.to_string(), 1)]);

    let lock = harness.site().database.lock_stock(shipped).await;
    harness.release(&hold).await;
    harness.assert_level(open, 1, 0).await;
    lock.close().await.unwrap();
    harness.finish().await;
}

#[tokio::test]
async fn what_waits_does_not_keep_the_service_from_ending_and_comes_again() {
    let mut harness = start().await;
    let product = harness.product(10).await;
    let lock = harness.site().database.lock_stock(product).await;
    let carts = carts(5, product);
    harness.client.send_all(&carts).await;
    until_waiting(&mut harness, carts.len()).await;
    harness.services()[0].stop().await;
    harness.services().clear();
    let commands = harness.site().names.commands.clone();
    eventually("all are back", async || harness.client.depth(&commands).await as usize == carts.len()).await;
    lock.close().await.unwrap();
    harness.add_replica().await;
    assert_all_reserved(&mut harness, &carts).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_locked_table_is_waited_for() {
    let mut harness = start().await;
    let product = harness.product(100).await;
    let lock = harness.site().database.hold("LOCK TABLE stock IN ACCESS EXCLUSIVE MODE").await;
    let carts = carts(30, product);
    harness.client.send_all(&carts).await;
    let service = &harness.services()[0];
    eventually("that some wait", async || service.metric(super::WAITING).await > 0).await;
    lock.close().await.unwrap();
    assert_all_reserved(&mut harness, &carts).await;
    harness.assert_level(product, 70, 30).await;
    harness.finish().await;
}

/// More commits than may wait for their rows to be deleted.
const COMMITS: usize = 400;

/// As of somebody who looks at the events that have just left.
#[tokio::test]
async fn a_locked_row_of_the_outbox_holds_up_no_command() {
    let mut harness = start().await;
    let product = harness.product(100_000).await;
    let mut lock = harness.site().database.connect().await;
    let mut carts = Vec::new();
    // A row is there for a moment after its event has left.
    loop {
        let cart = cart(product);
        sqlx::raw_sql("BEGIN").execute(&mut lock).await.unwrap();
        harness.outcome_of(&cart).await.reservation();
        carts.push(cart);
        let rows = sqlx::query("SELECT 1 FROM outbox FOR UPDATE").fetch_all(&mut lock).await.unwrap();
        if !rows.is_empty() {
            break;
        }
        sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.unwrap();
    }
    for _ in 0..COMMITS {
        let cart = cart(product);
        harness.outcome_of(&cart).await.reservation();
        carts.push(cart);
    }
    lock.close().await.unwrap();
    let mut told = harness.finish_after_an_outage().await;
    told.retain(|event| !carts.iter().any(|cart| event.causation_id().as_deref() == Some(cart.id())));
    assert!(told.is_empty(), "{told:?}");
}

/// What the replica that publishes in order has locked for that (`IN_ORDER` in `storage/advisory_lock.rs`).
const IN_ORDER: i64 = 0x1517_0c4c;

/// Rows of the outbox that are looked at together (`ORDERED_ROWS_AT_ONCE` in `storage/outbox.rs`).
const LOOKED_AT: usize = 50;

#[tokio::test]
async fn a_locked_stock_event_holds_up_no_other() {
    let mut harness = start().await;
    let [locked, beside, free] = harness.products([1, 1, 1]).await;
    for product in [locked, beside, free] {
        harness.next_stock_event(product).await;
    }
    let mut lock = harness.site().database.connect().await;
    sqlx::query("SELECT pg_advisory_lock($1)").bind(IN_ORDER).execute(&mut lock).await.unwrap();
    let mut held = harness.reserve(Uuid::new_v4(), &[(locked, 1)]).await.reservation();
    sqlx::raw_sql("BEGIN").execute(&mut lock).await.unwrap();
    let sql = "SELECT 1 FROM outbox WHERE is_ordered FOR UPDATE";
    assert_eq!(sqlx::query(sql).fetch_all(&mut lock).await.unwrap().len(), 1);
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(IN_ORDER).execute(&mut lock).await.unwrap();

    // The first of these leave with an event of the locked product in one row, and the next ones after them.
    for lines in [[(locked, 1), (beside, 1)].as_slice(), &[(beside, 1)]] {
        harness.release(&held).await;
        held = harness.reserve(Uuid::new_v4(), lines).await.reservation();
    }
    for _ in 0..LOOKED_AT {
        harness.release(&held).await;
        held = harness.reserve(Uuid::new_v4(), &[(locked, 1)]).await.reservation();
    }
    harness.reserve(Uuid::new_v4(), &[(free, 1)]).await.reservation();
    harness.next_stock_event(free).await;
    // Not what came of them later either.
    let told = harness.client.stock.rest().await;
    assert!(told.is_empty(), "{told:?}");

    lock.close().await.unwrap();
    let turns = ["StockDepleted", "StockReplenished"];
    for awaited in turns.into_iter().cycle().take(3 + 2 * LOOKED_AT) {
        assert_eq!(harness.next_stock_event(locked).await.kind(), awaited);
    }
    for awaited in turns.into_iter().chain(turns) {
        assert_eq!(harness.next_stock_event(beside).await.kind(), awaited);
    }
    harness.finish().await;
}
