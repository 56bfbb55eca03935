//! What goes wrong elsewhere: last units, opposite orders, copies to several replicas.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::support::crowd::send_from_many;
use crate::support::{Harness, Message, Received, Setup};

/// Transactions begun anew because another one went first.
const LOST_RACES: &str = r#"inventory_transactions_retried_total{reason="lost_race"}"#;

/// The outcome of each of the commands, exactly one.
async fn outcomes(harness: &mut Harness, commands: &[Message]) -> Vec<Received> {
    let events = harness.client.events.take(commands.len(), "the outcomes of all carts").await;
    let by_command: HashMap<_, _> =
        events.into_iter().map(|event| (event.causation_id().unwrap(), event)).collect();
    commands.iter().map(|command| by_command[command.id()].clone()).collect()
}

async fn assert_last_units_are_sold_once(replicas: usize) {
    let mut harness = Setup::new().replicas(replicas).start().await;
    let [wanted, other] = harness.products([100, 1000]).await;
    let cart = |number: usize| {
        let lines = [(wanted, 1), (other, 1)];
        // Every other cart names the same products the other way round.
        let lines = if number.is_multiple_of(2) { lines } else { [lines[1], lines[0]] };
        Message::reserve(Uuid::new_v4(), &lines)
    };
    let carts: Vec<Message> = (0..500).map(cart).collect();
    send_from_many(&harness, 20, &carts).await;

    let outcomes = outcomes(&mut harness, &carts).await;
    let reserved = outcomes.iter().filter(|outcome| outcome.kind() == "InventoryReserved").count();
    assert_eq!(reserved, 100);
    harness.assert_level(wanted, 0, 100).await;
    harness.assert_level(other, 900, 100).await;
    harness.assert_quiet_log();
    harness.finish().await;
}

#[tokio::test]
async fn the_last_100_units_for_500_carts_with_one_replica() {
    assert_last_units_are_sold_once(1).await;
}

#[tokio::test]
async fn the_last_100_units_for_500_carts_with_two_replicas() {
    assert_last_units_are_sold_once(2).await;
}

#[tokio::test]
async fn the_same_products_in_opposite_order_from_many_senders() {
    // Small batches, so that many transactions meet.
    let setup = Setup::new().replicas(2).with("INVENTORY__BATCH__COMMANDS", "4");
    let mut harness = setup.with("INVENTORY__AMQP__COMMANDS_PREFETCH", "16").start().await;
    let [a, b, c] = harness.products([100_000; 3]).await;
    let orders = [[a, b, c], [c, b, a], [b, c, a], [a, c, b]];
    let cart = |number: usize| {
        Message::reserve(Uuid::new_v4(), &orders[number % 4].map(|product| (product, 1 + number as u64 % 3)))
    };
    let carts: Vec<Message> = (0..600).map(cart).collect();
    send_from_many(&harness, 16, &carts).await;

    for outcome in outcomes(&mut harness, &carts).await {
        outcome.reservation();
    }
    for product in [a, b, c] {
        harness.assert_level(product, 100_000 - 1200, 1200).await;
    }
    // No two have these carts in common, so only a deadlock would be tried again.
    for service in harness.services() {
        assert_eq!(service.metric(LOST_RACES).await, 0);
    }
    harness.assert_quiet_log();
    harness.finish().await;
}

#[tokio::test]
async fn the_same_command_to_two_replicas_at_once_has_one_outcome() {
    // One message at a time, so that the copies go to both replicas in turn.
    let mut harness = Setup::new().replicas(2).with("INVENTORY__AMQP__COMMANDS_PREFETCH", "1").start().await;
    let product = harness.product(1000).await;
    let commands: Vec<Message> = (0..60).map(|_| Message::reserve(Uuid::new_v4(), &[(product, 1)])).collect();
    let copies: Vec<Message> = commands.iter().flat_map(|command| vec![command.clone(); 4]).collect();
    harness.client.send_all(&copies).await;

    for command in &commands {
        let first = harness.next_outcome_of(command).await;
        first.reservation();
        for _ in 1..4 {
            let copy = harness.next_outcome_of(command).await;
            assert_eq!((copy.id(), &copy.body), (first.id(), &first.body));
        }
    }
    harness.assert_level(product, 940, 60).await;
    for service in harness.services() {
        // Both had a share.
        service.logged("batch committed").await;
    }
    harness.assert_quiet_log();
    harness.finish().await;
}

