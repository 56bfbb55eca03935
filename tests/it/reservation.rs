//! `inventory reservation show` and `list`: a reservation, its items by what became of them, what it went through.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::{assert_refused, json_of, migrated};
use crate::support::site::Site;
use crate::support::{Harness, Message};

/// A step of a reservation: kind, reason, message, and units of each product.
type Step<'a> = (&'a str, Option<&'a str>, Option<&'a str>, Vec<(Uuid, u64)>);

/// Demands what it went through, in order.
fn assert_went_through(shown: &Value, expected: &[Step<'_>]) {
    let movements = shown["movements"].as_array().unwrap();
    for (movement, (kind, reason, message, lines)) in movements.iter().zip(expected) {
        let text = |field: &str| movement.get(field).map(|text| text.as_str().unwrap());
        assert_eq!((text("kind"), text("reason"), text("messageId")), (Some(*kind), *reason, *message));
        let items = lines.iter().map(|(id, quantity)| json!({ "productId": id, "quantity": quantity }));
        assert_eq!(movement["items"], items.collect::<Value>(), "{movement}");
    }
    assert_eq!(movements.len(), expected.len(), "{shown:#}");
}

fn item(product: Uuid, [quantity, held, released, consumed]: [u64; 4]) -> Value {
    json!({ "productId": product, "quantity": quantity, "held": held, "released": released, "consumed": consumed })
}

/// Demands that people read all of this, in this order.
fn assert_reads(text: &str, words: &[&str]) {
    let mut rest = text;
    for word in words {
        let (_, after) = rest.split_once(word).unwrap_or_else(|| panic!("{word:?} is not next in {text}"));
        rest = after;
    }
}

#[tokio::test]
async fn a_hold_is_shown_with_who_holds_it_and_until_when() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let (cart, order) = (Uuid::new_v4().to_string(), Uuid::new_v4().to_string());
    let reserve = Message::reserve(cart.parse().unwrap(), &[(product, 4)]).with("orderId", order.as_str());
    let reserve = reserve.with("holdSeconds", 86_400);
    let event = harness.outcome_of(&reserve).await;
    let id = event.reservation();

    let shown = harness.site().json(&["reservation", "show", &id]).await;
    assert_eq!(
        shown,
        json!({
            "reservationId": id, "cartId": cart, "orderId": order, "status": "HELD",
            "items": [item(product, [4, 4, 0, 0])],
            "reservedAt": event.text("reservedAt"), "expiresAt": event.text("expiresAt"),
            "movements": shown["movements"],
        })
    );
    assert_went_through(&shown, &[("RESERVED", None, Some(reserve.id()), vec![(product, 4)])]);
    assert_eq!(shown["movements"][0]["at"], event.text("reservedAt"));
    let text = harness.site().told(&["reservation", "show", &id.to_uppercase()]).await;
    assert_reads(
        &text,
        &[&id, "HELD", &cart, &order, event.text("expiresAt"), &product.to_string(), "RESERVED"],
    );
    harness.finish().await;
}

#[tokio::test]
async fn a_hold_of_which_parts_were_taken_out_is_shown_unit_for_unit() {
    let mut harness = Harness::start().await;
    let [a, b] = harness.products([9, 9]).await;
    let reserve = Message::reserve(Uuid::new_v4(), &[(a, 5), (b, 2)]);
    let id = harness.outcome_of(&reserve).await.reservation();
    let consume = Message::consume(&id).of(&[(a, 2), (b, 1)]);
    let release = Message::release(&id).of(&[(a, 1)]).with("reason", "ORDER_CANCELLED");
    for command in [&consume, &release] {
        harness.ask(command.clone()).await;
    }

    let shown = harness.site().json(&["reservation", "show", &id]).await;
    assert_eq!(shown["status"], "HELD");
    assert_eq!(shown["items"], json!([item(a, [5, 2, 1, 2]), item(b, [2, 1, 0, 1])]));
    assert_went_through(
        &shown,
        &[
            ("RESERVED", None, Some(reserve.id()), vec![(a, 5), (b, 2)]),
            ("CONSUMED", None, Some(consume.id()), vec![(a, 2), (b, 1)]),
            ("RELEASED", Some("ORDER_CANCELLED"), Some(release.id()), vec![(a, 1)]),
        ],
    );
    let text = harness.site().told(&["reservation", "show", &id]).await;
    assert_reads(&text, &["HELD", "RESERVED", "CONSUMED", consume.id(), "RELEASED, ORDER_CANCELLED"]);
    let line = text.lines().find(|line| line.starts_with(&a.to_string())).unwrap();
    assert_eq!(line.split_whitespace().skip(1).collect::<Vec<_>>(), ["5", "2", "1", "2"]);
    harness.finish().await;
}

