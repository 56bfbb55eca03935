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
mod outcome;
mod reservation;

pub use books::{Books, Changes, Known};
pub use command::{Command, IdempotencyKey, Release, ReleaseReason, Request, Reserve};
pub use decide::{Decision, Repeat, decide};
pub use ids::{CartId, OrderId, ProductId, ReservationId};
pub use items::{Item, Items};
pub use outcome::{Outcome, Refusal, Reserved, Shortfall, Unavailable, UnavailableReason};
pub use reservation::{Amendment, EndReason, Hold, Reservation, State, StockLevel};
