//! Reads invoices out of the data set, and settles what each line means.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use uuid::Uuid;

use crate::ids;

/// The service takes no more lines a cart.
pub const MAX_LINES: usize = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("cannot open {}; say with --data where the invoices are", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: csv::Error,
    },
    #[error("{} has no line that could be sold", path.display())]
    Empty { path: PathBuf },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    invoice_no: String,
    stock_code: String,
    quantity: i64,
    #[serde(rename = "CustomerID")]
    customer_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sale,
    Cancellation,
}

/// So many units of a product; more than none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    pub product: Uuid,
    pub units: u64,
}

#[derive(Debug)]
pub struct Invoice {
    pub number: String,
    pub customer: Option<String>,
    pub kind: Kind,
    pub lines: Vec<Line>,
}

/// Why a line is not played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    NotAProduct,
    NegativeOnSale,
    PositiveOnCancellation,
    NoUnits,
    TooManyLines,
}

impl LeftOut {
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotAProduct => "code is no product (postage, discount, fees)",
            Self::NegativeOnSale => "negative on a plain invoice (a stock correction)",
            Self::PositiveOnCancellation => "positive on a cancellation",
            Self::NoUnits => "quantity 0",
            Self::TooManyLines => "on an invoice longer than a cart may be",
        }
    }
}

/// What is to be played, in the order of the file.
#[derive(Debug, Default)]
pub struct DataSet {
    pub invoices: Vec<Invoice>,
    /// Every product that is sold or cancelled, and its stock code.
    pub products: BTreeMap<Uuid, String>,
    /// Lines by the reason why they are left out.
    pub left_out: BTreeMap<LeftOut, usize>,
    /// Invoices of which no line remained.
    pub empty: usize,
}

/// Reads a file with at least the columns `InvoiceNo`, `StockCode`, `Quantity` and `CustomerID`.
pub fn read(path: &Path) -> Result<DataSet, DataError> {
    let file = File::open(path).map_err(|source| DataError::Open { path: path.to_owned(), source })?;
    let rows = read_rows(io::BufReader::new(file))
        .map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let data = group(rows);
    if data.products.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(data)
}

/// Descriptions are skipped as bytes: the full data set has some that are no UTF-8.
fn read_rows(input: impl io::Read) -> Result<Vec<Row>, csv::Error> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(input);
    let headers = reader.byte_headers()?.clone();
    reader.byte_records().map(|record| record?.deserialize(Some(&headers))).collect()
}

fn group(rows: Vec<Row>) -> DataSet {
    let mut data = DataSet::default();
    let mut positions = HashMap::new();
    for row in rows {
        let position = *positions.entry(row.invoice_no.clone()).or_insert_with(|| {
            data.invoices.push(empty_invoice(&row));
            data.invoices.len() - 1
        });
        let invoice = &mut data.invoices[position];
        match classify(&row, invoice.kind) {
            Ok(line) => {
                invoice.lines.push(line);
                data.products.insert(line.product, stock_code(&row));
            }
            Err(reason) => *data.left_out.entry(reason).or_default() += 1,
        }
    }
    leave_out_long(&mut data);
    let all = data.invoices.len();
    data.invoices.retain(|invoice| !invoice.lines.is_empty());
    data.empty = all - data.invoices.len();
    data
}

fn empty_invoice(row: &Row) -> Invoice {
    let cancelled = row.invoice_no.starts_with(['C', 'c']);
    Invoice {
        number: row.invoice_no.clone(),
        customer: (!row.customer_id.is_empty()).then(|| row.customer_id.clone()),
        kind: if cancelled { Kind::Cancellation } else { Kind::Sale },
        lines: Vec::new(),
    }
}

fn classify(row: &Row, kind: Kind) -> Result<Line, LeftOut> {
    let code = stock_code(row);
    if !is_product(&code) {
        return Err(LeftOut::NotAProduct);
    }
    match (kind, row.quantity) {
        (_, 0) => Err(LeftOut::NoUnits),
        (Kind::Sale, ..0) => Err(LeftOut::NegativeOnSale),
        (Kind::Cancellation, 1..) => Err(LeftOut::PositiveOnCancellation),
        (_, quantity) => Ok(Line { product: ids::product(&code), units: quantity.unsigned_abs() }),
    }
}

