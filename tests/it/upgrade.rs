//! From contract 1.1.0 to 1.2.0: what a database of the release before holds is taken over.

use std::path::Path;

use sqlx::migrate::Migrator;
use uuid::Uuid;

use crate::support::deployment::Deployment;
use crate::support::harness::assert_in_order;
use crate::support::site::Site;
use crate::support::{Harness, Message};

/// Brings a database as far as the first release did.
async fn migrate_to_the_first_release(site: &Site) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-migrations", Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let first = "0001_stock_and_reservations.sql";
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(first);
    std::fs::copy(source, folder.join(first)).unwrap();
    let migrator = Migrator::new(folder.as_path()).await.unwrap();
    migrator.run(&mut site.database.connect().await).await.unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

/// What the first release left behind, by name.
struct Left {
    /// 20 on hand, 9 reserved.
    plenty: Uuid,
    /// 4 on hand, all of them reserved.
    scarce: Uuid,
    held: Uuid,
    cart: Uuid,
    order: Uuid,
    amended: Uuid,
    /// Amended, and released since.
    amended_and_released: Uuid,
    released: Uuid,
    superseded: Uuid,
    early: Uuid,
    /// Of which the release is repeated.
    release: Message,
    /// Of which the answer is repeated.
    reply_id: Uuid,
    reply: String,
}

impl Left {
    fn new() -> Self {
        let released = Uuid::now_v7();
        Self {
            plenty: Uuid::new_v4(),
            scarce: Uuid::new_v4(),
            held: Uuid::now_v7(),
            cart: Uuid::new_v4(),
            order: Uuid::new_v4(),
            amended: Uuid::now_v7(),
            amended_and_released: Uuid::now_v7(),
            released,
            superseded: Uuid::now_v7(),
            early: Uuid::now_v7(),
            release: Message::release(&released.to_string()).with("reason", "ORDER_CANCELLED"),
            reply_id: Uuid::now_v7(),
            reply: format!(r#"{{"reservationId":"{released}","status":"RELEASED"}}"#),
        }
    }

    /// As the first release wrote it.
    async fn write(&self, site: &Site) {
        for sql in [self.stock(), self.reservations(), self.amendments(), self.outcome()] {
            site.database.execute(&sql).await;
        }
    }

    fn stock(&self) -> String {
        let Self { plenty, scarce, .. } = self;
        format!(
            "INSERT INTO stock (product_id, on_hand, reserved) VALUES ('{plenty}', 20, 9), ('{scarce}', 4, 4);
             INSERT INTO stock_change (product_id, kind, quantity_delta, on_hand_after)
             VALUES ('{plenty}', 'COUNTED', 25, 25), ('{plenty}', 'ADJUSTED', -5, 20), ('{scarce}', 'COUNTED', 4, 4)"
        )
    }

    fn reservations(&self) -> String {
        let Self { plenty, scarce, held, cart, order, amended, amended_and_released, .. } = self;
        let Self { released, superseded, early, .. } = self;
        format!(
            "INSERT INTO reservation (reservation_id, cart_id, order_id, state, product_ids, quantities, reserved_at,
                                      expires_at, ended_at, end_reason)
             VALUES
             ('{held}', '{cart}', '{order}', 'HELD', '{{{plenty},{scarce}}}', '{{2,4}}', now() - interval '5 min',
              now() + interval '1 hour', NULL, NULL),
             ('{amended}', gen_random_uuid(), NULL, 'HELD', '{{{plenty}}}', '{{7}}', now() - interval '4 min',
              NULL, NULL, NULL),
             ('{amended_and_released}', gen_random_uuid(), NULL, 'RELEASED', '{{{plenty}}}', '{{3}}',
              now() - interval '8 min', NULL, now() - interval '7 min', NULL),
             ('{released}', gen_random_uuid(), NULL, 'RELEASED', '{{{plenty},{scarce}}}', '{{1,2}}',
              now() - interval '9 min', NULL, now() - interval '6 min', 'ORDER_CANCELLED'),
             ('{superseded}', '{cart}', '{order}', 'RELEASED', '{{{scarce}}}', '{{1}}', now() - interval '9 min',
              NULL, now() - interval '5 min', 'SUPERSEDED'),
             ('{early}', NULL, NULL, 'RELEASED', '{{}}', '{{}}', NULL, NULL, now() - interval '3 min', NULL)"
        )
    }

    fn amendments(&self) -> String {
        let Self { plenty, scarce, amended, amended_and_released, .. } = self;
        format!(
            "INSERT INTO reservation_amendment (reservation_id, former_product_ids, former_quantities,
                                                former_reserved_at, amended_at)
             VALUES ('{amended}', '{{{scarce}}}', '{{1}}', now() - interval '9 min', now() - interval '6 min'),
                    ('{amended}', '{{{plenty}}}', '{{2}}', now() - interval '6 min', now() - interval '4 min'),
                    ('{amended_and_released}', '{{{scarce}}}', '{{2}}', now() - interval '9 min',
                     now() - interval '8 min')"
        )
    }

    fn outcome(&self) -> String {
        let (id, reply, released) = (self.reply_id, &self.reply, self.released);
        let (message_id, body) = (self.release.id(), String::from_utf8_lossy(&self.release.body));
        format!(
            "INSERT INTO command_outcome (message_id, body_hash, outcome, answer_id, subject, body, decided_at)
             VALUES (convert_to('{message_id}', 'UTF8'),
                     sha256(convert_to('ReleaseInventory', 'UTF8') || '\\x00' || convert_to('{body}', 'UTF8')),
                     'ReservationReleased', '{id}', '{released}', convert_to('{reply}', 'UTF8'),
                     now() - interval '6 min')"
        )
    }
}

