//! The rules, on random histories: the books balance after every transaction (`store` checks that) and every
//! figure follows from the facts; every command is told what the reference tells it.

use std::collections::{BTreeMap, BTreeSet};

use inventory_service::domain::{Outcome, ProductId, Shortfall, UnavailableReason, time_of};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::agree::{check_agreement, check_asides};
use super::history::{History, Timed};
use super::random::{histories, long_histories};
use super::seed::for_all;
use super::step::{Action, Ask};
use super::store::Store;
use super::told::Told;

/// Commands, all histories together.
const COMMANDS: usize = 100_000;

#[test]
fn long_histories_go_as_the_documentation_says() {
    let cases = (long_histories(), vec(1..=12_usize, 1..8));
    for_all(&cases, |(history, _)| history.commands(), COMMANDS, |(history, sizes)| check(&history, &sizes));
}

/// Few commands fail with a short story.
#[test]
fn short_histories_go_as_the_documentation_says() {
    for_all(&histories(), |_| 1, 400, |history| check(&history, &[1]));
}

#[test]
fn unavailable_names_every_product_that_falls_short_and_no_other() {
    for_all(&histories(), |_| 1, 200, |history| check_shortfalls(&history));
}

fn check(history: &History, sizes: &[usize]) -> Result<(), TestCaseError> {
    let (told, store) = history.run(sizes);
    store.check_facts();
    check_asides(&told)?;
    let (expected, reference) = history.by_reference();
    check_agreement((&told, &store), (&expected, &reference))
}

/// Tries every reserve of a history on the stock of the beginning, where it is easy to say what falls short.
fn check_shortfalls(history: &History) -> Result<(), TestCaseError> {
    let on_hand: BTreeMap<ProductId, u64> = history.stock.iter().copied().collect();
    for Timed { moment, now, position } in history.timed() {
        for (index, step) in moment.steps.iter().enumerate() {
            let Action::Reserve(ask) = &step.action else { continue };
            let request = step.request(position + index);
            let mut store = Store::with_stock(history.stock.iter().copied());
            let told = store.transact(&[request], time_of(index, now));
            prop_assert_eq!(named(&told), short_of(ask, &on_hand), "{}", step);
        }
    }
    Ok(())
}

fn short_of(ask: &Ask, on_hand: &BTreeMap<ProductId, u64>) -> BTreeSet<(ProductId, u64, u64)> {
    let mut wanted: BTreeMap<ProductId, u64> = BTreeMap::new();
    for line in &ask.lines {
        *wanted.entry(line.product).or_default() += line.quantity;
    }
    let available = |product| on_hand.get(product).copied().unwrap_or(0);
    let short = wanted.iter().filter(|(product, quantity)| available(product) < **quantity);
    short.map(|(product, quantity)| (*product, *quantity, available(product))).collect()
}

fn named(told: &[Told]) -> BTreeSet<(ProductId, u64, u64)> {
    let [Told::New(done)] = told else { panic!("{told:?}") };
    match &done.outcome {
        Outcome::Reserved(_) => BTreeSet::new(),
        Outcome::Unavailable(unavailable) => {
            assert_eq!(unavailable.reason, UnavailableReason::InsufficientStock);
            assert!(!unavailable.shortfalls.is_empty(), "unavailable, and nothing falls short");
            let figures = |s: &Shortfall| (s.product, s.requested, s.available);
            let named: BTreeSet<_> = unavailable.shortfalls.iter().map(figures).collect();
            assert_eq!(named.len(), unavailable.shortfalls.len(), "a product is named twice");
            named
        }
        other => panic!("{other:?}"),
    }
}