#[tokio::test]
async fn one_cart_from_many_senders_holds_once() {
    // Few enough batches for the one that has the cart not to win every race until the other gives up.
    let mut harness = Setup::new().replicas(2).with("INVENTORY__BATCH__COMMANDS", "4").start().await;
    let product = harness.product(1000).await;
    let cart = Uuid::new_v4();
    let commands: Vec<Message> =
        (0..100).map(|number| Message::reserve(cart, &[(product, 1 + number % 5)])).collect();
    send_from_many(&harness, 10, &commands).await;
    for outcome in outcomes(&mut harness, &commands).await {
        outcome.reservation();
    }
    // Whichever came last, it is the only one.
    let level = harness.level(product).await;
    assert!((1..=5).contains(&level.reserved), "{level:?}");
    let live = "SELECT count(*) FROM reservation WHERE state = 'HELD'";
    assert_eq!(harness.site().database.number(live).await, 1);
    harness.assert_quiet_log();
    harness.finish().await;
}

#[tokio::test]
async fn counting_while_selling() {
    let mut harness = Setup::new().replicas(2).patient().start().await;
    let product = harness.product(10_000).await;
    let commands: Vec<Message> =
        (0..300).map(|_| Message::reserve(Uuid::new_v4(), &[(product, 1)])).collect();
    let counting = async {
        for _ in 0..5 {
            let done = harness.site().inventory(&["stock", "adjust", &product.to_string(), "10"]).await;
            assert_eq!(done.code, Some(0), "{done:?}");
        }
    };
    tokio::join!(send_from_many(&harness, 4, &commands), counting);
    outcomes(&mut harness, &commands).await;
    harness.assert_level(product, 9_750, 300).await;
    harness.assert_quiet_log();
    harness.finish().await;
}

/// What another replica writes that makes a hold.
fn made_elsewhere(reservation: Uuid, cart: Uuid, product: Uuid, units: u64) -> String {
    format!("{}; {}", hold_elsewhere(reservation, cart, product, units), stock_elsewhere(product, units))
}

fn hold_elsewhere(reservation: Uuid, cart: Uuid, product: Uuid, units: u64) -> String {
    format!(
        "INSERT INTO reservation (reservation_id, cart_id, state, product_ids, quantities, reserved_at)
         VALUES ('{reservation}', '{cart}', 'HELD', ARRAY['{product}'::uuid], ARRAY[{units}::bigint], clock_timestamp())"
    )
}

fn stock_elsewhere(product: Uuid, units: u64) -> String {
    format!(
        "UPDATE stock SET reserved = {units}, version = version + (on_hand = {units})::int WHERE product_id = '{product}'"
    )
}

/// The same of a unit, while the service waits for what `other` has locked. Then it meets a hold that is new and locked again,
/// and waits for that.
async fn make_and_lock_again(
    harness: &Harness,
    mut other: PgConnection,
    reservation: Uuid,
    cart: Uuid,
    product: Uuid,
) {
    let database = &harness.site().database;
    database.until_somebody_waits_for_a_lock().await;
    database.execute(&hold_elsewhere(reservation, cart, product, 1)).await;
    let locked = format!("SELECT 1 FROM reservation WHERE reservation_id = '{reservation}' FOR UPDATE");
    let again = database.hold(&locked).await;
    let committed = format!("{}; COMMIT", stock_elsewhere(product, 1));
    sqlx::raw_sql(AssertSqlSafe(committed)).execute(&mut other).await.unwrap();
    database.until_somebody_waits_for_a_lock().await;
    drop(again);
}

