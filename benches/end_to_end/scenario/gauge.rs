//! Reads all the meters at one moment.

use std::time::Instant;

use super::measurement::{Cpu, Work};
use crate::failure::Failure;
use crate::stage::{Stage, accounts};

/// Whose meters.
#[derive(Debug)]
pub struct Gauge<'a> {
    /// The servers.
    pub stage: &'a Stage,
    /// The processes that are measured.
    pub workers: Vec<u32>,
}

/// The meters.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    at: Instant,
    done: u64,
    lines: u64,
    load: u64,
    rabbitmq: u64,
    postgresql: u64,
    worker: u64,
    wal_bytes: i64,
}

impl Gauge<'_> {
    /// Reads them; so much is done.
    pub async fn read(&self, done: impl Fn() -> (u64, u64)) -> Result<Reading, Failure> {
        let wal_bytes = self.stage.databases.wal_bytes().await?;
        let servers = &self.stage.servers;
        let (load, worker) = (accounts::own_cpu(), accounts::cpu_of_families(&self.workers));
        let rabbitmq = accounts::cpu_of_families(&[servers.rabbitmq]);
        let postgresql = accounts::cpu_of_families(&[servers.postgres]);
        let (at, (done, lines)) = (Instant::now(), done());
        Ok(Reading { at, done, lines, load, rabbitmq, postgresql, worker, wal_bytes })
    }

    /// The most memory that one of the processes had.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        self.workers.iter().filter_map(|id| accounts::peak_memory(*id)).max()
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below what an f64 holds exactly")]
impl Reading {
    /// What was done since an earlier reading.
    pub fn since(&self, earlier: &Self) -> Result<Work, Failure> {
        let done = (self.done - earlier.done) as f64;
        if done < 1.0 {
            return Err(Failure::Wrong("nothing was done while it was measured".to_owned()));
        }
        let seconds = (self.at - earlier.at).as_secs_f64();
        let each = |now: u64, then: u64| now.saturating_sub(then) as f64 / done;
        let cpu = Cpu {
            load: each(self.load, earlier.load),
            rabbitmq: each(self.rabbitmq, earlier.rabbitmq),
            postgresql: each(self.postgresql, earlier.postgresql),
            worker: each(self.worker, earlier.worker),
        };
        Ok(Work {
            per_second: done / seconds,
            lines_per_second: (self.lines - earlier.lines) as f64 / seconds,
            cpu,
            cores_busy: cpu.total() * done / seconds / 1e6,
            wal_bytes: (self.wal_bytes - earlier.wal_bytes) as f64 / done,
        })
    }
}
