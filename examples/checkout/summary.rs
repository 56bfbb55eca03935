//! What the run came to, for people.

use std::{collections::BTreeMap, fmt};

use indicatif::HumanCount;
use uuid::Uuid;

use crate::{
    books::{Levels, Mismatch},
    carts::{Totals, units},
    invoices::DataSet,
    tally::{Tally, percentile},
};

/// More than these are counted, not listed.
const LISTED: usize = 20;

pub struct Summary<'a> {
    pub data: &'a DataSet,
    pub tally: &'a Tally,
    pub totals: &'a Totals,
    pub before: &'a Levels,
    pub mismatches: &'a [Mismatch],
}

impl Summary<'_> {
    /// Whether everything came out as the contract says.
    pub fn is_sound(&self) -> bool {
        self.mismatches.is_empty() && self.tally.refused.is_empty() && self.tally.contradictions.is_empty()
    }

    fn carts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = self.tally;
        row(f, "carts", tally.carts, "")?;
        row(f, "  reserved", tally.reserved, &format!("{} units", HumanCount(tally.units_reserved)))?;
        row(f, "  unavailable", tally.unavailable, &format!("{} lines fell short", tally.short))?;
        if tally.given_up > 0 {
            row(f, "  given up", tally.given_up, "no outcome in time, released again")?;
        }
        row(f, "cancellations", tally.cancellations, "")?;
        let unmatched = format!(
            "no earlier cart holds the goods ({} units in all): for the warehouse to count in",
            HumanCount(tally.unmatched_units)
        );
        row(f, "  nothing to give back", tally.unmatched, &unmatched)
    }

    fn give_backs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = self.tally;
        row(f, "released", tally.released, "carts given back as a whole")?;
        row(f, "reduced", tally.reduced, "carts that gave back a part")?;
        row(f, "units given back", tally.units_given_back, "")?;
        self.shipments(f)?;
        row(f, "units held", units(&self.totals.held), "reserved less given back and shipped")
    }

    fn shipments(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = self.tally;
        if tally.shipments == 0 {
            return Ok(());
        }
        let shipments = format!("orders, in {} shipments", HumanCount(tally.shipments));
        row(f, "shipped", tally.shipped, &shipments)?;
        row(f, "units shipped", units(&self.totals.shipped), "no longer on hand")
    }

    fn left_out(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: usize = self.data.left_out.values().sum();
        let empty = match self.data.empty {
            0 => String::new(),
            invoices => format!("{invoices} invoices had no other line"),
        };
        row(f, "lines left out", lines as u64, &empty)?;
        for (reason, &lines) in &self.data.left_out {
            row(f, "", lines as u64, reason.reason())?;
        }
        Ok(())
    }

    fn times(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut latencies = self.tally.latencies.clone();
        latencies.sort_unstable();
        for (name, percent) in [("p50", 50), ("p99", 99)] {
            let latency = percentile(&latencies, percent).unwrap_or_default();
            time(f, name, latency.as_secs_f64() * 1_000.0, "ms from send to outcome")?;
        }
        time(f, "wall time", self.tally.took.as_secs_f64(), "s for the invoices")
    }

    fn books(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.before.values().flatten().count();
        let all = self.before.len();
        if known < all {
            writeln!(f, "{} products are not known to the service: run with --import", all - known)?;
        }
        if self.mismatches.is_empty() {
            return writeln!(f, "The books agree with the outcomes for all {all} products.");
        }
        writeln!(
            f,
            "The books do NOT agree with the outcomes for {} of {all} products. That is to be expected if \
             someone else reserved, released or counted stock in the meantime; otherwise it is an error of the \
             service (see `inventory verify`).",
            self.mismatches.len()
        )?;
        let shown = self.mismatches.iter().map(|found| describe(found, &self.data.products));
        list(f, shown.collect::<Vec<_>>().as_slice())
    }

    fn faults(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = [
            ("Refused by the service:", &self.tally.refused),
            ("Outcomes that contradict the contract:", &self.tally.contradictions),
        ];
        for (title, found) in faults.into_iter().filter(|(_, found)| !found.is_empty()) {
            writeln!(f, "{title}")?;
            list(f, found)?;
        }
        Ok(())
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.carts(f)?;
        self.give_backs(f)?;
        self.left_out(f)?;
        self.times(f)?;
        self.faults(f)?;
        self.books(f)
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, count: u64, note: &str) -> fmt::Result {
    let line = format!("{name:<22}{:>9}  {note}", HumanCount(count).to_string());
    writeln!(f, "{}", line.trim_end())
}

fn list(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    for line in lines.iter().take(LISTED) {
        writeln!(f, "  {line}")?;
    }
    match lines.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => writeln!(f, "  and {more} more"),
    }
}

fn describe(found: &Mismatch, products: &BTreeMap<Uuid, String>) -> String {
    let code = products.get(&found.product).map_or("?", String::as_str);
    format!(
        "{code} ({}): available {:+}, reserved {:+} against what it should be",
        found.product, found.available, found.reserved
    )
}

fn time(f: &mut fmt::Formatter<'_>, name: &str, value: f64, note: &str) -> fmt::Result {
    writeln!(f, "{name:<22}{value:>9.1}  {note}")
}