#[tokio::test]
async fn a_lapsed_hold_is_shown_as_expired_and_what_was_consumed_late_as_consumed() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 4)]).with("holdSeconds", 1);
    let id = harness.outcome_of(&reserve).await.reservation();
    let lapsed = harness.lapse_of(&id).await;

    let shown = harness.site().json(&["reservation", "show", &id]).await;
    assert_eq!((&shown["status"], &shown["reason"]), (&"RELEASED".into(), &"EXPIRED".into()));
    assert_eq!(shown["endedAt"], lapsed.text("releasedAt"));
    assert_eq!(shown["items"], json!([item(product, [4, 0, 4, 0])]));
    let text = harness.site().told(&["reservation", "show", &id]).await;
    assert_reads(&text, &["RELEASED, EXPIRED", "ended at", "RELEASED, EXPIRED"]);

    let late = Message::consume(&id).of(&[(product, 3)]);
    harness.ask(late.clone()).await;
    let shown = harness.site().json(&["reservation", "show", &id]).await;
    assert_eq!(shown["items"], json!([item(product, [4, 0, 1, 3])]));
    assert_went_through(
        &shown,
        &[
            ("RESERVED", None, Some(reserve.id()), vec![(product, 4)]),
            ("RELEASED", Some("EXPIRED"), None, vec![(product, 4)]),
            ("CONSUMED_LATE", None, Some(late.id()), vec![(product, 3)]),
        ],
    );
    harness.finish().await;
}

#[tokio::test]
async fn a_release_that_came_before_its_reserve_is_shown_as_what_it_is() {
    let mut harness = Harness::start().await;
    let id = Uuid::new_v4().to_string();
    harness.ask(Message::release(&id)).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    let shown = harness.site().json(&["reservation", "show", &id]).await;
    let expected = json!({
        "reservationId": id, "status": "RELEASED", "items": [], "endedAt": shown["endedAt"], "movements": []
    });
    assert_eq!(shown, expected);
    let text = harness.site().told(&["reservation", "show", &id]).await;
    assert_reads(&text, &[&id, "RELEASED, before any reserve"]);
    harness.finish().await;
}

#[tokio::test]
async fn a_reservation_that_nobody_knows_is_refused_with_a_way_out() {
    let site = migrated().await;
    let id = Uuid::new_v4().to_string();
    for form in [&[][..], &["--json"]] {
        let ended = site.inventory(&[&["reservation", "show", &id][..], form].concat()).await;
        assert_refused(&ended, 1, &[&id, "not known", "inventory reservation list"]);
        assert_eq!(ended.stdout, "");
    }
    assert_refused(&site.inventory(&["reservation", "show", "no-uuid"]).await, 2, &["UUID"]);
}

/// Reservations that were made some time ago, the oldest first.
struct Shelf {
    site: Site,
    a: Uuid,
    b: Uuid,
    /// Consumed, held, released, early, held: 5, 4, 3, 2 and 1 hours ago; the second and the last hold `b` as well.
    ids: [String; 5],
}

impl Shelf {
    async fn filled() -> Self {
        let [a, b] = [Uuid::new_v4(), Uuid::new_v4()];
        let shelf = Self { site: migrated().await, a, b, ids: [(); 5].map(|()| Uuid::now_v7().to_string()) };
        shelf.site.database.execute(&shelf.rows()).await;
        shelf
    }

    fn rows(&self) -> String {
        let Self { a, b, ids: [consumed, held, released, early, young], .. } = self;
        format!(
            "INSERT INTO reservation (reservation_id, cart_id, state, product_ids, quantities, reserved_at, ended_at, end_reason)
             VALUES
             ('{young}', gen_random_uuid(), 'HELD', '{{{a},{b}}}', '{{1,1}}', now() - interval '1 hour', NULL, NULL),
             ('{early}', NULL, 'RELEASED', '{{}}', '{{}}', NULL, now() - interval '2 hours', NULL),
             ('{released}', gen_random_uuid(), 'RELEASED', '{{{a}}}', '{{3}}', now() - interval '3 hours', now(), 'SUPERSEDED'),
             ('{held}', gen_random_uuid(), 'HELD', '{{{b},{a}}}', '{{4,5}}', now() - interval '4 hours', NULL, NULL),
             ('{consumed}', gen_random_uuid(), 'CONSUMED', '{{{a}}}', '{{2}}', now() - interval '5 hours', now(), NULL)"
        )
    }

