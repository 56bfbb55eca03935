//! The end: at the first signal work in hand is finished, at the second everything stops at once.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Tells when to stop.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take nothing new; finish what is in hand.
    pub soft: CancellationToken,
    /// Drop everything.
    pub hard: CancellationToken,
}

impl Shutdown {
    /// Waits for SIGTERM or SIGINT, then for the end of the grace period or another signal.
    pub async fn listen(self, grace: Duration) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: finishing what is in hand"),
            _ = interrupt.recv() => info!("SIGINT: finishing what is in hand"),
            () = self.soft.cancelled() => {}
        }
        self.soft.cancel();
        tokio::select! {
            _ = terminate.recv() => warn!("SIGTERM again: stopping at once"),
            _ = interrupt.recv() => warn!("SIGINT again: stopping at once"),
            () = tokio::time::sleep(grace) => warn!(?grace, "the grace period is over: stopping at once"),
        }
        self.hard.cancel();
        Ok(())
    }
}
