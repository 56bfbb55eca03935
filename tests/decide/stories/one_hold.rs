//! Contract 4.3: one live hold a cart.

use crate::telling::tell;

#[test]
fn the_same_items_answer_with_the_reservation_that_stands() {
    tell(
        "
        stock P1 5
        stock P2 5
        reserve C1 P1x2 P2x1        -> reserved N1 C1 P1x2 P2x1 since=0
        @60 reserve C1 P1x2 P2x1    -> reserved N1 C1 P1x2 P2x1 since=0
        reserve C1 P2x1 P1x2        -> reserved N1 C1 P1x2 P2x1 since=0
        reserve C1 P1x1 P2x1 P1x1   -> reserved N1 C1 P1x2 P2x1 since=0
        reserve C1 P2x1 P1x2 id=R1  -> reserved N1 C1 P1x2 P2x1 since=0
        = P1 2/5
        = P2 1/5
        release R1                  -> RESERVATION_NOT_FOUND R1
        = N1 HELD C1 P1x2 P2x1
    ",
    );
}

#[test]
fn other_items_replace_the_hold_in_one_step() {
    tell(
        "
        stock P1 5
        stock P2 5
        reserve C1 P1x2             -> reserved N1 C1 P1x2 since=0
        @60 reserve C1 P1x1 P2x3    -> reserved N2 C1 P1x1 P2x3 since=60
        = P1 1/5
        = P2 3/5
        = N1 RELEASED SUPERSEDED
        release N1                  -> released N1
        = P1 1/5
        release N2                  -> released N2 P1x1 P2x3
        = P1 0/5
        = P2 0/5
    ",
    );
}

#[test]
fn what_a_cart_holds_counts_as_free_when_it_is_replaced() {
    tell(
        "
        stock P1 5
        reserve C1 P1x4             -> reserved N1 C1 P1x4 since=0
        reserve C1 P1x5             -> reserved N2 C1 P1x5 since=0
        reserve C1 P1x6             -> unavailable C1 P1:6>5 at=0
        = N2 HELD C1 P1x5
        reserve C2 P1x1             -> unavailable C2 P1:1>0 at=0
        reserve C1 P1x3             -> reserved N5 C1 P1x3 since=0
        reserve C2 P1x1             -> reserved N6 C2 P1x1 since=0
        reserve C1 P1x5             -> unavailable C1 P1:5>4 at=0
        = P1 4/5
    ",
    );
}

#[test]
fn what_does_not_fit_leaves_the_former_hold_alone() {
    tell(
        "
        stock P1 5
        stock P2 1
        reserve C1 P1x5 id=R1 hold=30       -> reserved R1 C1 P1x5 since=0 until=30
        @10 reserve C1 P1x1 P2x2 hold=900   -> unavailable C1 P2:2>1 at=10
        reserve C1 P1x1 P2x2 id=R2          -> unavailable C1 P2:2>1 at=10
        reserve C1 P1x1 P2x2 id=R1          -> unavailable C1 P2:2>1 at=10
        = P1 5/5
        = R1 HELD C1 P1x5 until=30
        release R2                          -> RESERVATION_NOT_FOUND R2
    ",
    );
}

#[test]
fn a_replacement_may_keep_its_reservation_id() {
    tell(
        "
        stock P1 5
        stock P2 5
        reserve C1 P1x4 id=R1       -> reserved R1 C1 P1x4 since=0
        @60 reserve C1 P1x5 id=R1   -> reserved R1 C1 P1x5 since=60
        reserve C1 P2x1 id=R1       -> reserved R1 C1 P2x1 since=60
        = P1 0/5
        = P2 1/5
        = R1 HELD C1 P2x1
        release R1                  -> released R1 P2x1
        = P2 0/5
        reserve C1 P2x1 id=R1       -> unavailable C1 RELEASED_BEFORE at=60
    ",
    );
}