/// A service on a database that the first release has left behind.
async fn upgraded(left: &Left) -> Harness {
    let site = Site::shared().await;
    migrate_to_the_first_release(&site).await;
    left.write(&site).await;
    for command in ["migrate", "verify"] {
        let ended = site.inventory(&[command]).await;
        assert_eq!(ended.code, Some(0), "{command}: {ended:?}");
    }
    Harness::of(Deployment::start(site, 1).await).await
}

#[tokio::test]
async fn holds_are_as_they_were() {
    let left = Left::new();
    let mut harness = upgraded(&left).await;
    harness.assert_level(left.plenty, 11, 9).await;
    harness.assert_level(left.scarce, 0, 4).await;

    let held = harness.reservation(&left.held.to_string()).await;
    assert_eq!((held.text("status"), held.text("orderId")), ("HELD", left.order.to_string().as_str()));
    assert_eq!((held.parts_of(left.plenty), held.parts_of(left.scarce)), ((2, 2, 0, 0), (4, 4, 0, 0)));
    let by_cart = harness.ask(Message::reservation_by("cartId", &left.cart.to_string())).await;
    assert_eq!(by_cart.json, held.json);
    let amended = harness.reservation(&left.amended.to_string()).await;
    assert_eq!((amended.text("status"), amended.parts_of(left.plenty)), ("HELD", (7, 7, 0, 0)));
    harness.finish().await;
}

#[tokio::test]
async fn what_had_ended_is_told_as_it_ended() {
    let left = Left::new();
    let mut harness = upgraded(&left).await;
    for (id, reason, product, units) in [
        (left.released, Some("ORDER_CANCELLED"), left.scarce, 2),
        (left.superseded, Some("SUPERSEDED"), left.scarce, 1),
        (left.amended_and_released, None, left.plenty, 3),
    ] {
        let told = harness.reservation(&id.to_string()).await;
        assert_eq!((told.text("status"), told.json["reason"].as_str()), ("RELEASED", reason), "{told:?}");
        assert_eq!(told.parts_of(product), (units, 0, units, 0), "{told:?}");
        harness.ask(Message::consume(&id.to_string())).await.assert_problem("RESERVATION_RELEASED", 409);
    }
    // What was released before it was reserved still holds nothing.
    let late = Message::reserve(Uuid::new_v4(), &[(left.plenty, 1)]);
    let event = harness.outcome_of(&late.with("reservationId", left.early.to_string())).await;
    assert_eq!(event.json["reason"], "RELEASED_BEFORE", "{event:?}");
    harness.finish().await;
}

#[tokio::test]
async fn a_release_of_the_former_release_is_answered_as_it_was() {
    let left = Left::new();
    let mut harness = upgraded(&left).await;
    let reply = harness.ask(left.release.clone()).await;
    assert_eq!((reply.kind(), reply.id()), ("ReleaseInventory", left.reply_id.to_string().as_str()));
    assert_eq!(reply.body, left.reply.as_bytes());
    assert!(harness.client.movements.rest().await.is_empty(), "there was no event then");
    // With another body it is a fault still.
    let forgery = left.release.clone().with("reason", "EXPIRED").with_reply_to(&harness.client.replies.queue);
    harness.client.send(&forgery).await;
    harness.assert_refused(&forgery, "MESSAGE_ID_REUSED", 409).await;
    harness.finish().await;
}

#[tokio::test]
async fn life_goes_on_with_what_was_held() {
    let left = Left::new();
    let mut harness = upgraded(&left).await;
    // Available before was version 1, and nobody has to be told of it.
    let take_the_rest = Message::reserve(Uuid::new_v4(), &[(left.plenty, 11)]);
    harness.outcome_of(&take_the_rest).await.reservation();
    assert_eq!(harness.next_stock_event(left.plenty).await.json["version"], 2);

    let id = left.held.to_string();
    harness.ask(Message::consume(&id).of(&[(left.scarce, 3)])).await;
    harness.ask(Message::release(&id).of(&[(left.scarce, 1)])).await;
    assert_eq!(harness.next_stock_event(left.scarce).await.json["version"], 1);
    let told = harness.reservation(&id).await;
    assert_eq!((told.parts_of(left.plenty), told.parts_of(left.scarce)), ((2, 2, 0, 0), (4, 0, 1, 3)));
    let reply = harness.ask(Message::consume(&left.amended.to_string())).await;
    assert_eq!(reply.text("status"), "CONSUMED");
    harness.assert_level(left.scarce, 1, 0).await;
    harness.assert_level(left.plenty, 0, 13).await;
    harness.until_all_is_published().await;
    assert_in_order(&harness.client.stock.rest().await);
    harness.finish().await;
}

#[tokio::test]
async fn a_hold_whose_time_was_over_before_the_upgrade_lapses_after_it() {
    let left = Left::new();
    let site = Site::shared().await;
    migrate_to_the_first_release(&site).await;
    left.write(&site).await;
    site.database.execute("UPDATE reservation SET expires_at = now() WHERE expires_at IS NOT NULL").await;
    let mut harness = Harness::of(Deployment::start(site, 1).await).await;
    // It may have lapsed before this test could hear of it.
    crate::support::eventually("the lapse", async || {
        let lapsed = "SELECT count(*) FROM reservation WHERE end_reason = 'LAPSED'";
        harness.site().database.number(lapsed).await == 1
    })
    .await;
    harness.assert_level(left.plenty, 13, 7).await;
    harness.assert_level(left.scarce, 4, 0).await;
    let now = harness.reservation(&left.held.to_string()).await;
    assert_eq!((now.text("status"), now.text("reason")), ("RELEASED", "EXPIRED"));
    harness.finish().await;
}
