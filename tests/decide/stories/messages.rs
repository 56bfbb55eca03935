//! Contract section 3: the `message_id`.

use crate::telling::tell;

#[test]
fn the_same_message_is_answered_as_before_whatever_has_happened_since() {
    tell(
        "
        stock P1 2
        reserve C1 P1x2 msg=M1          -> reserved N1 C1 P1x2 since=0
        release N1 msg=M2               -> released N1 P1x2
        @60 reserve C2 P1x2             -> reserved N3 C2 P1x2 since=60
        reserve C1 P1x2 msg=M1          -> again as 1: reserved N1 C1 P1x2 since=0
        release N1 msg=M2               -> again as 2: released N1 P1x2
        = P1 2/2
        = N1 RELEASED
    ",
    );
}

#[test]
fn refusals_and_shortages_are_answered_as_before_too() {
    tell(
        "
        stock P1 1
        reserve C1 P1x2 msg=M1          -> unavailable C1 P1:2>1 at=0
        release R1 msg=M2               -> RESERVATION_NOT_FOUND R1
        reserve C2 P1x1 id=R2           -> reserved R2 C2 P1x1 since=0
        reserve C3 P1x1 id=R2 msg=M3    -> RESERVATION_ID_REUSED R2
        @60 release R2                  -> released R2 P1x1
        reserve C1 P1x2 msg=M1          -> again as 1: unavailable C1 P1:2>1 at=0
        release R1 msg=M2               -> again as 2: RESERVATION_NOT_FOUND R1
        reserve C3 P1x1 id=R2 msg=M3    -> again as 4: RESERVATION_ID_REUSED R2
    ",
    );
}

#[test]
fn a_message_id_with_another_body_is_refused_and_does_nothing() {
    tell(
        "
        stock P1 5
        reserve C1 P1x2 msg=M1          -> reserved N1 C1 P1x2 since=0
        reserve C1 P1x3 msg=M1          -> MESSAGE_ID_REUSED
        release N1 msg=M1               -> MESSAGE_ID_REUSED
        = P1 2/5
        reserve C1 P1x2 msg=M1          -> again as 1: reserved N1 C1 P1x2 since=0
        @60 release N1 msg=M1           -> MESSAGE_ID_REUSED
        = P1 2/5
    ",
    );
}

#[test]
fn without_a_message_id_only_the_cart_protects_against_duplicates() {
    tell(
        "
        stock P1 5
        reserve C1 P1x2                 -> reserved N1 C1 P1x2 since=0
        reserve C1 P1x2                 -> reserved N1 C1 P1x2 since=0
        = P1 2/5
        release N1                      -> released N1 P1x2
        reserve C1 P1x2                 -> reserved N4 C1 P1x2 since=0
        = P1 2/5
    ",
    );
}
