//! The clock of the service's machine jumps an hour forward and back: holds lapse by the clock of the database all the same.
//!
//! libfaketime (Debian: `apt-get install libfaketime`) sets the clock of one process. Where it is not installed this is
//! passed over, with a word.

use std::path::PathBuf;

use chrono::DateTime;
use inventory_service::clock;
use uuid::Uuid;

use crate::support::conformance::time;
use crate::support::deployment::Deployment;
use crate::support::harness::file;
use crate::support::site::Site;
use crate::support::{Harness, Message, Received, eventually_some};

const HOUR: i64 = 3600;

fn libfaketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    folders.map(|folder| folder.path().join("faketime/libfaketime.so.1")).find(|path| path.exists())
}

/// How far ahead of this test's clock a dead letter says that it is: that one is stamped by the service's own.
async fn hours_ahead(harness: &Harness) -> i64 {
    harness.client.send(&Message::release("nobody")).await;
    let letter = harness.dead_letter("a dead letter").await;
    let seconds = time(&letter.header("x-failed-at").unwrap()) - clock::wall().timestamp();
    (seconds + HOUR / 2).div_euclid(HOUR)
}

/// Seconds between the reserve and the end of the hold.
fn held_for(event: &Received) -> i64 {
    let moment = |field| DateTime::parse_from_rfc3339(event.text(field)).unwrap();
    (moment("expiresAt") - moment("reservedAt")).num_seconds()
}

#[tokio::test]
async fn holds_lapse_by_the_clock_of_the_database() {
    let Some(library) = libfaketime() else {
        eprintln!("passed over: libfaketime is not installed");
        return;
    };
    let ahead = file("clock", "+0h");
    let settings = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", ahead.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let site = Site::shared().await;
    let service = site.start_service_with(&settings).await;
    service.ready().await;
    let mut harness = Harness::of(Deployment { services: vec![service], site }).await;
    let product = harness.product(10).await;

    for hours in [0, 1, -1] {
        let long = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with("holdSeconds", 600);
        let short = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with("holdSeconds", 1);
        let long = harness.outcome_of(&long).await;
        let short = harness.outcome_of(&short).await;
        // The moments of events are looked over too, as all that arrives: they are those of the database.
        assert_eq!((held_for(&long), held_for(&short)), (600, 1), "{hours}");
        std::fs::write(&ahead, format!("{hours:+}h")).unwrap();
        let seen = async || (hours_ahead(&harness).await == hours).then_some(());
        eventually_some("that the service's clock has jumped", seen).await;
        harness.lapse_of(&short.reservation()).await;
    }
    let held = "SELECT count(*) FROM reservation WHERE state = 'HELD'";
    assert_eq!(harness.site().database.number(held).await, 3, "those of ten minutes");
    std::fs::remove_file(ahead).unwrap();
    harness.finish().await;
}
