//! What the service is compared with. Each is a process of its own, as the service is.

mod baseline;
mod batches;
mod noop;
mod responder;

use std::io::Read;
use std::path::PathBuf;

use clap::Parser;

use crate::failure::Failure;
use crate::sample::Samples;
use crate::stage::READY;

pub use baseline::prepare as prepare_baseline;

/// A worker, as the harness calls it.
#[derive(Debug, Clone, Parser)]
pub enum Worker {
    /// Consumes commands, publishes an event for each, acknowledges.
    Noop(Pipeline),
    /// Consumes queries, answers each.
    Responder(Pipeline),
    /// Does what the service does, the plain way.
    Baseline {
        /// Its database.
        database_url: String,
        /// What its events look like.
        sample: PathBuf,
    },
}

/// How much is taken at once.
#[derive(Debug, Clone, clap::Args)]
pub struct Pipeline {
    /// Unacknowledged messages at most.
    pub prefetch: u16,
    /// Messages handled together at most.
    pub batch: usize,
    /// What to send.
    pub sample: PathBuf,
}

/// Works until SIGTERM, or until the harness is gone.
pub fn run(worker: Worker) -> Result<(), Failure> {
    std::thread::spawn(|| {
        // It holds the other end, and never writes.
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(1);
    });
    let url = std::env::var("AMQP_URL").map_err(|error| Failure::Wrong(format!("AMQP_URL: {error}")))?;
    // Those that do nothing have nothing for a second thread to do.
    let mut single = tokio::runtime::Builder::new_current_thread();
    match worker {
        Worker::Noop(pipeline) => {
            let event = Samples::read(&pipeline.sample)?.event;
            single.enable_all().build()?.block_on(noop::run(&url, &pipeline, event))
        }
        Worker::Responder(pipeline) => {
            let reply = Samples::read(&pipeline.sample)?.reply;
            single.enable_all().build()?.block_on(responder::run(&url, &pipeline, reply))
        }
        Worker::Baseline { database_url, sample } => {
            let event = Samples::read(&sample)?.event;
            tokio::runtime::Runtime::new()?.block_on(baseline::run(&url, &database_url, event))
        }
    }
}

/// Tells the harness.
#[expect(clippy::print_stdout, reason = "it is what the harness reads")]
fn say_ready() {
    println!("{READY}");
}
