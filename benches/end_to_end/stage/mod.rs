//! What is measured on: private servers, and processes of our own on them.

pub mod accounts;
mod database;
mod http;
mod process;
mod servers;
mod tap;

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use uuid::Uuid;

use crate::failure::Failure;

pub use database::{Databases, stock_file};
pub use process::{Process, READY};
pub use servers::{Servers, target_folder};
pub use tap::Tap;

/// The database that every turn has a copy of.
pub const TEMPLATE: &str = "template_of_turns";

/// The servers, prepared.
#[derive(Debug)]
pub struct Stage {
    /// The servers.
    pub servers: Servers,
    /// Their databases.
    pub databases: Databases,
    /// The `inventory` that is measured.
    pub binary: PathBuf,
}

/// A service process.
#[derive(Debug)]
pub struct Service {
    /// The process.
    pub process: Process,
    http: SocketAddr,
}

impl Service {
    /// Its metrics.
    pub async fn metrics(&self) -> Result<String, Failure> {
        let metrics = http::get(self.http, "/metrics").await;
        metrics.ok_or_else(|| Failure::Wrong("the service does not tell its metrics".to_owned()))
    }
}

impl Stage {
    /// Starts the servers, to measure this `inventory` or the one that cargo built.
    pub fn set_up(binary: Option<PathBuf>) -> Result<Self, Failure> {
        let servers = Servers::start()?;
        let databases = Databases { url: servers.database_url.clone() };
        let binary = binary.unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_inventory")));
        Ok(Self { servers, databases, binary })
    }

    /// Starts the service with its default settings on a database, and waits until it is ready.
    pub async fn serve(&self, database_url: &str) -> Result<Service, Failure> {
        let http = free_address()?;
        let mut command = self.inventory(database_url);
        command.arg("serve").env("INVENTORY__HTTP__ADDRESS", http.to_string());
        let mut process = Process::start(command, "inventory serve", self.log())?;
        process.until(async || http::get(http, "/readyz").await.is_some()).await?;
        Ok(Service { process, http })
    }

    /// Starts one of our own workers, and waits until it consumes.
    pub async fn work(&self, arguments: &[String]) -> Result<Process, Failure> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("worker").args(arguments).env("AMQP_URL", &self.servers.amqp_url);
        let mut process = Process::start(command, &format!("worker {}", arguments.join(" ")), self.log())?;
        process.says_ready().await?;
        Ok(process)
    }

    /// Runs `inventory` to its end.
    pub async fn run(&self, database_url: &str, arguments: &[&str]) -> Result<(), Failure> {
        let mut command = self.inventory(database_url);
        command.args(arguments);
        Process::start(command, &format!("inventory {}", arguments.join(" ")), self.log())?.finish().await
    }

    /// Where the sample of what the service sends is kept for our own workers.
    #[must_use]
    pub fn sample_file(&self) -> PathBuf {
        self.servers.folder.join("sample.json")
    }

    /// With the settings that it needs, and no others from the outside.
    fn inventory(&self, database_url: &str) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("INVENTORY__") {
                command.env_remove(name);
            }
        }
        command.env("DATABASE_URL", database_url).env("AMQP_URL", &self.servers.amqp_url);
        command
    }

    fn log(&self) -> PathBuf {
        self.servers.folder.join(format!("{}.log", Uuid::now_v7()))
    }
}

/// A port that nobody listens on at this moment.
fn free_address() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(listener.local_addr()?)
}
