//! The law: it makes no difference how commands are gathered in batches. (`rules` has the same where a batch
//! knows only those lapsed holds that it needs.)

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::history::History;
use super::random::histories;
use super::seed::for_all;

#[test]
fn one_batch_equals_one_after_another() {
    for_all(&histories(), |_| 1, 400, |history| check(&history, &[usize::MAX]));
}

#[test]
fn any_batches_equal_one_after_another() {
    let cases = (histories(), vec(1..=5_usize, 1..6));
    for_all(&cases, |_| 1, 400, |(history, sizes)| check(&history, &sizes));
}

fn check(history: &History, sizes: &[usize]) -> Result<(), TestCaseError> {
    let in_batches = history.run_with_all_lapsed(sizes);
    let one_by_one = history.run_with_all_lapsed(&[1]);
    prop_assert_eq!(&in_batches.0, &one_by_one.0);
    prop_assert_eq!(in_batches.1.lines(), one_by_one.1.lines());
    prop_assert_eq!(in_batches.1, one_by_one.1);
    Ok(())
}
