//! `inventory ledger`: prints a ledger of any length in constant memory.

use std::io::{self, BufWriter, Stdout, Write};
use std::pin::pin;

use futures_util::TryStreamExt;
use serde::Serialize;
use uuid::Uuid;

use super::Failure;
use super::output::{message_id, stdout, written};
use super::stock::{open, unknown};
use crate::config::Settings;
use crate::contract::rfc3339;
use crate::storage::ledger::{Entry, Ledger, Level, Range};

/// How the ledger is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Table,
    /// One JSON object.
    Json,
    /// A line an entry, after a line of column names.
    Csv,
}

/// An entry as it is printed for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    at: String,
    kind: String,
    on_hand_delta: i64,
    reserved_delta: i64,
    on_hand: i64,
    reserved: i64,
    available: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<String>,
}

impl From<Entry> for Shown {
    fn from(entry: Entry) -> Self {
        Self {
            at: rfc3339(entry.at),
            kind: entry.kind,
            on_hand_delta: entry.on_hand_delta,
            reserved_delta: entry.reserved_delta,
            on_hand: entry.on_hand,
            reserved: entry.reserved,
            available: entry.on_hand - entry.reserved,
            reservation_id: entry.reservation_id,
            reason: entry.reason.map(|reason| if reason == "LAPSED" { "EXPIRED".to_owned() } else { reason }),
            message_id: entry.caused_by.as_deref().map(message_id),
            operator: entry.operator,
        }
    }
}

/// Prints the ledger of a product.
pub(super) async fn run(settings: &Settings, product: Uuid, range: Range, form: Form) -> Result<(), Failure> {
    if let (Some(from), Some(to)) = (range.from, range.to)
        && from >= to
    {
        return Err(Failure::Usage("--from must be before --to".to_owned()));
    }
    let database = open(settings).await?;
    let mut ledger = Ledger::open(&database, product).await?;
    if !ledger.is_known().await? {
        return Err(unknown(product));
    }
    let level = ledger.level().await?;
    let mut printer = Printer { form, product, out: stdout(), entries: 0 };
    written(printer.begin(range))?;
    let mut last = None;
    {
        let mut entries = pin!(ledger.entries(range)?);
        while let Some(entry) = entries.try_next().await? {
            last = Some(Level { on_hand: entry.on_hand, reserved: entry.reserved });
            if let Err(error) = printer.entry(&entry.into()) {
                return written(Err(error));
            }
        }
    }
    ledger.close().await?;
    written(printer.end(level))?;
    let is_whole = range.to.is_none() && (range.from.is_none() || last.is_some());
    if is_whole && last != level { Err(Failure::No(DIFFERS.to_owned())) } else { Ok(()) }
}

/// The ledger up to now ends at the stock row, or the books do not balance.
const DIFFERS: &str =
    "the ledger does not end at what the stock row says: `inventory verify` tells what is wrong";

/// The columns of the CSV form.
const COLUMNS: [&str; 12] = [
    "product_id",
    "at",
    "kind",
    "on_hand_delta",
    "reserved_delta",
    "on_hand",
    "reserved",
    "available",
    "reservation_id",
    "reason",
    "message_id",
    "operator",
];

/// Writes entries as they come.
struct Printer {
    form: Form,
    product: Uuid,
    out: BufWriter<Stdout>,
    /// How many were written.
    entries: u64,
}

impl Printer {
    fn begin(&mut self, range: Range) -> io::Result<()> {
        match self.form {
            Form::Table => self.begin_table(),
            Form::Json => self.begin_object(range),
            Form::Csv => writeln!(self.out, "{}", COLUMNS.join(",")),
        }
    }

    fn begin_table(&mut self) -> io::Result<()> {
        writeln!(self.out, "product {}", self.product)?;
        writeln!(
            self.out,
            "{:27} {:15} {:>10} {:>10} {:>10} {:>10} {:>10}  cause",
            "at", "kind", "on hand ±", "reserved ±", "on hand", "reserved", "available"
        )
    }

    fn begin_object(&mut self, range: Range) -> io::Result<()> {
        write!(self.out, "{{\"productId\":\"{}\"", self.product)?;
        for (name, end) in [("from", range.from), ("to", range.to)] {
            if let Some(end) = end {
                write!(self.out, ",\"{name}\":\"{}\"", rfc3339(end))?;
            }
        }
        write!(self.out, ",\"entries\":[")
    }

    fn entry(&mut self, shown: &Shown) -> io::Result<()> {
        match self.form {
            Form::Table => self.line(shown)?,
            Form::Json => self.object(shown)?,
            Form::Csv => self.record(shown)?,
        }
        self.entries += 1;
        Ok(())
    }

    fn line(&mut self, shown: &Shown) -> io::Result<()> {
        let Shown { at, kind, on_hand_delta, reserved_delta, on_hand, reserved, available, .. } = shown;
        write!(self.out, "{at:27} {kind:15} {on_hand_delta:>+10} {reserved_delta:>+10} ")?;
        writeln!(self.out, "{on_hand:>10} {reserved:>10} {available:>10}  {}", cause(shown))
    }

    fn object(&mut self, shown: &Shown) -> io::Result<()> {
        self.out.write_all(if self.entries == 0 { b"\n" } else { b",\n" })?;
        Ok(serde_json::to_writer(&mut self.out, shown)?)
    }

    fn record(&mut self, shown: &Shown) -> io::Result<()> {
        let mut line =
            csv::WriterBuilder::new().has_headers(false).buffer_capacity(512).from_writer(&mut self.out);
        line.serialize((self.product, shown.columns())).map_err(io::Error::from)?;
        line.flush()
    }

    /// Writes the end: what the stock row says.
    fn end(mut self, level: Option<Level>) -> io::Result<()> {
        if self.form == Form::Json {
            write!(self.out, "\n]")?;
            if let Some(Level { on_hand, reserved }) = level {
                let available = on_hand - reserved;
                write!(self.out, ",\"onHand\":{on_hand},\"reserved\":{reserved},\"available\":{available}")?;
            }
            writeln!(self.out, "}}")?;
        }
        self.out.flush()
    }
}

impl Shown {
    /// The columns of the CSV form, but the product.
    fn columns(&self) -> impl Serialize + '_ {
        (
            &self.at,
            &self.kind,
            self.on_hand_delta,
            self.reserved_delta,
            self.on_hand,
            self.reserved,
            self.available,
            self.reservation_id,
            &self.reason,
            &self.message_id,
            &self.operator,
        )
    }
}

/// Why the stock moved, for people.
fn cause(shown: &Shown) -> String {
    let parts = [
        shown.reservation_id.map(|id| format!("reservation {id}")),
        shown.reason.clone(),
        shown.message_id.as_ref().map(|id| format!("message {id}")),
        shown.operator.as_ref().map(|operator| format!("by {operator}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}