    /// Which are listed, by their position; and whether there are more.
    async fn listed(&self, filters: &[&str]) -> (Vec<usize>, bool) {
        let list = self.site.json(&[&["reservation", "list"], filters].concat()).await;
        let place = |shown: &Value| self.ids.iter().position(|id| shown["reservationId"] == **id).unwrap();
        (list["reservations"].as_array().unwrap().iter().map(place).collect(), list["more"] == true)
    }
}

#[tokio::test]
async fn reservations_are_listed_the_oldest_first_by_product_state_and_age() {
    let shelf = Shelf::filled().await;
    let (a, b) = (shelf.a.to_string(), shelf.b.to_string());
    let nobodys = Uuid::new_v4().to_string();
    for (filters, expected) in [
        (&[][..], &[0, 1, 2, 3, 4][..]),
        (&["--product", &a], &[0, 1, 2, 4]),
        (&["--product", &b], &[1, 4]),
        (&["--product", &nobodys], &[]),
        (&["--state", "held"], &[1, 4]),
        (&["--state", "RELEASED"], &[2, 3]),
        (&["--state", "Consumed"], &[0]),
        (&["--older-than", "90m"], &[0, 1, 2, 3]),
        (&["--older-than", "3h"], &[0, 1, 2]),
        (&["--older-than", "11000s"], &[0, 1]),
        (&["--older-than", "1d"], &[]),
        (&["--state", "held", "--older-than", "2h", "--product", &a], &[1]),
    ] {
        assert_eq!(shelf.listed(filters).await, (expected.to_vec(), false), "{filters:?}");
    }
}

#[tokio::test]
async fn a_list_ends_at_its_limit_and_says_that_there_are_more() {
    let shelf = Shelf::filled().await;
    assert_eq!(shelf.listed(&["--limit", "2"]).await, (vec![0, 1], true));
    assert_eq!(shelf.listed(&["--limit", "5"]).await, (vec![0, 1, 2, 3, 4], false));
    assert_eq!(shelf.listed(&["--limit", "1", "--state", "released"]).await, (vec![2], true));

    let text = shelf.site.told(&["reservation", "list", "--limit", "3"]).await;
    let [consumed, held, released, early, _] = &shelf.ids;
    assert_reads(&text, &[consumed, "CONSUMED", held, "HELD", released, "SUPERSEDED", "more", "--limit"]);
    assert!(!text.contains(early.as_str()), "{text}");
    let all = shelf.site.told(&["reservation", "list"]).await;
    assert_eq!(all.lines().count(), 6, "a head and five reservations: {all}");
    let units = |id: &String| all.lines().find(|line| line.starts_with(id.as_str())).unwrap().contains(" 9 ");
    assert!(units(held), "4 and 5 units: {all}");
}

#[tokio::test]
async fn a_list_shows_what_show_shows_but_for_the_movements() {
    let shelf = Shelf::filled().await;
    let list = shelf.site.json(&["reservation", "list", "--state", "held", "--limit", "1"]).await;
    let mut shown = shelf.site.json(&["reservation", "show", &shelf.ids[1]]).await;
    shown.as_object_mut().unwrap().remove("movements").expect("they are shown");
    assert_eq!(list["reservations"], json!([shown]));
}

#[tokio::test]
async fn filters_that_cannot_be_are_wrong_usage() {
    let site = migrated().await;
    for (filters, word) in [
        (["--limit", "0"], "--limit"),
        (["--state", "lapsed"], "--state"),
        (["--older-than", "soon"], "15m"),
        (["--older-than", "5"], "15m"),
        (["--older-than", "m"], "15m"),
        (["--product", "all"], "UUID"),
    ] {
        let ended = site.inventory(&[&["reservation", "list"][..], &filters].concat()).await;
        assert_refused(&ended, 2, &[word]);
    }
    assert_eq!(json_of(&site.told(&["reservation", "list", "--json"]).await)["reservations"], json!([]));
}