#[tokio::test]
async fn a_cart_that_has_just_got_its_hold_elsewhere_is_told_so_at_once() {
    let mut harness = Setup::new().start().await;
    let product = harness.product(1).await;
    let (cart, elsewhere) = (Uuid::new_v4(), Uuid::new_v4());
    let mut other = harness.site().database.lock_stock(product).await;
    let command = Message::reserve(cart, &[(product, 1)]);
    harness.client.send(&command).await;
    harness.site().database.until_somebody_waits_for_a_lock().await;

    let hold = format!("{}; COMMIT", made_elsewhere(elsewhere, cart, product, 1));
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut other).await.unwrap();
    assert_eq!(harness.next_outcome_of(&command).await.reservation(), elsewhere.to_string());
    assert_eq!(harness.services()[0].metric(LOST_RACES).await, 0);
    harness.assert_level(product, 0, 1).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_cart_whose_hold_of_elsewhere_is_locked_again_is_not_told_that_it_falls_short() {
    let mut harness = Harness::start().await;
    let product = harness.product(1).await;
    let (cart, elsewhere) = (Uuid::new_v4(), Uuid::new_v4());
    let other = harness.site().database.lock_stock(product).await;
    let command = Message::reserve(cart, &[(product, 1)]);
    harness.client.send(&command).await;

    make_and_lock_again(&harness, other, elsewhere, cart, product).await;
    assert_eq!(harness.next_outcome_of(&command).await.reservation(), elsewhere.to_string());
    harness.assert_level(product, 0, 1).await;
    harness.finish().await;
}

/// Reserves a unit under an id of its own, which another cart takes while the command waits for what that transaction has
/// locked: it is told so.
async fn assert_id_is_taken(harness: &mut Harness, cart: Uuid, product: Uuid, other: PgConnection, of: Uuid) {
    let taken = Uuid::new_v4();
    let command = Message::reserve(cart, &[(product, 1)])
        .with("reservationId", taken.to_string())
        .with_reply_to(&harness.client.replies.queue);
    harness.client.send(&command).await;

    make_and_lock_again(harness, other, taken, Uuid::new_v4(), of).await;
    harness.assert_refused(&command, "RESERVATION_ID_REUSED", 409).await;
}

