//! Drops what is past its time, in small steps.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::RetentionSettings;
use crate::storage::{Database, outcome};

/// Pause between looks.
const INTERVAL: Duration = Duration::from_mins(1);

/// Rows a step: some milliseconds of work.
const ROWS_A_STEP: u32 = 1000;

/// Pause between steps, so that nobody has to wait behind them.
const STEP_PAUSE: Duration = Duration::from_millis(20);

/// Drops outcomes of commands that are past their retention, until `stop`.
pub async fn run(database: Database, settings: RetentionSettings, stop: CancellationToken) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(interval.tick()).await.is_some() {
        let mut dropped = 0;
        loop {
            match outcome::drop_older(database.pool(), settings.outcomes_days, ROWS_A_STEP).await {
                Ok(0) => break,
                Ok(rows) => dropped += rows,
                Err(error) => {
                    warn!(%error, "outcomes past their retention stay for now");
                    break;
                }
            }
            if stop.run_until_cancelled(tokio::time::sleep(STEP_PAUSE)).await.is_none() {
                return;
            }
        }
        if dropped > 0 {
            info!(dropped, "dropped outcomes past their retention");
        }
    }
}
