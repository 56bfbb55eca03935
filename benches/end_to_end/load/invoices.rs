//! The sales of a real shop, from the data that come with the example (see examples/data).

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use uuid::Uuid;

use crate::failure::Failure;

/// What somebody bought: products and units.
#[derive(Debug, Clone, Default)]
pub struct Invoice {
    /// One for each line of the invoice; a product may stand on several.
    pub items: Vec<(Uuid, u64)>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    invoice_no: String,
    stock_code: String,
    quantity: i64,
}

/// Reads the sales: cancellations, corrections and what is no product are left out, as the example does.
pub fn read() -> Result<Vec<Invoice>, Failure> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/online-retail.csv");
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path)?;
    let mut invoices: Vec<Invoice> = Vec::new();
    let mut positions = HashMap::new();
    for row in reader.deserialize() {
        let row: Row = row?;
        let code = row.stock_code.to_ascii_uppercase();
        let Some(units) = u64::try_from(row.quantity).ok().filter(|units| *units > 0) else { continue };
        if !is_product(&code) || row.invoice_no.starts_with(['C', 'c']) {
            continue;
        }
        let position = *positions.entry(row.invoice_no).or_insert_with(|| {
            invoices.push(Invoice::default());
            invoices.len() - 1
        });
        invoices[position].items.push((product(&code), units));
    }
    Ok(invoices)
}

/// Goods have five digits, and perhaps letters for the variant; postage, fees and discounts have other codes.
fn is_product(code: &str) -> bool {
    code.len() >= 5 && code.bytes().take(5).all(|byte| byte.is_ascii_digit())
}

fn product(code: &str) -> Uuid {
    let path = format!("https://doi.org/10.24432/C5BW33#product/{code}");
    Uuid::new_v5(&Uuid::NAMESPACE_URL, path.as_bytes())
}
