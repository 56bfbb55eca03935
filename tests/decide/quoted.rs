//! The books as text, so that stories can quote them and the reference can be held against them:
//!
//! ```text
//! P1 2/5                                  2 reserved of 5 on hand
//! R1 HELD C1 P1x2 until=60 | since=0 released P1x1
//! R1 RELEASED LAPSED | C1 since=0 until=60 open P1x2
//! ```

use chrono::{DateTime, Utc};
use inventory_service::domain::{Hold, Item, Line, Reservation, State};

use super::names::{at, name, second};
use super::step::{lines, option};
use super::store::{Store, is_live};
use super::told::end_name;

impl Store {
    /// A line for each product and each reservation.
    pub fn lines(&self) -> Vec<String> {
        let stock = self
            .stock
            .iter()
            .map(|(id, level)| format!("{} {}/{}", name(id.0), level.reserved, level.on_hand));
        stock.chain(self.reservations().map(|reservation| line_of(&reservation))).collect()
    }
}

/// A quotation may leave out what stands behind the bar, or quote a part of that.
pub fn is_quoted(line: &str, quotation: &str) -> bool {
    let split = |text: &str| {
        let (head, details) = text.split_once(" | ").unwrap_or((text, ""));
        (head.to_owned(), details.to_owned())
    };
    let ((head, details), (quoted_head, quoted_details)) = (split(line), split(quotation));
    head == quoted_head && details.contains(&quoted_details)
}

fn line_of(reservation: &Reservation) -> String {
    let id = name(reservation.id.0);
    let ended = match reservation.state {
        State::Held => None,
        State::Released { at, .. } | State::Consumed { at } => Some(at),
    };
    // When somebody looked makes no difference.
    let ended = option(" ended=", ended.filter(|_| !reservation.state.is_lapsed()).map(exact));
    let Some(hold) = &reservation.hold else {
        return format!("{id} {} |{ended}", state_text(reservation.state));
    };
    let (cart, until) = (name(hold.cart.0), option(" until=", hold.expires_at.map(exact)));
    let order = option(" order=", hold.order.map(|id| name(id.0)));
    let open = lines(hold.lines.open().iter());
    if is_live(reservation) {
        return format!("{id} HELD {cart}{open}{until}{order} |{}", parts_text(hold));
    }
    let open = if open.is_empty() { open } else { format!(" open{open}") };
    let state = state_text(reservation.state);
    format!("{id} {state} | {cart}{order}{until}{ended}{open}{}", parts_text(hold))
}

fn state_text(state: State) -> String {
    match state {
        State::Held => "HELD".to_owned(),
        State::Consumed { .. } => "CONSUMED".to_owned(),
        State::Released { reason, .. } => format!("RELEASED{}", option(" ", reason.map(end_name))),
    }
}

fn parts_text(hold: &Hold) -> String {
    let part = |label: &str, units: fn(&Line) -> u64| {
        let line = |line: &Line| Item { product: line.product, quantity: units(line) };
        part_text(label, hold.lines.iter().map(line).collect())
    };
    let (released, consumed) =
        (part("released", |line| line.released), part("consumed", |line| line.consumed));
    format!(" since={}{released}{consumed}", exact(hold.reserved_at))
}

/// ` released P1x2 P2x1`, whatever order they are kept in.
pub fn part_text(label: &str, mut items: Vec<Item>) -> String {
    items.retain(|item| item.quantity > 0);
    items.sort_unstable_by_key(|item| item.product);
    if items.is_empty() { String::new() } else { format!(" {label}{}", lines(&items)) }
}

/// `60`, or `60+3` for three microseconds later.
pub fn exact(time: DateTime<Utc>) -> String {
    let whole = second(time);
    match (time - at(whole)).num_microseconds() {
        Some(0) | None => whole.to_string(),
        Some(more) => format!("{whole}+{more}"),
    }
}
