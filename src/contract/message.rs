//! A message as it came in.

/// What of a delivery decides what happens: the body and the properties of contract section 3. Strings that
/// are empty on the wire are absent here, because that is what most clients mean by them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The exchange that it was published to; empty for the default exchange.
    pub exchange: String,
    /// The key that it was published with.
    pub routing_key: String,
    /// `type`
    pub message_type: Option<String>,
    /// `message_id`: the idempotency key.
    pub message_id: Option<String>,
    /// `correlation_id`
    pub correlation_id: Option<String>,
    /// `reply_to`
    pub reply_to: Option<String>,
    /// Header `traceparent`.
    pub traceparent: Option<String>,
    /// Header `tracestate`.
    pub tracestate: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}
