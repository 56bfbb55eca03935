//! `inventory stock import`: reads a CSV file of any size in constant memory.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use csv::{ByteRecord, Position, Reader, ReaderBuilder, Terminator, Trim};
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use super::args::uuid;
use super::output::{self, told};
use super::stock::{open, operator};
use crate::config::Settings;
use crate::storage::stock_change::ON_HAND_MAX;
use crate::storage::stock_import::{Import, LessThanReserved, Line};

/// Lines that are sent to the database together.
const LINES_AT_ONCE: usize = 10_000;

/// A fault, and the line that it is in.
#[derive(Debug)]
struct Fault {
    line: i64,
    reason: String,
}

impl From<LessThanReserved> for Fault {
    fn from(less: LessThanReserved) -> Self {
        let LessThanReserved { number, quantity, reserved } = less;
        Self {
            line: number,
            reason: format!("{quantity} on hand is less than the {reserved} that are reserved"),
        }
    }
}

/// Where the columns are.
struct Columns {
    count: usize,
    product: usize,
    quantity: usize,
}

pub(super) async fn run(settings: &Settings, path: &Path, json: bool) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    let bytes = file.metadata().map_or(0, |metadata| metadata.len());
    let progress = ProgressBar::new(bytes).with_style(bar());
    let mut lines = reader(progress.wrap_read(BufReader::new(file)));
    let columns = columns(&mut lines).map_err(|fault| refused(path, &fault))?;
    let database = open(settings).await?;
    let mut import = Import::begin(&database).await?;
    progress.set_message("reading");
    let (count, fault) = take_all(&mut lines, &columns, &mut import).await?;
    progress.set_message("checking");
    // A line further up may be refused for what is reserved: the first fault is the one to name.
    let earlier = import.check().await?.map(Fault::from);
    if let Some(fault) = earlier.or(fault) {
        progress.finish_and_clear();
        return Err(refused(path, &fault));
    }
    progress.set_message("writing");
    import.write(&operator()).await?;
    progress.finish_and_clear();
    told(print(count, json))
}

fn bar() -> ProgressStyle {
    let template = "{msg:9} [{bar:40}] {bytes}/{total_bytes} {elapsed} (eta {eta})";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Every line ends in a line feed, the last one as well; the carriage return before it is trimmed off with the blanks.
fn reader<R: Read>(source: R) -> Reader<impl Read> {
    ReaderBuilder::new()
        .trim(Trim::All)
        .flexible(true)
        .terminator(Terminator::Any(b'\n'))
        .from_reader(source.chain(&b"\n"[..]))
}

fn columns<R: Read>(lines: &mut Reader<R>) -> Result<Columns, Fault> {
    let headers = lines.byte_headers().map_err(|error| fault_of(&error))?;
    let strip = |header: &[u8]| header.strip_prefix("\u{feff}".as_bytes()).unwrap_or(header).to_vec();
    let headers: Vec<Vec<u8>> = headers.iter().map(strip).collect();
    let column = |name: &str| {
        let mut found =
            (0..headers.len()).filter(|column| headers[*column].eq_ignore_ascii_case(name.as_bytes()));
        let reason = match (found.next(), found.next()) {
            (Some(column), None) => return Ok(column),
            (None, _) => format!("there is no column {name}: the first line must be product_id,quantity"),
            (Some(_), Some(_)) => format!("there are two columns {name}"),
        };
        Err(Fault { line: 1, reason })
    };
    Ok(Columns { count: headers.len(), product: column("product_id")?, quantity: column("quantity")? })
}

/// Sends all lines to the database, up to the first fault.
async fn take_all<R: Read>(
    lines: &mut Reader<R>,
    columns: &Columns,
    import: &mut Import,
) -> Result<(u64, Option<Fault>), Failure> {
    let mut record = ByteRecord::new();
    let mut taken = Vec::with_capacity(LINES_AT_ONCE);
    let mut count = 0;
    let fault = loop {
        let read = lines.read_byte_record(&mut record).map_err(|error| fault_of(&error));
        if is_blank(&record) && read.as_ref().is_ok_and(|more| *more) {
            continue;
        }
        let number = number(&record, lines.position());
        match read.and_then(|more| more.then(|| parse(&record, number, columns)).transpose()) {
            Ok(Some(line)) => taken.push(line),
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        }
        count += 1;
        if taken.len() == LINES_AT_ONCE {
            import.take(&taken).await?;
            taken.clear();
        }
    };
    import.take(&taken).await?;
    Ok((count, fault))
}

/// As whoever has blank lines in the file means it.
fn is_blank(record: &ByteRecord) -> bool {
    record.len() == 1 && record.get(0).is_some_and(<[u8]>::is_empty)
}

/// The number of the line in which a record begins, of what was read to its end: its own position may be that of blank lines
/// before it.
fn number(record: &ByteRecord, end: &Position) -> i64 {
    let lines = record.as_slice().split(|byte| *byte == b'\n').count();
    line_of(end) - i64::try_from(lines).unwrap_or_default()
}

fn parse(record: &ByteRecord, number: i64, columns: &Columns) -> Result<Line, Fault> {
    let fault = |reason: &str| Fault { line: number, reason: reason.to_owned() };
    let field =
        |column| record.get(column).and_then(|field| std::str::from_utf8(field).ok()).unwrap_or_default();
    if record.len() > columns.count {
        return Err(fault("there are more fields than columns: is it a number with a comma?"));
    }
    let product = uuid(field(columns.product)).map_err(|_| fault("product_id is not a UUID"))?;
    let quantity =
        field(columns.quantity).parse().ok().filter(|quantity| (0..=ON_HAND_MAX).contains(quantity));
    let quantity =
        quantity.ok_or_else(|| fault(&format!("quantity is not an integer between 0 and {ON_HAND_MAX}")))?;
    Ok(Line { number, product, quantity })
}

fn fault_of(error: &csv::Error) -> Fault {
    Fault { line: error.position().map_or(1, line_of), reason: error.to_string() }
}

fn line_of(position: &Position) -> i64 {
    i64::try_from(position.line()).unwrap_or(i64::MAX)
}

fn refused(path: &Path, fault: &Fault) -> Failure {
    Failure::No(format!("{}, line {}: {}; nothing was imported", path.display(), fault.line, fault.reason))
}

fn print(lines: u64, json: bool) -> io::Result<()> {
    if json {
        output::json(&serde_json::json!({ "imported": lines }))
    } else {
        output::text(&format!("imported {lines} lines"))
    }
}
