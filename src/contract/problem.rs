//! What went wrong, as RFC 9457 problem details (contract section 5).

use serde::{Deserialize, Serialize};

use super::outbound::{WireItem, WireShortfall, wire_items};
use crate::domain::Refusal;

/// Longest `detail` in bytes: a sentence for people, that must fit a header as well.
const DETAIL_BYTES_MAX: usize = 500;

/// The code of a problem, to the letter as in contract section 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The body is not what the message type demands.
    InvalidMessage,
    /// Neither the type nor the routing key names a message that this queue takes.
    UnsupportedType,
    /// The body is larger than the limit.
    MessageTooLarge,
    /// The `message_id` belongs to a message with another body.
    MessageIdReused,
    /// The `reservationId` belongs to another cart.
    ReservationIdReused,
    /// Answers are not sent to this queue.
    ReplyToRefused,
    /// No such product.
    ProductNotFound,
    /// No such reservation.
    ReservationNotFound,
    /// The stock of the reservation has left the house.
    ReservationConsumed,
    /// The stock of the reservation has gone back.
    ReservationReleased,
    /// More was asked for than is held.
    ExceedsHeld,
    /// The time of the hold was over.
    HoldLapsed,
}

impl Code {
    /// All codes.
    pub const ALL: [Self; 12] = [
        Self::InvalidMessage,
        Self::UnsupportedType,
        Self::MessageTooLarge,
        Self::MessageIdReused,
        Self::ReservationIdReused,
        Self::ReplyToRefused,
        Self::ProductNotFound,
        Self::ReservationNotFound,
        Self::ReservationConsumed,
        Self::ReservationReleased,
        Self::ExceedsHeld,
        Self::HoldLapsed,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidMessage => "INVALID_MESSAGE",
            Self::UnsupportedType => "UNSUPPORTED_TYPE",
            Self::MessageTooLarge => "MESSAGE_TOO_LARGE",
            Self::MessageIdReused => "MESSAGE_ID_REUSED",
            Self::ReservationIdReused => "RESERVATION_ID_REUSED",
            Self::ReplyToRefused => "REPLY_TO_REFUSED",
            Self::ProductNotFound => "PRODUCT_NOT_FOUND",
            Self::ReservationNotFound => "RESERVATION_NOT_FOUND",
            Self::ReservationConsumed => "RESERVATION_CONSUMED",
            Self::ReservationReleased => "RESERVATION_RELEASED",
            Self::ExceedsHeld => "EXCEEDS_HELD",
            Self::HoldLapsed => "HOLD_LAPSED",
        }
    }

    /// Finds the code of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }

    /// The status, with the meaning that it has in HTTP.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidMessage | Self::UnsupportedType => 400,
            Self::ReplyToRefused => 403,
            Self::ProductNotFound | Self::ReservationNotFound => 404,
            Self::MessageIdReused
            | Self::ReservationIdReused
            | Self::ReservationConsumed
            | Self::ReservationReleased
            | Self::ExceedsHeld
            | Self::HoldLapsed => 409,
            Self::MessageTooLarge => 413,
        }
    }

    /// Whether a command with this problem could not be understood and goes to the dead-letter queue; the
    /// others are business, and answered only.
    #[must_use]
    pub fn is_dead_letter(self) -> bool {
        match self {
            Self::InvalidMessage
            | Self::UnsupportedType
            | Self::MessageTooLarge
            | Self::MessageIdReused
            | Self::ReservationIdReused
            | Self::ReplyToRefused => true,
            Self::ProductNotFound
            | Self::ReservationNotFound
            | Self::ReservationConsumed
            | Self::ReservationReleased
            | Self::ExceedsHeld
            | Self::HoldLapsed => false,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::InvalidMessage => "The message is not valid",
            Self::UnsupportedType => "The message type is not supported here",
            Self::MessageTooLarge => "The message is too large",
            Self::MessageIdReused => "The message_id was used for another message",
            Self::ReservationIdReused => "The reservationId belongs to another cart",
            Self::ReplyToRefused => "Answers are not sent to this queue",
            Self::ProductNotFound => "The product is not known",
            Self::ReservationNotFound => "The reservation is not known",
            Self::ReservationConsumed => "The reservation was consumed",
            Self::ReservationReleased => "The reservation was released",
            Self::ExceedsHeld => "More than is held",
            Self::HoldLapsed => "The hold has lapsed",
        }
    }
}

