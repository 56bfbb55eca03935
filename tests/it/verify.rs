//! `inventory verify`: the books balance at every moment, while commands of all kinds flow.

use std::collections::HashSet;

use uuid::Uuid;

use crate::support::author::{Author, Shop};
use crate::support::books::findings;
use crate::support::crowd::send_from_many;
use crate::support::dice::Dice;
use crate::support::process::{inventory_with, run_ok};
use crate::support::{Harness, Message, Setup};

/// Commands that come at once, while somebody looks at the books.
const WAVE: usize = 300;

/// Waves, and looks at the books.
const WAVES: usize = 5;

async fn flow(harness: &mut Harness, wave: &[Message]) {
    send_from_many(harness, 3, wave).await;
    harness.client.replies.take(wave.len(), "a reply to every command").await;
}

/// Looks at the books. Whoever counts goes on as well.
async fn look_on(settings: &[(String, String)], product: Uuid) {
    let found = findings(inventory_with(settings, &["verify", "--json"])).await;
    assert!(found.is_empty(), "while commands flow: {found:#?}");
    let id = product.to_string();
    run_ok(inventory_with(settings, &["stock", "adjust", &id, "2"])).await;
    // Fails where it does not end at the stock of the same moment.
    run_ok(inventory_with(settings, &["ledger", &id, "--csv"])).await;
}

#[tokio::test]
async fn the_books_balance_at_every_moment_while_commands_flow() {
    let setup = Setup::new().replicas(2).with("INVENTORY__EXPIRY__SWEEP_INTERVAL_MS", "50");
    let mut harness = setup.with("INVENTORY__BATCH__COMMANDS", "32").patient().start().await;
    let products = harness.products([200; 8]).await;
    let shop = Shop { products: products.to_vec(), baskets: Vec::new(), carts: 200 };
    let commands = Author::new(Dice::seeded(), shop, &harness.client.replies.queue).write(WAVE * WAVES);
    let settings = harness.site().settings.clone();
    for (wave, product) in commands.chunks(WAVE).zip(products) {
        tokio::join!(flow(&mut harness, wave), look_on(&settings, product));
    }
    let distinct: HashSet<&str> = commands.iter().map(Message::id).collect();
    harness.until_all_are_decided(distinct.len()).await;
    // What each came to is for the histories to judge.
    harness.client.events.rest().await;
    harness.until_short_holds_have_lapsed().await;
    harness.assert_quiet_log();
    harness.finish().await;
}
