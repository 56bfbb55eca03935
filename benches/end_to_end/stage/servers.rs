//! The private servers: `scripts/servers` starts and ends them.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::failure::Failure;

/// A private PostgreSQL and RabbitMQ that forget nothing: fsync is on. PostgreSQL is sized for load. Gone when dropped,
/// folder and all.
#[derive(Debug)]
pub struct Servers {
    /// Data and logs; a place for what else a run needs.
    pub folder: PathBuf,
    /// Of the first database.
    pub database_url: String,
    /// Of the broker.
    pub amqp_url: String,
    /// PostgreSQL's first process.
    pub postgres: u32,
    /// RabbitMQ's first process.
    pub rabbitmq: u32,
}

impl Servers {
    /// Starts them, which takes some seconds.
    pub fn start() -> Result<Self, Failure> {
        let folder = target_folder().join("bench").join(format!("servers-{}", std::process::id()));
        let mut servers =
            Self { folder, database_url: String::new(), amqp_url: String::new(), postgres: 0, rabbitmq: 0 };
        servers.script("start", &["--tuned"])?;
        servers.database_url = servers.setting("DATABASE_URL")?;
        servers.amqp_url = servers.setting("AMQP_URL")?;
        servers.postgres = servers.process("postgres")?;
        servers.rabbitmq = servers.process("rabbitmq")?;
        Ok(servers)
    }

    /// What RabbitMQ says that it is.
    pub fn rabbitmq_version(&self) -> Result<String, Failure> {
        let output = command("ctl").arg(&self.folder).arg("version").output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn script(&self, name: &'static str, options: &[&str]) -> Result<(), Failure> {
        let status = command(name).args(options).arg(&self.folder).stdout(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(Failure::Servers { command: name, status }) }
    }

    fn read(&self, name: &str) -> Result<String, Failure> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).map_err(Failure::file(&path))
    }

    fn setting(&self, name: &str) -> Result<String, Failure> {
        let env = self.read("env")?;
        let line = env.lines().find_map(|line| line.strip_prefix(&format!("export {name}='")));
        let value = line.and_then(|line| line.strip_suffix('\''));
        value
            .map(str::to_owned)
            .ok_or_else(|| Failure::Wrong(format!("scripts/servers did not write {name}")))
    }

    fn process(&self, name: &str) -> Result<u32, Failure> {
        let text = self.read(&format!("{name}.pid"))?;
        let number = text.lines().next().and_then(|line| line.parse().ok());
        number.ok_or_else(|| Failure::Wrong(format!("scripts/servers did not write the process of {name}")))
    }
}

/// Not in our group: Ctrl-C is for us, who then have it end what it began.
fn command(name: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/servers"));
    command.arg(name).stdin(Stdio::null()).process_group(0);
    command
}

impl Drop for Servers {
    fn drop(&mut self) {
        #[expect(clippy::print_stderr, reason = "the last word: nobody is left who could be told otherwise")]
        if let Err(error) = self.script("destroy", &[]) {
            eprintln!("{} is left: {error}", self.folder.display());
        }
    }
}

/// Where cargo puts what it builds: `target/release/deps/end_to_end-…` is what runs.
#[must_use]
pub fn target_folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    program.ancestors().nth(3).unwrap_or(Path::new("target")).to_owned()
}
