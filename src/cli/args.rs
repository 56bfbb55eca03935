//! Arguments, and the help that teaches them.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand, ValueEnum};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::provision::ProvisionArguments;

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
  inventory provision --print --sender checkout --subscriber billing
  inventory stock set 0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11 100
  inventory stock adjust 0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11 -3
  inventory stock import counted.csv
  inventory ledger 0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11 --from 2026-01-01T00:00:00Z
  inventory reservation list --state held --older-than 3d
  inventory verify --json
  inventory repair"
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

    /// Give the service what it needs on both servers, and no right that it does not use
    ///
    /// For an administrator. In PostgreSQL, at `DATABASE_URL`: a role that owns the tables, one for the service, and one for
    /// people at the command line; and the tables, up to date. In RabbitMQ, in the virtual host of `AMQP_URL`: exchanges,
    /// queues, a user that consumes and one that publishes. --print prints a script that does it, to be read and run by
    /// somebody else, and new passwords on the standard error stream; --apply does it, and prints new passwords, once.
    /// Who is there already keeps the password then, and gets the new one by the script. A password may be given in
    /// the environment, such as `INVENTORY_APP_PASSWORD` for the role `inventory_app`: then it is set, which is also
    /// how passwords are renewed.
    Provision(ProvisionArguments),

    /// Count, adjust, show and import stock
    #[command(subcommand)]
    Stock(StockCommand),

    /// Everything that ever moved a product's stock, in order, with its cause
    ///
    /// Counts and adjustments with the operator, what reservations took, gave back and consumed with the message that
    /// caused it, and repairs. The balance runs along and ends at today's level; with --from it still counts
    /// everything before. What reservations past their retention (`retention.reservations_days`) consumed is one line,
    /// `BROUGHT_FORWARD`.
    Ledger {
        /// The product: a UUID
        #[arg(value_name = "PRODUCT_ID", value_parser = uuid)]
        product: Uuid,
        /// From then on (RFC 3339, such as 2026-01-31T09:00:00Z)
        #[arg(long, value_name = "TIME", value_parser = moment)]
        from: Option<DateTime<Utc>>,
        /// Until then, without that moment itself
        #[arg(long, value_name = "TIME", value_parser = moment)]
        to: Option<DateTime<Utc>>,
        /// Print CSV, for spreadsheets
        #[arg(long, conflicts_with = "json")]
        csv: bool,
    },

    /// Show and list reservations
    #[command(subcommand)]
    Reservation(ReservationCommand),

    /// Check that the books balance; exit code 0, or 1 and what does not
    ///
    /// Derives the stock of every product from the facts (counts, adjustments, and what reservations took and
    /// consumed) in one snapshot and compares; holds every reservation against what it went through and the outcome of
    /// its command; and finds holds that should have lapsed and events that do not leave. The service goes on
    /// meanwhile: nothing is locked.
    Verify,

    /// Mend what `verify` finds, and nothing else; says what it would do, and does it with --apply
    ///
    /// Each mend is a transaction of its own and is written down with who and why: `inventory ledger` shows it. What is
    /// derived (stock) follows the facts (counts, reservations, movements). What cannot be mended without
    /// guessing is left, and said what a person can do. Exit code 0, or 1 where something is left.
    Repair {
        /// Do it; without this nothing is changed
        #[arg(long, requires = "reason")]
        apply: bool,
        /// Why, for the record
        #[arg(long, value_name = "TEXT", value_parser = sentence)]
        reason: Option<String>,
    },

    /// Ask a running service on this machine whether it is ready; exit code 0 or 1
    Healthcheck,
}

/// A UUID as on the wire: in the hyphenated form, in any case (contract section 1).
pub(super) fn uuid(text: &str) -> Result<Uuid, &'static str> {
    text.parse::<Hyphenated>()
        .map(Hyphenated::into_uuid)
        .map_err(|_| "expected a UUID such as 0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11")
}

/// A moment such as `2026-01-31T09:00:00Z`.
fn moment(text: &str) -> Result<DateTime<Utc>, &'static str> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|_| "expected a time such as 2026-01-31T09:00:00Z (RFC 3339)")
}

/// A duration such as `90s`, `15m`, `2h` or `3d`.
fn duration(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a duration such as 90s, 15m, 2h or 3d";
    let unit = text.chars().last().ok_or(EXPECTED)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(EXPECTED),
    };
    let count = text.strip_suffix(unit).unwrap_or_default();
    let count: u32 = count
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| count.parse().ok())
        .flatten()
        .ok_or(EXPECTED)?;
    Ok(Duration::from_secs(u64::from(count) * seconds))
}

/// What to do with reservations.
#[derive(Debug, Subcommand)]
pub enum ReservationCommand {
    /// A reservation: its state, its items by what became of them, and everything it went through
    Show {
        /// The reservation: a UUID
        #[arg(value_name = "RESERVATION_ID", value_parser = uuid)]
        id: Uuid,
    },

    /// Reservations that fit all filters, the oldest first
    ///
    /// A release that came before its reserve is listed as RELEASED without a cart.
    List {
        /// Only those with this product among their items
        #[arg(long, value_name = "PRODUCT_ID", value_parser = uuid)]
        product: Option<Uuid>,
        /// Only those in this state
        #[arg(long, value_enum, ignore_case = true)]
        state: Option<ReservationState>,
        /// Only those that were reserved at least so long ago: 90s, 15m, 2h, 3d
        #[arg(long, value_name = "DURATION", value_parser = duration, allow_hyphen_values = true)]
        older_than: Option<Duration>,
        /// At most so many
        #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
}

/// The state of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReservationState {
    /// Its units are taken
    Held,
    /// Nothing is held any more
    Released,
    /// The goods have left the house
    Consumed,
}

impl ReservationState {
    /// As the database has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Held => "HELD",
            Self::Released => "RELEASED",
            Self::Consumed => "CONSUMED",
        }
    }
}

/// Something that somebody will read.
fn sentence(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() { Err("say why, for those who read the ledger") } else { Ok(text.to_owned()) }
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
