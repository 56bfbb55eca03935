//! What is told besides the outcome.

use crate::telling::tell;

#[test]
fn depleted_and_replenished_take_turns() {
    tell(
        "
        stock P1 2
        reserve C1 P1x1                 -> reserved N1 C1 P1x1 since=0
        reserve C2 P1x1                 -> reserved N2 C2 P1x1 since=0
        + depleted P1 v2
        release N1                      -> released N1 P1x1
        + replenished P1:1 v3
        release N2                      -> released N2 P1x1
        reserve C1 P1x2                 -> reserved N5 C1 P1x2 since=0
        + depleted P1 v4
        consume N5                      -> consumed N5 P1x2
        deliver P1 1
        reserve C1 P1x1                 -> reserved N7 C1 P1x1 since=0
        + depleted P1 v6
    ",
    );
}

#[test]
fn what_a_command_gives_back_and_takes_again_does_not_count() {
    tell(
        "
        stock P1 2
        stock P2 1
        reserve C1 P1x2                 -> reserved N1 C1 P1x2 since=0
        + depleted P1 v2
        reserve C1 P2x1 P1x2            -> reserved N2 C1 P2x1 P1x2 since=0
        + released N1 C1 P1x2 SUPERSEDED
        + depleted P2 v2
        reserve C1 P1x1 id=R1 order=O1  -> reserved R1 C1 P1x1 since=0 order=O1
        + released N2 C1 P2x1 P1x2 SUPERSEDED
        + replenished P1:1 v3
        + replenished P2:1 v3
        reserve C1 P1x2 id=R1           -> reserved R1 C1 P1x2 since=0 order=O1
        + depleted P1 v4
    ",
    );
}

#[test]
fn a_late_consumption_can_deplete() {
    tell(
        "
        stock P1 2
        reserve C1 P1x2 id=R1 hold=10   -> reserved R1 C1 P1x2 since=0 until=10
        @10 sweep
        + released R1 C1 P1x2 LAPSED (time)
        + replenished P1:2 v3 (time)
        consume R1                      -> consumed R1 P1x2 taken-again
        + depleted P1 v4
    ",
    );
}

#[test]
fn a_product_that_nobody_counted_has_no_events() {
    tell(
        "
        reserve C1 P1x1                 -> unavailable C1 P1:1>0 at=0
        deliver P1 0
        reserve C1 P1x1                 -> unavailable C1 P1:1>0 at=0
        deliver P1 1
        reserve C1 P1x1                 -> reserved N3 C1 P1x1 since=0
        + depleted P1 v2
    ",
    );
}
