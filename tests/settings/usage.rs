//! Usage: help that teaches, and wrong usage named.

use clap::{CommandFactory, Parser};
use inventory_service::cli::Arguments;

use super::{inventory, run, with_variables};

#[test]
fn the_help_of_every_command_teaches_it() {
    let product = "<PRODUCT_ID>";
    for (command, words) in [
        (
            "",
            &[
                "serve",
                "migrate",
                "stock",
                "ledger",
                "reservation",
                "verify",
                "repair",
                "--config",
                "--json",
                "INVENTORY__",
                "DATABASE_URL",
                "AMQP_URL",
                "Exit codes",
                "Examples",
            ][..],
        ),
        ("serve", &["SIGTERM", "SIGINT", "database.migrate", "amqp.declare", "/readyz"]),
        ("migrate", &["database", "stop"]),
        (
            "provision",
            &[
                "--print",
                "--apply",
                "--sender",
                "--subscriber",
                "--rabbitmqctl",
                "administrator",
                "no right that it does not use",
                "INVENTORY_APP_PASSWORD",
                "once",
            ],
        ),
        ("stock", &["set", "adjust", "show", "import"]),
        ("stock set", &[product, "<QUANTITY>", "count", "on hand", "less than is reserved"]),
        ("stock adjust", &[product, "<DELTA>", "-3", "went missing", "less than is reserved"]),
        ("stock show", &[product, "On hand, reserved, available", "--json"]),
        ("stock import", &["<FILE.csv>", "product_id", "quantity", "all lines of a file, or none"]),
        (
            "ledger",
            &[product, "moved a product's stock", "with its cause", "--from", "--to", "--csv", "--json"],
        ),
        ("reservation", &["show", "list"]),
        ("reservation show", &["<RESERVATION_ID>", "everything it went through"]),
        ("reservation list", &["--product", "--state", "--older-than", "--limit", "oldest first"]),
        ("repair", &["--apply", "--reason", "verify", "without this nothing is changed"]),
        ("verify", &["books balance", "exit code 0, or 1", "nothing is locked"]),
        ("healthcheck", &["ready", "exit code 0 or 1"]),
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let help = run(&mut inventory(&arguments));
        assert_eq!(help.code, Some(0), "{command}");
        // Where lines are broken is up to the width of the terminal.
        let said = help.said.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(said.contains(word), "inventory {command} --help does not say {word}:\n{}", help.said);
        }
    }
}

#[test]
fn help_needs_no_settings() {
    for arguments in [&["--help"][..], &["serve", "--help"], &["--version"]] {
        let help = with_variables(arguments, &[("INVENTORY__BATCH__LINES", "nonsense")]);
        assert_eq!(help.code, Some(0), "{help:?}");
    }
}

#[test]
fn every_command_has_a_help_that_was_looked_at() {
    let known = [
        "serve",
        "migrate",
        "provision",
        "stock",
        "ledger",
        "reservation",
        "verify",
        "repair",
        "healthcheck",
    ];
    let commands = Arguments::command();
    let there_are: Vec<&str> = commands.get_subcommands().map(clap::Command::get_name).collect();
    assert_eq!(
        there_are, known,
        "a new command belongs in the table of the_help_of_every_command_teaches_it"
    );
}

#[test]
fn the_examples_of_the_help_work() {
    let help = Arguments::command().render_long_help().to_string();
    let examples: Vec<&str> = help.lines().filter(|line| line.starts_with("  inventory ")).collect();
    assert!(examples.len() >= 5, "{help}");
    for example in examples {
        let parsed = Arguments::try_parse_from(example.split_whitespace());
        assert!(parsed.is_ok(), "{example}: {}", parsed.map_or_else(|e| e.to_string(), |_| String::new()));
    }
}

#[test]
fn wrong_usage_is_named() {
    let product = "0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11";
    for (arguments, named) in [
        (&[][..], "Usage: inventory"),
        (&["stock"], "Usage: inventory stock"),
        (&["restock"], "restock"),
        (&["serve", "--fast"], "--fast"),
        (&["provision"], "--print"),
        (&["provision", "--print", "--apply"], "--apply"),
        (&["provision", "--print", "--sender", "Check Out"], "--sender"),
        (&["provision", "--print", "--subscriber", "inventory"], "the service has that name"),
        (&["provision", "--print", "--sender", "inventory-consumer"], "the service has that name"),
        (&["stock", "set", product], "<QUANTITY>"),
        (&["stock", "set", "P1", "1"], "<PRODUCT_ID>"),
        (&["stock", "set", product, "many"], "<QUANTITY>"),
        (&["stock", "set", product, "--", "-1"], "<QUANTITY>"),
        (&["stock", "set", product, "9007199254740992"], "<QUANTITY>"),
        (&["stock", "adjust", product], "<DELTA>"),
        (&["stock", "adjust", product, "1.5"], "<DELTA>"),
        (&["stock", "show"], "<PRODUCT_ID>"),
        (&["stock", "import"], "<FILE.csv>"),
        (&["stock", "import", "/nonexistent/counted.csv"], "/nonexistent/counted.csv"),
    ] {
        run(&mut inventory(arguments)).refused(named);
    }
}

#[test]
fn the_version_is_told() {
    let version = run(&mut inventory(&["--version"]));
    assert_eq!(version.said.trim(), concat!("inventory ", env!("CARGO_PKG_VERSION")));
}
