//! Holds lapse at their end, by the clock of the database, once, and whoever runs. `docs/reservations.md`, “Expiry”.

use std::collections::{HashMap, HashSet};

use sqlx::Connection;
use uuid::Uuid;

use crate::support::clock::DatabaseClock;
use crate::support::conformance::time;
use crate::support::deployment::Deployment;
use crate::support::dialogue::assert_lapsed_by_itself;
use crate::support::site::Site;
use crate::support::{Harness, Message, Received, Setup};

/// Nobody sweeps while such a test runs: what lapses is found by the commands.
fn without_sweep() -> Setup {
    Setup::new().with("INVENTORY__EXPIRY__SWEEP_INTERVAL_MS", "60000")
}

/// Makes all holds that have an end lapse now.
async fn let_lapse(harness: &Harness) {
    let sql = "UPDATE reservation SET expires_at = clock_timestamp() WHERE state = 'HELD' AND expires_at IS NOT NULL";
    harness.site().database.execute(sql).await;
}

fn reserve_for(seconds: u64, lines: &[(Uuid, u64)]) -> Message {
    Message::reserve(Uuid::new_v4(), lines).with("holdSeconds", seconds)
}

/// Reserves one unit each for so many carts; gives the reservations.
async fn hold_one_each(harness: &mut Harness, carts: usize, product: Uuid) -> Vec<String> {
    let carts: Vec<Message> = (0..carts).map(|_| reserve_for(3600, &[(product, 1)])).collect();
    harness.client.send_all(&carts).await;
    let mut reservations = Vec::new();
    for cart in &carts {
        reservations.push(harness.next_outcome_of(cart).await.reservation());
    }
    reservations
}

/// Awaits the lapse of each of these.
async fn assert_all_lapse(harness: &mut Harness, reservations: &[String]) {
    let events = harness.client.movements.take(reservations.len(), "the lapse of every hold").await;
    events.iter().for_each(assert_lapsed_by_itself);
    let lapsed: HashSet<&str> = events.iter().map(|event| event.text("reservationId")).collect();
    assert_eq!(lapsed, reservations.iter().map(String::as_str).collect());
}

#[tokio::test]
async fn a_hold_gives_its_stock_back_at_its_end_and_everybody_is_told() {
    let mut harness = Harness::start().await;
    let [a, b] = harness.products([5, 5]).await;
    let order = Uuid::new_v4().to_string();
    let command = reserve_for(1, &[(a, 2), (b, 5)]).with("orderId", order.as_str());
    let reserved = harness.outcome_of(&command).await;
    let id = reserved.reservation();

    let lapsed = harness.lapse_of(&id).await;
    assert_eq!(lapsed.items(), [(a.to_string(), 2), (b.to_string(), 5)]);
    assert_eq!((lapsed.text("orderId"), lapsed.text("cartId")), (order.as_str(), reserved.text("cartId")));
    assert!(lapsed.text("releasedAt") >= reserved.text("expiresAt"), "{lapsed:?} before {reserved:?}");
    harness.assert_level(a, 5, 0).await;
    harness.assert_level(b, 5, 0).await;

    let now = harness.reservation(&id).await;
    assert_eq!((now.text("status"), now.text("reason")), ("RELEASED", "EXPIRED"));
    assert_eq!(now.json["lapsed"], true, "it can still be consumed late: {now:?}");
    assert_eq!(now.text("endedAt"), lapsed.text("releasedAt"));
    assert_eq!(now.text("expiresAt"), reserved.text("expiresAt"));
    assert_eq!(now.parts_of(a), (2, 0, 2, 0), "{now:?}");
    harness.finish().await;
}

#[tokio::test]
async fn what_falls_short_is_taken_back_from_lapsed_holds_in_the_same_transaction() {
    let mut harness = without_sweep().start().await;
    let [wanted, other] = harness.products([3, 3]).await;
    let old = harness.outcome_of(&reserve_for(3600, &[(wanted, 3), (other, 1)])).await.reservation();
    let idle = harness.outcome_of(&reserve_for(3600, &[(other, 1)])).await.reservation();
    let cart = Message::reserve(Uuid::new_v4(), &[(wanted, 2)]);
    assert_eq!(harness.outcome_of(&cart).await.shortfalls(), [(wanted.to_string(), 2, 0)]);

    let_lapse(&harness).await;
    let new = harness.reserve(Uuid::new_v4(), &[(wanted, 2)]).await.reservation();
    let lapsed = harness.lapse_of(&old).await;
    assert_eq!(lapsed.items(), [(wanted.to_string(), 3), (other.to_string(), 1)]);
    let transactions = format!(
        "SELECT count(DISTINCT xmin::text) FROM reservation WHERE reservation_id IN ('{old}', '{new}')"
    );
    assert_eq!(harness.site().database.number(&transactions).await, 1);
    harness.assert_level(wanted, 1, 2).await;
    // What nobody needs waits for the sweep.
    harness.assert_level(other, 2, 1).await;
    assert_eq!(harness.reservation(&idle).await.text("status"), "HELD");
    // Before `verify` finds it overdue.
    harness.release(&idle).await;
    harness.finish().await;
}

