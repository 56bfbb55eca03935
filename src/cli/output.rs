//! What several commands print the same way.

use std::io::{self, BufWriter, ErrorKind, Stdout};

use chrono::{DateTime, SecondsFormat, Utc};

use super::Failure;

/// The standard output stream, for answers of any length.
pub(super) fn stdout() -> BufWriter<Stdout> {
    BufWriter::new(io::stdout())
}

/// What became of writing: who reads only the beginning (`| head`) has got what was asked for.
pub(super) fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(Failure::system),
    }
}

/// A time as everywhere in the contract: RFC 3339, UTC, to the microsecond.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A `message_id` for people: it is bytes, and mostly text.
pub(super) fn message_id(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
