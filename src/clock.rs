//! The clock of this machine, for what no transaction decides.

use chrono::{DateTime, Utc};

/// The time of this machine: good enough to stamp a problem or the answer to a query, and never used to decide
/// about stock, reservations or retention. Those follow the clock of the database.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that may; see above")]
pub fn wall() -> DateTime<Utc> {
    Utc::now()
}
