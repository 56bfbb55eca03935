//! `inventory repair`: says what it would mend, mends it with a reason, and leaves what cannot be mended.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::{assert_refused, json_of, migrated};
use crate::support::clock::DatabaseClock;
use crate::support::deployment::Deployment;
use crate::support::process::{Ended, run};
use crate::support::site::Site;
use crate::support::{Harness, Message, Received};

/// What is written down with every repair.
const REASON: &str = "a restore of last night's backup";

async fn apply(site: &Site) -> Ended {
    site.inventory_by("nadia", &["repair", "--apply", "--reason", REASON]).await
}

/// Demands that everything was mended, with these words about it.
fn assert_mended(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for word in words {
        assert!(ended.stdout.contains(word), "{word:?} is not in {ended:?}");
    }
}

async fn tamper(site: &Site, sql: &str) {
    assert!(site.database.execute(sql).await > 0, "{sql}");
}

/// Demands that the ledger tells of so many repairs of a product, by whom and why.
async fn assert_in_the_ledger(site: &Site, product: Uuid, repairs: usize) {
    let ledger = site.ledger(product).await;
    let repaired: Vec<&Value> = ledger.iter().filter(|entry| entry["kind"] == "REPAIRED").collect();
    assert_eq!(repaired.len(), repairs, "{ledger:#?}");
    for entry in repaired {
        assert_eq!(entry["operator"], "nadia", "{entry}");
        assert!(entry["reason"].as_str().unwrap().ends_with(REASON), "{entry}");
    }
}

/// Everything in the books, as a number: whatever is written changes it.
async fn fingerprint(site: &Site) -> i64 {
    let tables = [
        "stock",
        "stock_change",
        "reservation",
        "reservation_movement",
        "stock_brought_forward",
        "repair",
        "command_outcome",
        "outbox",
    ];
    let rows =
        tables.map(|table| format!("SELECT t.xmin::text || t.ctid::text || t::text AS row FROM {table} t"));
    let sql =
        format!("SELECT coalesce(sum(hashtext(row)), 0)::bigint FROM ({}) AS t", rows.join(" UNION ALL "));
    site.database.number(&sql).await
}

