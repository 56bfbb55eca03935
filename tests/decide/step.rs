//! A step of a history as text:
//!
//! ```text
//! reserve C1 P1x2 P2x1 id=R1 order=O1 hold=30 msg=M1
//! release R1 why=EXPIRED msg=M2
//! consume C1
//! ```
//!
//! `consume` is what no command does yet: the stock of the cart's live hold leaves the house.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use inventory_service::domain::{
    CartId, Command, IdempotencyKey, Item, Items, OrderId, Outcome, ProductId, Refusal, Release,
    ReleaseReason, Request, ReservationId, Reserve, Reserved, Shortfall, Unavailable, UnavailableReason,
};

use super::names::{name, numbered, second, uuid};

/// What happens, and the `message_id` of the command that makes it happen.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    pub action: Action,
    pub message_id: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    Reserve(Ask),
    Release { reservation: ReservationId, reason: Option<ReleaseReason> },
    Consume(CartId),
}

/// A reserve with its lines as the sender wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub cart: CartId,
    pub reservation: Option<ReservationId>,
    pub order: Option<OrderId>,
    pub hold_seconds: Option<u32>,
    pub lines: Vec<Item>,
}

impl Step {
    /// The request at this position of a history, counted from 1; nothing where the step is no command.
    pub fn request(&self, position: usize) -> Option<Request> {
        let command = match &self.action {
            Action::Reserve(ask) => Command::Reserve(ask.command()),
            Action::Release { reservation, reason } => {
                Command::Release(Release { reservation: *reservation, reason: *reason })
            }
            Action::Consume(_) => return None,
        };
        let key = self.message_id.as_ref().map(|message_id| IdempotencyKey {
            message_id: message_id.as_bytes().to_vec(),
            body_hash: self.body_hash(),
        });
        let fresh_reservation = ReservationId(numbered('N', position));
        Some(Request { command, key, fresh_reservation, answer_id: numbered('A', position) })
    }

    /// What the message says, without its `message_id`.
    pub fn body(&self) -> String {
        self.action.to_string()
    }

    fn body_hash(&self) -> [u8; 32] {
        let mut hasher = DefaultHasher::new();
        self.body().hash(&mut hasher);
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&hasher.finish().to_be_bytes());
        hash
    }
}

impl Ask {
    fn command(&self) -> Reserve {
        Reserve {
            cart: self.cart,
            order: self.order,
            reservation: self.reservation,
            hold_seconds: self.hold_seconds,
            items: Items::add_up(self.lines.iter().copied()),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.action, option(" msg=", self.message_id.as_ref()))
    }
}

/// What a failed property prints.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserve(ask) => ask.fmt(f),
            Self::Release { reservation, reason } => {
                write!(f, "release {}{}", name(reservation.0), option(" why=", reason.map(reason_name)))
            }
            Self::Consume(cart) => write!(f, "consume {}", name(cart.0)),
        }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reserve {}{}", name(self.cart.0), lines(&self.lines))?;
        write!(f, "{}", option(" id=", self.reservation.map(|id| name(id.0))))?;
        write!(f, "{}", option(" order=", self.order.map(|id| name(id.0))))?;
        write!(f, "{}", option(" hold=", self.hold_seconds))
    }
}

/// Nothing, where there is no value.
pub fn option(label: &str, value: Option<impl fmt::Display>) -> String {
    value.map_or_else(String::new, |value| format!("{label}{value}"))
}

/// ` P1x2 P2x1`
pub fn lines<'a>(items: impl IntoIterator<Item = &'a Item>) -> String {
    let texts = items.into_iter().map(|item| format!(" {}x{}", name(item.product.0), item.quantity));
    texts.collect::<Vec<_>>().concat()
}

const REASONS: [(ReleaseReason, &str); 3] = [
    (ReleaseReason::CheckoutFailed, "CHECKOUT_FAILED"),
    (ReleaseReason::OrderCancelled, "ORDER_CANCELLED"),
    (ReleaseReason::Expired, "EXPIRED"),
];

pub fn reason_name(reason: ReleaseReason) -> &'static str {
    REASONS.into_iter().find(|(known, _)| *known == reason).map_or("?", |(_, name)| name)
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let value = |label: &str| words.iter().find_map(|word| word.strip_prefix(label));
        let [verb, subject, ..] = words[..] else { return Err(format!("not a step: {text}")) };
        let action = match verb {
            "reserve" => Action::Reserve(Ask {
                cart: CartId(uuid(subject)),
                reservation: value("id=").map(|id| ReservationId(uuid(id))),
                order: value("order=").map(|id| OrderId(uuid(id))),
                hold_seconds: value("hold=").and_then(|seconds| seconds.parse().ok()),
                lines: words[2..].iter().filter_map(|word| line(word)).collect(),
            }),
            "release" => Action::Release {
                reservation: ReservationId(uuid(subject)),
                reason: value("why=").and_then(reason_of),
            },
            "consume" => Action::Consume(CartId(uuid(subject))),
            _ => return Err(format!("not a step: {text}")),
        };
        let step = Self { action, message_id: value("msg=").map(ToOwned::to_owned) };
        // A word that was passed over would be a test of something else.
        if step.to_string() == words.join(" ") { Ok(step) } else { Err(format!("{text} was read as {step}")) }
    }
}

fn line(word: &str) -> Option<Item> {
    let (product, quantity) = word.split_once('x').filter(|_| word.starts_with('P'))?;
    Some(Item { product: ProductId(uuid(product)), quantity: quantity.parse().ok()? })
}

fn reason_of(name: &str) -> Option<ReleaseReason> {
    REASONS.into_iter().find(|(_, known)| *known == name).map(|(reason, _)| reason)
}

/// What a command was told, whoever told it.
#[derive(Clone, PartialEq, Eq)]
pub enum Told {
    /// Decided now.
    New(Outcome),
    /// What the command was told already that has this position in the history.
    Again(usize, Outcome),
    /// The `message_id` belongs to another command.
    MessageIdReused,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(outcome) => f.write_str(&outcome_text(outcome)),
            Self::Again(position, outcome) => write!(f, "again as {position}: {}", outcome_text(outcome)),
            Self::MessageIdReused => f.write_str("MESSAGE_ID_REUSED"),
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Reserved(reserved) => reserved_text(reserved),
        Outcome::Unavailable(unavailable) => unavailable_text(unavailable),
        Outcome::Released(id) => format!("released {}", name(id.0)),
        Outcome::Refused(Refusal::ReservationNotFound(id)) => format!("RESERVATION_NOT_FOUND {}", name(id.0)),
        Outcome::Refused(Refusal::ReservationConsumed(id)) => format!("RESERVATION_CONSUMED {}", name(id.0)),
        Outcome::Refused(Refusal::ReservationIdReused(id)) => format!("RESERVATION_ID_REUSED {}", name(id.0)),
    }
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
    let short =
        |short: &Shortfall| format!(" {}:{}>{}", name(short.product.0), short.requested, short.available);
    let short = shortfalls.iter().map(short).collect::<Vec<_>>().concat();
    let (at, order) = (second(*checked_at), option(" order=", order.map(|id| name(id.0))));
    format!("unavailable {}{reason}{short} at={at}{order}", name(cart.0))
}
