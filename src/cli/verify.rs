//! `inventory verify`.

use super::Failure;
use super::stock::open;
use crate::config::Settings;
use crate::storage::verify::{Imbalance, Report, verify};

pub(super) async fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let database = open(settings).await?;
    let report = verify(&database).await?;
    print(&report, json);
    match report.imbalances.len() {
        0 => Ok(()),
        count => Err(Failure::No(format!("the books do not balance: {count} figures are wrong"))),
    }
}

#[expect(clippy::print_stdout, reason = "this is what the user asked for")]
fn print(report: &Report, json: bool) {
    if json {
        let balanced = report.imbalances.is_empty();
        let Report { products, holds, imbalances } = report;
        let shown = serde_json::json!({
            "balanced": balanced, "products": products, "holds": holds, "imbalances": imbalances,
        });
        println!("{shown}");
        return;
    }
    for imbalance in &report.imbalances {
        println!("{}", line(imbalance));
    }
    if report.imbalances.is_empty() {
        println!("the books balance: {} products, {} live holds", report.products, report.holds);
    }
}

fn line(imbalance: &Imbalance) -> String {
    let Imbalance { product_id, location, figure, booked, derived } = imbalance;
    let units = |units: &Option<i64>| units.map_or_else(|| "nothing".to_owned(), |units| units.to_string());
    format!(
        "product {product_id} at {location}: {figure} is {}, but follows from the facts as {}",
        units(booked),
        units(derived)
    )
}
