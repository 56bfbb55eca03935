//! `inventory verify`.

use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use uuid::Uuid;

use super::Failure;
use super::output::{self, message_id, stdout, written};
use super::stock::open;
use crate::config::Settings;
use crate::storage::verify::{Finding, Mend, Report, Scope, Total, verify};
use crate::storage::{Database, StorageError};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireReport {
    balanced: bool,
    products: i64,
    holds: i64,
    findings: Vec<WireFinding>,
    totals: serde_json::Map<String, serde_json::Value>,
}

/// A finding as it is printed for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireFinding {
    check: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reservation_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outbox_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    booked: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    derived: Option<i64>,
    detail: String,
    mendable: bool,
    repair: &'static str,
}

impl From<&Finding> for WireFinding {
    fn from(finding: &Finding) -> Self {
        Self {
            check: finding.check.clone(),
            product_id: finding.product_id,
            location: finding.location.clone(),
            reservation_id: finding.reservation_id,
            message_id: finding.message_id.as_deref().map(message_id),
            outbox_id: finding.outbox_id,
            booked: finding.booked,
            derived: finding.derived,
            detail: finding.detail.clone(),
            mendable: finding.mend != Mend::ByHand,
            repair: finding.mend.words(),
        }
    }
}

pub(super) async fn run(settings: &Settings, json: bool) -> Result<(), Failure> {
    let database = open(settings).await?;
    let report = with_progress(&database, settings, Scope::Everything).await?;
    written(if json { print_json(&report) } else { print(&report) })?;
    if report.is_balanced() { Ok(()) } else { Err(unbalanced(&report)) }
}

/// Verifies, with a bar where somebody watches.
pub(super) async fn with_progress(
    database: &Database,
    settings: &Settings,
    scope: Scope,
) -> Result<Report, StorageError> {
    // Hidden by itself where the standard error stream is no terminal.
    let progress = ProgressBar::new(100).with_style(bar());
    progress.enable_steady_tick(std::time::Duration::from_millis(200));
    let report = verify(database, settings.retention.outcomes_days, scope, |subject, done| {
        progress.set_message(subject);
        progress.set_position(percent(done));
    })
    .await;
    progress.finish_and_clear();
    report
}

fn bar() -> ProgressStyle {
    let template = "[{bar:40}] {percent:>3}% {elapsed} {msg}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
fn percent(done: f64) -> u64 {
    (done.clamp(0.0, 1.0) * 100.0) as u64
}

/// What to say where something is wrong.
pub(super) fn unbalanced(report: &Report) -> Failure {
    let count: i64 = report.totals.iter().map(|total| total.findings).sum();
    let findings = if count == 1 { "finding" } else { "findings" };
    Failure::No(format!(
        "the books do not balance: {count} {findings}; `inventory repair` says what it can do about them"
    ))
}

fn print_json(report: &Report) -> io::Result<()> {
    let shown = WireReport {
        balanced: report.is_balanced(),
        products: report.products,
        holds: report.holds,
        findings: report.findings.iter().map(WireFinding::from).collect(),
        totals: report.totals.iter().map(|total| (total.check.clone(), total.findings.into())).collect(),
    };
    output::json(&shown)
}

fn print(report: &Report) -> io::Result<()> {
    let mut out = stdout();
    for finding in &report.findings {
        writeln!(out, "{}", line(finding))?;
    }
    for Total { check, findings } in &report.totals {
        let listed = report.findings.iter().filter(|finding| finding.check == *check).count();
        if usize::try_from(*findings).is_ok_and(|findings| findings > listed) {
            writeln!(out, "{check}: {findings} in total, of which {listed} are listed")?;
        }
    }
    if report.is_balanced() {
        writeln!(out, "the books balance: {} products, {} live holds", report.products, report.holds)?;
    }
    out.flush()
}

/// A finding for people.
pub(super) fn line(finding: &Finding) -> String {
    let Finding { check, detail, .. } = finding;
    let about = [
        finding.product_id.map(|id| format!(" product {id}")),
        finding.location.as_ref().map(|location| format!(" at {location}")),
        finding.reservation_id.map(|id| format!(" reservation {id}")),
        finding.message_id.as_ref().map(|id| format!(" message {}", message_id(id))),
        finding.outbox_id.map(|id| format!(" row {id} of the outbox")),
    ];
    let about: String = about.into_iter().flatten().collect();
    format!("{check}:{about}: {detail}")
}
