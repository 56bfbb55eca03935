//! Child processes that are awaited without holding up the test's other tasks.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a process that has ended left behind.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; nothing where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a command to its end.
pub async fn run(mut command: Command) -> Ended {
    let name = format!("{command:?}");
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    output.unwrap_or_else(|error| panic!("{name}: {error}")).into()
}

/// Runs a command that must succeed; gives its standard output.
pub async fn run_ok(command: Command) -> String {
    let name = format!("{command:?}");
    let ended = run(command).await;
    assert_eq!(ended.code, Some(0), "{name}\n{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

/// The binary under test, without any setting of the machine that the tests run on. `BINARY_UNDER_TEST` names another
/// than the one that was built with the tests, such as that of a release.
pub fn inventory() -> Command {
    let built = || env!("CARGO_BIN_EXE_inventory").into();
    let mut command = Command::new(std::env::var_os("BINARY_UNDER_TEST").unwrap_or_else(built));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("INVENTORY__") {
            command.env_remove(name);
        }
    }
    command.current_dir(Path::new(env!("CARGO_TARGET_TMPDIR")));
    command
}

/// The same with settings, for one of its commands.
pub fn inventory_with(settings: &[(String, String)], arguments: &[&str]) -> Command {
    let mut command = inventory();
    command.args(arguments).envs(settings.iter().map(|(name, value)| (name, value)));
    command
}