#[tokio::test]
async fn without_being_told_to_it_changes_nothing_and_says_what_it_would_do() {
    let site = migrated().await;
    let id = Uuid::new_v4().to_string();
    site.told(&["stock", "set", &id, "10"]).await;
    let balanced = site.told(&["repair"]).await;
    assert!(balanced.contains("nothing to mend"), "{balanced}");

    tamper(&site, "UPDATE stock SET on_hand = 13").await;
    tamper(&site, "UPDATE stock_change SET changed_at = changed_at + interval '1 day'").await;
    let before = fingerprint(&site).await;
    let text = site.inventory(&["repair", "--reason", REASON]).await;
    assert_refused(&text, 1, &["nothing was changed", "1 of 2", "--apply --reason"]);
    for word in
        [&id, "stock.onHand", "would be mended: the stock row follows the facts", "left: the fact itself"]
    {
        assert!(text.stdout.contains(word), "{word:?} is not in {text:?}");
    }
    let ended = site.inventory(&["repair", "--json"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let plan = json_of(&ended.stdout);
    assert_eq!(plan["applied"], false);
    let mut mends: Vec<(&Value, &Value, &Value)> = Vec::new();
    for mend in plan["mends"].as_array().unwrap() {
        assert_eq!(mend["productId"], *id, "{mend}");
        mends.push((&mend["check"], &mend["mendable"], &mend["mended"]));
    }
    let [yes, no, on_hand, time] =
        [json!(true), json!(false), json!("stock.onHand"), json!("stockChange.time")];
    assert_eq!(mends, [(&on_hand, &yes, &no), (&time, &no, &no)]);
    assert_eq!(fingerprint(&site).await, before);
}

#[tokio::test]
async fn nothing_is_mended_without_a_reason() {
    let site = migrated().await;
    let id = Uuid::new_v4().to_string();
    site.told(&["stock", "set", &id, "10"]).await;
    tamper(&site, "UPDATE stock SET on_hand = 13").await;
    let before = fingerprint(&site).await;
    for arguments in [&["repair", "--apply"][..], &["repair", "--apply", "--reason", ""]] {
        assert_refused(&site.inventory(arguments).await, 2, &["--reason"]);
    }
    assert_eq!(fingerprint(&site).await, before);
}

/// A product that is sold over and over, by every kind of command.
struct Sale {
    harness: Harness,
    product: Uuid,
}

impl Sale {
    /// Some carts of one unit each; gives how many units left the house.
    async fn go_on(&mut self) -> i64 {
        let lines = [(self.product, 1)];
        let carts = [(); 12].map(|()| Message::reserve(Uuid::new_v4(), &lines));
        self.harness.client.send_all(&carts).await;
        let mut consumed = 0;
        for (number, cart) in carts.iter().enumerate() {
            let id = self.harness.next_outcome_of(cart).await.reservation();
            match number % 3 {
                0 => {
                    self.harness.ask(Message::consume(&id)).await;
                    consumed += 1;
                }
                1 => self.harness.release(&id).await,
                _ => {}
            }
        }
        consumed
    }
}

#[tokio::test]
async fn stock_is_mended_by_the_difference_while_it_is_being_sold() {
    let harness = Harness::start().await;
    let product = harness.product(5000).await;
    let mut sale = Sale { harness, product };
    let mut consumed = sale.go_on().await;
    let more = format!(
        "UPDATE stock SET on_hand = on_hand + 70, reserved = reserved + 20 WHERE product_id = '{product}'"
    );
    tamper(sale.harness.site(), &more).await;
    let mut repair = sale.harness.site().command(&["repair", "--apply", "--reason", REASON]);
    repair.env("SUDO_USER", "nadia");
    let repairing = tokio::spawn(run(repair));
    while !repairing.is_finished() {
        consumed += sale.go_on().await;
    }
    assert_mended(&repairing.await.unwrap(), &["mended: on hand", "by -70", "mended: reserved", "by -20"]);

    let shown = sale.harness.site().json(&["stock", "show", &product.to_string()]).await;
    // Of twelve carts four are consumed, four released, and four are still held.
    assert_eq!((&shown["onHand"], &shown["reserved"]), (&json!(5000 - consumed), &json!(consumed)));
    assert_in_the_ledger(sale.harness.site(), product, 2).await;
    sale.harness.finish().await;
}

#[tokio::test]
async fn a_missing_stock_row_is_made_again_and_a_surplus_one_goes() {
    let mut harness = Harness::start().await;
    let (product, nobodys) = (harness.product(10).await, Uuid::new_v4());
    harness.reserve(Uuid::new_v4(), &[(product, 4)]).await.reservation();
    let site = harness.site();
    tamper(site, &format!("DELETE FROM stock WHERE product_id = '{product}'")).await;
    let surplus = format!("INSERT INTO stock (product_id, on_hand, version) VALUES ('{nobodys}', 3, 1)");
    tamper(site, &surplus).await;

    assert_mended(
        &apply(site).await,
        &["the missing stock row was made, with 10 on hand", "reserved 0 became 4", "was deleted"],
    );
    let shown = site.json(&["stock", "show", &product.to_string()]).await;
    assert_eq!((&shown["onHand"], &shown["reserved"]), (&json!(10), &json!(4)));
    assert_in_the_ledger(site, product, 2).await;
    assert_refused(&site.inventory(&["stock", "show", &nobodys.to_string()]).await, 1, &["not known"]);
    // Versions begin anew with the row: 1 is told once more.
    harness.next_stock_event(product).await;
    assert_eq!(harness.next_stock_event(product).await.json["version"], 1);
    harness.finish().await;
}

#[tokio::test]
async fn a_version_of_the_wrong_parity_is_mended_and_subscribers_are_told() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    assert_eq!(harness.next_stock_event(product).await.json["version"], 1);
    let sold_out = format!("UPDATE stock SET version = 2 WHERE product_id = '{product}'");
    tamper(harness.site(), &sold_out).await;

    assert_mended(&apply(harness.site()).await, &["stock.version", "version and event"]);
    let told = harness.next_stock_event(product).await;
    assert_eq!((told.kind(), &told.json["version"]), ("StockReplenished", &json!(3)));
    assert_eq!(told.json["available"], 5);
    assert_in_the_ledger(harness.site(), product, 1).await;
    harness.finish().await;
}

#[tokio::test]
async fn an_overdue_hold_lapses_and_subscribers_are_told() {
    let site = Site::shared().await.with("INVENTORY__DATABASE__MIGRATE", "false");
    let clock = DatabaseClock::install(&site).await;
    let site = site.with("INVENTORY__EXPIRY__SWEEP_INTERVAL_MS", "60000");
    let mut harness = Harness::of(Deployment::start(site, 1).await).await;
    let product = harness.product(5).await;
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 2)]).with("holdSeconds", 200);
    let id = harness.outcome_of(&reserve).await.reservation();
    // Or it would have waited as long.
    harness.until_all_is_published().await;
    clock.advance(harness.site(), 300).await;
    let ended = harness.site().inventory(&["verify"]).await;
    assert!(ended.stdout.contains(&format!("hold.overdue: reservation {id}")), "{ended:?}");

    assert_mended(&apply(harness.site()).await, &[&id, "mended: the hold has lapsed"]);
    assert_eq!(harness.lapse_of(&id).await.items(), [(product.to_string(), 2)]);
    harness.assert_level(product, 5, 0).await;
    let written = format!(
        "SELECT count(*) FROM repair WHERE reservation_id = '{id}' AND repaired_by = 'nadia' AND reason = $${REASON}$$"
    );
    assert_eq!(harness.site().database.number(&written).await, 1);
    harness.finish().await;
}