#[tokio::test]
async fn a_reservation_id_that_has_just_been_taken_elsewhere_is_not_told_to_fall_short() {
    let mut harness = Harness::start().await;
    let product = harness.product(1).await;
    let other = harness.site().database.lock_stock(product).await;
    assert_id_is_taken(&mut harness, Uuid::new_v4(), product, other, product).await;
    harness.assert_level(product, 0, 1).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_reservation_id_that_has_just_been_taken_elsewhere_is_not_answered_with_the_hold_of_the_cart() {
    let mut harness = Harness::start().await;
    let [product, elsewhere] = harness.products([1, 1]).await;
    let cart = Uuid::new_v4();
    let hold = harness.reserve(cart, &[(product, 1)]).await.reservation();
    let locked = format!("SELECT 1 FROM reservation WHERE reservation_id = '{hold}' FOR UPDATE");
    let other = harness.site().database.hold(&locked).await;
    assert_id_is_taken(&mut harness, cart, product, other, elsewhere).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_product_that_is_first_counted_while_another_is_waited_for_is_there() {
    let mut harness = Harness::start().await;
    let (counted, new) = (harness.product(1).await, Uuid::new_v4());
    let other = harness.site().database.lock_stock(counted).await;
    let command = Message::reserve(Uuid::new_v4(), &[(counted, 1), (new, 1)]);
    harness.client.send(&command).await;
    harness.site().database.until_somebody_waits_for_a_lock().await;

    harness.site().count(&[(new, 1)]).await;
    let again = harness.site().database.lock_stock(new).await;
    drop(other);
    harness.site().database.until_somebody_waits_for_a_lock().await;
    drop(again);
    harness.next_outcome_of(&command).await.reservation();
    harness.finish().await;
}

#[tokio::test]
async fn a_hold_that_begins_and_ends_in_one_batch_meets_one_that_another_replica_is_making() {
    let mut harness = Harness::start().await;
    let [product, sought, elsewhere] = harness.products([9; 3]).await;
    let (cart, of_another, chosen) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4().to_string());
    let database = &harness.site().database;
    let mut other = database.hold(&made_elsewhere(of_another, cart, elsewhere, 2)).await;
    // What is sent while the batch before it waits comes to one batch.
    let before = database.lock_stock(sought).await;
    let first = Message::reserve(Uuid::new_v4(), &[(sought, 1)]);
    harness.client.send(&first).await;
    database.until_somebody_waits_for_a_lock().await;
    let reserve = Message::reserve(cart, &[(product, 1)]).with("reservationId", chosen.as_str());
    let release = Message::release(&chosen);
    harness.client.send_all(&[reserve.clone(), release.clone()]).await;
    drop(before);
    harness.next_outcome_of(&first).await.reservation();

    harness.site().database.until_somebody_waits_for_a_lock().await;
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    assert_eq!(harness.next_outcome_of(&reserve).await.reservation(), chosen);
    harness.next_movement_of(&release).await;
    let replaced = harness.reservation(&of_another.to_string()).await;
    assert_eq!((replaced.text("status"), replaced.text("reason")), ("RELEASED", "SUPERSEDED"));
    harness.assert_level(elsewhere, 9, 0).await;
    harness.assert_level(product, 9, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_hold_begins_after_those_that_its_cart_had_elsewhere_meanwhile() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let cart = Uuid::new_v4();
    let former = harness.reserve(cart, &[(product, 1)]).await.reservation();
    harness.release(&former).await;
    // Another replica has the same command in hand, for as long as this one waits between its locks and its commit ...
    let reserve = Message::reserve(cart, &[(product, 2)]);
    let database = &harness.site().database;
    let decided = format!(
        "INSERT INTO command_outcome (message_id, body_hash, outcome, answer_id, subject, body, decided_at)
         VALUES (convert_to('{}', 'UTF8'), '', '', gen_random_uuid(), '', '', clock_timestamp())",
        reserve.id()
    );
    let elsewhere = database.hold(&decided).await;
    harness.client.send(&reserve).await;
    let database = &harness.site().database;
    database.until_somebody_waits_for_a_lock().await;
    // ... and meanwhile, as it were, the former hold is made and ended.
    let later = format!(
        "WITH later AS MATERIALIZED (SELECT clock_timestamp() AS at),
         moved AS (UPDATE reservation_movement SET moved_at = at FROM later WHERE reservation_id = '{former}')
         UPDATE reservation SET ended_at = at FROM later WHERE reservation_id = '{former}'"
    );
    assert_eq!(database.execute(&later).await, 1);
    drop(elsewhere);

    let hold = harness.next_outcome_of(&reserve).await;
    let ended = harness.reservation(&former).await;
    assert!(hold.text("reservedAt") > ended.text("endedAt"), "{hold:?} {ended:?}");
    harness.assert_level(product, 7, 2).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_hold_that_gets_a_product_while_it_is_waited_for_gives_it_back_though_nobody_knew_of_it() {
    let mut harness = Harness::start().await;
    let former = harness.product(9).await;
    let (hold, added) = (Uuid::new_v4(), Uuid::new_v4());
    let database = &harness.site().database;
    let mut other = database.hold(&made_elsewhere(hold, Uuid::new_v4(), former, 1)).await;
    let locked =
        format!("COMMIT; BEGIN; SELECT 1 FROM reservation WHERE reservation_id = '{hold}' FOR UPDATE");
    sqlx::raw_sql(AssertSqlSafe(locked)).execute(&mut other).await.unwrap();
    let release = Message::release(&hold.to_string());
    harness.client.send(&release).await;
    harness.site().database.until_somebody_waits_for_a_lock().await;

    // The first count of a product, and what another replica writes that changes the hold.
    harness.site().count(&[(added, 9)]).await;
    let database = &harness.site().database;
    let counted = format!(
        "UPDATE stock SET reserved = (product_id = '{added}')::int WHERE product_id IN ('{former}', '{added}')"
    );
    assert_eq!(database.execute(&counted).await, 2);
    let again = database.lock_stock(added).await;
    let changed = format!(
        "UPDATE reservation SET product_ids = ARRAY['{added}'::uuid] WHERE reservation_id = '{hold}'; COMMIT"
    );
    sqlx::raw_sql(AssertSqlSafe(changed)).execute(&mut other).await.unwrap();
    database.until_somebody_waits_for_a_lock().await;
    drop(again);
    assert_eq!(harness.next_movement_of(&release).await.items(), [(added.to_string(), 1)]);
    harness.assert_level(added, 9, 0).await;
    harness.finish().await;
}
