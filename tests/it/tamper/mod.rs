//! Whoever tampers with the books is found out: `inventory verify` ends with 1, and names what is wrong and where.

mod history;
mod ways;

use futures_util::StreamExt;
use serde_json::Value;

use self::history::History;
use self::ways::{MESSAGES, RESERVATIONS, STOCK, Way};
use crate::support::books::findings;

/// Ways that are tried at once.
const AT_ONCE: usize = 3;

/// Whether a finding of this check names that.
fn is_found(findings: &[Value], check: &str, id: &str) -> bool {
    findings.iter().any(|finding| {
        let has_a_sentence = finding["detail"].as_str().is_some_and(|detail| detail.contains(' '));
        let names_its_event = finding["outboxId"].is_i64() == check.starts_with("outbox.");
        finding["check"] == check && finding.to_string().contains(id) && has_a_sentence && names_its_event
    })
}

/// Tampers with a copy of the books; says where it was not found out.
async fn not_found_out(history: &History, way: &Way) -> Option<String> {
    let (name, sql, check, about) = way;
    let copy = history.copy().await;
    assert!(copy.execute(&history.filled(sql)).await > 0, "{name}: the history is another");
    let findings = findings(history.command_on(&copy, &["verify", "--json"])).await;
    // To drop it blocks, and PostgreSQL drops nothing while another connection is only half made.
    tokio::task::spawn_blocking(|| drop(copy)).await.unwrap();
    let is_found = is_found(&findings, check, history.id(about));
    (!is_found).then(|| format!("{name}: no {check} of {about} ({}) in {findings:#?}", history.id(about)))
}

#[tokio::test]
async fn whoever_tampers_with_the_books_is_found_out() {
    let history = History::play().await;
    assert_eq!(history.harness.site().findings().await, [] as [Value; 0], "before anybody has tampered");
    let ways = [STOCK, RESERVATIONS, MESSAGES].into_iter().flatten();
    let tried = futures_util::stream::iter(ways.map(|way| not_found_out(&history, way)));
    let not_found: Vec<String> =
        tried.buffer_unordered(AT_ONCE).filter_map(|not_found| async { not_found }).collect().await;
    assert!(not_found.is_empty(), "{}", not_found.join("\n"));
    history.harness.finish().await;
}
