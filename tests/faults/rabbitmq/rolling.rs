//! Replicas go and come one after another under load, as when a new version is rolled out.

use crate::support::load::{Load, assert_one_outcome_each};
use crate::support::scale::size;
use crate::support::{Harness, Setup};

/// Carts for each restart.
const CARTS: usize = 60;

/// Restarts replicas, now by SIGTERM and now by SIGKILL. Each time RabbitMQ counts a delivery of what was in hand, and it
/// has a limit; the harness demands that there is no dead letter.
#[tokio::test]
async fn rolling_restarts_cost_no_command() {
    let restarts = size(6, 20);
    let mut harness = Setup::new().replicas(2).with("INVENTORY__OUTBOX__LEASE_SECONDS", "1").start().await;
    let product = harness.product(10_000).await;
    harness.next_stock_event(product).await;
    let mut load = Load::start(harness.site(), product, restarts * CARTS);
    for restart in 0..restarts {
        load.confirmed(restart * CARTS).await;
        replace(&mut harness, restart % 4 < 2).await;
    }
    let carts = load.end().await;
    let mut events = harness.next_outcomes_of(&carts).await;
    harness.assert_level(product, (10_000 - carts.len()) as u64, carts.len() as u64).await;
    events.extend(harness.finish_after_an_outage().await);
    assert_one_outcome_each(&events, &carts);
}

/// Ends the replica that has run longest, and starts another.
async fn replace(harness: &mut Harness, is_clean: bool) {
    let mut oldest = harness.services().remove(0);
    if is_clean {
        oldest.stop().await;
    } else {
        oldest.kill();
    }
    harness.add_replica().await;
}
