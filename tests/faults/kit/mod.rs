//! What breaks things. Processes are killed, paused and resumed by `support::service` and `support::servers`.

mod link;
pub mod proxy;
mod stage;
mod vitals;

pub use proxy::{Blow, Direction, Proxy, Weather};
pub use stage::between_services;
pub use vitals::{Vitals, assert_small};
