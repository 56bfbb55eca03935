//! Parts: a reservation ends with the act that takes its last held unit.

use crate::telling::tell;

#[test]
fn what_was_released_or_consumed_before_stays_what_it_was() {
    tell(
        "
        stock P1 9
        reserve C1 P1x5 id=R1           -> reserved R1 C1 P1x5 since=0
        release R1 P1x1 why=EXPIRED     -> released R1 P1x1 HELD
        consume R1 P1x2                 -> consumed R1 P1x2 HELD
        = R1 HELD C1 P1x2 | released P1x1 consumed P1x2
        = P1 2/7
        release R1                      -> released R1 P1x2
        = R1 RELEASED | released P1x3 consumed P1x2
        = P1 0/7
        consume R1                      -> RESERVATION_RELEASED R1
        release R1                      -> released R1
    ",
    );
}

#[test]
fn the_last_unit_decides_how_it_ends() {
    tell(
        "
        stock P1 9
        reserve C1 P1x3 id=R1           -> reserved R1 C1 P1x3 since=0
        consume R1 P1x1                 -> consumed R1 P1x1 HELD
        release R1 P1x1 why=EXPIRED     -> released R1 P1x1 HELD
        consume R1 P1x1                 -> consumed R1 P1x1
        = R1 CONSUMED | released P1x1 consumed P1x2
        release R1                      -> RESERVATION_CONSUMED R1
        = P1 0/7
    ",
    );
}

#[test]
fn a_part_that_is_not_held_is_refused_as_a_whole() {
    tell(
        "
        stock P1 9
        stock P2 9
        reserve C1 P2x1 P1x5 id=R1      -> reserved R1 C1 P2x1 P1x5 since=0
        release R1 P1x2                 -> released R1 P1x2 HELD
        release R1 P2x1 P1x4            -> EXCEEDS_HELD R1 P2x1 P1x3
        consume R1 P1x2 P1x2            -> EXCEEDS_HELD R1 P2x1 P1x3
        consume R1 P3x1                 -> EXCEEDS_HELD R1 P2x1 P1x3
        = R1 HELD C1 P2x1 P1x3 | released P1x2
        = P1 3/9
        consume R1 P1x2 P1x1            -> consumed R1 P1x3 HELD
        = R1 HELD C1 P2x1 | released P1x2 consumed P1x3
    ",
    );
}

#[test]
fn the_same_items_are_those_that_are_held_now() {
    tell(
        "
        stock P1 9
        reserve C1 P1x3                 -> reserved N1 C1 P1x3 since=0
        release N1 P1x1                 -> released N1 P1x1 HELD
        reserve C1 P1x2                 -> reserved N1 C1 P1x2 since=0
        reserve C1 P1x3                 -> reserved N4 C1 P1x3 since=0
        + released N1 C1 P1x2 SUPERSEDED
        = N1 RELEASED SUPERSEDED | released P1x3
        = P1 3/9
    ",
    );
}

#[test]
fn amending_a_hold_leaves_its_parts_alone() {
    tell(
        "
        stock P1 9
        stock P2 9
        reserve C1 P1x3 id=R1           -> reserved R1 C1 P1x3 since=0
        consume R1 P1x1                 -> consumed R1 P1x1 HELD
        @10 reserve C1 P2x2 id=R1       -> reserved R1 C1 P2x2 since=10
        = R1 HELD C1 P2x2 | since=10 consumed P1x1
        = P1 0/8
        release R1 P2x1                 -> released R1 P2x1 HELD
        reserve C1 P1x1 P2x1 id=R1      -> reserved R1 C1 P1x1 P2x1 since=10
        = R1 HELD C1 P1x1 P2x1 | released P2x1 consumed P1x1
        consume R1                      -> consumed R1 P1x1 P2x1
        = R1 CONSUMED | released P2x1 consumed P1x2 P2x1
        = P1 0/7
        = P2 0/8
    ",
    );
}

#[test]
fn a_cart_whose_hold_was_consumed_holds_anew() {
    tell(
        "
        stock P1 5
        reserve C1 P1x2                 -> reserved N1 C1 P1x2 since=0
        consume N1                      -> consumed N1 P1x2
        reserve C1 P1x2                 -> reserved N3 C1 P1x2 since=0
        reserve C1 P1x4                 -> unavailable C1 P1:4>3 at=0
        = P1 2/3
    ",
    );
}
