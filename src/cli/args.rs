//! Arguments, and the help that teaches them.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

/// The Inventory Service: source of truth for stock.
#[derive(Debug, Parser)]
#[command(
    name = "inventory",
    version,
    propagate_version = true,
    after_long_help = "\
Settings come from built-in defaults, then the file given with --config (TOML), then the environment:
INVENTORY__SECTION__KEY, such as INVENTORY__HTTP__ADDRESS=0.0.0.0:8080. DATABASE_URL and AMQP_URL say where the
servers are.

Exit codes: 0 done; 1 the answer is no (refused, not found, the books do not balance); 2 wrong usage or settings;
3 a server or the system failed, and a later try may succeed.

Examples:
  inventory serve
  inventory stock set 0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11 100
  inventory stock adjust 0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11 -3
  inventory stock import counted.csv
  inventory verify --json"
)]
pub struct Arguments {
    /// Settings file (TOML)
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Handle commands and queries until SIGTERM or SIGINT
    ///
    /// Brings the database up to date (unless database.migrate = false), declares the exchanges and queues
    /// (unless amqp.declare = false), and consumes. Waits for servers that are away, and says so on /readyz. On
    /// the first signal it finishes what is in hand; on the second it stops at once.
    Serve,

    /// Bring the database up to date, and stop
    Migrate,

    /// Count, adjust, show and import stock
    #[command(subcommand)]
    Stock(StockCommand),

    /// Check that the books balance; exit code 0, or 1 and what does not
    ///
    /// Derives the stock of every product from the facts (counts, adjustments and live holds) in one snapshot and
    /// compares. The service goes on meanwhile: nothing is locked.
    Verify,

    /// Ask a running service on this machine whether it is ready; exit code 0 or 1
    Healthcheck,
}

/// A UUID as on the wire: in the hyphenated form, in any case (contract section 1).
pub(super) fn uuid(text: &str) -> Result<Uuid, &'static str> {
    text.parse::<Hyphenated>()
        .map(Hyphenated::into_uuid)
        .map_err(|_| "expected a UUID such as 0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11")
}

/// What to do with stock.
#[derive(Debug, Subcommand)]
pub enum StockCommand {
    /// A count: so many are on hand
    ///
    /// Makes a product known that was not. Refused where less than is reserved.
    Set {
        /// The product: a UUID
        #[arg(value_name = "PRODUCT_ID", value_parser = uuid)]
        product: Uuid,
        /// Units on hand, reserved ones included
        #[arg(value_parser = clap::value_parser!(i64).range(0..=crate::storage::stock_change::ON_HAND_MAX))]
        quantity: i64,
    },

    /// So many came in, or, below zero, went missing
    ///
    /// Refused where less than is reserved would be left.
    Adjust {
        /// The product: a UUID
        #[arg(value_name = "PRODUCT_ID", value_parser = uuid)]
        product: Uuid,
        /// Units to add; -3 takes three away
        #[arg(allow_negative_numbers = true)]
        delta: i64,
    },

    /// On hand, reserved, available
    Show {
        /// The product: a UUID
        #[arg(value_name = "PRODUCT_ID", value_parser = uuid)]
        product: Uuid,
    },

    /// Count many products: all lines of a file, or none
    ///
    /// The file is CSV with the columns `product_id` and `quantity`. Each line is a count as with `stock set`; of two
    /// lines for a product the later stands. At the first fault nothing is changed, and its line is named.
    Import {
        /// The file
        #[arg(value_name = "FILE.csv")]
        file: PathBuf,
    },
}
