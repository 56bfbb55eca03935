//! Where it was measured: figures of different machines cannot be compared.

use std::{fmt, fs};

use serde::Serialize;
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::failure::Failure;
use crate::stage::Stage;

/// A machine and its servers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    processor: String,
    cores: usize,
    memory_bytes: u64,
    postgresql: String,
    rabbitmq: String,
    measured_at: String,
}

impl Machine {
    /// This one.
    pub async fn look(stage: &Stage) -> Result<Self, Failure> {
        let mut connection = PgConnection::connect(&stage.databases.url).await?;
        let (postgresql, measured_at) =
            sqlx::query_as("SELECT current_setting('server_version'), to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI \"UTC\"')")
                .fetch_one(&mut connection)
                .await?;
        connection.close().await?;
        Ok(Self {
            processor: line("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory().unwrap_or_default(),
            postgresql,
            rabbitmq: stage.servers.rabbitmq_version()?,
            measured_at,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gibibytes = self.memory_bytes >> 30;
        write!(f, "{} cores ({}), {gibibytes} GiB of memory, ", self.cores, self.processor)?;
        write!(f, "PostgreSQL {}, RabbitMQ {}, {}.", self.postgresql, self.rabbitmq, self.measured_at)
    }
}

fn memory() -> Option<u64> {
    let kibibytes: u64 = line("/proc/meminfo", "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// What a file of /proc says of a thing.
fn line(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(name))?.split_once(':')?;
    Some(value.trim().to_owned())
}
