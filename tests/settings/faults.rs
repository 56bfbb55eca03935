//! What is wrong is named.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{defaults, file, inventory, run, variable, with_file, with_variable, with_variables};

#[test]
fn a_value_of_the_wrong_type_is_named() {
    for (setting, default) in defaults() {
        if !default.is_string() && !default.is_array() {
            with_variable(&variable(&setting), "soon").refused(&setting);
        }
        let (section, key) = setting.split_once('.').unwrap_or_default();
        let path = file(&format!("type-{setting}"), format!("[{section}]\n{key} = {{ a = 1 }}"));
        let mut command = inventory(&["healthcheck", "--config"]);
        run(command.arg(path).env_remove("INVENTORY__HTTP__ADDRESS")).refused(&setting);
    }
}

#[test]
fn a_number_that_is_too_small_is_named() {
    let numbers = defaults().into_iter().filter(|(_, default)| default.is_number());
    for (setting, _) in numbers {
        with_variable(&variable(&setting), "-1").refused(&setting);
    }
    for setting in [
        "database.connect_timeout_ms",
        "database.statement_timeout_ms",
        "database.lock_timeout_ms",
        "database.transaction_timeout_ms",
        "database.max_connections",
        "amqp.commands_prefetch",
        "amqp.queries_prefetch",
        "amqp.delivery_limit",
        "amqp.heartbeat_seconds",
        "amqp.connect_timeout_ms",
        "amqp.timeout_ms",
        "batch.commands",
        "batch.lines",
        "shutdown.grace_seconds",
        "outbox.lease_seconds",
        "outbox.sweep_interval_ms",
        "expiry.sweep_interval_ms",
        "retention.outcomes_days",
        "retention.reservations_days",
        "limits.body_bytes",
        "limits.lines",
        "limits.products",
        "limits.quantity",
    ] {
        with_variable(&variable(setting), "0").refused(setting);
    }
}

#[test]
fn a_number_that_is_too_large_is_named() {
    for (setting, value) in [
        ("database.connect_timeout_ms", "3600001"),
        ("database.max_connections", "4294967296"),
        ("amqp.commands_prefetch", "65536"),
        ("amqp.heartbeat_seconds", "65536"),
        ("amqp.delivery_limit", "4294967296"),
        ("limits.quantity", "2147483648"),
        ("expiry.default_hold_seconds", "2147483648"),
        ("expiry.sweep_interval_ms", "60001"),
        ("batch.commands", "18446744073709551616"),
        ("batch.beside_queries_ms", "1001"),
    ] {
        with_variable(&variable(setting), value).refused(setting);
    }
}

/// A hold that lapses the very moment it is made is none; 0 says that holds do not lapse.
#[test]
fn no_default_hold_and_the_ends_of_the_ranges_are_accepted() {
    for (setting, value) in [
        ("expiry.default_hold_seconds", "0"),
        ("expiry.default_hold_seconds", "2147483647"),
        ("expiry.sweep_interval_ms", "1"),
        ("expiry.sweep_interval_ms", "60000"),
        ("limits.products", "1"),
    ] {
        with_variable(&variable(setting), value).accepted();
    }
}

#[test]
fn a_text_that_means_nothing_is_named() {
    let long = "q".repeat(256);
    for (setting, value) in [
        ("http.address", "localhost"),
        ("http.address", "127.0.0.1:65536"),
        ("log.format", "xml"),
        ("database.url", ""),
        ("database.url", "mysql://127.0.0.1"),
        ("amqp.url", ""),
        ("amqp.url", "http://127.0.0.1"),
        ("amqp.cert_file", "/nonexistent/without-its-key.pem"),
        ("amqp.commands", ""),
        ("amqp.dead_letter", long.as_str()),
        ("database.migrate", "maybe"),
    ] {
        with_variable(&variable(setting), value).refused(setting);
    }
    with_variables(&["serve"], &[("INVENTORY__LOG__FILTER", "inventory_service=loud")]).refused("log.filter");
}

#[test]
fn a_setting_that_there_is_not_is_named() {
    with_variable("INVENTORY__BATCH__COMANDS", "1").refused("comands");
    with_variable("INVENTORY__BACTH__COMMANDS", "1").refused("bacth");
    with_variable("INVENTORY__VERBOSE", "true").refused("verbose");
    with_file("unknown-key", "[batch]\ncomands = 1").refused("comands");
    with_file("unknown-section", "[bacth]\ncommands = 1").refused("bacth");
    with_file("unknown-top", "verbose = true").refused("verbose");
    with_file("section-is-no-section", "batch = 1").refused("batch");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let nowhere = run(&mut inventory(&["healthcheck", "--config", "/nonexistent/inventory.toml"]));
    nowhere.refused("/nonexistent/inventory.toml");
    run(&mut inventory(&["healthcheck", "--config", env!("CARGO_TARGET_TMPDIR")]))
        .refused(env!("CARGO_TARGET_TMPDIR"));
    with_file("no-toml", "[batch\ncommands = 1").refused("settings-no-toml.toml");
    run(&mut inventory(&["healthcheck", "--config"])).refused("--config");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let run = with_variables(&["serve"], &[("INVENTORY__HTTP__ADDRESS", &address)]);
    run.refused("http.address");
    assert!(run.said.contains(&address), "{run:?}");
}

#[test]
fn a_url_that_is_not_unicode_is_not_passed_over() {
    for (name, setting) in [("DATABASE_URL", "database.url"), ("AMQP_URL", "amqp.url")] {
        let run = with_variables(&["healthcheck"], &[(name, OsStr::from_bytes(b"\xff"))]);
        assert_eq!(run.code, Some(2), "{name}: {run:?}");
        assert!(run.said.contains(name) || run.said.contains(setting), "{run:?}");
    }
}
