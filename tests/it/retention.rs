//! Retention: what is past its time leaves, into nothing or into CSV files, and the books still balance.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::{assert_refused, migrated};
use crate::support::eventually;
use crate::support::process::{inventory, run};
use crate::support::site::Site;

/// Reservations more than leave in one step.
const CROWD: i64 = 600;

/// A shop of four years, by name. Retention is the default: a week for outcomes, three years for reservations.
struct Shop {
    site: Site,
    product: Uuid,
    /// Of which one unit each was consumed four years ago.
    crowded: Uuid,
    /// Consumed four years ago in two parts, with an order.
    old: Uuid,
    /// Lapsed four years ago, and a part of it consumed late.
    late: Uuid,
    /// Released four years ago before it was reserved.
    early: Uuid,
    /// Held for four years.
    held: Uuid,
    /// Consumed two years ago.
    recent: Uuid,
}

impl Shop {
    /// Of 100 units 4 and 1 were consumed four years ago and 7 two years ago; 3 are still held.
    async fn open() -> Self {
        let [product, crowded, old, late, early, held, recent] = [(); 7].map(|()| Uuid::now_v7());
        let shop = Self { site: migrated().await, product, crowded, old, late, early, held, recent };
        // In one transaction, so that now is the same moment everywhere.
        let rows = [shop.stock(), shop.reservations(), shop.movements(), shop.crowd(), shop.outcomes()];
        shop.site.database.execute(&rows.join(";")).await;
        assert_eq!(shop.site.findings().await, [] as [Value; 0], "before anything leaves");
        shop
    }

    fn stock(&self) -> String {
        let Self { product, crowded, .. } = self;
        format!(
            "INSERT INTO stock (product_id, on_hand, reserved, version) VALUES ('{product}', 88, 3, 1), ('{crowded}', 0, 0, 2);
             INSERT INTO stock_change (product_id, kind, quantity_delta, on_hand_after, changed_at)
             VALUES ('{product}', 'COUNTED', 100, 100, now() - interval '1500 days'),
                    ('{crowded}', 'COUNTED', {CROWD}, {CROWD}, now() - interval '1500 days')"
        )
    }

    fn reservations(&self) -> String {
        let Self { product, old, late, early, held, recent, .. } = self;
        format!(
            "INSERT INTO reservation (reservation_id, cart_id, order_id, state, product_ids, quantities, reserved_at,
                                      expires_at, ended_at, end_reason, consumed, reserved_by)
             VALUES
             ('{old}', gen_random_uuid(), '{old}', 'CONSUMED', '{{{product}}}', '{{4}}', now() - interval '1460 days',
              NULL, now() - interval '1458 days', NULL, '{{4}}', 'the \"old\" one'),
             ('{late}', gen_random_uuid(), NULL, 'RELEASED', '{{{product}}}', '{{2}}', now() - interval '1460 days',
              now() - interval '1459 days', now() - interval '1459 days', 'LAPSED', '{{1}}', NULL),
             ('{early}', NULL, NULL, 'RELEASED', '{{}}', '{{}}', NULL, NULL, now() - interval '1460 days', NULL, NULL, NULL),
             ('{held}', gen_random_uuid(), NULL, 'HELD', '{{{product}}}', '{{3}}', now() - interval '1460 days',
              NULL, NULL, NULL, NULL, NULL),
             ('{recent}', gen_random_uuid(), NULL, 'CONSUMED', '{{{product}}}', '{{7}}', now() - interval '1460 days',
              NULL, now() - interval '730 days', NULL, NULL, NULL)"
        )
    }

    fn movements(&self) -> String {
        let Self { product, old, late, recent, .. } = self;
        format!(
            "INSERT INTO reservation_movement (reservation_id, kind, reason, product_ids, quantities, moved_at, caused_by)
             VALUES ('{old}', 'CONSUMED', NULL, '{{{product}}}', '{{3}}', now() - interval '1459 days', 'first, part'),
                    ('{late}', 'RELEASED', 'LAPSED', '{{{product}}}', '{{2}}', now() - interval '1459 days', NULL),
                    ('{old}', 'CONSUMED', NULL, '{{{product}}}', '{{1}}', now() - interval '1458 days', NULL),
                    ('{late}', 'CONSUMED_LATE', NULL, '{{{product}}}', '{{1}}', now() - interval '1450 days', NULL),
                    ('{recent}', 'CONSUMED', NULL, '{{{product}}}', '{{7}}', now() - interval '730 days', NULL)"
        )
    }

    fn crowd(&self) -> String {
        let Self { crowded, .. } = self;
        format!(
            "WITH made AS (
                 INSERT INTO reservation (reservation_id, cart_id, state, product_ids, quantities, reserved_at, ended_at)
                 SELECT gen_random_uuid(), gen_random_uuid(), 'CONSUMED', '{{{crowded}}}', '{{1}}',
                        now() - interval '1400 days', now() - interval '1399 days'
                 FROM generate_series(1, {CROWD}) RETURNING *)
             INSERT INTO reservation_movement (reservation_id, kind, product_ids, quantities, moved_at)
             SELECT reservation_id, 'CONSUMED', product_ids, quantities, ended_at FROM made"
        )
    }

    fn outcomes(&self) -> String {
        let Self { held, .. } = self;
        format!(
            "INSERT INTO command_outcome (message_id, body_hash, outcome, answer_id, subject, body, decided_at)
             SELECT convert_to(message, 'UTF8'), sha256('1'), 'RESERVATION_NOT_FOUND', gen_random_uuid(), '{held}',
                    convert_to('{{\"code\":\"RESERVATION_NOT_FOUND\"}}', 'UTF8'), now() - age
             FROM (VALUES ('eight, \"days\"', interval '8 days'), ('six days', interval '6 days')) AS old (message, age)"
        )
    }

    /// Runs a service until everything past its time has left.
    async fn clear_out(&self) {
        let mut service = self.site.start_service().await;
        service.ready().await;
        let past = "SELECT (SELECT count(*) FROM reservation WHERE ended_at < now() - interval '1095 days')
                         + (SELECT count(*) FROM command_outcome WHERE decided_at < now() - interval '7 days')";
        let left = async || self.site.database.number(past).await == 0;
        eventually("that everything past its time has left", left).await;
        service.stop().await;
    }

    async fn is_known(&self, reservation: Uuid) -> bool {
        let shown = self.site.inventory(&["reservation", "show", &reservation.to_string()]).await;
        assert!(matches!(shown.code, Some(0 | 1)), "{shown:?}");
        shown.code == Some(0)
    }
}

