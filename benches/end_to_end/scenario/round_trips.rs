//! How often the service waits for PostgreSQL for one batch.

use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::subject::fresh_database;
use crate::failure::Failure;
use crate::load::{Load, Source};
use crate::stage::{Service, Stage, Tap};

/// Long enough to see what the service asks now and then, whatever comes.
const IDLE: Duration = Duration::from_secs(2);
const BUSY: Duration = Duration::from_secs(3);
/// Until all connections are made, and all statements prepared.
const WARM_UP: Duration = Duration::from_secs(1);

/// Under the load of `spread`, in a run of its own: counting costs time.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoundTrips {
    /// Round trips a batch: all that the service makes, without those that it makes idle as well.
    pub per_batch: f64,
    /// Round trips a second without any load.
    pub idle_per_second: f64,
    /// Commands a batch.
    pub commands_per_batch: f64,
}

#[derive(Clone, Copy)]
struct Counts {
    round_trips: u64,
    batches: f64,
    commands: f64,
}

/// Counts.
pub async fn count(stage: &Stage, source: &mut impl Source) -> Result<RoundTrips, Failure> {
    let tap = Tap::open(&fresh_database(stage).await?).await?;
    let service = stage.serve(&tap.url).await?;
    tokio::time::sleep(WARM_UP).await;
    let before = tap.round_trips();
    tokio::time::sleep(IDLE).await;
    let idle_per_second = per(tap.round_trips() - before, IDLE.as_secs_f64());
    let mut load = Load::open(&stage.servers.amqp_url, source.lines(), None).await?;
    let stop = CancellationToken::new();
    let counting = async {
        tokio::time::sleep(WARM_UP).await;
        let before = Counts::read(&service, &tap).await?;
        tokio::time::sleep(BUSY).await;
        let after = Counts::read(&service, &tap).await?;
        stop.cancel();
        Ok::<_, Failure>((before, after))
    };
    let ((), (before, after)) = tokio::try_join!(load.saturate(source, &stop), counting)?;
    load.drain().await?;
    load.close().await?;
    service.process.stop().await?;
    let batches = after.batches - before.batches;
    let round_trips = per(after.round_trips - before.round_trips, 1.0) - idle_per_second * BUSY.as_secs_f64();
    let commands_per_batch = (after.commands - before.commands) / batches;
    Ok(RoundTrips { per_batch: round_trips / batches, idle_per_second, commands_per_batch })
}

#[expect(clippy::cast_precision_loss, reason = "far below what an f64 holds exactly")]
fn per(count: u64, of: f64) -> f64 {
    count as f64 / of
}

impl Counts {
    async fn read(service: &Service, tap: &Tap) -> Result<Self, Failure> {
        let metrics = service.metrics().await?;
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            line.ok_or_else(|| Failure::Wrong(format!("the service has no metric {name}")))
        };
        Ok(Self {
            round_trips: tap.round_trips(),
            batches: value("inventory_batch_commands_count")?,
            commands: value("inventory_batch_commands_sum")?,
        })
    }
}
