//! The wire contract: what messages mean on the way in and look like on the way out.
//!
//! No broker client in here; `messaging` moves these values over AMQP.

mod event;
mod inbound;
mod json;
mod message;
mod outbound;
mod problem;
mod reply_to;
mod trace_context;

pub use event::EventType;
pub use inbound::{Limits, MessageType, decode_command, decode_query};
pub use json::rfc3339;
pub use message::Message;
pub use outbound::{
    Answer, Causation, PROBLEM_CONTENT_TYPE, answer_problem, answer_stock_level, encode_outcome,
};
pub use problem::{Code, Problem};
pub use reply_to::ReplyToPolicy;
pub use trace_context::TraceContext;

/// The version of the message contract that is spoken: the header `schema-version` of all that goes out.
pub const SCHEMA_VERSION: &str = "1.1.0";

/// The AMQP `app_id` and the CloudEvents source of all that goes out.
pub const APP_ID: &str = "inventory-service";
