//! Why a run ends early.

use std::path::PathBuf;
use std::process::ExitStatus;

/// What ends a run. A figure that misses its target does not.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Somebody pressed Ctrl-C, or the like.
    #[error("interrupted")]
    Interrupted,
    /// A private server did not start or stop.
    #[error("scripts/servers {command} failed ({status})")]
    Servers {
        /// What was asked for.
        command: &'static str,
        /// How it ended.
        status: ExitStatus,
    },
    /// What is measured ended by itself, was never ready, or did not stop.
    #[error("{name} {what}; the end of its log:\n{log}")]
    Process {
        /// Which.
        name: String,
        /// What it did.
        what: String,
        /// Its last words.
        log: String,
    },
    /// Commands or queries went unanswered: the figure would be one of work that was not done.
    #[error("{missing} of {sent} {of} got no answer within {seconds} seconds")]
    Lost {
        /// How many are missing.
        missing: u64,
        /// Of how many.
        sent: u64,
        /// Outcomes or replies.
        of: &'static str,
        /// How long nothing came any more.
        seconds: u64,
    },
    /// What came back is not what must come back.
    #[error("{0}")]
    Wrong(String),
    /// A file cannot be used.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// RabbitMQ or the way to it.
    #[error("RabbitMQ: {0}")]
    Amqp(#[from] lapin::Error),
    /// PostgreSQL or the way to it.
    #[error("PostgreSQL: {0}")]
    Database(#[from] sqlx::Error),
    /// The system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file of ours in JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The invoices.
    #[error("the invoices: {0}")]
    Invoices(#[from] csv::Error),
    /// A plot.
    #[error("cannot draw: {0}")]
    Plot(String),
}

impl Failure {
    /// To be used as `map_err(Failure::file(path))`.
    pub fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
