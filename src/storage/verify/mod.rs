//! Whether the books balance: derives what is booked from the facts, in one snapshot, without blocking anybody.
//!
//! A check is a statement that gives a row for each thing that is wrong. All run in one transaction that only reads,
//! so that they see the same moment however long they take; PostgreSQL spreads the large ones over several
//! processes.

mod message;
mod movement;
mod reservation;
mod stock;

use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::{Database, StorageError};

/// Most findings of a check that are listed; all are counted.
pub const LISTED_MAX: i64 = 1000;

/// Memory and processes of the large checks: a sort or a hash table of 64 MB stays within what a small server has, and
/// more of it was not faster. Compiling statements to machine code costs more than it gains here.
const SESSION: &str = "
    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;
    SET LOCAL work_mem = '64MB';
    SET LOCAL jit = off;
    SET LOCAL statement_timeout = 0;
    SET LOCAL max_parallel_workers_per_gather = 4;";

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Finding {
    /// Which check found it, such as `stock.onHand`.
    pub check: String,
    /// The product that it is about, if any.
    #[sqlx(default)]
    pub product_id: Option<Uuid>,
    /// Where the product is.
    #[sqlx(default)]
    pub location: Option<String>,
    /// The reservation that it is about, if any.
    #[sqlx(default)]
    pub reservation_id: Option<Uuid>,
    /// The command that it is about, if any.
    #[sqlx(default)]
    pub message_id: Option<Vec<u8>>,
    /// The row of the outbox that it is about, if any.
    #[sqlx(default)]
    pub outbox_id: Option<i64>,
    /// What the books say, where it is a number.
    #[sqlx(default)]
    pub booked: Option<i64>,
    /// What follows from the facts, where it is a number.
    #[sqlx(default)]
    pub derived: Option<i64>,
    /// What is wrong, in a sentence.
    pub detail: String,
    /// How it can be mended.
    #[sqlx(try_from = "String")]
    pub mend: Mend,
}

/// How a finding can be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mend {
    /// The stock row follows the facts.
    Stock,
    /// The version gets the parity that the stock has.
    Version,
    /// What became of the reservation is derived from its movements again.
    Reservation,
    /// The counts are taken as they are from here on.
    Counts,
    /// The hold lapses.
    Lapse,
    /// The event may be published by any replica at once.
    Outbox,
    /// The outcome is forgotten: a repetition is decided anew.
    Outcome,
    /// The reservation forgets which command made it.
    Origin,
    /// Nothing can be derived: a person has to look.
    ByHand,
}

impl Mend {
    const ALL: [(Self, &str); 9] = [
        (Self::Stock, "stock"),
        (Self::Version, "version"),
        (Self::Reservation, "reservation"),
        (Self::Counts, "counts"),
        (Self::Lapse, "lapse"),
        (Self::Outbox, "outbox"),
        (Self::Outcome, "outcome"),
        (Self::Origin, "origin"),
        (Self::ByHand, "byHand"),
    ];

    /// What `inventory repair` would do, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Stock => "the stock row follows the facts",
            Self::Version => "the version and its event are brought up to date",
            Self::Reservation => "the reservation follows its movements, where they leave no doubt",
            Self::Counts => "the counts up to the last one are taken as they are",
            Self::Lapse => "the hold lapses",
            Self::Outbox => "any replica may publish the event at once",
            Self::Outcome => "the outcome is forgotten: a repetition of the command is decided anew",
            Self::Origin => "the reservation forgets which command made it",
            Self::ByHand => "by hand: nothing can be derived here",
        }
    }
}

impl TryFrom<String> for Mend {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|(_, of)| *of == name);
        known.map(|(mend, _)| mend).ok_or_else(|| format!("{name:?} is no way to mend anything"))
    }
}

/// How much a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    /// Which check.
    pub check: String,
    /// How many, listed or not.
    pub findings: i64,
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Products in the books.
    pub products: i64,
    /// Live holds.
    pub holds: i64,
    /// What is wrong, up to [`LISTED_MAX`] for each check.
    pub findings: Vec<Finding>,
    /// How much is wrong, for each check that found something.
    pub totals: Vec<Total>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.totals.is_empty()
    }

    fn add(&mut self, found: Vec<(Finding, i64)>) {
        for (finding, total) in found {
            if !self.totals.iter().any(|known| known.check == finding.check) {
                self.totals.push(Total { check: finding.check.clone(), findings: total });
            }
            self.findings.push(finding);
        }
    }
}

/// What to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Everything,
    /// Only the stock rows, once the facts are in order.
    Stock,
}

/// A check that is one statement: it gives the columns of a [`Finding`], those that it has.
struct Check {
    /// What is being looked at, for the progress bar.
    subject: &'static str,
    /// The statement; `{days}` stands for the days in which outcomes are kept.
    sql: &'static str,
}

/// Checks everything; `progress` hears what is being looked at and how much is done (0.0 to 1.0).
pub async fn verify(
    database: &Database,
    outcomes_days: u32,
    scope: Scope,
    mut progress: impl FnMut(&'static str, f64),
) -> Result<Report, StorageError> {
    let mut transaction = database.begin().await?;
    let connection = transaction.connection()?;
    sqlx::raw_sql(SESSION).execute(&mut *connection).await?;
    progress("counting", 0.0);
    let mut report = begin(&mut *connection).await?;
    let checks = checks(scope);
    let steps = f64::from(u32::try_from(checks.len() + 2).unwrap_or(u32::MAX));
    let mut done = 0.0;
    for check in checks {
        progress(check.subject, done / steps);
        report.add(find(&mut *connection, check.sql, outcomes_days).await?);
        done += 1.0;
    }
    if scope == Scope::Everything {
        progress("reservations and their movements", done / steps);
        report.add(movement::against_reservations(&mut *connection).await?);
        progress("outbox", (done + 1.0) / steps);
        report.add(message::outbox(connection).await?);
    }
    progress("done", 1.0);
    transaction.rollback().await?;
    Ok(report)
}

fn checks(scope: Scope) -> Vec<&'static Check> {
    let all = match scope {
        Scope::Everything => vec![stock::CHECKS, reservation::CHECKS, movement::CHECKS, message::CHECKS],
        Scope::Stock => vec![stock::CHECKS],
    };
    all.into_iter().flatten().collect()
}

async fn begin(connection: &mut PgConnection) -> Result<Report, StorageError> {
    let (products, holds) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM stock), (SELECT count(*) FROM reservation WHERE state = 'HELD')",
    )
    .fetch_one(connection)
    .await?;
    Ok(Report { products, holds, findings: Vec::new(), totals: Vec::new() })
}

/// A finding, and how many of its check there are.
#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    finding: Finding,
    total: i64,
}

async fn find(
    connection: &mut PgConnection,
    sql: &str,
    outcomes_days: u32,
) -> Result<Vec<(Finding, i64)>, StorageError> {
    let sql = listed(&sql.replace("{days}", &outcomes_days.to_string()));
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.finding, row.total)).collect())
}

/// The first rows of each check, and how many there are.
fn listed(sql: &str) -> String {
    format!(
        "SELECT * FROM (
             SELECT *, count(*) OVER (PARTITION BY \"check\") AS total, row_number() OVER (PARTITION BY \"check\") AS number
             FROM ({sql}) AS found) AS numbered
         WHERE number <= {LISTED_MAX}"
    )
}