#[tokio::test]
async fn one_reserve_may_need_more_lapsed_holds_than_one_step_takes_back() {
    let mut harness = without_sweep().start().await;
    let product = harness.product(600).await;
    let reservations = hold_one_each(&mut harness, 600, product).await;
    let_lapse(&harness).await;

    // Those that fit no longer, once the first of them has taken everything, come away empty-handed.
    let [first, second] = [600, 1].map(|units| Message::reserve(Uuid::new_v4(), &[(product, units)]));
    harness.client.send_all(&[first.clone(), second.clone()]).await;
    harness.next_outcome_of(&first).await.reservation();
    assert_eq!(harness.next_outcome_of(&second).await.shortfalls(), [(product.to_string(), 1, 0)]);
    assert_all_lapse(&mut harness, &reservations).await;
    harness.assert_level(product, 0, 600).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_product_that_somebody_has_locked_keeps_no_other_waiting() {
    let mut harness = Harness::start().await;
    let [locked, free] = harness.products([5, 5]).await;
    let waiting = harness.outcome_of(&reserve_for(3600, &[(locked, 1), (free, 1)])).await.reservation();
    let other = harness.outcome_of(&reserve_for(3600, &[(free, 2)])).await.reservation();
    let mut somebody = harness.site().database.connect().await;
    let mut transaction = somebody.begin().await.unwrap();
    let lock = sqlx::query("SELECT 1 FROM stock WHERE product_id = $1 FOR UPDATE").bind(locked);
    lock.execute(&mut *transaction).await.unwrap();

    let_lapse(&harness).await;
    harness.lapse_of(&other).await;
    harness.assert_level(free, 4, 1).await;
    harness.assert_level(locked, 4, 1).await;

    transaction.rollback().await.unwrap();
    harness.lapse_of(&waiting).await;
    harness.assert_level(locked, 5, 0).await;
    harness.finish().await;
}

/// More of them than a sweep takes at once.
#[tokio::test]
async fn holds_that_somebody_has_locked_keep_no_other_waiting() {
    let mut harness = Setup::new().start().await;
    let [locked, free] = harness.products([300, 5]).await;
    let waiting = hold_one_each(&mut harness, 257, locked).await;
    let other = harness.outcome_of(&reserve_for(3600, &[(free, 2)])).await.reservation();
    // Such a lock lets an update pass, and not the sweep.
    let sql = format!("SELECT 1 FROM reservation WHERE '{locked}' = ANY (product_ids) FOR KEY SHARE");
    let lock = harness.site().database.hold(&sql).await;

    let others_first = format!(
        "UPDATE reservation SET expires_at = now() + interval '1 second' * (reservation_id = '{other}')::int"
    );
    assert_eq!(harness.site().database.execute(&others_first).await, 258);
    harness.lapse_of(&other).await;
    harness.assert_level(locked, 43, 257).await;
    // A second later at least than the other one.
    assert!(harness.services()[0].metric("inventory_expiry_lag_seconds").await >= 1);

    lock.close().await.unwrap();
    assert_all_lapse(&mut harness, &waiting).await;
    harness.finish().await;
}

#[tokio::test]
async fn the_default_hold_is_for_reserves_that_name_none() {
    let mut harness = Setup::new().with("INVENTORY__EXPIRY__DEFAULT_HOLD_SECONDS", "2").start().await;
    let product = harness.product(9).await;
    let cart = Uuid::new_v4();
    let named = harness.outcome_of(&reserve_for(500, &[(product, 1)])).await;
    let unnamed = harness.reserve(cart, &[(product, 1)]).await;
    for (event, seconds) in [(&named, 500), (&unnamed, 2)] {
        assert_eq!(time(event.text("expiresAt")) - time(event.text("reservedAt")), seconds, "{event:?}");
    }
    harness.lapse_of(&unnamed.reservation()).await;
    // The cart begins anew.
    let anew = harness.reserve(cart, &[(product, 1)]).await.reservation();
    assert_ne!(anew, unnamed.reservation());
    assert_eq!(harness.reservation(&named.reservation()).await.text("status"), "HELD");
    harness.lapse_of(&anew).await;
    harness.finish().await;
}

#[tokio::test]
async fn with_two_replicas_each_hold_lapses_once() {
    let setup = Setup::new().replicas(2).with("INVENTORY__EXPIRY__SWEEP_INTERVAL_MS", "10");
    let mut harness = setup.start().await;
    let product = harness.product(700).await;
    let reservations = hold_one_each(&mut harness, 700, product).await;
    let_lapse(&harness).await;
    assert_all_lapse(&mut harness, &reservations).await;
    harness.assert_level(product, 700, 0).await;
    let facts = "SELECT count(*) FROM reservation_movement";
    assert_eq!(harness.site().database.number(facts).await, 700);
    assert!(harness.client.movements.rest().await.is_empty(), "told twice, and nobody had died");
    harness.assert_quiet_log();
    harness.finish().await;
}

#[tokio::test]
async fn a_replica_that_dies_while_holds_lapse_leaves_each_lapsed_once() {
    let setup = Setup::new().replicas(2).with("INVENTORY__OUTBOX__LEASE_SECONDS", "1");
    let mut harness = setup.with("INVENTORY__EXPIRY__SWEEP_INTERVAL_MS", "10").start().await;
    let product = harness.product(2000).await;
    let reservations = hold_one_each(&mut harness, 2000, product).await;
    harness.until_all_is_published().await;
    // What was in the outbox for longer than its lease was told twice.
    harness.client.events.rest().await;
    let_lapse(&harness).await;
    // In the middle of it, at a moment that nobody chose.
    let first = harness.client.movements.next("the first lapse").await;
    harness.services()[0].kill();
    harness.services().remove(0);

    let mut told = HashMap::from([(first.text("reservationId").to_owned(), first)]);
    for reservation in &reservations {
        if !told.contains_key(reservation) {
            let lapsed = harness.lapse_of(reservation).await;
            told.insert(reservation.clone(), lapsed);
        }
    }
    // An event that comes again is the very same.
    for again in harness.client.movements.rest().await {
        let first = &told[again.text("reservationId")];
        assert_eq!((again.id(), &again.body), (first.id(), &first.body));
    }
    harness.assert_level(product, 2000, 0).await;
    // What was in the outbox for longer than its lease may be on its way still.
    let again = harness.finish_after_an_outage().await;
    assert!(
        again.iter().all(|event| reservations.contains(&event.reservation())),
        "no reserve was under way"
    );
}

#[tokio::test]
async fn holds_that_lapsed_while_nobody_ran_lapse_at_the_next_start() {
    let mut harness = Setup::new().start().await;
    let product = harness.product(400).await;
    let reservations = hold_one_each(&mut harness, 400, product).await;
    harness.services()[0].stop().await;
    harness.services().clear();
    let_lapse(&harness).await;
    harness.add_replica().await;
    assert_all_lapse(&mut harness, &reservations).await;
    harness.assert_level(product, 400, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn the_clock_of_the_database_decides() {
    let site = Site::shared().await.with("INVENTORY__DATABASE__MIGRATE", "false");
    let clock = DatabaseClock::install(&site).await;
    let mut harness = Harness::of(Deployment::start(site, 1).await).await;
    let product = harness.product(5).await;
    let reserved = harness.outcome_of(&reserve_for(200, &[(product, 2)])).await;
    let lasting = harness.outcome_of(&reserve_for(400, &[(product, 1)])).await.reservation();

    // What is published but not forgotten yet would be told again: its lease is over then.
    harness.until_all_is_published().await;
    clock.advance(harness.site(), 300).await;
    let lapsed = harness.lapse_of(&reserved.reservation()).await;
    let late = time(lapsed.text("releasedAt")) - time(reserved.text("expiresAt"));
    assert!((99..160).contains(&late), "{late} seconds, by the clock of the database");
    assert_eq!(harness.reservation(&lasting).await.text("status"), "HELD");
    harness.assert_level(product, 4, 1).await;
    harness.finish().await;
}

#[tokio::test]
async fn whatever_touches_a_lapsed_hold_finds_it_lapsed() {
    let mut harness = without_sweep().start().await;
    let product = harness.product(50).await;
    for (status, code) in [("RELEASED", ""), ("", "EXCEEDS_HELD"), ("", "HOLD_LAPSED")] {
        let id = harness.outcome_of(&reserve_for(3600, &[(product, 7)])).await.reservation();
        let_lapse(&harness).await;
        let command = match code {
            "" => Message::release(&id).with("reason", "ORDER_CANCELLED"),
            "EXCEEDS_HELD" => Message::release(&id).of(&[(product, 1)]),
            _ => Message::extend(&id, 900),
        };
        let reply = harness.ask(command).await;
        if code.is_empty() {
            assert_eq!(reply.text("status"), status, "{reply:?}");
        } else {
            reply.assert_problem(code, 409);
            assert!(reply.json.get("unavailableItems").is_none(), "{reply:?}");
        }
        // Not the sender's reason: the release came too late to be one.
        harness.lapse_of(&id).await;
        assert_eq!(harness.reservation(&id).await.text("reason"), "EXPIRED");
        harness.assert_level(product, 50, 0).await;
    }
    assert!(harness.client.movements.rest().await.is_empty(), "the lapses, and nothing else");
    harness.finish().await;
}

#[tokio::test]
async fn a_cart_whose_hold_has_lapsed_begins_anew() {
    let mut harness = without_sweep().start().await;
    let product = harness.product(5).await;
    let (cart, chosen) = (Uuid::new_v4(), Uuid::new_v4().to_string());
    let command = Message::reserve(cart, &[(product, 3)]).with("holdSeconds", 3600);
    harness.outcome_of(&command.clone().with("reservationId", chosen.as_str())).await.reservation();
    let_lapse(&harness).await;

    // The same items, and yet another reservation: there is none that stands.
    let again = Message::reserve(cart, &[(product, 3)]);
    let new = harness.outcome_of(&again).await.reservation();
    assert_ne!(new, chosen);
    harness.lapse_of(&chosen).await;
    harness.assert_level(product, 2, 3).await;
    // Under the old id there is nothing to be had any more.
    let late = Message::reserve(cart, &[(product, 1)]).with("reservationId", chosen.as_str());
    let event = harness.outcome_of(&late).await;
    assert_eq!((event.kind(), &event.json["reason"]), ("InventoryUnavailable", &"RELEASED_BEFORE".into()));
    harness.assert_level(product, 2, 3).await;
    harness.finish().await;
}

/// Demands what an extension is answered.
fn assert_extended(reply: &Received, reservation: &str) {
    assert_eq!((reply.kind(), reply.text("status")), ("ExtendHold", "HELD"), "{reply:?}");
    assert_eq!(reply.text("reservationId"), reservation);
}

#[tokio::test]
async fn an_extension_moves_the_end_later_never_earlier() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    let reserved = harness.outcome_of(&reserve_for(600, &[(product, 1)])).await;
    let short = harness.outcome_of(&reserve_for(600, &[(product, 1)])).await.reservation();
    let id = reserved.reservation();

    let later = harness.ask(Message::extend(&id, 2000)).await;
    assert_extended(&later, &id);
    let moved = time(later.text("expiresAt")) - time(reserved.text("reservedAt"));
    assert!((2000..2100).contains(&moved), "{moved} seconds");
    let earlier = harness.ask(Message::extend(&id, 1)).await;
    assert_eq!(earlier.text("expiresAt"), later.text("expiresAt"));
    assert_eq!(harness.reservation(&id).await.text("expiresAt"), later.text("expiresAt"));

    // It lives on, when the other one does not.
    let sooner = format!(
        "UPDATE reservation SET expires_at = expires_at - interval '599 seconds' WHERE reservation_id IN ('{id}', '{short}')"
    );
    assert_eq!(harness.site().database.execute(&sooner).await, 2);
    harness.lapse_of(&short).await;
    assert_eq!(harness.reservation(&id).await.text("status"), "HELD");
    assert!(harness.client.movements.rest().await.is_empty(), "an extension is no event");
    harness.finish().await;
}

#[tokio::test]
async fn a_hold_without_an_end_is_left_so() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    let id = harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
    let reply = harness.ask(Message::extend(&id, 1)).await;
    assert_extended(&reply, &id);
    assert!(reply.json.get("expiresAt").is_none(), "{reply:?}");
    assert!(harness.reservation(&id).await.json.get("expiresAt").is_none());
    harness.finish().await;
}

#[tokio::test]
async fn what_is_not_held_cannot_be_extended() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    let extend = |id: &str| Message::extend(id, 60);
    let [released, consumed] = [
        harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation(),
        harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation(),
    ];
    harness.release(&released).await;
    harness.ask(Message::consume(&consumed)).await;
    harness.ask(extend(&released)).await.assert_problem("RESERVATION_RELEASED", 409);
    harness.ask(extend(&consumed)).await.assert_problem("RESERVATION_CONSUMED", 409);

    // What nobody knows is not remembered: its reserve is welcome.
    let unknown = Uuid::new_v4().to_string();
    harness.ask(extend(&unknown)).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with("reservationId", unknown.as_str());
    assert_eq!(harness.outcome_of(&reserve).await.reservation(), unknown);
    harness.finish().await;
}

/// As after somebody has tampered with the books. They are not what is tested: they stay broken.
#[tokio::test]
async fn a_product_that_is_gone_keeps_no_other_hold_from_lapsing() {
    let mut harness = Setup::new().start().await;
    let [gone, there] = harness.products([5, 5]).await;
    let of_both =
        [hold_one_each(&mut harness, 1, gone).await, hold_one_each(&mut harness, 1, there).await].concat();
    harness.site().database.execute(&format!("DELETE FROM stock WHERE product_id = '{gone}'")).await;
    let_lapse(&harness).await;
    assert_all_lapse(&mut harness, &of_both).await;
    harness.assert_level(there, 5, 0).await;
}
