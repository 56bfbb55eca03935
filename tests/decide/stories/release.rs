//! Contract 4.4: release.

use crate::telling::tell;

#[test]
fn releasing_again_changes_nothing_and_is_no_error() {
    tell(
        "
        stock P1 5
        reserve C1 P1x2 id=R1           -> reserved R1 C1 P1x2 since=0
        release R1 why=CHECKOUT_FAILED  -> released R1 P1x2
        = P1 0/5
        reserve C2 P1x5                 -> reserved N3 C2 P1x5 since=0
        @60 release R1 why=EXPIRED      -> released R1
        = P1 5/5
        = R1 RELEASED CHECKOUT_FAILED
    ",
    );
}

#[test]
fn a_release_that_comes_first_is_remembered() {
    tell(
        "
        stock P1 5
        release R1 why=ORDER_CANCELLED  -> RESERVATION_NOT_FOUND R1
        release R1                      -> RESERVATION_NOT_FOUND R1
        @60 reserve C1 P1x9 id=R1       -> unavailable C1 RELEASED_BEFORE at=60
        reserve C2 P1x1 id=R1 order=O1  -> unavailable C2 RELEASED_BEFORE at=60 order=O1
        = P1 0/5
        = R1 RELEASED ORDER_CANCELLED
        reserve C1 P1x1                 -> reserved N5 C1 P1x1 since=60
        release R1                      -> RESERVATION_NOT_FOUND R1
    ",
    );
}

#[test]
fn a_release_that_comes_first_leaves_the_carts_other_hold_alone() {
    tell(
        "
        stock P1 5
        reserve C1 P1x1                 -> reserved N1 C1 P1x1 since=0
        release R1                      -> RESERVATION_NOT_FOUND R1
        reserve C1 P1x1 id=R1           -> unavailable C1 RELEASED_BEFORE at=0
        reserve C1 P1x2 id=R1           -> unavailable C1 RELEASED_BEFORE at=0
        = N1 HELD C1 P1x1
    ",
    );
}

#[test]
fn what_was_released_is_not_reserved_again_under_its_id() {
    tell(
        "
        stock P1 5
        reserve C1 P1x1 id=R1           -> reserved R1 C1 P1x1 since=0
        reserve C1 P1x2 id=R2           -> reserved R2 C1 P1x2 since=0
        reserve C1 P1x1 id=R1           -> unavailable C1 RELEASED_BEFORE at=0
        = R2 HELD C1 P1x2
        release R2                      -> released R2 P1x2
        reserve C1 P1x2 id=R2           -> unavailable C1 RELEASED_BEFORE at=0
        = P1 0/5
    ",
    );
}

#[test]
fn what_was_consumed_cannot_be_released() {
    tell(
        "
        stock P1 5
        reserve C1 P1x2 id=R1           -> reserved R1 C1 P1x2 since=0
        consume R1                      -> consumed R1 P1x2
        = P1 0/3
        release R1                      -> RESERVATION_CONSUMED R1
        = R1 CONSUMED
        reserve C1 P1x2 id=R1           -> unavailable C1 RELEASED_BEFORE at=0
        reserve C1 P1x2                 -> reserved N5 C1 P1x2 since=0
        = P1 2/3
    ",
    );
}
