//! Settings and usage, as people meet them: the real binary, its exit codes and what it says (contract
//! section 6). No server is needed: `inventory healthcheck` reads all settings, and then finds nobody.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{CommandFactory, Parser};
use config::{Config, File, FileFormat};
use inventory_service::cli::Arguments;
use inventory_service::config::DEFAULTS;
use serde_json::Value;

/// Nobody listens on port 1.
const NOBODY: &str = "127.0.0.1:1";

const PASSWORD: &str = "s3cret";

/// What a run came to.
#[derive(Debug)]
struct Run {
    /// What was run: read when a test fails.
    _command: String,
    code: Option<i32>,
    said: String,
}

impl Run {
    /// The settings were good, and nobody answered.
    #[track_caller]
    fn accepted(&self) {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert!(self.said.contains("no answer from"), "{self:?}");
    }

    /// Exit code 2, and the setting is named.
    #[track_caller]
    fn refused(&self, setting: &str) {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert!(self.said.contains(setting), "{setting} is not named: {self:?}");
        assert!(!self.said.contains("panicked"), "{self:?}");
    }

    #[track_caller]
    fn keeps_the_password(&self) {
        assert!(!self.said.contains(PASSWORD), "{self:?}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The binary in an empty environment.
fn inventory(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory"));
    command.args(arguments).env_clear().env("INVENTORY__HTTP__ADDRESS", NOBODY);
    command
}

fn run(command: &mut Command) -> Run {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    Run { _command: format!("{command:?}"), code: output.status.code(), said }
}

fn with_variables<V: AsRef<OsStr>>(arguments: &[&str], variables: &[(&str, V)]) -> Run {
    run(inventory(arguments).envs(variables.iter().map(|(name, value)| (name, value))))
}

fn with_variable(name: &str, value: &str) -> Run {
    with_variables(&["healthcheck"], &[(name, value)])
}

/// A settings file of its own for each test.
fn file(name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("settings-{name}.toml"));
    std::fs::write(&path, contents).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

fn with_file(name: &str, contents: impl AsRef<[u8]>) -> Run {
    run(inventory(&["healthcheck", "--config"]).arg(file(name, contents)))
}

/// All settings with their defaults, by their names.
fn defaults() -> BTreeMap<String, Value> {
    let read = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml)).build();
    let sections: BTreeMap<String, BTreeMap<String, Value>> =
        read.and_then(Config::try_deserialize).unwrap_or_else(|error| panic!("{error}"));
    let settings = sections.into_iter().flat_map(|(section, keys)| {
        keys.into_iter().map(move |(key, value)| (format!("{section}.{key}"), value))
    });
    settings.collect()
}

/// `amqp.commands` is `INVENTORY__AMQP__COMMANDS`.
fn variable(setting: &str) -> String {
    format!("INVENTORY__{}", setting.replace('.', "__").to_uppercase())
}

/// A default as it is written in the environment.
fn in_environment(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(in_environment).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

// Which settings there are.

#[test]
fn the_defaults_of_the_contract_stand() {
    let defaults = defaults();
    for (setting, expected) in [
        ("http.address", "\"127.0.0.1:8080\""),
        ("database.migrate", "true"),
        ("amqp.declare", "true"),
        ("amqp.commands", "\"inventory.commands\""),
        ("amqp.queries", "\"inventory.queries\""),
        ("amqp.events", "\"inventory.events\""),
        ("amqp.unrouted", "\"inventory.unrouted\""),
        ("amqp.dead_letter", "\"inventory.dead-letter\""),
        ("amqp.reply_to_allow", "[\"*\"]"),
        ("limits.body_bytes", "1048576"),
        ("limits.lines", "1000"),
        ("limits.quantity", "2147483647"),
        ("retention.outcomes_days", "7"),
        ("retention.reservations_days", "1095"),
    ] {
        assert_eq!(defaults[setting].to_string(), expected, "{setting}");
    }
}

#[test]
fn every_setting_is_read_from_the_environment() {
    for (setting, default) in defaults() {
        let value = if setting == "http.address" { NOBODY.to_owned() } else { in_environment(&default) };
        with_variable(&variable(&setting), &value).accepted();
    }
}

#[test]
fn lists_are_separated_by_commas() {
    with_variable("INVENTORY__AMQP__REPLY_TO_ALLOW", "checkout.*,fulfilment.answers").accepted();
    with_variable("INVENTORY__AMQP__REPLY_TO_ALLOW", "checkout.*").accepted();
    with_file("list", "[amqp]\nreply_to_allow = [\"checkout.*\", \"fulfilment.answers\"]").accepted();
    with_file("empty-list", "[amqp]\nreply_to_allow = []").accepted();
}

/// In the environment everything is text, and text has no quotes.
#[test]
fn text_in_the_environment_may_look_like_a_number() {
    for (setting, value) in [("amqp.commands", "4711"), ("amqp.events", "true"), ("log.filter", "3")] {
        with_variable(&variable(setting), value).accepted();
    }
    with_variable("INVENTORY__AMQP__REPLY_TO_ALLOW", "4711").accepted();
}

#[test]
fn an_empty_file_changes_nothing() {
    with_file("empty", "").accepted();
    with_file("comment", "# nothing yet\n").accepted();
}

/// Kubernetes puts such variables into every container next to a service called `inventory`.
#[test]
fn variables_of_others_are_left_alone() {
    let variables = [
        ("INVENTORY_PORT", "tcp://10.0.0.7:8080"),
        ("INVENTORY_SERVICE_HOST", "10.0.0.7"),
        ("INVENTORY_BATCH__LINES", "0"),
        ("INVENTORYBATCH__LINES", "0"),
        ("BATCH__LINES", "0"),
    ];
    with_variables(&["healthcheck"], &variables).accepted();
}

// What comes before what.

#[test]
fn the_file_comes_before_the_defaults_and_the_environment_before_the_file() {
    let path = file("precedence", "[http]\naddress = \"127.0.0.1:2\"");
    let of_file =
        run(inventory(&["healthcheck", "--config"]).arg(&path).env_remove("INVENTORY__HTTP__ADDRESS"));
    assert!(of_file.said.contains("no answer from 127.0.0.1:2:"), "{of_file:?}");
    let before_the_command =
        run(inventory(&["--config"]).arg(&path).arg("healthcheck").env_remove("INVENTORY__HTTP__ADDRESS"));
    assert!(before_the_command.said.contains("no answer from 127.0.0.1:2:"), "{before_the_command:?}");
    let of_environment = run(inventory(&["healthcheck", "--config"]).arg(&path));
    assert!(of_environment.said.contains(&format!("no answer from {NOBODY}:")), "{of_environment:?}");
}

/// File, then `DATABASE_URL` and `AMQP_URL`, then `INVENTORY__…`: the last one that says something decides.
#[test]
fn the_well_known_variables_come_between_the_file_and_the_environment() {
    for (setting, well_known, good) in [
        ("database.url", "DATABASE_URL", "postgres://inventory@127.0.0.1/inventory"),
        ("amqp.url", "AMQP_URL", "amqp://127.0.0.1"),
    ] {
        let bad = "gopher://127.0.0.1";
        for (in_file, in_well_known, in_own, is_good) in [
            (None, None, None, true),
            (Some(bad), None, None, false),
            (None, Some(bad), None, false),
            (None, None, Some(bad), false),
            (Some(bad), Some(good), None, true),
            (Some(good), Some(bad), None, false),
            (Some(bad), None, Some(good), true),
            (Some(good), None, Some(bad), false),
            (None, Some(bad), Some(good), true),
            (None, Some(good), Some(bad), false),
            (Some(bad), Some(bad), Some(good), true),
            (Some(good), Some(good), Some(bad), false),
        ] {
            let (section, key) = setting.split_once('.').unwrap_or_default();
            let lines = in_file.map_or_else(String::new, |url| format!("[{section}]\n{key} = \"{url}\""));
            let mut command = inventory(&["healthcheck", "--config"]);
            command.arg(file(&format!("precedence-{section}"), lines));
            command.envs(in_well_known.map(|url| (well_known, url)));
            command.envs(in_own.map(|url| (variable(setting), url)));
            if is_good { run(&mut command).accepted() } else { run(&mut command).refused(setting) }
        }
    }
}

// What is wrong is named.

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
        "amqp.timeout_ms",
        "batch.commands",
        "batch.lines",
        "outbox.lease_seconds",
        "outbox.sweep_interval_ms",
        "retention.outcomes_days",
        "limits.body_bytes",
        "limits.lines",
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
        ("batch.commands", "18446744073709551616"),
    ] {
        with_variable(&variable(setting), value).refused(setting);
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

// A password is for the server only.

#[test]
fn a_malformed_url_is_named_and_its_password_kept() {
    for (name, setting, command, url) in [
        ("DATABASE_URL", "database.url", "healthcheck", "postgre://u:s3cret@h/db"),
        ("DATABASE_URL", "database.url", "migrate", "postgres://u:s3cret@h:port/db"),
        ("DATABASE_URL", "database.url", "verify", "postgres://u:s3cret@h:5432/db?sslmode=perhaps"),
        ("DATABASE_URL", "database.url", "serve", "postgres://u:s3cret@[::1/db"),
        ("AMQP_URL", "amqp.url", "healthcheck", "u:s3cret@h/%2f"),
        ("AMQP_URL", "amqp.url", "serve", "amqp://u:s3cret@h:port/%2f"),
        ("AMQP_URL", "amqp.url", "serve", "amqps://u:s3cret@[::1/%2f"),
        ("AMQP_URL", "amqp.url", "serve", "amqp://u:s3cret@h/%2f?heartbeat=often"),
    ] {
        for variable in [name.to_owned(), variable(setting)] {
            let run = with_variables(&[command], &[(variable.as_str(), url)]);
            run.refused(setting);
            run.keeps_the_password();
        }
    }
}

#[test]
fn a_url_in_the_wrong_place_keeps_its_password() {
    let url = "postgres://u:s3cret@h/db";
    for (name, contents) in [
        ("url-in-a-list", format!("[database]\nurl = [\"{url}\"]")),
        ("url-unknown", format!("[database]\nuri = \"{url}\"")),
        ("url-section", format!("database = \"{url}\"")),
        ("url-elsewhere", format!("[database]\nmax_connections = \"{url}\"")),
        ("url-open", format!("[database]\nurl = \"{url}")),
        ("url-bare", format!("[database]\nurl = {url}")),
        ("url-twice", format!("[database]\nurl = \"{url}\"\nurl = \"{url}\"")),
        ("url-before-a-mistake", format!("[database]\nurl = \"{url}\"\n[amqp\n")),
    ] {
        let run = with_file(name, contents);
        assert_eq!(run.code, Some(2), "{name}: {run:?}");
        run.keeps_the_password();
    }
    for name in ["INVENTORY__DATABASE", "INVENTORY__DATABASE__MAX_CONNECTIONS", "INVENTORY__HTTP__ADDRESS"] {
        let run = with_variable(name, url);
        assert_eq!(run.code, Some(2), "{name}: {run:?}");
        run.keeps_the_password();
    }
    let not_unicode = OsStr::from_bytes(b"postgres://u:s3cret\xff@h/db");
    for name in ["DATABASE_URL", "INVENTORY__DATABASE__URL"] {
        with_variables(&["healthcheck"], &[(name, not_unicode)]).keeps_the_password();
    }
}

#[test]
fn a_server_that_is_away_keeps_its_password() {
    let variables = [
        ("DATABASE_URL", "postgres://u:s3cret@127.0.0.1:1/db"),
        ("INVENTORY__DATABASE__CONNECT_TIMEOUT_MS", "100"),
    ];
    for command in [&["migrate"][..], &["verify"], &["stock", "show", "0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11"]]
    {
        let run = with_variables(command, &variables);
        assert_eq!(run.code, Some(3), "{run:?}");
        run.keeps_the_password();
        assert!(run.said.contains("DATABASE_URL"), "it says what to look at: {run:?}");
    }
}

// Usage.

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
                "verify",
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
        ("stock", &["set", "adjust", "show", "import"]),
        ("stock set", &[product, "<QUANTITY>", "count", "on hand", "less than is reserved"]),
        ("stock adjust", &[product, "<DELTA>", "-3", "went missing", "less than is reserved"]),
        ("stock show", &[product, "On hand, reserved, available", "--json"]),
        ("stock import", &["<FILE.csv>", "product_id", "quantity", "all lines of a file, or none"]),
        ("ledger", &[product, "--from", "--to", "--csv", "--json", "BROUGHT_FORWARD", "today's level"]),
        ("reservation", &["show", "list"]),
        ("reservation show", &["<RESERVATION_ID>", "everything it went through"]),
        (
            "reservation list",
            &["--product", "--state", "--older-than", "--limit", "90s, 15m, 2h, 3d", "oldest first"],
        ),
        ("verify", &["books balance", "exit code 0, or 1", "nothing is locked"]),
        ("repair", &["--apply", "--reason", "nothing is changed", "who and why"]),
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
    let known = ["serve", "migrate", "stock", "ledger", "reservation", "verify", "repair", "healthcheck"];
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