#[tokio::test]
async fn what_is_past_its_time_leaves_and_the_books_still_balance() {
    let shop = Shop::open().await;
    shop.clear_out().await;
    for (reservation, stays) in
        [(shop.old, false), (shop.late, false), (shop.early, false), (shop.held, true), (shop.recent, true)]
    {
        assert_eq!(shop.is_known(reservation).await, stays, "{reservation}");
    }
    let database = &shop.site.database;
    assert_eq!(database.number("SELECT count(*) FROM reservation_movement").await, 1);
    assert_eq!(
        database.number("SELECT count(*) FROM command_outcome WHERE message_id = 'six days'").await,
        1
    );
    assert_eq!(database.number("SELECT count(*) FROM command_outcome").await, 1);
    assert_eq!(shop.site.findings().await, [] as [Value; 0]);
}

#[tokio::test]
async fn the_ledger_brings_forward_what_has_left_and_ends_at_today() {
    let shop = Shop::open().await;
    let whole = shop.site.ledger(shop.product).await;
    shop.clear_out().await;
    let ledger = shop.site.ledger(shop.product).await;
    let kinds: Vec<&str> = ledger.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["COUNTED", "RESERVED", "RESERVED", "BROUGHT_FORWARD", "CONSUMED"]);
    let forward = &ledger[3];
    assert_eq!((&forward["onHandDelta"], &forward["reservedDelta"]), (&json!(-5), &json!(0)));
    assert!(forward["reason"].as_str().unwrap().contains("retention"), "{forward}");
    // It is made of the moment of the last of these.
    let last_of_them = whole.iter().find(|entry| entry["kind"] == "CONSUMED_LATE").unwrap();
    assert_eq!(forward["at"], last_of_them["at"]);
    assert_eq!(ledger.last(), whole.last(), "the consumption of two years ago, and the same balance");

    let crowded = shop.site.ledger(shop.crowded).await;
    assert_eq!((crowded.len(), &crowded[1]["onHandDelta"]), (2, &json!(-CROWD)));
}

/// A directory of a test's own.
fn directory() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-export", Uuid::new_v4()));
    std::fs::create_dir(&path).unwrap();
    path
}

type Row = HashMap<String, String>;

/// The lines of the one file of a table.
fn exported(directory: &Path, table: &str) -> Vec<Row> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    let of_table: Vec<&String> =
        names.iter().filter(|name| name.starts_with(&format!("{table}-20"))).collect();
    // Two where midnight has come in between.
    assert!(!of_table.is_empty() && names.len() >= 3, "{names:?}");
    let rows = of_table.iter().flat_map(|name| {
        let file = csv::Reader::from_path(directory.join(name)).unwrap();
        file.into_deserialize::<Row>().map(Result::unwrap)
    });
    rows.collect()
}

