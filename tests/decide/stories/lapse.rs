//! Holds whose time is over.

use crate::telling::tell;

#[test]
fn a_hold_lapses_at_its_end_and_not_before() {
    tell(
        "
        stock P1 5
        reserve C1 P1x5 id=R1 hold=30   -> reserved R1 C1 P1x5 since=0 until=30
        @29 sweep
        = R1 HELD C1 P1x5 until=30
        reserve C2 P1x1                 -> unavailable C2 P1:1>0 at=29
        @30 sweep
        + released R1 C1 P1x5 LAPSED (time)
        + replenished P1:5 v3 (time)
        = R1 RELEASED LAPSED | open P1x5
        = P1 0/5
    ",
    );
}

/// `R2` is reserved a microsecond after `R1`.
#[test]
fn what_has_lapsed_gives_way_before_a_reserve_is_told_no() {
    tell(
        "
        stock P1 5
        reserve C1 P1x2 id=R1 hold=30   -> reserved R1 C1 P1x2 since=0 until=30
        reserve C2 P1x3 id=R2 hold=30   -> reserved R2 C2 P1x3 since=0 until=30
        @30 reserve C3 P1x3             -> unavailable C3 P1:3>2 at=30
        + released R1 C1 P1x2 LAPSED (time)
        + replenished P1:2 v3
        = R2 HELD C2 P1x3 until=30+1
        reserve C3 P1x3                 -> reserved N4 C3 P1x3 since=30
        + released R2 C2 P1x3 LAPSED (time)
        = P1 3/5
    ",
    );
}

#[test]
fn what_lapses_and_is_taken_at_once_was_never_available() {
    tell(
        "
        stock P1 5
        reserve C1 P1x5 id=R1 hold=30   -> reserved R1 C1 P1x5 since=0 until=30
        @30 reserve C2 P1x5             -> reserved N2 C2 P1x5 since=30
        + released R1 C1 P1x5 LAPSED (time)
        = P1 5/5
    ",
    );
}

#[test]
fn only_what_would_help_is_taken_back() {
    tell(
        "
        stock P1 5
        stock P2 5
        reserve C1 P1x4 id=R1 hold=10   -> reserved R1 C1 P1x4 since=0 until=10
        reserve C2 P2x5 id=R2 hold=10   -> reserved R2 C2 P2x5 since=0 until=10
        reserve C3 P1x1 id=R3 hold=20   -> reserved R3 C3 P1x1 since=0 until=20
        @60 reserve C4 P1x4             -> reserved N4 C4 P1x4 since=60
        + released R1 C1 P1x4 LAPSED (time)
        = R2 HELD C2 P2x5 until=10+1
        = R3 HELD C3 P1x1 until=20+2
        sweep
        + released R2 C2 P2x5 LAPSED (time)
        + replenished P2:5 v3 (time)
        + released R3 C3 P1x1 LAPSED (time)
        + replenished P1:1 v3 (time)
    ",
    );
}

#[test]
fn what_lapsed_first_gives_way_first() {
    tell(
        "
        stock P1 5
        reserve C1 P1x2 id=R1 hold=20   -> reserved R1 C1 P1x2 since=0 until=20
        reserve C2 P1x3 id=R2 hold=10   -> reserved R2 C2 P1x3 since=0 until=10
        @60 reserve C3 P1x1             -> reserved N3 C3 P1x1 since=60
        + released R2 C2 P1x3 LAPSED (time)
        + replenished P1:2 v3
        = R1 HELD C1 P1x2 until=20
    ",
    );
}

#[test]
fn what_was_given_back_before_does_not_help() {
    tell(
        "
        stock P1 5
        stock P2 5
        reserve C1 P1x5 P2x5 id=R1 hold=10  -> reserved R1 C1 P1x5 P2x5 since=0 until=10
        release R1 P1x5                     -> released R1 P1x5 HELD
        reserve C2 P1x5                     -> reserved N3 C2 P1x5 since=0
        @60 reserve C3 P1x1                 -> unavailable C3 P1:1>0 at=60
        = R1 HELD C1 P2x5 until=10
    ",
    );
}

#[test]
fn a_cart_that_comes_too_late_gets_a_new_reservation() {
    tell(
        "
        stock P1 5
        reserve C1 P1x5 order=O1 hold=30    -> reserved N1 C1 P1x5 since=0 until=30 order=O1
        @30 reserve C1 P1x5 hold=30         -> reserved N2 C1 P1x5 since=30 until=60
        + released N1 C1 P1x5 order=O1 LAPSED (time)
        = N1 RELEASED LAPSED
    ",
    );
}

#[test]
fn a_longer_hold_lapses_later() {
    tell(
        "
        stock P1 5
        reserve C1 P1x5 id=R1 hold=30   -> reserved R1 C1 P1x5 since=0 until=30
        @20 extend R1 hold=5            -> extended R1 until=30
        extend R1 hold=20               -> extended R1 until=40
        @30 sweep
        = R1 HELD C1 P1x5 until=40+1
        @41 extend R1 hold=20           -> HOLD_LAPSED R1
        + released R1 C1 P1x5 LAPSED (time)
        + replenished P1:5 v3
    ",
    );
}

#[test]
fn a_hold_without_an_end_never_lapses() {
    tell(
        "
        stock P1 5
        reserve C1 P1x5 id=R1           -> reserved R1 C1 P1x5 since=0
        extend R1 hold=1                -> extended R1
        reserve C1 P1x5 hold=1          -> reserved R1 C1 P1x5 since=0
        @9999 sweep
        = R1 HELD C1 P1x5
    ",
    );
}

#[test]
fn what_lapsed_can_be_consumed_late_part_by_part() {
    tell(
        "
        stock P1 5
        reserve C1 P1x4 id=R1 hold=30   -> reserved R1 C1 P1x4 since=0 until=30
        release R1 P1x1                 -> released R1 P1x1 HELD
        @30 consume R1 P1x1             -> consumed R1 P1x1 RELEASED taken-again
        = P1 0/4
        release R1                      -> released R1
        consume R1 P1x3                 -> EXCEEDS_HELD R1 P1x2
        reserve C1 P1x3                 -> reserved N6 C1 P1x3 since=30
        consume R1                      -> HOLD_LAPSED R1 P1:2>1
        consume R1 P1x1                 -> consumed R1 P1x1 RELEASED taken-again
        = R1 RELEASED LAPSED | open P1x1 since=0 released P1x1 consumed P1x2
        = P1 3/3
        release N6                      -> released N6 P1x3
        consume R1                      -> consumed R1 P1x1 taken-again
        = R1 CONSUMED | released P1x1 consumed P1x3
        = P1 0/2
    ",
    );
}

#[test]
fn a_late_consumption_takes_back_what_else_has_lapsed() {
    tell(
        "
        stock P1 5
        reserve C1 P1x3 id=R1 hold=10   -> reserved R1 C1 P1x3 since=0 until=10
        @10 sweep
        reserve C2 P1x4 id=R2 hold=10   -> reserved R2 C2 P1x4 since=10 until=20
        @60 consume R1 msg=M1           -> consumed R1 P1x3 taken-again
        + released R2 C2 P1x4 LAPSED (time)
        consume R1 msg=M1               -> again as 3: consumed R1 P1x3 taken-again
        = P1 0/2
    ",
    );
}
