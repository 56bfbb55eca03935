//! What breaks things. Processes are killed, paused and resumed by `support::service` and `support::servers`.

mod link;
pub mod proxy;

pub use proxy::{Blow, Direction, Proxy, Weather};
