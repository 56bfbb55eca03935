//! Commands that waited while no service ran.

use std::time::Duration;

use super::gauge::Gauge;
use super::measurement::Work;
use super::subject::{Setting, Subject};
use super::turn::Turn;
use crate::failure::Failure;
use crate::load::{Load, Source};
use crate::stage::Stage;

/// Sends them, starts the service, and measures from the first outcome to the last.
pub async fn drain(
    stage: &Stage,
    source: &mut impl Source,
    commands: u64,
    noop: Setting,
) -> Result<(Work, Option<u64>), Failure> {
    let mut load = Load::open(&stage.servers.amqp_url, source.lines(), None).await?;
    load.send(source, commands).await?;
    let subject = Subject::start(stage, Turn::Backlog, noop).await?;
    let (gauge, tally) = (Gauge { stage, workers: subject.ids() }, load.tally());
    while tally.outcomes() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let before = gauge.read(|| tally.done()).await?;
    load.drain().await?;
    let after = gauge.read(|| tally.done()).await?;
    let memory = gauge.peak_memory();
    load.close().await?;
    subject.stop(stage).await?;
    Ok((after.since(&before)?, memory))
}
