//! A command as text:
//!
//! ```text
//! reserve C1 P1x2 P2x1 id=R1 order=O1 hold=30 msg=M1
//! release R1 why=EXPIRED msg=M2
//! release R1 P1x1
//! consume R1
//! consume R1 P1x1
//! extend R1 hold=60
//! ```

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use inventory_service::domain::{
    CartId, Command, Consume, Extend, IdempotencyKey, Item, Items, OrderId, ProductId, Release,
    ReleaseReason, Request, ReservationId, Reserve,
};

use super::names::{name, numbered, uuid};

/// A command, and its `message_id`.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    pub action: Action,
    pub message_id: Option<String>,
}

/// What a command asks for, with its lines as the sender wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Reserve(Ask),
    Release { reservation: ReservationId, part: Option<Vec<Item>>, reason: Option<ReleaseReason> },
    Consume { reservation: ReservationId, part: Option<Vec<Item>> },
    Extend { reservation: ReservationId, hold_seconds: u32 },
}

/// A reserve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub cart: CartId,
    pub reservation: Option<ReservationId>,
    pub order: Option<OrderId>,
    pub hold_seconds: Option<u32>,
    pub lines: Vec<Item>,
}

impl Step {
    /// The request at this position of a history, counted from 1.
    pub fn request(&self, position: usize) -> Request {
        let key = self.message_id.as_ref().map(|message_id| IdempotencyKey {
            message_id: message_id.as_bytes().to_vec(),
            body_hash: self.body_hash(),
        });
        Request {
            command: self.action.command(),
            key,
            fresh_reservation: ReservationId(numbered('N', position)),
            answer_id: numbered('A', position),
        }
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

impl Action {
    fn command(&self) -> Command {
        match self {
            Self::Reserve(ask) => Command::Reserve(Reserve {
                cart: ask.cart,
                order: ask.order,
                reservation: ask.reservation,
                hold_seconds: ask.hold_seconds,
                items: added_up(&ask.lines),
            }),
            Self::Release { reservation, part, reason } => Command::Release(Release {
                reservation: *reservation,
                items: part.as_deref().map(added_up),
                reason: *reason,
            }),
            Self::Consume { reservation, part } => {
                Command::Consume(Consume { reservation: *reservation, items: part.as_deref().map(added_up) })
            }
            Self::Extend { reservation, hold_seconds } => {
                Command::Extend(Extend { reservation: *reservation, hold_seconds: *hold_seconds })
            }
        }
    }
}

fn added_up(lines: &[Item]) -> Items {
    Items::add_up(lines.iter().copied())
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
            Self::Release { reservation, part, reason } => {
                let why = option(" why=", reason.map(reason_name));
                write!(f, "release {}{}{why}", name(reservation.0), lines(part.iter().flatten()))
            }
            Self::Consume { reservation, part } => {
                write!(f, "consume {}{}", name(reservation.0), lines(part.iter().flatten()))
            }
            Self::Extend { reservation, hold_seconds } => {
                write!(f, "extend {} hold={hold_seconds}", name(reservation.0))
            }
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

fn reason_name(reason: ReleaseReason) -> &'static str {
    REASONS.into_iter().find(|(known, _)| *known == reason).map_or("?", |(_, name)| name)
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let action = action(&words).ok_or_else(|| format!("not a command: {text}"))?;
        let step = Self { action, message_id: value(&words, "msg=").map(ToOwned::to_owned) };
        // A word that was passed over would be a test of something else.
        if step.to_string() == words.join(" ") { Ok(step) } else { Err(format!("{text} was read as {step}")) }
    }
}

fn action(words: &[&str]) -> Option<Action> {
    let [verb, subject, rest @ ..] = words else { return None };
    let lines: Vec<Item> = rest.iter().filter_map(|word| line(word)).collect();
    let hold_seconds = value(words, "hold=").and_then(|seconds| seconds.parse().ok());
    let subject = uuid(subject);
    let reservation = ReservationId(subject);
    let part = (!lines.is_empty()).then(|| lines.clone());
    Some(match *verb {
        "reserve" => Action::Reserve(Ask {
            cart: CartId(subject),
            reservation: value(words, "id=").map(|id| ReservationId(uuid(id))),
            order: value(words, "order=").map(|id| OrderId(uuid(id))),
            hold_seconds,
            lines,
        }),
        "release" => Action::Release { reservation, part, reason: value(words, "why=").and_then(reason_of) },
        "consume" => Action::Consume { reservation, part },
        "extend" => Action::Extend { reservation, hold_seconds: hold_seconds? },
        _ => return None,
    })
}

fn value<'a>(words: &[&'a str], label: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(label))
}

fn line(word: &str) -> Option<Item> {
    let (product, quantity) = word.split_once('x').filter(|_| word.starts_with('P'))?;
    Some(Item { product: ProductId(uuid(product)), quantity: quantity.parse().ok()? })
}

fn reason_of(name: &str) -> Option<ReleaseReason> {
    REASONS.into_iter().find(|(_, known)| *known == name).map(|(reason, _)| reason)
}
