//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Measures the service end to end: real servers, real processes, everything on this machine.
///
/// Starts a private PostgreSQL and RabbitMQ (durable: fsync is on), then the service, a worker that does nothing and a
/// plain worker in turns, and puts the same load on each. Gives figures, and ratios to the other workers of the same
/// round, which say more than a figure: they hardly depend on the machine.
///
/// Close what else wants the processor. Everything takes about half an hour, the history of `growth` alone several
/// minutes. The table comes on standard output; report.md, results.json and the plots are in target/bench.
#[derive(Debug, Clone, Parser)]
#[command(
    bin_name = "cargo bench --bench end_to_end --",
    after_help = "Examples:\n  \
        cargo bench --bench end_to_end                        everything\n  \
        cargo bench --bench end_to_end -- --quick             once and short: does all of it work?\n  \
        cargo bench --bench end_to_end -- spread flash        these two, and what their ratios need\n  \
        cargo bench --bench end_to_end -- --rounds 5 latency  more rounds, less noise\n\n\
        docs/benchmark.md says what each figure means. A missed target is reported and no error; lost outcomes are one."
)]
pub struct Arguments {
    /// What to measure, with what its ratios need; everything where none is named
    pub scenarios: Vec<Scenario>,
    /// Say what can be measured, and stop
    #[arg(long)]
    pub list: bool,
    /// How often each is measured; figures are medians
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// How long each is measured, after the warm-up
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..))]
    pub seconds: u64,
    /// One short round with little history: shows that all works, and no figures worth keeping
    #[arg(long)]
    pub quick: bool,
    /// Measure this `inventory` instead of the one that cargo has just built
    #[arg(long, value_name = "PATH")]
    pub binary: Option<PathBuf>,
    /// Cargo passes it to every benchmark
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// A worker that does nothing but consume, publish and acknowledge: what RabbitMQ and the load leave room for
    Ceiling,
    /// Two-line carts over 10,000 products
    Spread,
    /// Everybody after one product
    Flash,
    /// The invoices of a real shop, 17 lines each on average
    Carts,
    /// Reserves, releases and consumes, with queries beside them
    Mixed,
    /// What one would write first: a transaction a command
    Baseline,
    /// How long a command takes at 10, 25, 50 and 75 % of capacity
    Latency,
    /// Stock levels, alone and while commands run at full load
    Queries,
    /// Spread over 10 million reservations of history and 1 million products
    Growth,
    /// Commands that waited before the service started
    Backlog,
    /// Two service processes
    Replicas,
}

/// What follows from the command line.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How often each is measured.
    pub rounds: u32,
    /// Before each measurement.
    pub warm_up: Duration,
    /// Each measurement.
    pub window: Duration,
    /// Commands that wait in `backlog`.
    pub backlog: u64,
    /// Reservations of history in `growth`.
    pub reservations: u64,
    /// Products in `growth`.
    pub products: u64,
}

impl Arguments {
    /// How long, how often, how much.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let full = Plan {
            rounds: self.rounds,
            warm_up: Duration::from_secs(3),
            window: Duration::from_secs(self.seconds),
            backlog: 200_000,
            reservations: 10_000_000,
            products: 1_000_000,
        };
        if !self.quick {
            return full;
        }
        Plan {
            rounds: 1,
            warm_up: Duration::from_secs(1),
            window: Duration::from_secs(2),
            backlog: 20_000,
            reservations: 200_000,
            products: 20_000,
        }
    }

    /// Whether this is to be measured for its own sake.
    #[must_use]
    pub fn wants(&self, scenario: Scenario) -> bool {
        self.scenarios.is_empty() || self.scenarios.contains(&scenario)
    }
}
