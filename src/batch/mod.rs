//! Handles commands in batches: decode, lock and load, decide, persist, commit.
//!
//! No broker in here: messages come in, settlements go out in the same order, and events of a commit go to
//! the relay. Batches form by themselves: a worker takes what has arrived, and while it is at it the next
//! batch gathers.

mod answered;
mod bookkeeper;
mod expiry;
mod handler;
mod intake;
mod line;
mod obstacles;
mod pressure;
mod promised;
mod resting;
mod searched;
mod settlement;
mod standstill;
mod turn;

pub use bookkeeper::Bookkeeper;
pub use expiry::Expiry;
pub use handler::Handler;
pub use obstacles::KnownObstacles;
pub use pressure::Pressure;
pub use promised::{Event, Promised};
pub use resting::Resting;
pub use searched::Searched;
pub use settlement::{Disposition, Reply, Settlement};
pub use standstill::Standstill;
