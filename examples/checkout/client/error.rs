use std::time::Duration;

use super::messages::Problem;

/// What can go wrong between checkout and the inventory service, each with the way out.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot reach RabbitMQ at {address}; start it, or say with --amqp-url (or AMQP_URL) where it is")]
    Connect {
        address: String,
        #[source]
        source: lapin::Error,
    },

    #[error("RabbitMQ at {address} did not answer within {} s", within.as_secs())]
    ConnectTimeout { address: String, within: Duration },

    #[error(
        "there is no exchange `{exchange}`; `inventory serve` declares it when it starts: start the service \
         first"
    )]
    NoExchange {
        exchange: String,
        #[source]
        source: lapin::Error,
    },

    #[error(
        "exchange `{exchange}` has no queue for `{routing_key}` ({reason}); `inventory serve` declares it when \
         it starts"
    )]
    Unroutable { exchange: String, routing_key: &'static str, reason: String },

    #[error(
        "no answer to {kind} {message_id} within {} s, sent {attempts} time(s); is the inventory service \
         running, and its database (see its /readyz)?",
        within.as_secs()
    )]
    NoAnswer { kind: &'static str, message_id: String, attempts: u32, within: Duration },

    #[error("the service refused {kind}")]
    Refused {
        kind: &'static str,
        #[source]
        problem: Problem,
    },

    #[error("cannot read the answer `{answer}` to {kind}")]
    Unreadable {
        kind: &'static str,
        answer: String,
        #[source]
        source: serde_json::Error,
    },

    #[error("{kind} was answered with a `{answer}`, which the contract does not know")]
    Unexpected { kind: &'static str, answer: String },

    #[error("cannot write {kind} as JSON")]
    Unwritable {
        kind: &'static str,
        #[source]
        source: serde_json::Error,
    },

    #[error("the connection to RabbitMQ was given up")]
    Closed,

    #[error("RabbitMQ refused")]
    Amqp(#[from] lapin::Error),
}
