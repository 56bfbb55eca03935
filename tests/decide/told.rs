//! What a command was told, and what happened besides, as text.

use std::fmt;

use inventory_service::domain::{
    Availability, Done, EndReason, Event, Happening, Items, Outcome, Receipt, Refusal, Released, Reserved,
    Shortfall, Status, Unavailable, UnavailableReason,
};

use super::names::{name, second};
use super::step::{lines, option};

/// What a command was told, or what time did, whoever tells it.
#[derive(Clone, PartialEq, Eq)]
pub enum Told {
    /// Decided now.
    New(Done),
    /// What the command was told already that has this position in the history.
    Again(usize, Outcome),
    /// The `message_id` belongs to another command.
    MessageIdReused,
    /// No command: the sweep gave back what had lapsed.
    Swept(Vec<Event>),
}

impl Told {
    /// What happened besides the outcome itself.
    pub fn aside(&self) -> Vec<Happening> {
        match self {
            Self::New(done) => done.aside.clone(),
            Self::Swept(events) => {
                events.iter().map(|event| Happening { event: event.clone(), by_command: false }).collect()
            }
            Self::Again(..) | Self::MessageIdReused => Vec::new(),
        }
    }

    /// Without what depends on when somebody looks: lapses, and the events of stock.
    pub fn timeless(mut self) -> Self {
        if let Self::New(done) = &mut self {
            done.aside.retain(|happening| match &happening.event {
                Event::Released(released) => !is_lapse(released),
                Event::Availability(_) => false,
                Event::Consumed(_) => true,
            });
        }
        self
    }

    /// The holds that were found to have lapsed.
    pub fn lapses(&self) -> Vec<Released> {
        let lapse = |happening: Happening| match happening.event {
            Event::Released(released) if is_lapse(&released) => Some(released),
            _ => None,
        };
        self.aside().into_iter().filter_map(lapse).collect()
    }

    /// The events of stock.
    pub fn availabilities(&self) -> Vec<(Availability, bool)> {
        let availability = |happening: Happening| match happening.event {
            Event::Availability(availability) => Some((availability, happening.by_command)),
            _ => None,
        };
        self.aside().into_iter().filter_map(availability).collect()
    }
}

pub fn is_lapse(released: &Released) -> bool {
    released.reason == Some(EndReason::Lapsed)
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(done) => f.write_str(&outcome_text(&done.outcome)),
            Self::Again(position, outcome) => write!(f, "again as {position}: {}", outcome_text(outcome)),
            Self::MessageIdReused => f.write_str("MESSAGE_ID_REUSED"),
            Self::Swept(_) => f.write_str("swept"),
        }
    }
}

/// What a failed property prints.
impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        self.aside().iter().try_for_each(|happening| write!(f, "\n        + {}", happening_text(happening)))
    }
}

/// `depleted P1 v2`, with `(time)` where no command caused it.
pub fn happening_text(happening: &Happening) -> String {
    let cause = if happening.by_command { "" } else { " (time)" };
    format!("{}{cause}", event_text(&happening.event))
}

fn event_text(event: &Event) -> String {
    match event {
        Event::Released(released) => {
            let items = lines(released.items.iter());
            let order = option(" order=", released.order.map(|id| name(id.0)));
            let reason = option(" ", released.reason.map(end_name));
            format!(
                "released {} {}{items}{order}{reason}",
                name(released.reservation.0),
                name(released.cart.0)
            )
        }
        Event::Consumed(consumed) => {
            format!("consumed {}{}", name(consumed.reservation.0), lines(consumed.items.iter()))
        }
        Event::Availability(Availability { product, available: 0, version, .. }) => {
            format!("depleted {} v{version}", name(product.0))
        }
        Event::Availability(Availability { product, available, version, .. }) => {
            format!("replenished {}:{available} v{version}", name(product.0))
        }
    }
}

pub fn end_name(reason: EndReason) -> &'static str {
    match reason {
        EndReason::CheckoutFailed => "CHECKOUT_FAILED",
        EndReason::OrderCancelled => "ORDER_CANCELLED",
        EndReason::Expired => "EXPIRED",
        EndReason::Superseded => "SUPERSEDED",
        EndReason::Lapsed => "LAPSED",
    }
}

/// `released R1` alone: nothing was left to release. With items: these were, now.
fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Reserved(reserved) => reserved_text(reserved),
        Outcome::Unavailable(unavailable) => unavailable_text(unavailable),
        Outcome::Released(receipt, event) => {
            receipt_text("released", Status::Released, receipt, event.as_ref().map(|e| &e.items))
        }
        Outcome::Consumed(receipt, event) => {
            receipt_text("consumed", Status::Consumed, receipt, event.as_ref().map(|e| &e.items))
        }
        Outcome::Extended(receipt) => receipt_text("extended", Status::Held, receipt, None),
        Outcome::Refused(refusal) => refusal_text(refusal),
    }
}

/// The state is told where it is not what the verb says.
fn receipt_text(verb: &str, usual: Status, receipt: &Receipt, items: Option<&Items>) -> String {
    let items = lines(items.into_iter().flat_map(Items::iter));
    let status = match receipt.status {
        status if status == usual => "",
        Status::Held => " HELD",
        Status::Released => " RELEASED",
        Status::Consumed => " CONSUMED",
    };
    let again = if receipt.taken_again { " taken-again" } else { "" };
    let until = option(" until=", receipt.expires_at.map(second));
    format!("{verb} {}{items}{status}{again}{until}", name(receipt.reservation.0))
}

fn refusal_text(refusal: &Refusal) -> String {
    let (code, id, more) = match refusal {
        Refusal::ReservationNotFound(id) | Refusal::ReleasedEarly(id) => {
            ("RESERVATION_NOT_FOUND", id, String::new())
        }
        Refusal::ReservationReleased(id) => ("RESERVATION_RELEASED", id, String::new()),
        Refusal::ReservationConsumed(id) => ("RESERVATION_CONSUMED", id, String::new()),
        Refusal::ReservationIdReused(id) => ("RESERVATION_ID_REUSED", id, String::new()),
        Refusal::ExceedsHeld(id, held) => ("EXCEEDS_HELD", id, lines(held.iter())),
        Refusal::HoldLapsed(id, short) => ("HOLD_LAPSED", id, shortfalls_text(short)),
    };
    format!("{code} {}{more}", name(id.0))
}

fn reserved_text(reserved: &Reserved) -> String {
    let Reserved { reservation, order, cart, items, reserved_at, expires_at } = reserved;
    let since = second(*reserved_at);
    let (until, order) =
        (option(" until=", expires_at.map(second)), option(" order=", order.map(|id| name(id.0))));
    format!(
        "reserved {} {}{} since={since}{until}{order}",
        name(reservation.0),
        name(cart.0),
        lines(items.iter())
    )
}

fn unavailable_text(unavailable: &Unavailable) -> String {
    let Unavailable { order, cart, shortfalls, reason, checked_at } = unavailable;
    let reason = match reason {
        UnavailableReason::InsufficientStock => "",
        UnavailableReason::ReleasedBefore => " RELEASED_BEFORE",
    };
    let short = shortfalls_text(shortfalls);
    let (at, order) = (second(*checked_at), option(" order=", order.map(|id| name(id.0))));
    format!("unavailable {}{reason}{short} at={at}{order}", name(cart.0))
}

fn shortfalls_text(shortfalls: &[Shortfall]) -> String {
    let text =
        |short: &Shortfall| format!(" {}:{}>{}", name(short.product.0), short.requested, short.available);
    shortfalls.iter().map(text).collect::<Vec<_>>().concat()
}
