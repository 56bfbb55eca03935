//! What a turn comes to.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::turn::Turn;

/// The figures of one turn. What was not measured is `None`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measurement {
    /// What took its turn.
    pub turn: Turn,
    /// In which round, from 1.
    pub round: u32,
    /// What the load saw, in units of work: outcomes, or answers where there are queries only.
    pub work: Option<Work>,
    /// Queries of the turn.
    pub queries: Option<Answers>,
    /// Latencies of commands, by load.
    pub paces: Vec<Pace>,
    /// The most memory that a process of the service had, in bytes.
    pub peak_memory_bytes: Option<u64>,
}

/// Work, and what it took.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Work {
    /// Outcomes (or answers) a second.
    pub per_second: f64,
    /// Cart lines a second.
    pub lines_per_second: f64,
    /// Microseconds of CPU time for each.
    pub cpu: Cpu,
    /// Cores in use.
    pub cores_busy: f64,
    /// Bytes of write-ahead log for each.
    pub wal_bytes: f64,
}

/// CPU time by who used it: microseconds for each command (or query).
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cpu {
    /// The load generator and subscriber.
    pub load: f64,
    /// RabbitMQ.
    pub rabbitmq: f64,
    /// PostgreSQL, all of its processes.
    pub postgresql: f64,
    /// The service, or whoever was in its place.
    pub worker: f64,
}

impl Cpu {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.load + self.rabbitmq + self.postgresql + self.worker
    }
}

/// How queries fared.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answers {
    /// Answers a second.
    pub per_second: f64,
    /// How long they took.
    pub latency: Latency,
}

/// How commands fared at a pace.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// The part of the capacity.
    pub load: f64,
    /// Commands a second.
    pub per_second: f64,
    /// From due to outcome.
    pub latency: Latency,
}

/// A distribution, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    pub count: u64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl From<&Histogram<u64>> for Latency {
    fn from(microseconds: &Histogram<u64>) -> Self {
        let at = |quantile| milliseconds(microseconds.value_at_quantile(quantile));
        Self {
            count: microseconds.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: milliseconds(microseconds.max()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below what an f64 holds exactly")]
fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0
}

impl Measurement {
    /// Nothing measured yet.
    #[must_use]
    pub fn of(turn: Turn, round: u32) -> Self {
        Self { turn, round, work: None, queries: None, paces: Vec::new(), peak_memory_bytes: None }
    }
}

impl fmt::Display for Measurement {
    /// In a line, for the progress.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(Work { per_second, cpu, .. }) = &self.work {
            parts.push(format!(
                "{per_second:.0}/s; µs each: load {:.0}, RabbitMQ {:.0}, PostgreSQL {:.0}, worker {:.0}",
                cpu.load, cpu.rabbitmq, cpu.postgresql, cpu.worker
            ));
        }
        if let Some(Answers { per_second, latency }) = &self.queries {
            parts.push(format!("{per_second:.0} queries/s, p99 {:.1} ms", latency.p99));
        }
        for Pace { load, latency, .. } in &self.paces {
            parts.push(format!("{:.0} %: p50 {:.1}, p99 {:.1} ms", load * 100.0, latency.p50, latency.p99));
        }
        f.write_str(&parts.join("; "))
    }
}
