//! Contract 4.1: all or nothing.

use crate::telling::tell;

#[test]
fn all_or_nothing() {
    tell(
        "
        stock P1 5
        stock P2 1
        reserve C1 P1x2 P2x2        -> unavailable C1 P2:2>1 at=0
        = P1 0/5
        = P2 0/1
        reserve C1 P1x2 P2x1        -> reserved N2 C1 P1x2 P2x1 since=0
        = P1 2/5
        = P2 1/1
    ",
    );
}

#[test]
fn every_product_that_falls_short_is_named_in_the_senders_order() {
    tell(
        "
        stock P1 5
        stock P2 1
        stock P3 0
        reserve C1 P3x1 P4x2 P1x5 P2x4  -> unavailable C1 P3:1>0 P4:2>0 P2:4>1 at=0
    ",
    );
}

#[test]
fn lines_for_the_same_product_are_added_up_first() {
    tell(
        "
        stock P1 5
        stock P2 5
        reserve C1 P1x3 P2x1 P1x3   -> unavailable C1 P1:6>5 at=0
        reserve C1 P1x3 P2x1 P1x2   -> reserved N2 C1 P1x5 P2x1 since=0
        reserve C1 P2x1 P1x5        -> reserved N2 C1 P1x5 P2x1 since=0
    ",
    );
}

#[test]
fn the_last_unit_goes_to_whoever_comes_first() {
    tell(
        "
        stock P1 1
        reserve C1 P1x1             -> reserved N1 C1 P1x1 since=0
        reserve C2 P1x1             -> unavailable C2 P1:1>0 at=0
        release N1                  -> released N1 P1x1
        reserve C2 P1x1             -> reserved N4 C2 P1x1 since=0
        reserve C1 P1x1             -> unavailable C1 P1:1>0 at=0
        = P1 1/1
    ",
    );
}

#[test]
fn the_order_is_repeated_in_the_outcome() {
    tell(
        "
        stock P1 1
        reserve C1 P1x1 order=O1    -> reserved N1 C1 P1x1 since=0 order=O1
        reserve C2 P1x1 order=O2    -> unavailable C2 P1:1>0 at=0 order=O2
        reserve C1 P1x1             -> reserved N1 C1 P1x1 since=0 order=O1
        reserve C1 P1x1 order=O2    -> reserved N1 C1 P1x1 since=0 order=O2
        reserve C1 P1x1             -> reserved N1 C1 P1x1 since=0 order=O2
        = N1 HELD C1 P1x1 order=O2
    ",
    );
}
