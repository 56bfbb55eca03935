//! How large a test is: as `scripts/test` has time for, or as large as it gets.

/// `quick`, or `full` where `INVENTORY_TEST_FULL` is set, as `scripts/test --full` does.
pub fn size<T>(quick: T, full: T) -> T {
    if std::env::var_os("INVENTORY_TEST_FULL").is_some() { full } else { quick }
}
