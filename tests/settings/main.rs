//! Settings and usage, as people meet them: the real binary, its exit codes and what it says (contract
//! section 6). No server is needed: `inventory healthcheck` reads all settings, and then finds nobody.

mod faults;
mod passwords;
mod plain_text;
mod provision;
mod reading;
mod usage;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use config::{Config, File, FileFormat};
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