#[tokio::test]
async fn a_hold_that_cannot_be_read_is_left_and_the_rest_is_mended() {
    let site = migrated().await;
    let [product, cart] = [Uuid::now_v7(), Uuid::new_v4()];
    site.told(&["stock", "set", &product.to_string(), "5"]).await;
    let broken = format!(
        "INSERT INTO reservation (reservation_id, cart_id, state, product_ids, quantities, released, consumed,
                                  reserved_at, expires_at)
         VALUES ('{cart}', '{cart}', 'HELD', '{{{product}}}', '{{1}}', '{{2}}', '{{0}}', now() - interval '1 hour',
                 now() - interval '1 minute');
         INSERT INTO reservation_movement (reservation_id, kind, product_ids, quantities, moved_at)
         VALUES ('{cart}', 'RELEASED', '{{{product}}}', '{{2}}', now() - interval '30 minutes')"
    );
    tamper(&site, &broken).await;
    tamper(&site, "UPDATE stock SET on_hand = 6").await;

    let ended = apply(&site).await;
    assert_refused(&ended, 1, &["hold.overdue"]);
    for words in ["left: the books are broken", "mended: on hand 6 became 5"] {
        assert!(ended.stdout.contains(words), "{words:?} is not in {ended:?}");
    }
}

#[tokio::test]
async fn an_event_that_one_replica_kept_for_itself_is_freed_and_published() {
    let mut harness = Harness::start().await;
    let (event, reservation) = (Uuid::now_v7(), Uuid::now_v7());
    let body = json!({
        "reservationId": reservation, "cartId": Uuid::new_v4(), "releasedAt": "2026-01-01T00:00:00.000000Z",
        "items": [{ "productId": Uuid::new_v4(), "quantity": 1 }],
    });
    let kept = format!(
        "INSERT INTO outbox (events, event_ids, event_types, subjects, bodies, occurred_at, claimed_until)
         VALUES (1, '{{{event}}}', '{{InventoryReleased}}', '{{{reservation}}}', ARRAY[convert_to('{body}', 'UTF8')],
                 ARRAY[now()], 'infinity')"
    );
    tamper(harness.site(), &kept).await;

    let freed = apply(harness.site()).await;
    assert_mended(&freed, &["outbox.overdue", &event.to_string(), "may be published by any replica"]);
    let is_it = |told: &Received| told.id() == event.to_string();
    let told = harness.client.movements.next_that("the event that was kept", is_it).await;
    assert_eq!(told.json, body);
    harness.finish().await;
}

