//! What several commands print the same way.

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use serde::Serialize;

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

/// What became of telling about a change: it is made, whether or not that can be told.
pub(super) fn told(result: io::Result<()>) -> Result<(), Failure> {
    written(result).map_err(|failure| Failure::system(format!("it is done, but cannot be told: {failure}")))
}

/// What became of work that may have been done in part, and of telling about that: neither hides the other.
pub(super) fn ended(work: Result<(), Failure>, telling: io::Result<()>) -> Result<(), Failure> {
    match (work, told(telling)) {
        (Ok(()), telling) => telling,
        (work, Ok(())) => work,
        (Err(why), Err(untold)) => Err(Failure::system(format!("{why}. Of what was done before: {untold}"))),
    }
}

/// Prints a text, and the end of its line.
pub(super) fn text(text: &str) -> io::Result<()> {
    let mut out = stdout();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints one JSON document, and the end of its line.
pub(super) fn json(document: &impl Serialize) -> io::Result<()> {
    let mut out = stdout();
    serde_json::to_writer(&mut out, document)?;
    writeln!(out)?;
    out.flush()
}

/// A `message_id` for people: it is bytes, and mostly text.
pub(super) fn message_id(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
