//! W3C trace context (<https://www.w3.org/TR/trace-context/>): continued, or begun where there is none.

use uuid::Uuid;

/// Longest `tracestate` that is passed on; the recommendation demands at least 512 characters.
const TRACESTATE_BYTES_MAX: usize = 512;

/// What goes out in the headers `traceparent` and `tracestate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// Version 00: trace id, the id of this service's span, flags.
    pub traceparent: String,
    /// The vendors' part, passed on as it came.
    pub tracestate: Option<String>,
}

impl TraceContext {
    /// Continues the sender's trace with a span of our own. A `traceparent` that is not valid begins a new
    /// trace, as the recommendation says, and its `tracestate` is dropped with it.
    ///
    /// The ids are those of the answer: told again, it is the very same.
    #[must_use]
    pub fn continued(traceparent: Option<&str>, tracestate: Option<&str>, answer_id: Uuid) -> Self {
        let digits = format!("{:032x}", answer_id.as_u128());
        let span_id = &digits[16..];
        match traceparent.and_then(parse) {
            Some((trace_id, flags)) => Self {
                traceparent: format!("00-{trace_id}-{span_id}-{flags}"),
                tracestate: tracestate.filter(|state| is_passable(state)).map(ToOwned::to_owned),
            },
            None => Self { traceparent: format!("00-{digits}-{span_id}-00"), tracestate: None },
        }
    }
}

/// Trace id and flags of a valid `traceparent`. A later version may have more fields behind.
fn parse(traceparent: &str) -> Option<(&str, &str)> {
    let mut fields = traceparent.split('-');
    let (version, trace_id, parent_id, flags) =
        (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let valid = is_hex(version, 2)
        && version != "ff"
        && (version != "00" || fields.next().is_none())
        && is_hex(trace_id, 32)
        && trace_id.bytes().any(|b| b != b'0')
        && is_hex(parent_id, 16)
        && parent_id.bytes().any(|b| b != b'0')
        && is_hex(flags, 2);
    valid.then_some((trace_id, flags))
}

fn is_hex(field: &str, digits: usize) -> bool {
    field.len() == digits && field.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_passable(tracestate: &str) -> bool {
    (1..=TRACESTATE_BYTES_MAX).contains(&tracestate.len())
        && tracestate.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_is_continued_with_a_span_of_our_own() {
        let ours = TraceContext::continued(Some(PARENT), Some("vendor=1"), Uuid::from_u128(0xabc));
        assert_eq!(ours.traceparent, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000abc-01");
        assert_eq!(ours.tracestate.as_deref(), Some("vendor=1"));
    }

    #[test]
    fn what_is_not_valid_begins_a_new_trace() {
        for bad in [
            "",
            "00",
            "00-0-0-00",
            &PARENT.to_uppercase(),
            &format!("{PARENT}-x"),
            &PARENT.replace("00-4", "ff-4"),
        ] {
            let ours = TraceContext::continued(Some(bad), Some("vendor=1"), Uuid::from_u128(7));
            assert_eq!(ours.traceparent, format!("00-{:032x}-{:016x}-00", 7, 7), "{bad}");
            assert_eq!(ours.tracestate, None);
        }
    }

    #[test]
    fn a_tracestate_that_could_break_a_header_is_dropped() {
        let ours = TraceContext::continued(Some(PARENT), Some("a=\u{0}"), Uuid::from_u128(7));
        assert_eq!(ours.tracestate, None);
    }
}