#[tokio::test]
async fn an_outcome_without_its_reservation_is_forgotten_and_its_command_decided_anew() {
    let mut harness = Harness::start().await;
    let product = harness.product(5).await;
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 2)]);
    let lost = harness.outcome_of(&reserve).await.reservation();
    let delete = format!("DELETE FROM reservation WHERE reservation_id = '{lost}'");
    tamper(harness.site(), &delete).await;

    let mended = apply(harness.site()).await;
    assert_mended(
        &mended,
        &["outcome.withoutReservation", &lost, reserve.id(), "was deleted", "reserved 2 became 0"],
    );
    let anew = harness.outcome_of(&reserve).await.reservation();
    assert_ne!(anew, lost);
    harness.assert_level(product, 3, 2).await;
    harness.finish().await;
}

#[tokio::test]
async fn a_reservation_follows_its_movements() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let [part, whole] = [5, 2].map(|units| Message::reserve(Uuid::new_v4(), &[(product, units)]));
    let part = harness.outcome_of(&part).await.reservation();
    harness.ask(Message::consume(&part).of(&[(product, 3)])).await;
    let whole = harness.outcome_of(&whole).await.reservation();
    harness.ask(Message::release(&whole).with("reason", "ORDER_CANCELLED")).await;
    for (set, id) in
        [("consumed = '{1}'", &part), ("state = 'HELD', ended_at = NULL, end_reason = NULL", &whole)]
    {
        tamper(harness.site(), &format!("UPDATE reservation SET {set} WHERE reservation_id = '{id}'")).await;
    }

    assert_mended(&apply(harness.site()).await, &[&part, &whole, "as its movements tell"]);
    let now = harness.reservation(&part).await;
    assert_eq!((now.text("status"), now.parts_of(product)), ("HELD", (5, 2, 0, 3)));
    let now = harness.reservation(&whole).await;
    assert_eq!((now.text("status"), now.text("reason")), ("RELEASED", "ORDER_CANCELLED"));
    harness.assert_level(product, 4, 2).await;
    harness.finish().await;
}

#[tokio::test]
async fn what_cannot_be_mended_is_left_with_what_a_person_can_do() {
    let site = migrated().await;
    let id = Uuid::new_v4().to_string();
    site.told(&["stock", "set", &id, "10"]).await;
    tamper(&site, "UPDATE stock SET on_hand = 13").await;
    tamper(&site, "UPDATE stock_change SET changed_at = changed_at + interval '1 day'").await;

    let ended = apply(&site).await;
    assert_refused(&ended, 1, &["do not balance: 1 finding", "left:", "stockChange.time", &id]);
    assert!(ended.stdout.contains("mended: on hand 13 became 10, by -3"), "the rest is mended: {ended:?}");
    assert!(ended.stdout.contains("left: the fact itself is wrong: restore the row"), "{ended:?}");
    assert_eq!(site.database.number("SELECT count(*) FROM repair").await, 1, "what is left is no repair");
    let checks: Vec<Value> = site.findings().await.iter().map(|finding| finding["check"].clone()).collect();
    assert_eq!(checks, ["stockChange.time"]);
}

#[tokio::test]
async fn only_one_repairs_at_a_time() {
    let site = migrated().await;
    let id = Uuid::new_v4().to_string();
    site.told(&["stock", "set", &id, "10"]).await;
    tamper(&site, "UPDATE stock SET on_hand = 13").await;
    let mut holder = site.database.connect().await;
    sqlx::raw_sql("BEGIN; SELECT FROM stock FOR UPDATE").execute(&mut holder).await.unwrap();
    let first = tokio::spawn(run(site.command(&["repair", "--apply", "--reason", REASON])));
    site.database.until_somebody_waits_for_a_lock().await;

    let second = apply(&site).await;
    assert_refused(&second, 1, &["somebody else is repairing"]);
    assert_eq!(second.stdout, "");
    let looked = site.inventory(&["repair"]).await;
    assert_refused(&looked, 1, &["nothing was changed"]);
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    assert_mended(&first.await.unwrap(), &["by -3"]);
    assert_mended(&apply(&site).await, &["nothing to mend"]);
}
