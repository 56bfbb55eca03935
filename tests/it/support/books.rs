//! The books, as the command line tells of them.

use std::process::Command;

use serde_json::Value;
use uuid::Uuid;

use super::process::{Ended, run};
use super::site::Site;

/// A database that is up to date, and no service.
pub async fn migrated() -> Site {
    let site = Site::shared().await;
    site.told(&["migrate"]).await;
    site
}

impl Site {
    /// Runs a command that must succeed; gives what it says to people.
    pub async fn told(&self, arguments: &[&str]) -> String {
        let ended = self.inventory(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.stdout
    }

    /// Runs a command that must succeed; gives what it says to programs.
    pub async fn json(&self, arguments: &[&str]) -> Value {
        json_of(&self.told(&[arguments, &["--json"]].concat()).await)
    }

    /// Runs a command by this operator.
    pub async fn inventory_by(&self, operator: &str, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        command.env("SUDO_USER", operator);
        run(command).await
    }

    /// What `inventory verify` finds.
    pub async fn findings(&self) -> Vec<Value> {
        findings(self.command(&["verify", "--json"])).await
    }

    /// The entries of a product's ledger, which must end at what there is of it.
    pub async fn ledger(&self, product: Uuid) -> Vec<Value> {
        let id = product.to_string();
        let ledger = self.json(&["ledger", &id]).await;
        let level = self.json(&["stock", "show", &id]).await;
        let entries = ledger["entries"].as_array().unwrap().clone();
        for figure in ["onHand", "reserved", "available"] {
            assert_eq!(ledger[figure], level[figure], "{figure} of {ledger:#}");
            assert_eq!(entries.last().unwrap()[figure], level[figure], "{figure} at the end of {ledger:#}");
        }
        entries
    }
}

/// What an `inventory verify --json` finds. The exit code must say the same.
pub async fn findings(verify: Command) -> Vec<Value> {
    let ended = run(verify).await;
    let report = json_of(&ended.stdout);
    let findings = report["findings"].as_array().unwrap().clone();
    assert_eq!(report["balanced"], findings.is_empty(), "{ended:?}");
    assert_eq!(ended.code, Some(i32::from(!findings.is_empty())), "{ended:?}");
    findings
}

/// What a program reads.
pub fn json_of(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

/// Demands a refusal with this exit code and these words for people.
pub fn assert_refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is not in {ended:?}");
    }
}
