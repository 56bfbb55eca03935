//! The wire contract: what messages mean on the way in and look like on the way out.
//!
//! No broker client in here; `messaging` moves these values over AMQP.

mod event;
mod inbound;
mod json;
mod message;
mod message_type;
mod outbound;
mod problem;
mod query;
mod reply_to;
mod trace_context;

pub use event::EventType;
pub use inbound::{Limits, decode_command};
pub use json::rfc3339;
pub use message::Message;
pub use message_type::MessageType;
pub use outbound::{Answer, Causation, PROBLEM_CONTENT_TYPE, answer_problem, encode_event, encode_outcome};
pub use problem::{Code, Problem};
pub use query::{
    Query, ReservationKey, answer_reservation, answer_stock_level, answer_stock_levels, decode_query,
};
pub use reply_to::ReplyToPolicy;
pub use trace_context::TraceContext;

/// The version of the message contract that is spoken: the header `schema-version` of all that goes out.
pub const SCHEMA_VERSION: &str = "1.2.0";

/// The AMQP `app_id` and the CloudEvents source of all that goes out.
pub const APP_ID: &str = "inventory-service";