/// A problem with a message, to be told to its sender and to the people who look at dead letters.
///
/// The detail never repeats a value from the message: it may be confidential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What kind of problem.
    pub code: Code,
    /// One sentence: what is wrong, and what to do.
    pub detail: String,
    /// What is still held, where more was asked for.
    held: Option<Vec<WireItem>>,
    /// What falls short, where a lapsed hold was to be taken again.
    unavailable_items: Option<Vec<WireShortfall>>,
}

impl Problem {
    /// A problem with a detail, which is cut to 500 bytes.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        Self { code, detail, held: None, unavailable_items: None }
    }

    /// A problem of which the body exists already.
    #[must_use]
    pub fn from_json(code: Code, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Detail {
            detail: String,
        }
        let detail =
            serde_json::from_slice(body).map_or_else(|_| code.title().to_owned(), |d: Detail| d.detail);
        Self::new(code, detail)
    }

    /// The body of the reply: `application/problem+json`.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let body = Body {
            r#type: format!(
                "urn:acme:inventory:problem:{}",
                self.code.name().to_lowercase().replace('_', "-")
            ),
            title: self.code.title(),
            status: self.code.status(),
            detail: &self.detail,
            code: self.code.name(),
            held: self.held.as_deref(),
            unavailable_items: self.unavailable_items.as_deref(),
        };
        super::json::to_vec(&body)
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::ReservationNotFound(id) => Self::new(
                Code::ReservationNotFound,
                format!("There is no reservation {id}; reserve first, and send the same reservationId."),
            ),
            Refusal::ReleasedEarly(id) => Self::new(
                Code::ReservationNotFound,
                format!(
                    "There is no reservation {id}. The release is remembered: should its reserve still turn up, \
                     it will hold nothing."
                ),
            ),
            Refusal::ReservationConsumed(id) => Self::new(
                Code::ReservationConsumed,
                format!(
                    "The stock of reservation {id} has left the house; book a return as a stock adjustment."
                ),
            ),
            Refusal::ReservationReleased(id) => Self::new(
                Code::ReservationReleased,
                format!(
                    "The stock of reservation {id} was released and holds nothing any more; reserve again, with a \
                     new reservationId."
                ),
            ),
            Refusal::ReservationIdReused(id) => Self::new(
                Code::ReservationIdReused,
                format!("Reservation {id} belongs to another cart; choose a new UUID for each cart."),
            ),
            Refusal::ExceedsHeld(id, held) => Self {
                held: Some(wire_items(held)),
                ..Self::new(
                    Code::ExceedsHeld,
                    format!(
                        "Reservation {id} has less left than items asks for, and nothing was changed; held says \
                         what is left."
                    ),
                )
            },
            Refusal::HoldLapsed(id, short) if short.is_empty() => Self::new(
                Code::HoldLapsed,
                format!(
                    "The time of reservation {id} was over and its stock has gone back; reserve again, with a new \
                     reservationId."
                ),
            ),
            Refusal::HoldLapsed(id, short) => Self {
                unavailable_items: Some(short.iter().map(WireShortfall::from).collect()),
                ..Self::new(
                    Code::HoldLapsed,
                    format!(
                        "The time of reservation {id} was over, its stock has gone back, and not all of it is \
                         available any more: unavailableItems says what falls short. If the goods have left, count \
                         the stock."
                    ),
                )
            },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<&'a [WireItem]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable_items: Option<&'a [WireShortfall]>,
}
