//! The rules of stock and reservations.
//!
//! No I/O, no clock and no randomness in here: what is locked and known comes in as [`Books`], times and
//! identifiers come in as arguments, outcomes and changes come out. That makes every rule testable as a
//! function, and a batch of commands exactly the same as the commands one after another.

mod books;
mod command;
mod decide;
mod ids;
mod items;
mod lapse;
mod lines;
mod outcome;
mod reservation;
mod reserve;
mod settle;

pub use books::{Books, Changes, Known};
pub use command::{Command, Consume, Extend, IdempotencyKey, Release, ReleaseReason, Request, Reserve};
pub use decide::{Decision, Done, Repeat, decide, time_of};
pub use ids::{CartId, OrderId, ProductId, ReservationId};
pub use items::{Item, Items};
pub use lapse::lapse;
pub use lines::{Line, Lines};
pub use outcome::{
    Availability, Consumed, Event, Happening, Outcome, Receipt, Refusal, Released, Reserved, Shortfall,
    Status, Unavailable, UnavailableReason,
};
pub use reservation::{EndReason, Hold, Movement, MovementKind, Reservation, State, StockLevel};