fn of(rows: &[Row], reservation: Uuid) -> Vec<&Row> {
    rows.iter().filter(|row| row["reservation_id"] == reservation.to_string()).collect()
}

fn items(row: &Row) -> Value {
    serde_json::from_str(&row["items"]).unwrap_or_else(|error| panic!("{error}: {row:?}"))
}

#[tokio::test]
async fn what_leaves_is_in_the_files() {
    let mut shop = Shop::open().await;
    let directory = directory();
    shop.site = shop.site.with("INVENTORY__RETENTION__EXPORT_DIRECTORY", directory.to_str().unwrap());
    let shown = shop.site.json(&["reservation", "show", &shop.old.to_string()]).await;
    shop.clear_out().await;

    assert_reservations(&shop, &shown, &exported(&directory, "reservations"));
    assert_movements(&shop, &shown, &exported(&directory, "movements"));
    let outcomes = exported(&directory, "outcomes");
    let [outcome] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!(outcome["message_id"], "eight, \"days\"");
    assert_eq!(
        (&*outcome["outcome"], &*outcome["subject"]),
        ("RESERVATION_NOT_FOUND", &*shop.held.to_string())
    );
    assert_eq!(outcome["body"], "{\"code\":\"RESERVATION_NOT_FOUND\"}");
    assert_eq!(shop.site.findings().await, [] as [Value; 0]);
    std::fs::remove_dir_all(directory).unwrap();
}

fn assert_reservations(shop: &Shop, shown: &Value, rows: &[Row]) {
    assert_eq!(rows.len(), usize::try_from(CROWD).unwrap() + 3, "and neither held nor recent ones");
    let old = of(rows, shop.old)[0];
    for (column, field) in [
        ("cart_id", "cartId"),
        ("order_id", "orderId"),
        ("reserved_at", "reservedAt"),
        ("ended_at", "endedAt"),
    ] {
        assert_eq!(old[column], shown[field], "{column}");
    }
    assert_eq!(
        (&*old["state"], &*old["end_reason"], &*old["reserved_by"]),
        ("CONSUMED", "", "the \"old\" one")
    );
    assert_eq!(items(old), json!([{ "productId": shop.product, "quantity": 4, "consumed": 4 }]));
    let late = of(rows, shop.late)[0];
    assert_eq!((&*late["state"], &*late["end_reason"]), ("RELEASED", "LAPSED"));
    assert_eq!(items(late), json!([{ "productId": shop.product, "quantity": 2, "consumed": 1 }]));
    let early = of(rows, shop.early)[0];
    assert_eq!((&*early["cart_id"], &*early["items"], &*early["reserved_at"]), ("", "", ""));
}

fn assert_movements(shop: &Shop, shown: &Value, rows: &[Row]) {
    assert_eq!(rows.len(), usize::try_from(CROWD).unwrap() + 4);
    let mut moved = of(rows, shop.old);
    moved.sort_by_key(|row| row["movement_id"].parse::<i64>().unwrap());
    for (row, (units, caused_by)) in moved.iter().zip([(3, "first, part"), (1, "")]) {
        assert_eq!((&*row["kind"], &*row["caused_by"]), ("CONSUMED", caused_by));
        assert_eq!(items(row), json!([{ "productId": shop.product, "quantity": units }]));
    }
    let times: Vec<&str> = moved.iter().map(|row| &*row["moved_at"]).collect();
    assert_eq!(json!(times), json!([shown["movements"][1]["at"], shown["movements"][2]["at"]]));
    assert_eq!(of(rows, shop.late).len(), 2);
}

/// Demands that the service does not start, and names the setting.
async fn assert_named(variable: &str, value: &str, setting: &str) {
    let mut command = inventory();
    command.arg("serve").env(variable, value);
    assert_refused(&run(command).await, 2, &[setting]);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to_is_refused_at_the_start() {
    let directory = directory();
    let file = directory.join("file");
    std::fs::write(&file, "no directory").unwrap();
    for path in [&file, &directory.join("there/is/none")] {
        let variable = "INVENTORY__RETENTION__EXPORT_DIRECTORY";
        assert_named(variable, path.to_str().unwrap(), "retention.export_directory").await;
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn reservations_are_not_kept_for_less_than_the_outcomes_that_name_them() {
    assert_named("INVENTORY__RETENTION__RESERVATIONS_DAYS", "6", "retention.reservations_days").await;
    assert_named("INVENTORY__RETENTION__OUTCOMES_DAYS", "1096", "retention.reservations_days").await;
}
