//! Whether what the service decided is what the reference says.

use std::collections::BTreeSet;

use inventory_service::domain::{EndReason, Event, Movement, MovementKind, ProductId, Released};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::names::name;
use super::reference::Reference;
use super::step::lines;
use super::store::Store;
use super::told::{Told, is_lapse};

/// They agree on every command, on everything that lapsed, on the facts, and on the books at the end. When a
/// lapse is noticed, and what stock events come of that, is up to the service.
pub fn check_agreement(
    (told, store): (&[Told], &Store),
    (expected, reference): (&[Told], &Reference),
) -> Result<(), TestCaseError> {
    let commands: Vec<&Told> = told.iter().filter(|told| !matches!(told, Told::Swept(_))).collect();
    prop_assert_eq!(commands.len(), expected.len());
    for (index, (told, expected)) in commands.into_iter().zip(expected).enumerate() {
        let told = told.clone().timeless();
        prop_assert_eq!(&told, expected, "command {}, told and expected", index + 1);
    }
    let lapses: Vec<Released> = told.iter().flat_map(Told::lapses).collect();
    prop_assert_eq!(sorted(&lapses), sorted(&reference.lapses), "what lapsed");
    let lines: BTreeSet<String> = store.lines().into_iter().collect();
    prop_assert_eq!(lines, reference.lines(), "the books");
    let by_command: Vec<&Movement> =
        store.movements.iter().filter(|movement| !is_of_time(movement)).collect();
    prop_assert_eq!(by_command, reference.movements.iter().collect::<Vec<_>>(), "the facts");
    check_lapse_movements(store, &lapses)
}

fn sorted(lapses: &[Released]) -> Vec<String> {
    let mut texts: Vec<String> = lapses.iter().map(lapse_text).collect();
    texts.sort_unstable();
    texts
}

fn lapse_text(lapse: &Released) -> String {
    let (order, cart) = (lapse.order.map(|order| name(order.0)), name(lapse.cart.0));
    format!("{} {cart} {order:?}{}", name(lapse.reservation.0), lines(lapse.items.iter()))
}

fn is_of_time(movement: &Movement) -> bool {
    movement.kind == MovementKind::Released(Some(EndReason::Lapsed))
}

/// Each lapse is told as it is written, and no command is said to have caused it.
fn check_lapse_movements(store: &Store, lapses: &[Released]) -> Result<(), TestCaseError> {
    let written: Vec<&Movement> = store.movements.iter().filter(|movement| is_of_time(movement)).collect();
    prop_assert_eq!(written.len(), lapses.len());
    for (movement, lapse) in written.into_iter().zip(lapses) {
        prop_assert_eq!(movement.reservation, lapse.reservation);
        prop_assert_eq!(&movement.items, &lapse.items);
        prop_assert_eq!((movement.at, &movement.caused_by), (lapse.released_at, &None));
    }
    Ok(())
}

/// What time did comes first, and a command causes the rest; it moves what is available of a product from or to
/// 0 at most once.
pub fn check_asides(told: &[Told]) -> Result<(), TestCaseError> {
    for told in told {
        let aside = told.aside();
        let by_time = aside.iter().take_while(|happening| !happening.by_command).count();
        prop_assert!(aside[by_time..].iter().all(|happening| happening.by_command), "{:?}", told);
        for (index, happening) in aside.iter().enumerate() {
            if let Event::Released(released) = &happening.event {
                prop_assert_eq!(is_lapse(released), !happening.by_command, "{:?}", told);
            }
            prop_assert!(index > 0 || by_time == 0 || matches!(happening.event, Event::Released(_)));
        }
        let crossed: Vec<ProductId> = told
            .availabilities()
            .into_iter()
            .filter(|(_, by_command)| *by_command)
            .map(|(availability, _)| availability.product)
            .collect();
        let products: BTreeSet<&ProductId> = crossed.iter().collect();
        prop_assert_eq!(products.len(), crossed.len(), "{:?}", told);
    }
    Ok(())
}
