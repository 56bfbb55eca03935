//! Random histories of all commands, through the real service: several senders, two replicas, holds that lapse in
//! between, people who count. Nobody knows what each command must come to, but what must hold afterwards.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::support::author::{Author, Shop};
use crate::support::crowd::send_from_many;
use crate::support::dice::Dice;
use crate::support::history::History;
use crate::support::process::{inventory, run_ok};
use crate::support::{Harness, Message, Received, Setup, eventually};

/// Commands of a history.
const COMMANDS: usize = 2000;

/// Commands that come at once. Short holds lapse before the next.
const WAVE: usize = 500;

/// Carts that come again and again.
const CARTS: usize = 200;

/// Units on hand at the beginning, of each product.
const ON_HAND: u64 = 90;

/// Units that come in meanwhile, of each product.
const CAME_IN: u64 = 25;

/// Units by product.
type Units = BTreeMap<String, u64>;

async fn count_while_selling(settings: Vec<(String, String)>, products: [Uuid; 8]) {
    for product in products {
        let mut adjust = inventory();
        adjust.args(["stock", "adjust", &product.to_string(), &CAME_IN.to_string()]);
        adjust.envs(settings.clone());
        run_ok(adjust).await;
    }
}

/// Sends commands in waves; gives all replies.
async fn send_in_waves(harness: &mut Harness, commands: &[Message]) -> Vec<Received> {
    let mut replies = Vec::new();
    for wave in commands.chunks(WAVE) {
        send_from_many(harness, 5, wave).await;
        replies.extend(harness.client.replies.take(wave.len(), "a reply to every command").await);
        until_short_holds_have_lapsed(harness).await;
    }
    replies
}

async fn until_short_holds_have_lapsed(harness: &Harness) {
    let lapsing = "SELECT count(*) FROM reservation
                   WHERE state = 'HELD' AND expires_at < clock_timestamp() + interval '1 minute'";
    let left = async || harness.site().database.number(lapsing).await;
    eventually("that all short holds have lapsed", async || left().await == 0).await;
}

/// What is held, by each reservation's own account.
async fn held_by_reservations(harness: &mut Harness, reservations: &HashSet<String>) -> Vec<Received> {
    let replies = harness.client.replies.queue.clone();
    let by_id = |id: &String| Message::reservation_by("reservationId", id).with_reply_to(&replies);
    let queries: Vec<Message> = reservations.iter().map(by_id).collect();
    let mut told = Vec::new();
    for some in queries.chunks(200) {
        harness.client.send_all(some).await;
        for query in some {
            told.push(harness.next_reply_to(query).await);
        }
    }
    told
}

fn sum(reservations: &[Received], part: &str) -> Units {
    let mut units = Units::new();
    for item in reservations.iter().flat_map(|told| told.json["items"].as_array().unwrap()) {
        *units.entry(item["productId"].as_str().unwrap().to_owned()).or_default() +=
            item[part].as_u64().unwrap();
    }
    units
}

/// What is held, by the table.
async fn held_by_the_books(harness: &Harness, product: Uuid) -> u64 {
    let sql = format!(
        "SELECT coalesce(sum(item.quantity - coalesce(item.released, 0) - coalesce(item.consumed, 0)), 0)::bigint
         FROM reservation, unnest(product_ids, quantities, released, consumed)
                           AS item (product_id, quantity, released, consumed)
         WHERE state = 'HELD' AND product_id = '{product}'"
    );
    u64::try_from(harness.site().database.number(&sql).await).unwrap()
}

/// Demands that the stock is what reservations say of themselves.
async fn assert_stock(harness: &mut Harness, products: &[Uuid], reservations: &HashSet<String>) {
    let reservations = held_by_reservations(harness, reservations).await;
    let (held, consumed) = (sum(&reservations, "held"), sum(&reservations, "consumed"));
    let units = |of: &Units, product: Uuid| of.get(&product.to_string()).copied().unwrap_or_default();
    for product in products.iter().copied() {
        let level = harness.level(product).await;
        assert_eq!(level.reserved, units(&held, product), "what reservations say they hold of {product}");
        assert_eq!(level.reserved, held_by_the_books(harness, product).await, "of {product}");
        let left = units(&consumed, product);
        assert_eq!(level.available + level.reserved + left, ON_HAND + CAME_IN, "units of {product}");
    }
}

/// Demands that the history has something of everything: one where nothing succeeds would prove nothing.
fn assert_is_rich(tally: &BTreeMap<String, usize>) {
    eprintln!("{tally:#?}");
    for common in [
        "InventoryReserved",
        "InventoryUnavailable",
        "ReleaseInventory",
        "ConsumeInventory",
        "ExtendHold",
        "ConsumeInventory taken again",
        "EXCEEDS_HELD",
        "RESERVATION_CONSUMED",
        "RESERVATION_RELEASED",
    ] {
        let often = tally.get(common).copied().unwrap_or_default();
        assert!(often >= 3, "{common} only {often} times: {tally:?}");
    }
}

#[tokio::test]
async fn whatever_comes_the_books_and_what_was_told_agree() {
    let setup = Setup::new().replicas(2).with("INVENTORY__EXPIRY__SWEEP_INTERVAL_MS", "50");
    let setup = setup.with("INVENTORY__BATCH__COMMANDS", "32").patient();
    let mut harness = setup.with("INVENTORY__AMQP__COMMANDS_PREFETCH", "64").start().await;
    let products = harness.products([ON_HAND; 8]).await;
    let shop = Shop { products: products.to_vec(), baskets: Vec::new(), carts: CARTS };
    let commands = Author::new(Dice::seeded(), shop, &harness.client.replies.queue).write(COMMANDS);
    let counting = tokio::spawn(count_while_selling(harness.site().settings.clone(), products));
    let replies = send_in_waves(&mut harness, &commands).await;
    counting.await.unwrap();
    let copies = times(commands.iter().map(|command| command.id().to_owned()));
    assert_eq!(times(replies.iter().map(|reply| reply.causation_id().unwrap())), copies);

    harness.until_all_are_decided(copies.len()).await;
    let mut history = History::default();
    for command in &commands {
        history.sends(command);
    }
    for reply in &replies {
        history.hears_reply(reply);
    }
    let client = &mut harness.client;
    for inbox in [&mut client.events, &mut client.movements, &mut client.stock] {
        for event in inbox.rest().await {
            history.hears_event(&event);
        }
    }
    assert_eq!(history.violations(&harness.site().database).await, Vec::<String>::new());
    assert_is_rich(&history.tally.outcomes);
    assert_stock(&mut harness, &products, &history.reservations()).await;
    harness.until_short_holds_have_lapsed().await;
    harness.assert_quiet_log();
    harness.finish().await;
}

fn times(ids: impl Iterator<Item = String>) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    for id in ids {
        *times.entry(id).or_default() += 1;
    }
    times
}
