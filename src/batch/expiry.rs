//! Gives back the stock of holds whose time is over.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Bookkeeper;
use crate::config::ExpirySettings;

/// Sweeps lapsed holds. Any replica may, and one at a time does; what a command needs it does not wait for.
#[derive(Debug)]
pub struct Expiry {
    /// Makes it true.
    pub bookkeeper: Bookkeeper,
    /// How often.
    pub settings: ExpirySettings,
}

impl Expiry {
    /// Looks for lapsed holds now and then, until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(Duration::from_millis(self.settings.sweep_interval_ms));
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(interval.tick()).await.is_some() {
            let mut lapsed = 0;
            // Step by step, each a transaction as large as a batch: commands come in between.
            while !stop.is_cancelled() {
                match self.bookkeeper.lapse_due().await {
                    Ok((0, late_seconds)) => {
                        self.bookkeeper.metrics.expiry_lag(late_seconds);
                        break;
                    }
                    Ok((holds, late_seconds)) => {
                        self.bookkeeper.metrics.expiry_lag(late_seconds);
                        lapsed += holds;
                    }
                    Err(error) => {
                        warn!(%error, "lapsed holds cannot be given back yet");
                        break;
                    }
                }
            }
            if lapsed > 0 {
                info!(lapsed, "holds have lapsed");
            }
        }
    }
}