#[test]
fn a_replacement_may_name_the_id_that_the_service_made() {
    tell(
        "
        stock P1 5
        reserve C1 P1x1             -> reserved N1 C1 P1x1 since=0
        reserve C1 P1x2 id=N1       -> reserved N1 C1 P1x2 since=0
        reserve C1 P1x3             -> reserved N3 C1 P1x3 since=0
        reserve C1 P1x1 id=N1       -> unavailable C1 RELEASED_BEFORE at=0
        = P1 3/5
    ",
    );
}

#[test]
fn a_cart_that_let_go_starts_anew() {
    tell(
        "
        stock P1 5
        reserve C1 P1x1 order=O1 hold=900   -> reserved N1 C1 P1x1 since=0 until=900 order=O1
        release N1                          -> released N1 P1x1
        @60 reserve C1 P1x1 hold=30         -> reserved N3 C1 P1x1 since=60 until=90
        = P1 1/5
    ",
    );
}

#[test]
fn the_end_of_a_hold_moves_later_never_earlier() {
    tell(
        "
        stock P1 5
        reserve C1 P1x1 hold=100    -> reserved N1 C1 P1x1 since=0 until=100
        @10 reserve C1 P1x1 hold=30 -> reserved N1 C1 P1x1 since=0 until=100
        reserve C1 P1x1             -> reserved N1 C1 P1x1 since=0 until=100
        reserve C1 P1x1 hold=90     -> reserved N1 C1 P1x1 since=0 until=100
        reserve C1 P1x1 hold=91     -> reserved N1 C1 P1x1 since=0 until=101
        = N1 HELD C1 P1x1 until=101+3
        @20 reserve C1 P1x2 hold=30 -> reserved N6 C1 P1x2 since=20 until=101
        reserve C1 P1x3             -> reserved N7 C1 P1x3 since=20 until=101
        reserve C1 P1x4 hold=200    -> reserved N8 C1 P1x4 since=20 until=220
    ",
    );
}

#[test]
fn a_hold_without_an_end_gets_none() {
    tell(
        "
        stock P1 5
        reserve C1 P1x1             -> reserved N1 C1 P1x1 since=0
        @60 reserve C1 P1x1 hold=30 -> reserved N1 C1 P1x1 since=0
        reserve C1 P1x2 hold=30     -> reserved N3 C1 P1x2 since=60
        reserve C1 P1x1 id=R1 hold=2147483647 -> reserved R1 C1 P1x1 since=60
        = R1 HELD C1 P1x1
    ",
    );
}

#[test]
fn a_reservation_id_of_another_cart_is_refused_in_every_state() {
    tell(
        "
        stock P1 9
        reserve C1 P1x1 id=R1       -> reserved R1 C1 P1x1 since=0
        reserve C2 P1x1 id=R1       -> RESERVATION_ID_REUSED R1
        reserve C1 P1x2 id=R2       -> reserved R2 C1 P1x2 since=0
        = R1 RELEASED SUPERSEDED
        reserve C2 P1x1 id=R1       -> RESERVATION_ID_REUSED R1
        release R2                  -> released R2 P1x2
        reserve C2 P1x1 id=R2       -> RESERVATION_ID_REUSED R2
        reserve C1 P1x3 id=R3       -> reserved R3 C1 P1x3 since=0
        consume R3                  -> consumed R3 P1x3
        = R3 CONSUMED
        reserve C2 P1x1 id=R3       -> RESERVATION_ID_REUSED R3
        = P1 0/6
    ",
    );
}

#[test]
fn a_refused_reservation_id_leaves_both_carts_alone() {
    tell(
        "
        stock P1 9
        reserve C1 P1x1 id=R1       -> reserved R1 C1 P1x1 since=0
        reserve C2 P1x2 id=R2       -> reserved R2 C2 P1x2 since=0
        reserve C2 P1x3 id=R1       -> RESERVATION_ID_REUSED R1
        reserve C2 P1x2 id=R1       -> RESERVATION_ID_REUSED R1
        = R1 HELD C1 P1x1
        = R2 HELD C2 P1x2
        = P1 3/9
    ",
    );
}
