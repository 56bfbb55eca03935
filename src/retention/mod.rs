//! What is past its time leaves, in small steps: into nothing, or into CSV files.
//!
//! With files a step is written and on the disk before it is committed. A crash in between writes the same lines again
//! with the next step: at least once, so whoever reads the files takes lines of the same key for one.

mod export;

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{RetentionSettings, SettingsError};
use crate::storage::retention::{self as storage, Step};
use crate::storage::{Database, StorageError};

/// Pause between looks.
const INTERVAL: Duration = Duration::from_mins(1);

/// Outcomes a step: some milliseconds of work.
const OUTCOMES_A_STEP: u32 = 1000;

/// Reservations a step, with their movements: some ten milliseconds of work.
const RESERVATIONS_A_STEP: u32 = 500;

/// Pause between steps, so that nobody has to wait behind them.
const STEP_PAUSE: Duration = Duration::from_millis(20);

/// Whether what leaves can be written where the settings say.
pub fn check(settings: &RetentionSettings) -> Result<(), SettingsError> {
    let Some(directory) = directory(settings) else { return Ok(()) };
    export::try_directory(&directory).map_err(|error| SettingsError::OutOfRange {
        name: "retention.export_directory",
        reason: format!("{} cannot be written to: {error}", directory.display()),
    })
}

/// Lets outcomes and reservations leave that are past their retention, until `stop`. Outcomes go first, so that none is
/// left without its reservation.
pub async fn run(database: Database, settings: RetentionSettings, stop: CancellationToken) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let sweep = Sweep { database, directory: directory(&settings), settings, stop };
    while sweep.stop.run_until_cancelled(interval.tick()).await.is_some() {
        for kind in [Kind::Outcomes, Kind::Reservations] {
            match sweep.all(kind).await {
                Ok(0) => {}
                Ok(left) => info!(left, "{} past their retention have left", kind.name()),
                Err(error) => warn!(%error, "{} past their retention stay for now", kind.name()),
            }
        }
    }
}

fn directory(settings: &RetentionSettings) -> Option<PathBuf> {
    let directory = &settings.export_directory;
    (!directory.is_empty()).then(|| PathBuf::from(directory))
}

/// What leaves.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Outcomes,
    Reservations,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Outcomes => "outcomes",
            Self::Reservations => "reservations",
        }
    }
}

struct Sweep {
    database: Database,
    directory: Option<PathBuf>,
    settings: RetentionSettings,
    stop: CancellationToken,
}

impl Sweep {
    /// Lets all of a kind leave; says how many have.
    async fn all(&self, kind: Kind) -> Result<usize, SweepError> {
        let mut left = 0;
        while let Some(step) = self.database.in_time(self.step(kind)).await? {
            let rows = step.rows;
            self.finish(step).await?;
            left += rows;
            if self.stop.run_until_cancelled(tokio::time::sleep(STEP_PAUSE)).await.is_none() {
                break;
            }
        }
        Ok(left)
    }

    async fn step(&self, kind: Kind) -> Result<Option<Step>, StorageError> {
        let RetentionSettings { outcomes_days, reservations_days, .. } = self.settings;
        match kind {
            Kind::Outcomes => storage::outcomes(&self.database, outcomes_days, OUTCOMES_A_STEP).await,
            Kind::Reservations => {
                storage::reservations(&self.database, reservations_days, RESERVATIONS_A_STEP).await
            }
        }
    }

    /// Writes what leaves, and only then makes it so.
    async fn finish(&self, mut step: Step) -> Result<(), SweepError> {
        if let Some(directory) = self.directory.clone() {
            let lines = export::Lines::of(&mut step);
            let written = tokio::task::spawn_blocking(move || lines.append(&directory));
            written.await.map_err(std::io::Error::other)??;
        }
        Ok(self.database.in_time(step.commit()).await?)
    }
}

#[derive(Debug, thiserror::Error)]
enum SweepError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("retention.export_directory cannot be written to: {0}")]
    Export(#[from] std::io::Error),
}