/// The shop writes the letters of one and the same code now large, now small.
fn stock_code(row: &Row) -> String {
    row.stock_code.to_ascii_uppercase()
}

/// Goods have five digits, and perhaps letters for the variant: `85123A`. `POST`, `D`, `M`, `C2` or `BANK
/// CHARGES` never lay on a shelf.
fn is_product(code: &str) -> bool {
    code.len() >= 5 && code.bytes().take(5).all(|byte| byte.is_ascii_digit())
}

fn leave_out_long(data: &mut DataSet) {
    let long = |invoice: &&mut Invoice| invoice.kind == Kind::Sale && invoice.lines.len() > MAX_LINES;
    for invoice in data.invoices.iter_mut().filter(long) {
        *data.left_out.entry(LeftOut::TooManyLines).or_default() += invoice.lines.len();
        invoice.lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(csv: &str) -> Result<DataSet, csv::Error> {
        let headed = format!("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,CustomerID\n{csv}");
        read_rows(headed.as_bytes()).map(group)
    }

    #[test]
    fn a_product_that_stands_twice_is_kept_twice() -> Result<(), csv::Error> {
        let data = parse("1,85123A,X,2,2010-12-01 08:26:00,17850\n1,85123a,X,3,,17850\n")?;
        let product = ids::product("85123A");
        assert_eq!(data.invoices[0].lines, [Line { product, units: 2 }, Line { product, units: 3 }]);
        assert_eq!(data.products.len(), 1);
        Ok(())
    }

    #[test]
    fn lines_that_mean_no_goods_are_left_out_and_counted() -> Result<(), csv::Error> {
        let data = parse(
            "1,POST,X,1,,1\n1,22423,X,-10,,1\n1,22423,X,0,,1\nC2,22423,X,5,,1\nC2,D,X,-1,,1\n3,22423,X,1,,\n",
        )?;
        assert_eq!(data.left_out[&LeftOut::NotAProduct], 2);
        assert_eq!(data.left_out[&LeftOut::NegativeOnSale], 1);
        assert_eq!(data.left_out[&LeftOut::NoUnits], 1);
        assert_eq!(data.left_out[&LeftOut::PositiveOnCancellation], 1);
        assert_eq!((data.invoices.len(), data.empty), (1, 2));
        assert_eq!(data.invoices[0].customer, None);
        Ok(())
    }

    #[test]
    fn a_cancellation_counts_what_it_cancels() -> Result<(), csv::Error> {
        let data = parse("C1,22423,X,-4,,7\n")?;
        assert_eq!(data.invoices[0].kind, Kind::Cancellation);
        assert_eq!(data.invoices[0].lines[0].units, 4);
        Ok(())
    }

    #[test]
    fn an_invoice_longer_than_a_cart_is_left_out() -> Result<(), csv::Error> {
        let data = parse(&"1,22423,X,1,,7\n".repeat(MAX_LINES + 1))?;
        assert_eq!(data.left_out[&LeftOut::TooManyLines], MAX_LINES + 1);
        assert!(data.invoices.is_empty());
        Ok(())
    }

    #[test]
    fn a_description_in_another_encoding_does_no_harm() -> Result<(), csv::Error> {
        let rows = read_rows(
            b"InvoiceNo,StockCode,Description,Quantity,CustomerID\n1,22423,\xa3 5 TIN,1,7\n".as_slice(),
        )?;
        assert_eq!(rows.len(), 1);
        Ok(())
    }

    #[test]
    fn the_data_that_comes_with_the_example() -> Result<(), DataError> {
        let data = read(&crate::cli::default_data())?;
        let cancellations = data.invoices.iter().filter(|i| i.kind == Kind::Cancellation);
        assert_eq!(cancellations.count(), 28);
        assert_eq!(data.invoices.len() + data.empty, 310);
        assert_eq!(data.left_out[&LeftOut::NotAProduct], 11);
        assert_eq!(data.left_out[&LeftOut::NegativeOnSale], 2);
        Ok(())
    }
}
