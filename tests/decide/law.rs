//! The law: it makes no difference how commands are gathered in batches.

use proptest::collection::vec;
use proptest::prelude::*;

use super::history::histories;

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_batch_equals_one_after_another(history in histories()) {
        let all_at_once = history.run(&[usize::MAX]);
        let one_by_one = history.run(&[1]);
        prop_assert_eq!(&all_at_once.0, &one_by_one.0);
        prop_assert_eq!(all_at_once.1.lines(), one_by_one.1.lines());
        prop_assert_eq!(all_at_once.1, one_by_one.1);
    }

    #[test]
    fn any_batches_equal_one_after_another(history in histories(), sizes in vec(1..=5_usize, 1..6)) {
        let in_batches = history.run(&sizes);
        let one_by_one = history.run(&[1]);
        prop_assert_eq!(&in_batches.0, &one_by_one.0);
        prop_assert_eq!(in_batches.1.lines(), one_by_one.1.lines());
        prop_assert_eq!(in_batches.1, one_by_one.1);
    }
}
