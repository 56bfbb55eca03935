//! The corner cases, told row by row: what happens, and what the sender is told. `@60` is the second from
//! which on it happens; a row that begins with `=` quotes the books (`P1 2/5`: 2 reserved of 5 on hand).

use std::str::FromStr;

use inventory_service::domain::{ProductId, Request};

use super::names::{at, uuid};
use super::reference::Reference;
use super::step::{Action, Step, Told};
use super::store::Store;

/// Lets a story happen one command after another, by the reference, and with the commands of each second in
/// one batch. All three must come to what the story says.
fn tell(text: &str) {
    let mut telling = Telling::begin(text);
    for row in rows(text).filter(|row| !row.starts_with("stock ")) {
        telling.row(row);
    }
    telling.end();
}

fn rows(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|row| !row.is_empty())
}

struct Telling {
    store: Store,
    reference: Reference,
    told: Vec<Told>,
    batched: Store,
    batch: Vec<Request>,
    batch_told: Vec<Told>,
    second: i64,
    position: usize,
}

impl Telling {
    fn begin(text: &str) -> Self {
        let stock: Vec<(ProductId, u64)> =
            rows(text).filter_map(|row| row.strip_prefix("stock ")).map(on_hand).collect();
        let store = Store::with_stock(stock.iter().copied());
        Self {
            batched: store.clone(),
            store,
            reference: Reference::with_stock(stock),
            told: Vec::new(),
            batch: Vec::new(),
            batch_told: Vec::new(),
            second: 0,
            position: 0,
        }
    }

    fn row(&mut self, row: &str) {
        if let Some(quoted) = row.strip_prefix("= ") {
            let books = self.store.lines();
            assert!(books.iter().any(|line| line == quoted), "{row} is not in {books:#?}");
            return;
        }
        let (step, expected) =
            row.split_once("->").map_or((row, None), |(step, told)| (step, Some(told.trim())));
        let step = self.time_passes(step);
        self.step(step, expected, row);
    }

    fn time_passes<'a>(&mut self, row: &'a str) -> &'a str {
        let Some((second, step)) = row.strip_prefix('@').and_then(|row| row.split_once(' ')) else {
            return row;
        };
        self.finish_batch();
        self.second = second.parse().unwrap_or_else(|_| panic!("not a second: {row}"));
        step
    }

    fn step(&mut self, text: &str, expected: Option<&str>, row: &str) {
        let step = Step::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        self.position += 1;
        let now = at(self.second);
        let by_reference = self.reference.step(self.position, &step, now).map(|told| told.to_string());
        let Some(request) = step.request(self.position) else {
            return self.consume(&step);
        };
        let told = self.store.transact(std::slice::from_ref(&request), now);
        assert_eq!(told[0].to_string(), expected.unwrap_or_default(), "{row}");
        assert_eq!(by_reference.as_deref(), expected, "the reference on {row}");
        self.told.extend(told);
        self.batch.push(request);
    }

    fn consume(&mut self, step: &Step) {
        let Action::Consume(cart) = step.action else { panic!("{step} is no command") };
        self.finish_batch();
        self.store.consume(cart, at(self.second));
        self.batched.consume(cart, at(self.second));
    }

    fn finish_batch(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.batch_told.extend(self.batched.transact(&batch, at(self.second)));
    }

    fn end(mut self) {
        self.finish_batch();
        assert_eq!(self.batch_told, self.told, "in batches");
        assert_eq!(self.batched, self.store, "in batches");
    }
}

fn on_hand(row: &str) -> (ProductId, u64) {
    let (product, on_hand) = row.split_once(' ').unwrap_or_else(|| panic!("not a stock row: {row}"));
    (ProductId(uuid(product)), on_hand.parse().unwrap_or_else(|_| panic!("not a number: {row}")))
}

// Contract 4.1: all or nothing.

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
        release N1                  -> released N1
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

// Contract 4.3: one live hold a cart.

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
        release N2                  -> released N2
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
        release R1                  -> released R1
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
        release N1                          -> released N1
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
        = N1 HELD C1 P1x1 until=101
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
        release R2                  -> released R2
        reserve C2 P1x1 id=R2       -> RESERVATION_ID_REUSED R2
        reserve C1 P1x3 id=R3       -> reserved R3 C1 P1x3 since=0
        consume C1
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

// Contract 4.4: release.

#[test]
fn releasing_again_changes_nothing_and_is_no_error() {
    tell(
        "
        stock P1 5
        reserve C1 P1x2 id=R1           -> reserved R1 C1 P1x2 since=0
        release R1 why=CHECKOUT_FAILED  -> released R1
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
        release R2                      -> released R2
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
        consume C1
        = P1 0/3
        release R1                      -> RESERVATION_CONSUMED R1
        = R1 CONSUMED
        reserve C1 P1x2 id=R1           -> RESERVATION_CONSUMED R1
        reserve C1 P1x2                 -> reserved N5 C1 P1x2 since=0
        = P1 2/3
    ",
    );
}

// Contract section 3: the message_id.

#[test]
fn the_same_message_is_answered_as_before_whatever_has_happened_since() {
    tell(
        "
        stock P1 2
        reserve C1 P1x2 msg=M1          -> reserved N1 C1 P1x2 since=0
        release N1 msg=M2               -> released N1
        @60 reserve C2 P1x2             -> reserved N3 C2 P1x2 since=60
        reserve C1 P1x2 msg=M1          -> again as 1: reserved N1 C1 P1x2 since=0
        release N1 msg=M2               -> again as 2: released N1
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
        @60 release R2                  -> released R2
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
        release N1                      -> released N1
        reserve C1 P1x2                 -> reserved N4 C1 P1x2 since=0
        = P1 2/5
    ",
    );
}
