//! The rules, on random histories: the books balance after every transaction (`store` checks that), and
//! every command is told what the reference tells it.

use std::collections::{BTreeMap, BTreeSet};

use inventory_service::domain::{Outcome, ProductId, UnavailableReason};
use proptest::collection::vec;
use proptest::prelude::*;

use super::history::{History, histories};
use super::names::at;
use super::reference::Reference;
use super::step::{Action, Told};
use super::store::Store;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_books_balance_after_every_batch(history in histories(), sizes in vec(1..=16_usize, 1..4)) {
        history.run(&sizes);
    }

    #[test]
    fn every_command_is_told_what_the_contract_says(history in histories()) {
        let (told, store) = history.run(&[1]);
        let (expected, reference) = expect(&history);
        prop_assert_eq!(told, expected);
        prop_assert_eq!(store.lines().into_iter().collect::<BTreeSet<_>>(), reference.lines());
    }

    #[test]
    fn unavailable_names_every_product_that_falls_short_and_no_other(history in histories()) {
        check_shortfalls(&history);
    }
}

fn expect(history: &History) -> (Vec<Told>, Reference) {
    let mut reference = Reference::with_stock(history.stock.iter().copied());
    let told =
        history.steps().filter_map(|(position, second, step)| reference.step(position, step, at(second)));
    let told = told.collect();
    (told, reference)
}

/// Tries every reserve of a history on the stock of the beginning, where it is easy to say what falls short.
fn check_shortfalls(history: &History) {
    let on_hand: BTreeMap<ProductId, u64> = history.stock.iter().copied().collect();
    for (position, second, step) in history.steps() {
        let (Action::Reserve(ask), Some(request)) = (&step.action, step.request(position)) else { continue };
        let mut wanted: BTreeMap<ProductId, u64> = BTreeMap::new();
        for line in &ask.lines {
            *wanted.entry(line.product).or_default() += line.quantity;
        }
        let available = |product| on_hand.get(product).copied().unwrap_or(0);
        let short: BTreeSet<(ProductId, u64, u64)> = wanted
            .iter()
            .filter(|(product, quantity)| available(product) < **quantity)
            .map(|(product, quantity)| (*product, *quantity, available(product)))
            .collect();
        let told = Store::with_stock(history.stock.iter().copied()).transact(&[request], at(second));
        assert_eq!(shortfalls(&told), short, "{step}");
    }
}

fn shortfalls(told: &[Told]) -> BTreeSet<(ProductId, u64, u64)> {
    match told {
        [Told::New(Outcome::Reserved(_))] => BTreeSet::new(),
        [Told::New(Outcome::Unavailable(unavailable))] => {
            assert_eq!(unavailable.reason, UnavailableReason::InsufficientStock);
            assert!(!unavailable.shortfalls.is_empty(), "unavailable, and nothing falls short");
            let named: BTreeSet<_> =
                unavailable.shortfalls.iter().map(|s| (s.product, s.requested, s.available)).collect();
            assert_eq!(named.len(), unavailable.shortfalls.len(), "a product is named twice");
            named
        }
        other => panic!("{other:?}"),
    }
}
