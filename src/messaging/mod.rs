//! RabbitMQ, and the only place that knows its client.
//!
//! Commands, queries, events, replies and dead letters each have a connection of their own: a connection that the broker
//! blocks stalls every write on it, acknowledgements too. Connections are supervised: after an error all is dropped,
//! and made again after a pause.

mod confirms;
mod connection;
mod consumer;
mod dead_letter;
mod definitions;
mod endpoint;
mod in_hand;
mod properties;
mod publication;
mod publisher;
mod settler;
mod socket;
mod topology;

pub use connection::{ConnectError, Link, LinkState, prepare};
pub use consumer::{Consumer, Work};
pub use dead_letter::dead_letter;
pub use definitions::definitions;
pub use endpoint::{CertificateError, check, vhost};
pub use properties::take_message;
pub use publication::Publication;
pub use publisher::{Publisher, Refused, Unpublished};
pub use settler::Outlets;
pub use topology::TopologyError;
