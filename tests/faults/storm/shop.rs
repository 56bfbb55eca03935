//! What the storm's senders sell: a few products that everybody wants, and what real customers bought.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use uuid::Uuid;

use crate::support::author::{Lines, Shop};
use crate::support::dice::Dice;

/// Products that run out and come back.
const WANTED: usize = 12;

/// Units on hand of each of those at the beginning.
const ON_HAND_OF_WANTED: u64 = 20;

/// Units on hand of everything else.
const ON_HAND: u64 = 5_000_000;

/// Carts of each sender that come again and again.
const CARTS: usize = 300;

/// Lines of a cart at most: carts of hundreds of lines would be most of the work.
const LINES_MAX: usize = 40;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    invoice_no: String,
    stock_code: String,
    quantity: i64,
}

/// The shop, and what it has on hand.
pub fn open(dice: &mut Dice) -> (Shop, Lines) {
    let baskets = baskets();
    let products: Vec<Uuid> = (0..WANTED).map(|_| dice.uuid()).collect();
    let sold: BTreeSet<Uuid> = baskets.iter().flatten().map(|(product, _)| *product).collect();
    let wanted = products.iter().map(|product| (*product, ON_HAND_OF_WANTED));
    let on_hand = wanted.chain(sold.into_iter().map(|product| (product, ON_HAND))).collect();
    (Shop { products, baskets, carts: CARTS }, on_hand)
}

/// The invoices of `examples/data`, without cancellations and corrections.
fn baskets() -> Vec<Lines> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/online-retail.csv");
    let mut baskets: BTreeMap<String, Lines> = BTreeMap::new();
    for row in csv::Reader::from_path(path).unwrap().deserialize() {
        let row: Row = row.unwrap();
        if let Ok(units @ 1..) = u64::try_from(row.quantity) {
            let product = Uuid::new_v5(&Uuid::NAMESPACE_OID, row.stock_code.as_bytes());
            baskets.entry(row.invoice_no).or_default().push((product, units));
        }
    }
    baskets.into_values().filter(|lines| lines.len() <= LINES_MAX).collect()
}
