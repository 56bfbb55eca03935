//! Flags and help.

use std::path::{Path, PathBuf};

use clap::Parser;
use lapin::types::{ShortString, ShortStringError};

use crate::replay::Ending;

const DATA: &str = "examples/data/online-retail.csv";

/// Plays the invoices of a real web shop against the inventory service.
#[derive(Parser)]
#[command(
    name = "checkout",
    long_about = "Plays the invoices of a real web shop against the inventory service: each invoice is a cart \
        to reserve, each cancellation gives stock back. Needs RabbitMQ and a running `inventory serve`; in an \
        empty database run it once with --import. In the end it prints a summary, and checks its own \
        arithmetic against the service's books.",
    after_long_help = TREATMENT
)]
pub struct Cli {
    /// The invoices: CSV with the columns `InvoiceNo`, `StockCode`, `Quantity` and `CustomerID` [default: the
    /// file in examples/data]
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,

    /// Where the broker is; the default virtual host is written `/%2f`
    #[arg(
        long,
        env = "AMQP_URL",
        hide_env_values = true,
        default_value = "amqp://guest:guest@127.0.0.1:5672/%2f"
    )]
    pub amqp_url: String,

    /// First set the stock of every product in the data, with `inventory stock import` (needs `DATABASE_URL`)
    #[arg(long)]
    pub import: bool,

    /// Units on hand of each product, for --import
    ///
    /// With 300 of each, most carts find all they ask for, and wholesalers who want hundreds of one product
    /// do not: both outcomes occur, in about six carts out of seven and in one.
    #[arg(long, value_name = "N", default_value_t = 300)]
    pub stock: u64,

    /// The service's binary, for --import [default: the one that was built along with this example, else from
    /// the PATH]
    #[arg(long, value_name = "PATH")]
    pub inventory_bin: Option<PathBuf>,

    /// Carts in flight at the same time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = at_least_one)]
    pub concurrency: usize,

    /// How long to wait for an answer in all; the same message is sent again every 5 seconds until then
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout_seconds: u64,

    /// When all is played, release what is still held, so that the next run finds the stock which this one
    /// found
    #[arg(long)]
    pub release_all: bool,

    /// When all is played, ship what is still held: the goods leave the house
    ///
    /// The service is told with `ConsumeInventory`, once an order. Orders of 20 lines or more go in two
    /// shipments, each with a command of its own that names its `items`. In the end nothing of this run is
    /// reserved any more: on hand is less by what was shipped, and available is as the sale has left it.
    #[arg(long, conflicts_with = "release_all")]
    pub ship: bool,

    /// Where commands are sent to
    #[arg(long, value_name = "NAME", default_value = "inventory.commands", value_parser = exchange)]
    pub commands_exchange: ShortString,

    /// Where queries are sent to
    #[arg(long, value_name = "NAME", default_value = "inventory.queries", value_parser = exchange)]
    pub queries_exchange: ShortString,

    /// Where outcomes are read from
    #[arg(long, value_name = "NAME", default_value = "inventory.events", value_parser = exchange)]
    pub events_exchange: ShortString,
}

/// One line each: they are wrapped to the terminal's width.
const TREATMENT: &str = "\
How real data is treated

A product that stands twice on an invoice is sent as it stands: the service adds up.

Codes that are no products (POST, D, M, BANK CHARGES, ...) are left out. Goods have a code of five digits, \
perhaps with letters for the variant.

Negative lines on a plain invoice are left out: they correct the stock and sell nothing, which is the \
warehouse's matter. So are lines with quantity 0, and invoices of more lines than a cart may have (1,000).

A cancellation names no invoice. It is taken from the latest cart of the same customer that still holds some \
of the goods, then from earlier ones. A cart that loses some of its items gives back just these \
(ReleaseInventory with items) and holds the rest; one that loses all is released as a whole.

What no cart holds was bought before the data begins, or turned away: there is nothing to give back. If goods \
do come in, the warehouse counts them (inventory stock adjust).

Product ids are UUIDs of version 5, made from the stock code, and always the same. Cart ids are new in every \
run. Carts stay reserved in the end, as orders do until they are shipped (--ship), so every run takes more \
stock; but see --release-all.

Exit code: 0 if all came out as the outcomes say, 1 if not or if the run failed, 2 if the flags are wrong. \
RUST_LOG=debug tells more on what happens.";

impl Cli {
    pub fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(default_data)
    }

    pub fn ending(&self) -> Ending {
        match (self.release_all, self.ship) {
            (_, true) => Ending::Ship,
            (true, _) => Ending::Release,
            _ => Ending::StayHeld,
        }
    }
}

/// In the source tree if that is still where it was at build time, else below the working directory.
pub fn default_data() -> PathBuf {
    let in_source_tree = Path::new(env!("CARGO_MANIFEST_DIR")).join(DATA);
    if in_source_tree.is_file() { in_source_tree } else { DATA.into() }
}

/// AMQP takes no longer name than 255 bytes.
fn exchange(name: &str) -> Result<ShortString, ShortStringError> {
    ShortString::try_new(name)
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_sound() {
        Cli::command().debug_assert();
    }
}
