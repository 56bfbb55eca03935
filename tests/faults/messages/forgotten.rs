//! A command that comes again after its outcome has left: nobody remembers it, so it is decided anew (README.md,
//! `retention.outcomes_days`). What it can do then is bounded by the state of the cart and the reservation.

use lapin::BasicProperties;
use uuid::Uuid;

use crate::kit::between_services;
use crate::support::{Harness, Message, Setup, eventually};

/// Puts everything that has happened so far into the week before.
const A_WEEK_AGO: &str = "
    UPDATE command_outcome SET decided_at = decided_at - interval '8 days';
    UPDATE reservation SET reserved_at = reserved_at - interval '8 days', ended_at = ended_at - interval '8 days';
    UPDATE reservation_movement SET moved_at = moved_at - interval '8 days';
    UPDATE stock_change SET changed_at = changed_at - interval '8 days'";

/// Lets a week pass, after which a service drops the outcomes.
async fn forget(harness: &mut Harness) {
    harness.services()[0].stop().await;
    harness.services().clear();
    let database = &harness.site().database;
    database.execute(A_WEEK_AGO).await;
    harness.add_replica().await;
    let database = &harness.site().database;
    let left = async || database.number("SELECT count(*) FROM command_outcome").await;
    eventually("that all outcomes have left", async || left().await == 0).await;
}

/// From long ago, as its own timestamp says as well: nobody looks at that.
fn dated(mut message: Message) -> Message {
    message.others = BasicProperties::default().with_timestamp(0);
    message
}

#[tokio::test]
async fn a_forgotten_command_is_decided_anew_and_bounded_by_what_there_is() {
    let (mut harness, product) = between_services(Setup::new()).await;
    harness.add_replica().await;
    let reserve = || dated(Message::reserve(Uuid::new_v4(), &[(product, 1)]));
    let named = reserve().with("reservationId", Uuid::new_v4().to_string());
    let (held, freed, too_much) = (reserve(), reserve(), reserve().of(&[(product, 2000)]));
    let first = harness.outcome_of(&held).await;
    let freed_first = harness.outcome_of(&freed).await.reservation();
    let named_first = harness.outcome_of(&named).await.reservation();
    harness.outcome_of(&too_much).await.shortfalls();
    harness.release(&freed_first).await;
    let release = dated(Message::release(&named_first));
    harness.ask(release.clone()).await;
    harness.assert_level(product, 999, 1).await;
    forget(&mut harness).await;

    // The cart holds the same already: answered with what stands, in an event of its own.
    let again = harness.outcome_of(&held).await;
    assert_eq!(again.reservation(), first.reservation());
    assert_ne!(again.id(), first.id());
    // A reservation that a sender named ends once.
    let again = harness.outcome_of(&named).await;
    assert_eq!((again.kind(), again.text("reason")), ("InventoryUnavailable", "RELEASED_BEFORE"));
    // Released again, nothing changes.
    assert_eq!(harness.ask(release).await.text("status"), "RELEASED");
    harness.assert_level(product, 999, 1).await;
    // Without a name nobody can tell it from a new one: it holds again.
    assert_ne!(harness.outcome_of(&freed).await.reservation(), freed_first);
    harness.site().count(&[(product, 3000)]).await;
    harness.outcome_of(&too_much).await.reservation();
    harness.assert_level(product, 998, 2002).await;
    harness.finish().await;
}
