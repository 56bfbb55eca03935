//! As fast as it can: so many commands outstanding, always.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::gauge::Gauge;
use super::measurement::Work;
use crate::arguments::Plan;
use crate::failure::Failure;
use crate::load::{Load, Source};

/// Warms up, measures, and waits for what is still under way.
pub async fn saturate(gauge: &Gauge<'_>, source: &mut impl Source, plan: &Plan) -> Result<Work, Failure> {
    let during = async { tokio::time::sleep(plan.window).await };
    saturate_during(gauge, source, plan.warm_up, during).await
}

/// The same, for as long as something else takes.
pub async fn saturate_during(
    gauge: &Gauge<'_>,
    source: &mut impl Source,
    warm_up: Duration,
    during: impl Future<Output = ()>,
) -> Result<Work, Failure> {
    let mut load = Load::open(&gauge.stage.servers.amqp_url, source.lines(), None).await?;
    let (tally, stop) = (load.tally(), CancellationToken::new());
    let measuring = async {
        tokio::time::sleep(warm_up).await;
        let before = gauge.read(|| tally.done()).await?;
        during.await;
        let after = gauge.read(|| tally.done()).await?;
        stop.cancel();
        after.since(&before)
    };
    let ((), work) = tokio::try_join!(load.saturate(source, &stop), measuring)?;
    load.drain().await?;
    load.close().await?;
    Ok(work)
}
