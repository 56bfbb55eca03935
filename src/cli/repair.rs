//! `inventory repair`: says what it would mend, and with `--apply` mends it.

use std::io::{self, Write};
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::Failure;
use super::output::{self, stdout, written};
use super::stock::{open, operator};
use super::verify::{WireFinding, line, unbalanced, with_progress};
use crate::batch::{Bookkeeper, Searched};
use crate::config::Settings;
use crate::storage::repair::{Guard, Mended, Order, by_hand, mend, record};
use crate::storage::verify::{Finding, Mend, Report, Scope};
use crate::storage::{Database, StorageError};

/// A finding and what became of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireMend {
    #[serde(flatten)]
    finding: WireFinding,
    mended: bool,
    outcome: String,
}

/// Runs a repair; `reason` is there when it is to be done.
pub(super) async fn run(settings: &Settings, reason: Option<&str>, json: bool) -> Result<(), Failure> {
    let database = open(settings).await?;
    let guard = match reason {
        Some(_) => Some(Guard::take(&database).await?.ok_or_else(already_repairing)?),
        None => None,
    };
    let report = with_progress(&database, settings, Scope::Everything).await?;
    let Some(reason) = reason else {
        let planned: Vec<(&Finding, Mended)> =
            report.findings.iter().map(|finding| (finding, plan(finding))).collect();
        written(print(&planned, json, false))?;
        return if report.is_balanced() { Ok(()) } else { Err(planned_only(&report)) };
    };
    let order = Order { reason, by: &operator() };
    let mut done = Vec::new();
    let ended = mend_everything(&database, settings, &report, order, &mut done).await;
    // However it ended: what is mended is mended, and nobody will tell it again.
    let mended: Vec<(&Finding, Mended)> =
        done.iter().map(|(finding, mended)| (finding, mended.clone())).collect();
    let telling = if ended.is_ok() || !mended.is_empty() { print(&mended, json, true) } else { Ok(()) };
    output::ended(ended, telling)?;
    let left = with_progress(&database, settings, Scope::Everything).await?;
    drop(guard);
    if left.is_balanced() { Ok(()) } else { Err(what_is_left(&left)) }
}

fn already_repairing() -> Failure {
    Failure::No("somebody else is repairing: wait for the end of that".to_owned())
}

/// Mends what was found, then the stock by what follows from that; notes in `done` what became of each finding.
async fn mend_everything(
    database: &Database,
    settings: &Settings,
    report: &Report,
    order: Order<'_>,
    done: &mut Vec<(Finding, Mended)>,
) -> Result<(), Failure> {
    mend_all(database, report, order, done).await?;
    let stock = with_progress(database, settings, Scope::Stock).await?;
    mend_stock(database, &stock, order, done).await
}

/// Mends all but the stock: that follows from what is mended here, and is derived again afterwards.
async fn mend_all(
    database: &Database,
    report: &Report,
    order: Order<'_>,
    done: &mut Vec<(Finding, Mended)>,
) -> Result<(), Failure> {
    for finding in &report.findings {
        if matches!(finding.mend, Mend::Stock | Mend::Version | Mend::Counts) {
            continue;
        }
        // A reservation is derived as a whole: once is enough for all that was found about it.
        let is_done = done.iter().any(|(earlier, _)| {
            finding.mend == Mend::Reservation
                && earlier.mend == Mend::Reservation
                && earlier.reservation_id == finding.reservation_id
        });
        if !is_done {
            let mended = mend_one(database, finding, order).await?;
            done.push((finding.clone(), mended));
        }
    }
    Ok(())
}

/// Mends the stock by a fresh look at it: on hand before reserved before versions, and the counts.
async fn mend_stock(
    database: &Database,
    report: &Report,
    order: Order<'_>,
    done: &mut Vec<(Finding, Mended)>,
) -> Result<(), Failure> {
    // What lowers reserved makes room for what lowers on hand; what is refused at first may fit afterwards.
    let mut waiting: Vec<&Finding> =
        report.findings.iter().filter(|finding| finding.mend != Mend::ByHand).collect();
    for is_last_round in [false, true] {
        let mut refused = Vec::new();
        for finding in waiting {
            match mend_one(database, finding, order).await? {
                Mended::Left(_) if !is_last_round => refused.push(finding),
                mended => done.push((finding.clone(), mended)),
            }
        }
        waiting = refused;
    }
    Ok(())
}

async fn mend_one(database: &Database, finding: &Finding, order: Order<'_>) -> Result<Mended, Failure> {
    let mended = match (finding.mend, finding.reservation_id) {
        (Mend::Lapse, Some(id)) => lapse(database, id, finding, order).await,
        _ => mend(database, finding, order).await,
    };
    match mended {
        // A constraint of a table: the row says something that the mend cannot be right for.
        Err(error @ (StorageError::Refused(_) | StorageError::Raced(_) | StorageError::Broken(_))) => {
            Ok(Mended::Left(error.to_string()))
        }
        mended => Ok(mended?),
    }
}

/// Lets an overdue hold lapse, as the service does by itself while it runs. The event waits in the outbox, for any
/// replica to publish it at once.
async fn lapse(
    database: &Database,
    id: Uuid,
    finding: &Finding,
    order: Order<'_>,
) -> Result<Mended, StorageError> {
    let (relay, _) = mpsc::channel(1);
    let bookkeeper = Bookkeeper {
        database: database.clone(),
        lease_seconds: 0,
        relay,
        metrics: Arc::default(),
        searched: Searched::default(),
    };
    bookkeeper.lapse(&[id]).await?;
    let detail = "the hold has lapsed";
    record(database, finding, detail, order).await?;
    Ok(Mended::Done(detail.to_owned()))
}

/// What would be done.
fn plan(finding: &Finding) -> Mended {
    match finding.mend {
        Mend::ByHand => Mended::Left(by_hand(finding).to_owned()),
        mend => Mended::Done(mend.words().to_owned()),
    }
}

fn planned_only(report: &Report) -> Failure {
    let mendable = report.findings.iter().filter(|finding| finding.mend != Mend::ByHand).count();
    Failure::No(format!(
        "nothing was changed: {mendable} of {} findings can be mended with `inventory repair --apply --reason TEXT`",
        report.findings.len()
    ))
}

fn what_is_left(left: &Report) -> Failure {
    let lines: Vec<String> = left.findings.iter().take(20).map(line).collect();
    Failure::No(format!("{}\nleft:\n{}", unbalanced(left), lines.join("\n")))
}

fn print(mends: &[(&Finding, Mended)], json: bool, is_applied: bool) -> io::Result<()> {
    if json {
        let shown: Vec<WireMend> =
            mends.iter().map(|(finding, mended)| wire(finding, mended, is_applied)).collect();
        return output::json(&serde_json::json!({ "applied": is_applied, "mends": shown }));
    }
    let mut out = stdout();
    for (finding, mended) in mends {
        let what = match (mended, is_applied) {
            (Mended::Done(how), true) => format!("mended: {how}"),
            (Mended::Done(how), false) => format!("would be mended: {how}"),
            (Mended::Left(why), _) => format!("left: {why}"),
        };
        writeln!(out, "{}\n    {what}", line(finding))?;
    }
    if mends.is_empty() {
        writeln!(out, "the books balance: there is nothing to mend")?;
    }
    out.flush()
}

fn wire(finding: &Finding, mended: &Mended, is_applied: bool) -> WireMend {
    let (is_mended, outcome) = match mended {
        Mended::Done(how) => (is_applied, how.clone()),
        Mended::Left(why) => (false, why.clone()),
    };
    WireMend { finding: finding.into(), mended: is_mended, outcome }
}
