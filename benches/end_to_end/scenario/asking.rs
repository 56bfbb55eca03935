//! Queries: alone, against the responder, and while commands run.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::closed::saturate_during;
use super::gauge::Gauge;
use super::measurement::{Answers, Latency, Work};
use crate::arguments::Plan;
use crate::failure::Failure;
use crate::load::{Pace, Queries, Source};

/// Queries outstanding in a closed loop.
const OUTSTANDING: Pace = Pace::Outstanding(64);

/// Beside a mixed load: 200 a second.
const MODEST: Pace = Pace::Every(Duration::from_millis(5));

/// Queries only.
pub async fn ask(gauge: &Gauge<'_>, products: &[Uuid], plan: &Plan) -> Result<(Work, Answers), Failure> {
    let queries = Queries::start(&gauge.stage.servers.amqp_url, products, OUTSTANDING).await?;
    tokio::time::sleep(plan.warm_up).await;
    let done = || (queries.tally.answers.load(Ordering::Relaxed), 0);
    let before = gauge.read(done).await?;
    let answers = measure(&queries, plan.window).await;
    let after = gauge.read(done).await?;
    queries.stop().await?;
    Ok((after.since(&before)?, answers))
}

/// As many queries as alone, while commands run at full load.
pub async fn ask_under_load(
    gauge: &Gauge<'_>,
    source: &mut impl Source,
    products: &[Uuid],
    plan: &Plan,
) -> Result<(Work, Answers), Failure> {
    beside(gauge, source, products, plan, OUTSTANDING).await
}

/// A few queries while commands run at full load.
pub async fn ask_modestly(
    gauge: &Gauge<'_>,
    source: &mut impl Source,
    products: &[Uuid],
    plan: &Plan,
) -> Result<(Work, Answers), Failure> {
    beside(gauge, source, products, plan, MODEST).await
}

async fn beside(
    gauge: &Gauge<'_>,
    source: &mut impl Source,
    products: &[Uuid],
    plan: &Plan,
    pace: Pace,
) -> Result<(Work, Answers), Failure> {
    let queries = Queries::start(&gauge.stage.servers.amqp_url, products, pace).await?;
    let mut answers = None;
    let during = async { answers = Some(measure(&queries, plan.window).await) };
    let work = saturate_during(gauge, source, plan.warm_up, during).await?;
    queries.stop().await?;
    answers.map(|answers| (work, answers)).ok_or_else(|| Failure::Wrong("no query was measured".to_owned()))
}

async fn measure(queries: &Queries, window: Duration) -> Answers {
    let tally = &queries.tally;
    let (since, before) = (Instant::now(), tally.answers.load(Ordering::Relaxed));
    tally.is_measured.store(true, Ordering::Relaxed);
    tokio::time::sleep(window).await;
    tally.is_measured.store(false, Ordering::Relaxed);
    let answers = tally.answers.load(Ordering::Relaxed) - before;
    #[expect(clippy::cast_precision_loss, reason = "far below what an f64 holds exactly")]
    let per_second = answers as f64 / since.elapsed().as_secs_f64();
    let latency = Latency::from(&tally.latencies.histogram());
    Answers { per_second, latency }
}
